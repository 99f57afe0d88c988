"""Listening on loopback, moving aside when nobody insists on a port, and naming who holds one.

It binds loopback only (L1): no setting and no argument leads to another address.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from typing import NamedTuple

from swarmlet.errors import error

_BACKLOG = 64
_LISTEN_STATE = "0A"


class Bound(NamedTuple):
    """Listening sockets of one port: IPv4 loopback, and IPv6 loopback where there is one."""

    port: int
    sockets: tuple[socket.socket, ...]
    moved_from: int | None = None

    def close(self) -> None:
        """Close them."""
        for one in self.sockets:
            one.close()


def bind_loopback(port: int, key: str, *, insisted: bool) -> Bound:
    """Listen on ``port`` of 127.0.0.1, and of ::1 where that works.

    Args:
        port: The port; 0 is any free one.
        key: The setting that names it, for the error.
        insisted: Whether a person chose it. If not, a taken port is exchanged for a free one.

    Raises:
        LocalError: ``SWL-304`` naming the holder, or ``SWL-305``.
    """
    moved_from: int | None = None
    try:
        first = _listen(socket.AF_INET, port)
    except OSError as fault:
        if fault.errno not in {errno.EADDRINUSE, errno.EACCES, errno.EPERM}:
            raise
        if insisted or fault.errno != errno.EADDRINUSE:
            code = "SWL-304" if fault.errno == errno.EADDRINUSE else "SWL-305"
            raise error(code, port=str(port), key=key, holder=holder(port)) from None
        moved_from, first = port, _listen(socket.AF_INET, 0)
    chosen = int(first.getsockname()[1])
    sockets = [first]
    with contextlib.suppress(OSError):  # no IPv6 here, or taken there: IPv4 is enough
        sockets.append(_listen(socket.AF_INET6, chosen))
    return Bound(chosen, tuple(sockets), moved_from)


def _listen(family: socket.AddressFamily, port: int) -> socket.socket:
    one = socket.socket(family, socket.SOCK_STREAM)
    try:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        one.setblocking(False)  # noqa: FBT003
        one.bind(("::1" if family == socket.AF_INET6 else "127.0.0.1", port))
        one.listen(_BACKLOG)
    except OSError:
        one.close()
        raise
    return one


def holder(port: int) -> str:
    """Return `` by NAME (process N)`` for whoever listens on a TCP port, or nothing when that cannot be seen.

    Another user's process is visible to root only.
    """
    inodes = _listening_inodes(port)
    for pid in filter(str.isdigit, os.listdir("/proc")) if inodes else ():  # noqa: PTH208
        if _holds(pid, inodes):
            return f" by {_command(pid)} (process {pid})"
    return ""


def _listening_inodes(port: int) -> set[str]:
    inodes = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with contextlib.suppress(OSError), open(table, encoding="ascii") as rows:  # noqa: PTH123
            for row in rows:
                columns = row.split()
                local, state = columns[1:4:2] if len(columns) > 9 else ("", "")
                if state == _LISTEN_STATE and local.endswith(f":{port:04X}"):
                    inodes.add(f"socket:[{columns[9]}]")
    return inodes


def _holds(pid: str, inodes: set[str]) -> bool:
    folder = f"/proc/{pid}/fd"
    try:
        for entry in os.listdir(folder):  # noqa: PTH208
            with contextlib.suppress(OSError):
                if os.readlink(f"{folder}/{entry}") in inodes:  # noqa: PTH115
                    return True
    except OSError:
        return False
    return False


def _command(pid: str) -> str:
    try:
        with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file:  # noqa: PTH123
            name = file.read(64).strip()
    except OSError:
        name = ""
    return name or "a program"
