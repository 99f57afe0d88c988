"""Who holds a TCP port of this machine, read from /proc. Best effort: other users' processes show no name."""

from __future__ import annotations

import os
from pathlib import Path

_TABLES = ("net/tcp", "net/tcp6")
_LISTENING = "0A"


def holder_of(port: int, proc: Path = Path("/proc")) -> str:
    """Return `` by NAME (process PID)`` for whoever listens on ``port``, or an empty text when not known."""
    inodes = _listening_inodes(port, proc)
    if not inodes:
        return ""
    wanted = {f"socket:[{inode}]" for inode in inodes}
    for entry in proc.iterdir():
        if entry.name.isdigit() and _has_open(entry / "fd", wanted):
            return f" by {_name(entry)} (process {entry.name})"
    return ""


def _listening_inodes(port: int, proc: Path) -> set[str]:
    found: set[str] = set()
    for table in _TABLES:
        try:
            lines = (proc / table).read_text().splitlines()[1:]
        except OSError:
            continue
        rows = (line.split() for line in lines)
        # Columns of proc(5): number, local address as HEX:PORT, remote, state, four more, then the inode.
        found.update(
            row[9]
            for row in rows
            if len(row) > 9 and row[3] == _LISTENING and int(row[1].rpartition(":")[2], 16) == port
        )
    return found


def _has_open(directory: Path, wanted: set[str]) -> bool:
    try:
        with os.scandir(directory) as entries:
            return any(_link(entry.path) in wanted for entry in entries)
    except OSError:
        return False


def _link(path: str) -> str:
    try:
        return os.readlink(path)  # noqa: PTH115 - thousands of these; a Path each would cost more than the call
    except OSError:
        return ""


def _name(process: Path) -> str:
    try:
        return (process / "comm").read_text().strip()
    except OSError:
        return "a process"
