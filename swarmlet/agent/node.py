"""This node as its connection needs it: who it is, what it shows, where it goes. A shell without rules.

It holds the credentials in use and is the only one to exchange them; saving is off the event loop.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Iterable
from typing import NamedTuple

from swarmlet import __version__
from swarmlet._native import ClientTls, KeyPair, NativeError
from swarmlet.agent.batches import batches
from swarmlet.agent.member import Passport
from swarmlet.agent.ports import Workloads
from swarmlet.agent.status import Standing
from swarmlet.clock import Clock, ClusterTime
from swarmlet.config.check import check_tls
from swarmlet.config.keys import Config
from swarmlet.discovery.direct import Resolver, candidates
from swarmlet.errors import SwarmletError
from swarmlet.hardware.network import addresses
from swarmlet.identity import store as cr
from swarmlet.identity.rotation import renewal_is_due
from swarmlet.identity.store import Credentials, Vault
from swarmlet.link.engine import Connection, Link
from swarmlet.link.messages import (
    PROTOCOL_VERSION,
    Hello,
    MeshAnswer,
    MeshHello,
    Renewed,
    Settings,
)
from swarmlet.mesh.gossiping import Gossiping
from swarmlet.model.profile import Profile

_log = logging.getLogger(__name__)


#: Seconds from a certificate that could not be kept to the next request: half of its time is left for that.
RENEW_AGAIN_S = 60.0


class Roads(NamedTuple):
    """The ways out of this device: names to addresses, addresses to connections."""

    config: Config
    link: Link
    resolver: Resolver

    async def resolve(self, name: str) -> tuple[str, ...]:
        """Return the addresses of a name; without TLS only this machine is a place to go (C9).

        Raises:
            SwarmletError: ``SWL-204``, or ``SWL-402``.
        """
        check_tls(tls_enabled=self.config.tls_enabled, address=name)
        return await self.resolver.resolve(name)

    def dial(self, address: str, tls: ClientTls, timeout_s: float) -> Connection:
        """Begin a connection, from the interface that was asked for.

        Raises:
            NativeError: ``address-unavailable``.
        """
        source = None
        # An address with a zone names its interface itself.
        if self.config.bind_interface is not None and "%" not in address:
            source = source_of(addresses(self.config.bind_interface), address)
            if source is None:
                detail = f"{self.config.bind_interface} has no address that leads there"
                raise NativeError("address-unavailable", detail)
        return self.link.dial(address, tls, timeout_ms=int(timeout_s * 1000), source=source)


def source_of(own: Iterable[str], target: str) -> str | None:
    """Return the first of an interface's addresses that is of the family of ``target`` (``ip:port``)."""
    wants_ipv6 = target.startswith("[")
    return next((one for one in own if (":" in one) == wants_ipv6 and "%" not in one), None)


class Self(NamedTuple):
    """What this node knows of itself at its start."""

    profile: Profile
    boot_id: str
    clock: Clock
    cluster_time: ClusterTime


