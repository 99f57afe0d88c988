"""A coordinator as its own process, started by ``stratoswarm`` as a user would, and a crowd that joins it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

from swarmlet._native import TokenSeed
from swarmlet.cli.admin import Admin
from swarmlet.coordinator.limiter import ALTOGETHER, PER_SOURCE
from swarmlet.coordinator.listening import Flood
from swarmlet.hardware.probe import probe
from swarmlet.model import places
from swarmlet.model.profile import Profile
from swarmlet.model.requests import MintRequest
from swarmlet.model.views import ClusterView, MintedView
from tests.bench.crowd import Crowd
from tests.bench.measure import Plan
from tests.integration.harness import World

#: What a stranger may do before it proved itself, as the coordinator ships (D1, D2).
LIMITS = (
    f"as shipped: at most {Flood().max_unproven} connections that have not proven themselves, "
    f"{Flood().max_per_address} of one address, {Flood().handshake_ms / 1000:g} s for a handshake; failed "
    f"joins {PER_SOURCE.per_s:g}/s and address, {ALTOGETHER.per_s:g}/s in all. Nothing was raised; every "
    "device of the load has a loopback address of its own, as real ones do, so that limit is never met"
)


def admin(world: World) -> Admin:
    """Return a client of the world's coordinator."""
    return Admin(places.admin_socket(str(world.cluster_dir.resolve()), world.cluster_dir.stat().st_uid))


def view(world: World) -> ClusterView:
    """Return the cluster as its coordinator sees it, counters included."""
    return admin(world).get(ClusterView, "/v1/cluster")


def token(world: World, *, uses: int = 1, allow: tuple[str, ...] = ()) -> str:
    """Return the text of a new token, minted as the command line does it."""
    seed = TokenSeed.generate()
    wishes = MintRequest(public_key=seed.public_key, max_uses=uses, allow=allow)
    return seed.assemble(admin(world).change(MintedView, "POST", "/v1/tokens", wishes).signed)


def pid(world: World) -> int:
    """Return the process id of the world's coordinator."""
    assert world.coordinator is not None
    return world.coordinator.process.pid


@contextmanager
def gathered(plan: Plan, name: str) -> Iterator[tuple[World, Crowd]]:
    """Start a coordinator and an empty crowd that may join it; end both."""
    world = plan.world(name)
    try:
        world.start_coordinator()
        crowd = Crowd(f"127.0.0.1:{world.port}", token(world, uses=100_000), _profile())
        try:
            yield world, crowd
        finally:
            crowd.close()
    finally:
        world.end()


def _profile() -> Profile:
    """Return this machine's own profile without its container engine, which no device of a crowd has."""
    return msgspec.structs.replace(probe(), container_engine=None)
