"""The shell around the join machine: it resolves, dials, signs, saves and keeps one timer. It holds no rule.

The token's seed and the node's key stay native; what leaves is what the machine asked for, after the pin was
checked inside the handshake (T3).
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import NamedTuple, Protocol

import msgspec

from swarmlet._native import KeyPair, NativeError, Token
from swarmlet.clock import Clock
from swarmlet.errors import SwarmletError, error, from_native
from swarmlet.join.events import (
    Action,
    Closed,
    Dial,
    Event,
    Fail,
    Finish,
    Forget,
    Garbled,
    Hangup,
    LocalFailure,
    Note,
    Opened,
    Received,
    Report,
    Resolve,
    Resolved,
    Save,
    Saved,
    SendRequest,
    SetTimer,
    Started,
    TimedOut,
    Unresolved,
)
from swarmlet.join.machine import JoinMachine
from swarmlet.join.plan import Plan
from swarmlet.join.steps import LABELS, Steps
from swarmlet.link.engine import Connection, ConnectionClosedError
from swarmlet.link.messages import Admitted, JoinRequest
from swarmlet.model.profile import Profile

#: The machine's timer ends every wait; this is for the waits' own sake.
_LONG_S = 3_600.0


class Application(NamedTuple):
    """Who asks to be admitted, with what."""

    token: Token
    name: str
    profile: Profile
    version: str
    capabilities: tuple[str, ...]


class World(Protocol):
    """What a join needs done."""

    async def resolve(self, name: str) -> tuple[str, ...]:
        """Return the addresses of ``host:port`` as ``ip:port``, or raise :class:`SwarmletError`."""
        ...

    def dial(self, address: str, timeout_s: float) -> Connection:
        """Connect with the token's pins and without an identity; raises ``NativeError``."""
        ...

    async def key(self) -> KeyPair:
        """Return the key to ask with, the same for this token in every run until it is forgotten.

        Raises:
            SwarmletError: It could not be put on disk.
        """
        ...

    async def forget(self) -> None:
        """Remove that key from disk."""
        ...

    async def save(self, key: KeyPair, admitted: Admitted) -> int:
        """Put the identity on disk, synced; return when its certificate ends, in Unix milliseconds.

        Raises:
            SwarmletError: It could not be saved.
        """
        ...


async def join(plan: Plan, application: Application, world: World, clock: Clock, steps: Steps) -> Admitted:
    """Join a cluster; return once the identity is on disk.

    Raises:
        SwarmletError: Why it did not work.
    """
    return await _Joining(plan, application, world, clock, steps).run()


class _Joining:
    def __init__(
        self, plan: Plan, application: Application, world: World, clock: Clock, steps: Steps
    ) -> None:
        self._machine = JoinMachine(plan, random.Random())  # noqa: S311 - spreads knocks
        self._application = application
        self._world = world
        self._clock = clock
        self._steps = steps
        self._connection: Connection | None = None
        self._key: KeyPair | None = None
        self._deadline: float | None = None
        #: Where the next event comes from; replaced by the actions.
        self._source: Callable[[], Awaitable[Event]] = _never
        self._failure: SwarmletError | None = None
        self._admitted: Admitted | None = None

    async def run(self) -> Admitted:
        try:
            event: Event = Started(self._clock.wall_ms())
            while True:
                for action in self._machine.handle(event, self._clock.boot()):
                    failed = await self._do(action)
                    if failed is not None:
                        event = failed
                        break
                else:
                    if self._failure is not None:
                        raise self._failure
                    if self._admitted is not None:
                        return self._admitted
                    event = await self._next()
        finally:
            self._hang_up()

    async def _next(self) -> Event:
        try:
            async with asyncio.timeout_at(self._deadline):
                return await self._source()
        except TimeoutError:
            return TimedOut()

    # ---- actions

    async def _do(self, action: Action) -> Event | None:
        """Do one action. An event instead of nothing says that it failed and the rest is void."""
        match action:
            case SetTimer(seconds):
                self._deadline = None if seconds is None else asyncio.get_running_loop().time() + seconds
            case Resolve(name):
                self._source = lambda: self._resolve(name)
            case Dial(address, timeout_s):
                self._source = lambda: self._dial(address, timeout_s)
            case SendRequest(exporter):
                return await self._send_request(exporter)
            case Forget():
                await self._world.forget()
            case Save(admitted):
                self._source = lambda: self._save(admitted)
            case _:
                self._tell(action)
        return None

    def _tell(self, action: Action) -> None:
        match action:
            case Hangup():
                self._hang_up()
            case Report(number, text):
                self._steps.step(number, LABELS[number - 1], text)
            case Note(text):
                self._steps.note(text)
            case Fail(code, fields):
                self._failure = error(code, **fields)
            case Finish(admitted):
                self._admitted = admitted

    async def _send_request(self, exporter: bytes) -> Event | None:
        asks = self._application
        try:
            # On disk before it leaves: whatever ends this process, the next one asks with the same key (T5).
            self._key = self._key or await self._world.key()
            csr = self._key.csr(asks.name)
            proof = asks.token.proof(csr, exporter)
        except NativeError as fault:
            failure = from_native(*fault.args)
            return LocalFailure(failure.code, failure.fields)
        except SwarmletError as failure:
            return LocalFailure(failure.code, failure.fields)
        request = JoinRequest(
            claims=asks.token.signed,
            csr=csr,
            proof=proof,
            name=asks.name,
            profile=asks.profile,
            version=asks.version,
            capabilities=asks.capabilities,
        )
        if self._connection is None:  # the machine asks only on an open connection
            return Closed("reset", "there is no connection")
        try:
            await self._connection.send(request)
        except ConnectionClosedError as end:
            return Closed(end.closed.reason, end.closed.detail)
        except TimeoutError:
            return Closed("timed-out", "it does not read")
        return None

    def _hang_up(self) -> None:
        self._source = _never
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    # ---- sources of events

    async def _resolve(self, name: str) -> Event:
        self._source = _never
        try:
            return Resolved(await self._world.resolve(name))
        except SwarmletError as failure:
            return Unresolved(failure.fields.get("detail", failure.what))

    async def _dial(self, address: str, timeout_s: float) -> Event:
        try:
            self._connection = self._world.dial(address, timeout_s)
            opened = await self._connection.opened(_LONG_S)
        except NativeError as fault:
            return Closed(fault.args[0], fault.args[1])
        except ConnectionClosedError as end:
            return Closed(end.closed.reason, end.closed.detail)
        self._source = self._receive
        return Opened(opened.exporter)

    async def _receive(self) -> Event:
        if self._connection is None:
            return await _never()
        try:
            message = await self._connection.receive(_LONG_S)
        except ConnectionClosedError as end:
            return Closed(end.closed.reason, end.closed.detail)
        except msgspec.MsgspecError as fault:
            return Garbled(str(fault))
        return Received(message, self._clock.wall_ms())

    async def _save(self, admitted: Admitted) -> Event:
        if self._key is None:  # the machine saves only what was asked for
            return LocalFailure("SWL-799", {"detail": "admitted without having asked"})
        try:
            return Saved(await self._world.save(self._key, admitted))
        except SwarmletError as failure:
            return LocalFailure(failure.code, failure.fields)


async def _never() -> Event:
    await asyncio.get_running_loop().create_future()
    raise AssertionError  # the future is never done
