"""The data directory: made, checked before a token is spent, and locked for one agent at a time.

It holds no rule about what is in it. An agent that is already a member runs on a full or read-only disk (N9);
only a join needs to write.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from typing import NamedTuple

from swarmlet.agent.lasting import refusal
from swarmlet.errors import SwarmletError, error
from swarmlet.report.local import LOCK_NAME

#: The check before a join writes and syncs this many bytes: more than both identity slots take.
PROBE_BYTES = 65_536
_PROBE = ".write-check"
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
#: How often a lock is taken again whose file went meanwhile.
_AGAIN = 16


class Claim(NamedTuple):
    """The directory, taken for this process.

    Args:
        path: The directory.
        lock: The descriptor that holds the lock; closing it frees the directory.
        file: The lock's file, when it was not there before.
        made: The directories that were not there before, innermost first.
    """

    path: str
    lock: int
    file: str | None
    made: tuple[str, ...]

    def undo(self) -> None:
        """Leave behind nothing that was not there before: for a device that did not become a member.

        Only while the lock is held. Directories that anything else is in stay.
        """
        with contextlib.suppress(OSError):
            if self.file is not None:
                os.unlink(self.file)  # noqa: PTH108
            for path in self.made:
                os.rmdir(path)  # noqa: PTH106


def claim(path: str) -> Claim:
    """Make the directory unless it is there, and lock it; errors as :func:`make` and :func:`lock`."""
    made = make(path)
    lock_fd, file = _take(path, "swarmlet agent")
    return Claim(path, lock_fd, file, made)


def make(path: str) -> tuple[str, ...]:
    """Make the directory, private to this user, unless it is there; return what was made, innermost first.

    Raises:
        StateError: ``SWL-301`` or ``SWL-302``.
    """
    missing, above = [], path
    while above and not os.path.lexists(above):
        missing.append(above)
        above = os.path.dirname(above)  # noqa: PTH120
    try:
        os.makedirs(path, mode=0o700, exist_ok=True)  # noqa: PTH103 - pathlib costs milliseconds at every start
    except OSError as fault:
        raise _failure(path, fault) from None
    return tuple(missing)


def check_writable(path: str) -> None:
    """Write, sync and remove a small file, so that a join fails before it spends its token, not after.

    Raises:
        StateError: ``SWL-301`` missing, read-only or forbidden; ``SWL-302`` full.
    """
    probe = f"{path}/{_PROBE}"
    try:
        fd = os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            left = memoryview(bytes(PROBE_BYTES))
            while left:  # a disk that is nearly full takes a part first and says no to the rest
                left = left[os.write(fd, left) :]
            os.fsync(fd)
        finally:
            os.close(fd)
    except OSError as fault:
        raise _failure(path, fault) from None
    finally:
        with contextlib.suppress(OSError):
            os.unlink(probe)  # noqa: PTH108


def lock(path: str, program: str = "swarmlet agent") -> int:
    """Take the directory for this process; the kernel gives it back when the process ends.

    On a read-only file system the directory itself is locked.

    Returns:
        The descriptor that holds the lock; closing it frees the directory.

    Raises:
        LocalError: ``SWL-306``, with the process that has it.
        StateError: ``SWL-301``; the directory is not there or not ours to open.
    """
    return _take(path, program)[0]


def _take(path: str, program: str) -> tuple[int, str | None]:
    """Return the descriptor that holds the lock, and its file when that is new."""
    for _ in range(_AGAIN):
        fd, name, new = _open_lock(path)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as fault:
            pid = _read_pid(fd)
            os.close(fd)
            if fault.errno in {errno.EWOULDBLOCK, errno.EACCES}:
                raise error("SWL-306", program=program, path=path, pid=pid) from None
            raise _failure(path, fault) from None
        if _names(name, fd):
            _sign(fd)
            return fd, name if new else None
        os.close(fd)  # whoever had it undid its claim between our opening and our locking
    raise error("SWL-306", program=program, path=path, pid="?")


def _sign(fd: int) -> None:
    with contextlib.suppress(OSError):  # a directory, or a full disk: the lock counts, not the number in it
        os.ftruncate(fd, 0)
        os.pwrite(fd, b"%d\n" % os.getpid(), 0)


def _names(name: str, fd: int) -> bool:
    """Say whether ``name`` is still what was opened."""
    try:
        return os.path.samestat(os.stat(name), os.fstat(fd))  # noqa: PTH116 - as above
    except OSError:
        return False


def _open_lock(path: str) -> tuple[int, str, bool]:
    """Return a descriptor to lock, what it is of, and whether that is new."""
    name = f"{path}/{LOCK_NAME}"
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        with contextlib.suppress(FileExistsError):
            return os.open(name, flags | os.O_EXCL, 0o600), name, True
        return os.open(name, flags, 0o600), name, False
    except OSError as fault:
        if fault.errno not in {errno.EROFS, *_FULL}:
            raise _failure(path, fault) from None
    try:
        return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC), path, False
    except OSError as fault:
        raise _failure(path, fault) from None


def _read_pid(fd: int) -> str:
    try:
        return os.pread(fd, 20, 0).decode("ascii", "replace").strip() or "?"
    except OSError:
        return "?"


def _failure(path: str, fault: OSError) -> SwarmletError:
    if fault.errno in _FULL:
        return error("SWL-302", path=path)
    if fault.errno in {errno.EACCES, errno.EPERM} and (owner := _foreign_owner(path)) is not None:
        ids = {"uid": str(os.geteuid()), "gid": str(os.getegid())}
        return error("SWL-311", path=path, owner=str(owner), **ids)
    return error("SWL-301", path=path, detail=refusal(path, fault))


def _foreign_owner(path: str) -> int | None:
    """Return who owns the directory, when that is another user than this one."""
    with contextlib.suppress(OSError):
        owner = os.stat(path).st_uid  # noqa: PTH116 - as above
        return None if owner == os.geteuid() else owner
    return None
