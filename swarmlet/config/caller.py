"""Who is at the other end of a unix socket: which user, and whether it is in a sandbox that we are not in.

A workload of an agent that is not root runs as the agent's own user, and no sandbox of this kernel keeps a
process from connecting to a socket by its path. So whoever hears local callers asks here whether one is
confined more than itself, as every workload is from its start to its end. It decides nothing else.
"""

from __future__ import annotations

import socket
import struct
from typing import NamedTuple

_CREDENTIALS = struct.Struct("3i")


class Caller(NamedTuple):
    """A process and its user, as the kernel saw them when it connected; ``pid`` 0 is not ours to see."""

    pid: int
    uid: int


class Confinement(NamedTuple):
    """What a process cannot get rid of (proc(5)): no_new_privs, and its system call filters."""

    no_new_privs: int
    filters: int


def caller_of(one: socket.socket) -> Caller:
    """Return who connected (SO_PEERCRED, unix(7))."""
    raw = one.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    pid, uid, _gid = _CREDENTIALS.unpack(raw)
    return Caller(pid, uid)


def is_confined(caller: Caller) -> bool:
    """Say whether a caller is confined more than this process; one that is gone counts as confined."""
    if caller.pid == 0:
        return False  # it is outside our process namespace, where no workload of ours is
    theirs, ours = _confinement(str(caller.pid)), _confinement("self")
    if theirs is None:
        return True
    return ours is not None and (theirs.no_new_privs > ours.no_new_privs or theirs.filters > ours.filters)


def read_confinement(status: str) -> Confinement:
    """Return what ``/proc/PID/status`` says; kernels before 5.9 do not count filters, one of them is 1."""
    fields = dict(line.partition(":")[::2] for line in status.splitlines())
    filters = fields.get("Seccomp_filters") or str(int(fields.get("Seccomp", "0").strip() == "2"))
    return Confinement(int(fields.get("NoNewPrivs", "0")), int(filters))


def _confinement(pid: str) -> Confinement | None:
    try:
        with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:  # noqa: PTH123
            return read_confinement(file.read())
    except (OSError, ValueError):
        return None
