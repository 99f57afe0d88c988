"""A member's life on the wire: connect, hold a session, reconnect, for as long as the agent runs.

It decides nothing itself: who ends a session and how is :mod:`session`'s, how long to wait and where to go
:mod:`reconnect`'s. Work goes on whatever happens here.
"""

from __future__ import annotations

import asyncio
import logging
import random
from typing import NamedTuple, Protocol

from swarmlet._native import ClientTls, NativeError
from swarmlet.agent.conversation import Conversation, Duties
from swarmlet.agent.events import End, Event, LeaseLapsed, LeaveAsked, Outcome, StopAsked
from swarmlet.agent.ports import Workloads
from swarmlet.agent.reconnect import Backoff, rotate
from swarmlet.agent.session import Session
from swarmlet.agent.status import Standing
from swarmlet.clock import Clock
from swarmlet.errors import SwarmletError, error
from swarmlet.join.events import Closed
from swarmlet.join.failures import failure_of
from swarmlet.link.engine import Connection
from swarmlet.link.messages import MeshWord

_log = logging.getLogger(__name__)

#: Patience with one name and with one connection, in seconds.
RESOLVE_S = 5.0
CONNECT_S = 5.0
#: Outcomes after which there is nothing to reconnect for.
FINAL = frozenset({Outcome.LEFT, Outcome.REVOKED, Outcome.STOPPED})
#: Outcomes in which the cluster is there and does not want this connection: do not press it.
_UNWANTED = frozenset({Outcome.SUPERSEDED, Outcome.REFUSED})


class Passport(NamedTuple):
    """What a connection is made with."""

    tls: ClientTls
    cluster_id: str
    not_after_ms: int


class World(Protocol):
    """What a member needs of the outside."""

    def passport(self) -> Passport:
        """Return the newest certificate this node may show."""
        ...

    def names(self) -> tuple[str, ...]:
        """Return the coordinators to try, best first."""
        ...

    async def resolve(self, name: str) -> tuple[str, ...]:
        """Return the addresses of a name, or raise :class:`SwarmletError`."""
        ...

    def dial(self, address: str, tls: ClientTls, timeout_s: float) -> Connection:
        """Begin a connection; raises ``NativeError``."""
        ...


class Ties(NamedTuple):
    """What a member works with. ``standing`` is told of attempts here and of welcomes by ``duties``."""

    world: World
    duties: Duties
    workloads: Workloads
    standing: Standing
    clock: Clock
    dice: random.Random


