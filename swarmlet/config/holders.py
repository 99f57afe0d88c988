"""Who holds a TCP port of this machine, read from /proc. Best effort; both programs say it the same."""

from __future__ import annotations

import contextlib
import os

#: Tables of /proc/net, and the state in which a socket has its port to itself (proc(5)).
_TCP = ("tcp", "0A")
_UDP = ("udp", "07")


def holder_of(port: int, *, udp: bool = False) -> str:
    """Return `` by NAME (process N)`` for whoever has a TCP or UDP port, or nothing when that cannot be seen.

    Another user's process is visible to root only.
    """
    inodes = _listening_inodes(port, *(_UDP if udp else _TCP))
    for pid in filter(str.isdigit, os.listdir("/proc")) if inodes else ():  # noqa: PTH208
        if _holds(pid, inodes):
            return f" by {_command(pid)} (process {pid})"
    return ""


def _listening_inodes(port: int, kind: str, listening: str) -> set[str]:
    inodes = set()
    for table in (f"/proc/net/{kind}", f"/proc/net/{kind}6"):
        with contextlib.suppress(OSError), open(table, encoding="ascii") as rows:  # noqa: PTH123
            for row in rows:
                columns = row.split()
                local, state = columns[1:4:2] if len(columns) > 9 else ("", "")
                if state == listening and local.endswith(f":{port:04X}"):
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
