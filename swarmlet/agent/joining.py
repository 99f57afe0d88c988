"""The first time: from a token to credentials on disk. Wires the join stage to this device; holds no rule."""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from swarmlet import __version__
from swarmlet._native import ClientTls, KeyPair, Token
from swarmlet.agent import datadir, words
from swarmlet.agent.node import Roads, Self
from swarmlet.config.check import check_tls
from swarmlet.discovery.direct import candidates
from swarmlet.hardware.network import require_addresses
from swarmlet.identity import store as cr
from swarmlet.identity.store import Credentials, Vault
from swarmlet.join.join import Application, join
from swarmlet.join.plan import Plan
from swarmlet.join.steps import Steps
from swarmlet.link.engine import Connection
from swarmlet.link.messages import Admitted
from swarmlet.tokens.claims import Claims

#: How long an approved device tries where nothing answers, in seconds; its token is good for twice that.
_APPROVED_S = 300.0


class Entrance:
    """The ways out, with the token's pins and no identity; fits ``join.World``."""

    def __init__(self, me: Self, roads: Roads, vault: Vault, claims: Claims) -> None:
        self._me = me
        self._roads = roads
        self._vault = vault
        self._claims = claims
        self.credentials: Credentials | None = None

    async def resolve(self, name: str) -> tuple[str, ...]:
        """Return the addresses of a name."""
        return await self._roads.resolve(name)

    def dial(self, address: str, timeout_s: float) -> Connection:
        """Connect to whoever has the token's key; dates are not judged on the first join (C10)."""
        tls = ClientTls(self._claims.ca_pins, None, self._claims.cluster_id.hex(), None)
        return self._roads.dial(address, tls, timeout_s)

    async def key(self) -> KeyPair:
        """Return the key to ask with, from the disk or put there."""
        return await asyncio.to_thread(self._vault.joining, self._claims.jti)

    async def forget(self) -> None:
        """Remove that key from disk."""
        await asyncio.to_thread(self._vault.forget_joining)

    async def save(self, key: KeyPair, admitted: Admitted) -> int:
        """Put the identity on disk, synced, before anything is reported."""
        self._me.cluster_time.learn(admitted.time_ms)
        made = cr.admission(key, admitted, self._me.clock, self._me.boot_id)
        await asyncio.to_thread(self._vault.save, made)
        self.credentials = made
        return made.identity.not_after_ms


class Newcomer(NamedTuple):
    """A device about to join."""

    me: Self
    roads: Roads
    vault: Vault
    token: Token
    timeout_s: float | None = None
    paired: bool = False


async def become_member(newcomer: Newcomer, steps: Steps) -> Credentials:
    """Join the token's cluster and return the credentials that are now on disk.

    Raises:
        SwarmletError: Why it did not work. Unless the cluster refused, the key of a request that left is kept
            for the next attempt with this token (T5); nothing else was changed on this device.
    """
    me, config = newcomer.me, newcomer.roads.config
    claims = Claims.from_tuple(newcomer.token.claims)
    given = () if config.cluster is None else (config.cluster,)
    names = candidates(config.discovery_port, given, claims.endpoints)
    for name in names:
        check_tls(tls_enabled=config.tls_enabled, address=name)
    # Before the token is spent, not after.
    if config.bind_interface is not None:
        require_addresses(config.bind_interface)
    await asyncio.to_thread(datadir.check_writable, config.data_dir)
    plan = Plan(
        names=names,
        name=me.profile.node_id,
        cluster_id=claims.cluster_id.hex(),
        pins=claims.ca_pins,
        expires_s=claims.expires_s,
        data_dir=config.data_dir,
        # Its token is nowhere else: two people would have to compare a code again.
        timeout_s=_APPROVED_S if newcomer.paired and newcomer.timeout_s is None else newcomer.timeout_s,
        resumes=not newcomer.paired,
    )
    application = Application(
        token=newcomer.token,
        name=me.profile.node_id,
        profile=me.profile,
        version=__version__,
        capabilities=words.capabilities(me.profile),
    )
    entrance = Entrance(me, newcomer.roads, newcomer.vault, claims)
    await join(plan, application, entrance, me.clock, steps)
    if entrance.credentials is None:  # the machine finishes only after Saved
        raise RuntimeError("a join finished without credentials")
    return entrance.credentials
