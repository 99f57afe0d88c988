"""Local control of a running agent: one JSON line in, one JSON line out, over a unix socket (L3).

Only this user and root are heard, as the kernel tells who calls (SO_PEERCRED), and no workload. What a
command does is for ``app.py``; here are the socket, its bounds and the caller's side on an event loop
(``report/local.py`` has the form of what is said, and a caller's side without one).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import Awaitable, Callable

import msgspec

from swarmlet.config.caller import caller_of, is_confined
from swarmlet.errors import SwarmletError
from swarmlet.report.local import MOST_ANSWER, SOCKET_NAME, Answer, Command, address, refusals, unpack

__all__ = ["Command", "ControlServer", "Handler", "ask", "bind"]

_log = logging.getLogger(__name__)

#: The longest request, in bytes.
MOST_REQUEST = 4_096
#: Callers at a time; more wait in the backlog.
MOST_CALLERS = 4
#: Seconds a caller may take to say what it wants.
REQUEST_S = 5.0
#: Seconds a caller may stay after its answer: who told this agent to leave, in its container, would be killed
#: with it before it could say so.
GONE_S = 0.5

#: Carries a command out and returns what to answer. A :class:`SwarmletError` is answered as such.
Handler = Callable[[Command], Awaitable[object]]


def bind(data_dir: str) -> socket.socket:
    """Listen on the socket of ``data_dir``, whose lock the caller holds: what is there is left over.

    Raises:
        OSError: The directory cannot be written. The agent runs without local control then.
    """
    with contextlib.suppress(FileNotFoundError):
        os.unlink(f"{data_dir}/{SOCKET_NAME}")  # noqa: PTH108
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.setblocking(False)  # noqa: FBT003
        # The mode is set before anyone can connect: a bound socket accepts only once it listens.
        with address(data_dir) as name:
            listener.bind(name)
        os.chmod(f"{data_dir}/{SOCKET_NAME}", 0o600)  # noqa: PTH101
        listener.listen(MOST_CALLERS)
    except OSError:
        listener.close()
        raise
    return listener


class ControlServer:
    """Answers callers until :meth:`serve` is cancelled."""

    def __init__(self, listener: socket.socket, handler: Handler) -> None:
        self._listener = listener
        self._handler = handler
        self._free = asyncio.Semaphore(MOST_CALLERS)
        self._calls: set[asyncio.Task[None]] = set()

    async def settle(self, timeout_s: float) -> None:
        """Wait until nobody is being answered, at most ``timeout_s`` seconds."""
        if self._calls:
            await asyncio.wait(self._calls, timeout=timeout_s)

    async def serve(self) -> None:
        """Accept and answer; closes the socket when it ends."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.TaskGroup() as group:
                while True:
                    await self._free.acquire()
                    try:
                        caller, _ = await loop.sock_accept(self._listener)
                    except OSError:
                        self._free.release()
                        await asyncio.sleep(0.1)
                        continue
                    call = group.create_task(self._serve_one(caller))
                    self._calls.add(call)
                    call.add_done_callback(self._calls.discard)
        finally:
            self._listener.close()

    async def _serve_one(self, caller: socket.socket) -> None:
        try:
            with caller, contextlib.suppress(OSError, TimeoutError):
                caller.setblocking(False)  # noqa: FBT003
                answer = await self._answer(caller)
                async with asyncio.timeout(REQUEST_S):
                    line = msgspec.json.encode(answer) + b"\n"
                    await asyncio.get_running_loop().sock_sendall(caller, line)
                caller.shutdown(socket.SHUT_WR)
                async with asyncio.timeout(GONE_S):
                    await _read_line(caller, MOST_REQUEST)
        finally:
            self._free.release()

    async def _answer(self, caller: socket.socket) -> Answer:
        who = caller_of(caller)
        confined = is_confined(who)
        if who.uid not in {0, os.geteuid()} or confined:
            extra = {"uid": who.uid, "pid": who.pid, "confined": confined}
            _log.warning("a caller of the control socket was refused", extra=extra)
            user = f"{who.uid} in a sandbox" if confined else str(who.uid)
            return Answer(code="SWL-701", fields={"user": user, "role": "owner of the agent"})
        async with asyncio.timeout(REQUEST_S):
            line = await _read_line(caller, MOST_REQUEST)
        try:
            command = msgspec.json.decode(line, type=Command)
        except msgspec.MsgspecError as fault:
            return Answer(code="SWL-400", fields={"detail": str(fault), "hint": "swarmlet --help"})
        try:
            return Answer(result=msgspec.Raw(msgspec.json.encode(await self._handler(command))))
        except SwarmletError as failure:
            return Answer(code=failure.code, fields=failure.fields)
        except Exception as fault:  # noqa: BLE001 - it is logged, and must not end the agent, which runs work
            _log.exception("a command over the control socket failed", extra={"do": command.do[:40]})
            return Answer(code="SWL-799", fields={"detail": type(fault).__name__})


async def _read_line(one: socket.socket, most: int) -> bytes:
    loop = asyncio.get_running_loop()
    data = bytearray()
    while len(data) <= most:
        chunk = await loop.sock_recv(one, 65_536)
        data += chunk
        if not chunk or b"\n" in chunk:
            return bytes(data.partition(b"\n")[0])
    raise OSError("the line is too long")


async def ask(data_dir: str, command: Command, timeout_s: float, *, stay: bool = False) -> object:
    """Send a command to the agent of ``data_dir`` and return its answer.

    Args:
        data_dir: Where the agent runs.
        command: What to do.
        timeout_s: Patience with the answer.
        stay: Let the agent know by the open connection that this process is not done yet.

    Raises:
        SwarmletError: The agent's own refusal; ``SWL-308`` when none runs there, ``SWL-205`` when it does not
            answer in time, ``SWL-701`` when it belongs to another user.
    """
    loop = asyncio.get_running_loop()
    with refusals(data_dir, timeout_s), socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as one:
        one.setblocking(False)  # noqa: FBT003
        async with asyncio.timeout(timeout_s):
            with address(data_dir) as name:
                await loop.sock_connect(one, name)
            await loop.sock_sendall(one, msgspec.json.encode(command) + b"\n")
            line = await _read_line(one, MOST_ANSWER)
        if stay:
            one.detach()  # the kernel closes it with this process
    return unpack(line, data_dir)