class Node:
    """A member; fits ``conversation.Duties`` and ``member.World``."""

    def __init__(
        self, me: Self, roads: Roads, vault: Vault, credentials: Credentials, standing: Standing
    ) -> None:
        self.credentials = credentials
        self._me = me
        self._roads = roads
        self._vault = vault
        self._standing = standing
        self._workloads: Workloads | None = None
        self._ready: Callable[[str], None] | None = None
        #: Its mesh, once it has one.
        self.gossiping: Gossiping | None = None
        self._jitter = random.random()  # noqa: S311 - spreads renewals
        self._next_key: KeyPair | None = None
        self._unsaved = False
        self._saving = asyncio.Lock()
        self._renew_after = 0.0

    def serve(self, workloads: Workloads, ready: Callable[[str], None]) -> None:
        """Speak for ``workloads`` from now on; call ``ready`` with this node's name at every welcome."""
        self._workloads = workloads
        self._ready = ready

    @property
    def link(self) -> Link:
        """The link its connections go over."""
        return self._roads.link

    @property
    def renewal_is_due(self) -> bool:
        """Whether to ask for the next certificate; not at once again when the last one could not be kept."""
        if self._me.clock.boot() < self._renew_after:
            return False
        identity = self.credentials.identity
        now_ms = self._me.cluster_time.now_ms()
        return renewal_is_due(now_ms, identity.not_before_ms, identity.not_after_ms, self._jitter)

    def now_ms(self) -> int:
        """Return cluster time, or this machine's own before anyone told it."""
        told = self._me.cluster_time.now_ms()
        return self._me.clock.wall_ms() if told is None else told

    # ---- the way to the cluster (member.World)

    def passport(self) -> Passport:
        """Return the newest certificate and the pins it goes with."""
        identity, settings = self.credentials.identity, self.credentials.memory.settings
        tls = ClientTls(settings.ca_pins, identity, settings.cluster_id, self._me.cluster_time.now_ms())
        return Passport(tls, settings.cluster_id, identity.not_after_ms)

    def names(self) -> tuple[str, ...]:
        """Return the coordinators to try: the given one, then those the cluster told."""
        config, settings = self._roads.config, self.credentials.memory.settings
        given = () if config.cluster is None else (config.cluster,)
        return candidates(config.discovery_port, given, settings.endpoints)

    async def resolve(self, name: str) -> tuple[str, ...]:
        """Return the addresses of a name."""
        return await self._roads.resolve(name)

    def dial(self, address: str, tls: ClientTls, timeout_s: float) -> Connection:
        """Begin a connection."""
        return self._roads.dial(address, tls, timeout_s)

    # ---- what a session needs done (conversation.Duties)

    def learn(self, time_ms: int) -> None:
        """Take the coordinator's time as cluster time."""
        self._me.cluster_time.learn(time_ms)
        self._standing.skew_s = (self._me.clock.wall_ms() - time_ms) / 1000

    def hello(self) -> Hello:
        """Return what this node says first; observations that do not fit follow after the welcome."""
        if self._workloads is None:  # a node that only leaves
            raise RuntimeError("the node has no workloads to speak for")
        groups = batches(self._workloads.observations())
        return Hello(
            protocol=PROTOCOL_VERSION,
            version=__version__,
            boot_id=self._me.boot_id,
            name=self._me.profile.node_id,
            profile=self._me.profile,
            generation=self._workloads.generation,
            limits=self._roads.config.limits(),
            observed=groups[0] if groups else (),
        )

    def welcomed(self, name: str, settings: Settings) -> None:
        """Take what the cluster told of itself; it is saved soon when it is news."""
        self._standing.welcomed(self._me.clock.boot())
        after = cr.updated(self.credentials, name, settings)
        self._unsaved |= after is not self.credentials
        self.credentials = after
        if self._ready is not None:
            self._ready(name)
        _log.info("connected", extra={"node": name, "coordinator": self._standing.coordinator})

    def mesh_hello(self) -> MeshHello | None:
        """Return what asks to gossip."""
        return None if self.gossiping is None else self.gossiping.hello()

    def mesh_told(self, message: MeshAnswer) -> None:
        """Hand the mesh what it was told."""
        if self.gossiping is not None:
            self.gossiping.told(message)

    async def request_renewal(self) -> bytes:
        """Make a new key (C4) and return its request."""
        self._next_key = await asyncio.to_thread(KeyPair.generate)
        return self._next_key.csr(self.credentials.memory.name)

    async def store(self, renewed: Renewed) -> bool:
        """Put the identity of the new key on disk, then use it; false when that failed."""
        if self._next_key is None:
            return False
        try:
            after = cr.renewal(self.credentials, self._next_key, renewed, self._me.clock, self._me.boot_id)
            async with self._saving:
                await asyncio.to_thread(self._vault.save, after)
        except SwarmletError as failure:
            extra = {"code": failure.code, "next": failure.next}
            _log.error("the renewed certificate was not taken: %s", failure.what, extra=extra)
            self._renew_after = self._me.clock.boot() + RENEW_AGAIN_S
            return False
        self.credentials, self._next_key = after, None
        self._unsaved = False
        self._jitter = random.random()  # noqa: S311 - as above
        _log.info("certificate renewed", extra={"not_after_ms": after.identity.not_after_ms})
        return True

    async def save_news(self) -> None:
        """Save what the cluster told of itself, if it is not on disk yet; a failure is tried again."""
        if not self._unsaved:
            return
        async with self._saving:
            saved = self.credentials
            try:
                await asyncio.to_thread(self._vault.save, saved)
            except SwarmletError as failure:
                _log.debug("the cluster's settings were not saved yet", extra={"code": failure.code})
                return
            self._unsaved = saved is not self.credentials