class Member:
    """The one connection of this node, over its whole life."""

    def __init__(self, ties: Ties) -> None:
        self._world = ties.world
        self._duties = ties.duties
        self._workloads = ties.workloads
        self._standing = ties.standing
        self._clock = ties.clock
        self._backoff = Backoff(ties.dice)
        self._conversation: Conversation | None = None
        self._older: Connection | None = None
        self._last_good: str | None = None
        self._leaving = False
        self._stopping = False
        self._takes_work = True
        self._hurry = asyncio.Event()
        self._workloads.subscribe(self._changed)

    # ---- what others tell it

    def post(self, event: Event) -> None:
        """Pass news on to the session, if there is one."""
        if self._conversation is not None:
            self._conversation.post(event)

    def mesh_says(self, messages: tuple[MeshWord, ...]) -> None:
        """Pass on what the mesh has for the coordinator; without a session it is dropped."""
        if self._conversation is not None:
            self._conversation.mesh_says(messages)

    def leave(self) -> None:
        """Leave the cluster as soon as it can be told; :meth:`run` returns when it confirmed."""
        self._leaving = True
        self._hurry.set()
        self.post(LeaveAsked())

    def stay(self) -> None:
        """Take a leave back that was not said yet."""
        self._leaving = False

    def take_no_work(self) -> None:
        """Drop what the coordinator wants from now on: the workloads are ending."""
        self._takes_work = False
        if self._conversation is not None:
            self._conversation.takes_work = False

    def stop(self) -> None:
        """End the session; :meth:`run` returns."""
        self._stopping = True
        self._hurry.set()
        self.post(StopAsked())

    def lease(self, *, held: bool) -> None:
        """The native keeper tells whether heartbeats are acknowledged."""
        self._standing.lease = "held" if held else "lapsed"
        self._workloads.lease(held=held)
        if not held:
            self.post(LeaseLapsed())

    def remind(self) -> None:
        """Look whether observations are to be sent again; called now and then."""
        self._changed()

    def _changed(self) -> None:
        if self._conversation is not None:
            self._conversation.changed()

    # ---- its life

    async def run(self) -> Outcome:
        """Stay connected until this node leaves, is removed, or the agent stops."""
        while not self._stopping:
            end = await self._round()
            if end.outcome is Outcome.RENEWED:
                continue
            self._drop_older()
            if end.outcome in FINAL:
                return end.outcome
            now = self._clock.boot()
            lasted_s = now - self._standing.since if self._standing.connected else 0.0
            wait_s = self._backoff.after(lasted_s, now, superseded=end.outcome in _UNWANTED)
            self._report(end, wait_s)
            await self._rest(wait_s)
        return Outcome.STOPPED

    async def _round(self) -> End:
        """Try every address until one gave a session; return how that, or the last attempt, ended."""
        end = End(Outcome.LOST, "unreachable", "no address of a coordinator is known")
        for name in rotate(self._world.names(), self._last_good, self._backoff.failures):
            self._standing.connecting(name, self._clock.boot())
            try:
                async with asyncio.timeout(RESOLVE_S):
                    addresses = await self._world.resolve(name)
            except TimeoutError:
                end = End(Outcome.LOST, "name-unresolved", "the name server did not answer in time")
                continue
            except SwarmletError as failure:
                end = End(Outcome.LOST, "name-unresolved", failure.fields.get("detail", failure.what))
                continue
            for address in addresses:
                if self._stopping:
                    return End(Outcome.STOPPED, "closed", "")
                end = await self._attempt(address)
                if self._standing.connected:
                    self._last_good = name
                if self._standing.connected or end.outcome is not Outcome.LOST:
                    return end
        return end

    async def _attempt(self, address: str) -> End:
        passport = self._world.passport()
        try:
            connection = self._world.dial(address, passport.tls, CONNECT_S)
        except NativeError as fault:
            return End(Outcome.LOST, fault.args[0], fault.args[1])
        session = Session(passport.cluster_id, passport.not_after_ms)
        conversation = Conversation(session, connection, self._duties, self._workloads)
        conversation.takes_work = self._takes_work
        conversation.replaces = self._older
        self._conversation = conversation
        if self._leaving:
            conversation.post(LeaveAsked())
        try:
            end = await conversation.run()
        finally:
            self._conversation = None
        if end.outcome is Outcome.RENEWED:
            self._drop_older()
            self._older = connection
        return end

    def _drop_older(self) -> None:
        """Close the connection that a renewal left open, if there is one."""
        if self._older is not None:
            self._older.close()
            self._older = None

    async def _rest(self, wait_s: float) -> None:
        if self._leaving or self._stopping:
            wait_s = min(wait_s, 1.0)
        self._hurry.clear()
        try:
            async with asyncio.timeout(wait_s):
                await self._hurry.wait()
        except TimeoutError:
            return

    def _report(self, end: End, wait_s: float) -> None:
        now = self._clock.boot()
        trouble = trouble_of(end, self._standing.coordinator or "the coordinator")
        was_connected = self._standing.connected
        again = self._standing.trouble is not None and self._standing.trouble.code == trouble.code
        self._standing.lost(trouble, now + wait_s, now)
        # Said when it begins and when its nature changes: a night without network is not a night of lines.
        level = logging.WARNING if was_connected or not again else logging.DEBUG
        extra = {"code": trouble.code, "retry_s": round(wait_s, 1), "next": trouble.next}
        _log.log(level, "not connected: %s", trouble.what, extra=extra)


def trouble_of(end: End, address: str) -> SwarmletError:
    """Return the end of a session as an error of the catalogue, for showing."""
    if end.outcome is Outcome.REFUSED:
        return error("SWL-203", detail=end.detail or end.reason)
    if end.outcome is Outcome.SUPERSEDED:
        return error("SWL-210", address=address)
    if end.outcome is Outcome.REVOKED:
        return error("SWL-207")
    detail = end.detail or end.reason
    if end.reason in _WORDS:
        return error("SWL-200", address=address, detail=_WORDS[end.reason])
    if end.reason == "refused":
        return error("SWL-200", address=address, detail=f"it refused this node for now ({detail})")
    failure = failure_of(Closed(end.reason, detail), address, asked=False)
    return error(failure.code, **failure.fields)


#: How an established session ended, where the link's own words are for one that never was.
_WORDS = {
    "lease-lapsed": "heartbeats went unanswered",
    "shutdown": "the coordinator is shutting down",
    "closed": "it closed the connection",
    "reset": "it cut the connection",
}
