"""Telling systemd how the agent is (sd_notify(3)); without systemd every call does nothing.

READY means that local reconciling runs, not that the node has joined: a device without network has started
well.
"""

from __future__ import annotations

import contextlib
import os
import socket


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
        self._send(f"READY=1\nSTATUS={status}")

    def status(self, status: str) -> None:
        """Say in a sentence how things stand."""
        self._send(f"STATUS={status}")

    def alive(self) -> None:
        """Feed the watchdog."""
        self._send("WATCHDOG=1")

    def stopping(self) -> None:
        """Say that the agent ends."""
        self._send("STOPPING=1")

    def _send(self, text: str) -> None:
        if self._address is None:
            return
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as one:
            # A manager that does not read must not hold up the agent.
            one.setblocking(False)  # noqa: FBT003
            one.sendto(text.encode(), address)
