"""Joining without a token: ask a cluster, show a code, wait until a person approved it, bring home a token.

The key of the cluster that was found is pinned for every connection, so that all of them are with the same
one; that it is the right one is what the person decides who compares the codes. Nothing of the device's key
but its public half is sent. See ``model/pairing.py`` for why the values go back and forth as they do.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
from collections.abc import AsyncIterator, Callable
from typing import Final, NamedTuple, TypeVar

import msgspec

from swarmlet._native import NativeError, Token, TokenSeed
from swarmlet.clock import Clock
from swarmlet.errors import SwarmletError, error
from swarmlet.join import steps as st
from swarmlet.join.events import Closed
from swarmlet.join.failures import failure_of, refusal, unexpected
from swarmlet.link import messages as m
from swarmlet.link.engine import Connection, ConnectionClosedError
from swarmlet.model.pairing import RANDOM, Transcript, code_of, commitment
from swarmlet.tokens.claims import Claims

_T = TypeVar("_T", bound=m.Message)

#: Seconds for a handshake, and for each answer.
CONNECT_S: Final = 10.0
REPLY_S: Final = 10.0
#: Bounds of what a coordinator may ask for: seconds between two questions, and to wait in all.
_AGAIN_S: Final = (0.5, 30.0)
_LEFT_S: Final = 3600.0
#: What a coordinator refuses a device that pairs for.
_REFUSALS: Final = frozenset({"SWL-110", "SWL-119", "SWL-120", "SWL-121", "SWL-122", "SWL-608"})
_HINT: Final = "set SWARM_NODE_NAME,  or update swarmlet"


class Asker(NamedTuple):
    """Who asks whom.

    Attributes:
        address: Where the cluster is, for people.
        key: SHA-256 of its public key as it was found, 32 bytes: pinned.
        name: The node name to ask for.
        node_class: The class this device found itself to be.
        hardware: What it is, for people.
        version: Of this program.
    """

    address: str
    key: bytes
    name: str
    node_class: str
    hardware: str
    version: str


class _Agreed(NamedTuple):
    """What both ends know after the exchange."""

    pairing: str
    code: str
    cluster: str
    cluster_id: str


class _Talk(NamedTuple):
    connection: Connection
    exporter: bytes
    challenge: m.Challenge


async def pair(asker: Asker, dial: Callable[[float], Connection], clock: Clock, steps: st.Steps) -> Token:
    """Ask to be approved and return the token that was made for this device.

    Args:
        asker: Who asks whom.
        dial: Begins a connection to the cluster with its key pinned; takes the seconds it may need.
        clock: For how long to wait.
        steps: Where the code is shown.

    Raises:
        SwarmletError: ``SWL-119`` it takes none without a token, ``SWL-120`` denied, ``SWL-121`` too late,
            ``SWL-122`` too many wait, ``SWL-124`` the approval is none; as a join, when it cannot be reached.
    """
    return await _Pairing(asker, dial, clock, steps).run()


class _Pairing:
    def __init__(
        self, asker: Asker, dial: Callable[[float], Connection], clock: Clock, steps: st.Steps
    ) -> None:
        self._asker = asker
        self._dial = dial
        self._clock = clock
        self._steps = steps
        self._seed = TokenSeed.generate()

    async def run(self) -> Token:
        try:
            agreed, pending = await self._agree()
        except (NativeError, ConnectionClosedError, TimeoutError, msgspec.MsgspecError) as fault:
            raise self._failed(fault) from None
        until = self._clock.boot() + min(pending.left_ms / 1000, _LEFT_S)
        self._show(agreed, until - self._clock.boot())
        signed = await self._approval(agreed, pending, until)
        token = self._checked(signed, agreed)
        self._steps.note(f"approved; joining {agreed.cluster}")
        return token

    # ---- the exchange

    async def _agree(self) -> tuple[_Agreed, m.PairPending]:
        """Exchange random values over one connection; from then on there is a code."""
        asker, value = self._asker, os.urandom(RANDOM)
        async with self._talk() as talk:
            cluster_id, cluster = talk.challenge.cluster_id, st.plain(talk.challenge.cluster_name, 63)
            request = m.PairRequest(
                public_key=self._seed.public_key,
                commitment=commitment(value),
                name=asker.name,
                node_class=asker.node_class,
                hardware=asker.hardware,
                version=asker.version,
            )
            offer = await self._ask(talk, request, m.PairOffer, cluster)
            if len(offer.random) != RANDOM:
                raise self._failed(ValueError("its random value is none"))
            pending = await self._ask(talk, m.PairReveal(offer.pairing, value), m.PairPending, cluster)
            code = code_of(
                Transcript(
                    cluster_id=cluster_id,
                    key=asker.key,
                    public_key=request.public_key,
                    name=asker.name,
                    node_class=asker.node_class,
                    hardware=asker.hardware,
                    exporter=talk.exporter,
                    theirs=value,
                    ours=offer.random,
                )
            )
        return _Agreed(offer.pairing, code, cluster, cluster_id), pending

    def _show(self, agreed: _Agreed, left_s: float) -> None:
        key = f"SHA256:{self._asker.key.hex()[:16]}..."
        self._steps.note(f"asked {agreed.cluster} at {self._asker.address}, key {key}, to take this device")
        self._steps.show(f"pairing code: {agreed.code}   good for {st.span(math.ceil(left_s))}")
        self._steps.show(
            f"on the coordinator, if  stratoswarm nodes pending  shows the same:"
            f"  stratoswarm nodes approve {agreed.code}"
        )

    async def _approval(self, agreed: _Agreed, pending: m.PairPending, until: float) -> bytes:
        """Ask again and again; a coordinator that is away meanwhile is waited for."""
        told = False
        while True:
            low, high = _AGAIN_S
            await asyncio.sleep(min(max(pending.again_ms / 1000, low), high))
            # Asked once more when the time is over: it may have been approved since the last question.
            over = self._clock.boot() >= until
            try:
                answer = await self._collect(agreed)
                if isinstance(answer, m.PairApproved):
                    return answer.signed
                pending = answer
            except (NativeError, ConnectionClosedError, TimeoutError, msgspec.MsgspecError) as fault:
                if not told and not over:
                    self._steps.note(f"{self._failed(fault, proven=True).what}; still waiting")
                told = True
            if over:
                raise error("SWL-121", shown=agreed.code)

    async def _collect(self, agreed: _Agreed) -> m.PairApproved | m.PairPending:
        async with self._talk() as talk:
            await talk.connection.send(m.PairCollect(agreed.pairing), REPLY_S)
            answer = await talk.connection.receive(REPLY_S)
        if isinstance(answer, m.Refused):
            raise self._refused(answer, agreed.cluster, agreed.code)
        if not isinstance(answer, m.PairApproved | m.PairPending):
            raise self._failed(ValueError(f"it sent {type(answer).__name__} out of turn"))
        return answer

    def _checked(self, signed: bytes, agreed: _Agreed) -> Token:
        """Return the token of the approval, if it is for this key and of the cluster that was asked."""
        try:
            token = self._seed.token(signed)
        except NativeError as fault:
            raise error("SWL-124", address=self._asker.address, detail=str(fault.args[-1])) from None
        claims = Claims.from_tuple(token.claims)
        if self._asker.key not in claims.ca_pins or claims.cluster_id.hex() != agreed.cluster_id:
            detail = "it is for another cluster than the one that was asked"
            raise error("SWL-124", address=self._asker.address, detail=detail)
        return token

    # ---- connections

    @contextlib.asynccontextmanager
    async def _talk(self) -> AsyncIterator[_Talk]:
        """Open a connection and take its challenge."""
        connection = self._dial(CONNECT_S)
        try:
            opened = await connection.opened(2 * CONNECT_S)
            challenge = await connection.receive(REPLY_S)
            if not isinstance(challenge, m.Challenge):
                raise self._failed(ValueError(f"it sent {type(challenge).__name__} out of turn"))
            if challenge.protocol != m.PROTOCOL_VERSION:
                raise self._closed(Closed("protocol-version", str(challenge.protocol)))
            yield _Talk(connection, opened.exporter, challenge)
        finally:
            connection.close()

    async def _ask(self, talk: _Talk, message: m.AnyMessage, kind: type[_T], cluster: str) -> _T:
        await talk.connection.send(message, REPLY_S)
        answer = await talk.connection.receive(REPLY_S)
        if isinstance(answer, m.Refused):
            raise self._refused(answer, cluster, "-")
        if not isinstance(answer, kind):
            raise self._failed(ValueError(f"it sent {type(answer).__name__} out of turn"))
        return answer

    def _refused(self, refused: m.Refused, cluster: str, code: str) -> SwarmletError:
        """Return a refusal in words of our own: nobody knows yet whose the peer's would be."""
        if refused.code not in _REFUSALS:
            theirs = st.plain(refused.code, 20)
            return error("SWL-115", theirs=theirs, cluster=cluster, address=self._asker.address)
        _, fields = refusal(refused, 0, self._asker.name)
        own = {"cluster": cluster, "address": self._asker.address, "shown": code}
        return error(refused.code, **{**fields, **own, "hint": _HINT})

    def _failed(self, fault: Exception, *, proven: bool = False) -> SwarmletError:
        """Return what a fault of a connection, or a peer's nonsense, means."""
        if isinstance(fault, ConnectionClosedError):
            closed = Closed(fault.closed.reason, fault.closed.detail)
        elif isinstance(fault, NativeError):
            closed = Closed(fault.args[0], fault.args[-1])
        elif isinstance(fault, TimeoutError):
            closed = Closed("timed-out", "no answer in time")
        else:
            closed = unexpected(str(fault))
        return self._closed(closed, proven=proven)

    def _closed(self, closed: Closed, *, proven: bool = False) -> SwarmletError:
        failure = failure_of(closed, self._asker.address, proven=proven)
        return error(failure.code, **failure.fields)
