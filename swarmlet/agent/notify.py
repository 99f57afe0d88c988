"""Telling systemd how the agent is (sd_notify(3)); without systemd every call does nothing.

READY means that local reconciling runs, not that the node has joined: a device without network has started
well. WATCHDOG means that the event loop turns and that the native thread, which has every socket, goes round:
an agent that sends heartbeats and cannot act, or acts and cannot send them, is started anew. A disk or an
engine that hangs is not the agent's death, so neither is asked.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import Callable

_log = logging.getLogger(__name__)


class Notifier:
    """Sends states to the service manager."""

    def __init__(self, address: str | None, watchdog_usec: str | None, watchdog_pid: str | None) -> None:
        """Use the values of ``NOTIFY_SOCKET``, ``WATCHDOG_USEC`` and ``WATCHDOG_PID``."""
        self._address = address if address and address[0] in "/@" else None
        ours = watchdog_pid in {None, "", str(os.getpid())}
        usec = int(watchdog_usec) if watchdog_usec and watchdog_usec.isdigit() and ours else 0
        #: Seconds between two calls of :meth:`alive`, half of what systemd allows; ``None``: it does not ask.
        self.interval_s: float | None = usec / 2_000_000 if usec and self._address else None

    def ready(self, status: str) -> None:
        """Say that start-up is over."""
        self._send(f"READY=1\nSTATUS={_one_line(status)}")

    def status(self, status: str) -> None:
        """Say in a sentence how things stand."""
        self._send(f"STATUS={_one_line(status)}")

    def alive(self) -> None:
        """Feed the watchdog."""
        self._send("WATCHDOG=1")

    def stopping(self) -> None:
        """Say that the agent ends. From then on the manager gives it ``TimeoutStopSec`` and no more."""
        self._send("STOPPING=1")

    def _send(self, text: str) -> None:
        if self._address is None:
            return
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as one:
            # A manager that does not read must not hold up the agent.
            one.setblocking(False)  # noqa: FBT003
            one.sendto(text.encode(), address)


class Watchdog:
    """Feeds the service manager from the event loop, as long as the native thread goes round too.

    Args:
        notifier: Whom to tell, and how often.
        rounds: Wakes the thread and returns how often it has gone round (``Engine.rounds``).
    """

    def __init__(self, notifier: Notifier, rounds: Callable[[], int]) -> None:
        self._notifier = notifier
        self._rounds = rounds
        self._last: int | None = None
        self._fed = True

    async def run(self) -> None:
        """Look and feed at half the interval, for ever; return at once when nobody asks for it."""
        interval_s = self._notifier.interval_s
        while interval_s is not None:
            self.look()
            await asyncio.sleep(interval_s)

    def look(self) -> None:
        """Feed the watchdog, unless the native thread stands where it stood at the last look."""
        rounds = self._rounds()
        fed = rounds != self._last
        self._last = rounds
        if fed:
            self._notifier.alive()
        elif self._fed:
            _log.error("the link's thread hangs; the watchdog is not fed until it goes on")
        self._fed = fed


def _one_line(text: str) -> str:
    """Return text that stays one assignment: a line break in it would begin another, such as ``MAINPID=``."""
    return "".join(char if char.isprintable() else " " for char in text)
