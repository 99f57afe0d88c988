"""Engines that gossip in this process, each on its own port; bodies of anti-entropy are carried by hand."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from swarmlet import _native
from swarmlet.link.events import Gossip, GossipBody, decode

CLUSTER = b"\xc1" * 16
PROBE_MS = 200
DAY_MS = 86_400_000
_DEADLINE_S = 30.0


class Gossiper:
    """One engine of a circle. ``told`` is what its mesh told: what, and about whom."""

    def __init__(self, circle: Circle) -> None:
        self.engine = _native.Engine(event_capacity=4096)
        self.mesh = _native.Mesh(self.engine)
        self.told: list[Gossip] = []
        self.address = ""
        self._circle = circle

    def count(self, name: str) -> int:
        """Return one of the engine's counters."""
        return self.engine.stats()[name]

    def heard(self, what: str, detail: bytes = b"") -> bool:
        """Say whether the mesh told this."""
        return any(one.what == what and one.detail == detail for one in self.told)

    def sees(self, other: Gossiper) -> tuple[str, str, bool] | None:
        """Return how it sees another: state, address, and whether UDP reaches it."""
        rows = {row[0]: row for row in self.mesh.members()}
        row = rows.get(other.uid)
        return None if row is None else (row[1], row[4], row[5])

    @property
    def uid(self) -> bytes:
        """Return who it is."""
        raise NotImplementedError


class Hub(Gossiper):
    """The coordinator's."""

    def __init__(self, circle: Circle, root: Path) -> None:
        super().__init__(circle)
        self.authority = _native.MeshAuthority.load_or_create(str(root), CLUSTER)
        self.epoch = 1
        self.lead("127.0.0.1:0")

    @property
    def uid(self) -> bytes:
        return CLUSTER

    def lead(self, address: str) -> None:
        """Begin, at an address."""
        self.address = str(
            self.mesh.lead(
                self.authority,
                hub=CLUSTER,
                epoch=self.epoch,
                address=address,
                movable=False,
                cluster_ms=self._circle.cluster_ms(),
                probe_ms=self._circle.probe_ms,
            )
        )

    def turn(self, by: int) -> None:
        """Begin another epoch."""
        self.epoch += by
        self.mesh.turn_epoch(self.authority, CLUSTER, self.epoch, self._circle.cluster_ms())


class Member(Gossiper):
    """A node's."""

    def __init__(self, circle: Circle, hub: Hub) -> None:
        super().__init__(circle)
        self._uid = os.urandom(16)
        self._hub = hub
        self._keys = _native.MeshKeys()

    @property
    def uid(self) -> bytes:
        return self._uid

    def grant(self, life_ms: int = DAY_MS) -> bytes:
        """Return what the coordinator grants it now."""
        now_ms = self._circle.cluster_ms()
        keys = self._keys.signing_key, self._keys.exchange_key
        return self._hub.authority.grant(self._uid, *keys, now_ms, now_ms + life_ms, self._hub.epoch)

    def join(self, address: str = "127.0.0.1:0", life_ms: int = DAY_MS) -> None:
        """Begin, in place of what was."""
        bound = self.mesh.join(
            self._keys,
            node=self._uid,
            cluster_id=CLUSTER,
            grant=self.grant(life_ms),
            coordinator=(self._hub.authority.signing_key, self._hub.authority.exchange_key),
            address=address,
            movable=False,
            cluster_ms=self._circle.cluster_ms(),
            probe_ms=self._circle.probe_ms,
        )
        self.address = str(bound)

    def refresh(self, life_ms: int = DAY_MS) -> None:
        """Use what the coordinator grants it now."""
        exchange = self._hub.authority.exchange_key
        grant = self.grant(life_ms)
        self.mesh.refresh(self._keys, self._uid, CLUSTER, grant, exchange, self._circle.cluster_ms())


class Circle:
    """A coordinator's engine and members' engines; members' ``conn`` is their place in the list."""

    def __init__(self, directory: Path, probe_ms: int) -> None:
        self.probe_ms = probe_ms
        self.hub = Hub(self, directory / "mesh.key")
        self.members: list[Member] = []

    def cluster_ms(self) -> int:
        """Return cluster time."""
        return time.time_ns() // 1_000_000

    def member(self, **how: int) -> Member:
        """Add a member that joins."""
        made = Member(self, self.hub)
        self.members.append(made)
        made.join(**how)  # type: ignore[arg-type]
        return made

    def pump(self) -> None:
        """Carry what the engines have told so far."""
        for number, member in enumerate(self.members):
            for body in _taken(member):
                self.hub.mesh.body(number, body.body)
        for body in _taken(self.hub):
            self.members[body.conn].mesh.body(0, body.body)

    def until(self, check: Callable[[], bool], what: str) -> None:
        """Carry until ``check``; fail after a deadline."""
        until = time.monotonic() + _DEADLINE_S
        while not check():
            assert time.monotonic() < until, f"{what} did not happen in {_DEADLINE_S:g} s"
            self.pump()
            time.sleep(0.01)

    def end(self) -> None:
        """Stop every engine."""
        for one in (*self.members, self.hub):
            one.engine.stop()


def _taken(one: Gossiper) -> list[GossipBody]:
    bodies = []
    for event in map(decode, one.engine.poll(256)):
        if isinstance(event, GossipBody):
            bodies.append(event)
        elif isinstance(event, Gossip):
            one.told.append(event)
    return bodies


@contextlib.contextmanager
def circle(directory: Path, probe_ms: int = PROBE_MS) -> Iterator[Circle]:
    """Run a circle; end all of it."""
    made = Circle(directory, probe_ms)
    try:
        yield made
    finally:
        made.end()
