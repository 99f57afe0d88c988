"""Which user a program that was started as root becomes, with which groups, and what it says of it. Pure.

``cli/standing.py`` and ``agent/startup.py`` do it. Root is needed for three things only: to read a token file
that is root's, to own the data directory, and to learn the group of the container engine's socket.
"""

from __future__ import annotations

import stat
from collections.abc import Mapping, Sequence
from typing import NamedTuple

# ruff: noqa: S108 - they are named here to keep off them
#: Directories of a system: making them another user's would break the machine, or open it.
_SYSTEM = frozenset(
    {
        "/", "/bin", "/boot", "/dev", "/etc", "/home", "/lib", "/lib32", "/lib64", "/media", "/mnt", "/opt",
        "/proc", "/root", "/run", "/sbin", "/snap", "/srv", "/sys", "/tmp", "/usr", "/usr/bin", "/usr/lib",
        "/usr/local", "/usr/sbin", "/usr/share", "/var", "/var/cache", "/var/lib", "/var/log", "/var/run",
        "/var/tmp",
    }
)  # fmt: skip
_BELOW_SYSTEM = ("/proc/", "/sys/", "/dev/")


class User(NamedTuple):
    """A user and its group."""

    uid: int
    gid: int

    def __str__(self) -> str:
        """Return it as ``SWARM_RUN_AS`` is written."""
        return f"{self.uid}:{self.gid}"


class Socket(NamedTuple):
    """The socket of a container engine: where, whose, and what its mode lets them do."""

    path: str
    uid: int
    gid: int
    mode: int


class Standing(NamedTuple):
    """What to become, and what a person should know of it."""

    user: User
    groups: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()


def user_of(run_as: str | None) -> User | None:
    """Return the user in a checked ``SWARM_RUN_AS``."""
    if run_as is None:
        return None
    uid, _, gid = run_as.partition(":")
    return User(int(uid), int(gid))


def agents_standing(wanted: User, socket: Socket | None) -> Standing:
    """Return what the agent becomes.

    It takes the group of the engine's socket, since whoever mounted that wants containers to be run. Group 0
    is taken too, as Podman's and Docker Desktop's sockets have no other, and that is said: files that root's
    group may read can then be read.
    """
    if socket is None or stat.S_IMODE(socket.mode) & stat.S_IWOTH:
        return Standing(wanted)
    owner_may = socket.uid == wanted.uid and socket.mode & stat.S_IWUSR
    if owner_may or (socket.gid == wanted.gid and socket.mode & stat.S_IWGRP):
        return Standing(wanted)
    if not socket.mode & stat.S_IWGRP:
        return Standing(wanted)  # no group would help; that it cannot be used is said when it is tried
    if socket.gid == 0:
        note = f"{socket.path} belongs to group 0, so this agent keeps group 0 (root's), though not its user"
        return Standing(wanted, (0,), (note,))
    return Standing(wanted, (socket.gid,))


def callers_user(wanted: User, agents: User | None) -> User:
    """Return who a command about the agent becomes: who the last agent of that directory was.

    That may have been another one (``docker run --user``). A socket of that user's answers to nobody else but
    root, and a file that root left there could not be replaced.
    """
    return agents if agents is not None and agents.uid != 0 else wanted


def counts_filters(status: str) -> bool:
    """Say whether the kernel counts a process's system call filters, from ``/proc/self/status``.

    Where it does not (before Linux 5.9), a workload is known by ``no_new_privs`` alone, which the agent must
    then not have itself: ``config/caller.py`` compares the two.
    """
    return "\nSeccomp_filters:" in status


def unusable_directory(path: str) -> str:
    """Return why a directory must not be given to another user, as "it" would go on; empty when it may."""
    if path in _SYSTEM or path.startswith(_BELOW_SYSTEM):
        return "it is a directory of the system; choose one of its own"
    return ""


def home(environ: Mapping[str, str], data_dir: str) -> dict[str, str]:
    """Return the variables to set so that programs and libraries do not look for files at root's."""
    changed = {"HOME": data_dir}
    return changed | {name: "swarmlet" for name in ("USER", "LOGNAME") if name in environ}


def lacking(uid: int, gids: Sequence[int], socket: Socket, *, in_container: bool) -> str:
    """Return what an agent lacks that may not use the engine's socket.

    Args:
        uid: Who runs it.
        gids: Its groups.
        socket: The engine's socket.
        in_container: Whether this runs in a container.
    """
    if not socket.mode & stat.S_IWGRP or socket.gid in gids:
        fix = f"give it a group that may write to it: chgrp docker {socket.path}; chmod g+w {socket.path}"
    elif in_container:
        fix = f"run it with  --group-add {socket.gid},  or without --user"
    else:
        fix = "sudo usermod -aG docker $USER, then log in again"
    return f"user {uid} may not use {socket.path}: containers cannot be run here.  fix: {fix}"
