"""The private directories of process workloads: made, given an owner, measured, removed. Blocks on the disk.

When the agent is root each workload gets a user id of its own, so that one cannot signal, trace or read
another (W2). The ids come from a range without accounts; one that has an account all the same is skipped. The
owner of a directory keeps its id over restarts of the agent. An agent that is not root cannot change users:
its workloads run as itself, and the native sandbox alone keeps them from its data.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from zlib import crc32

from swarmlet.workloads.neighbours import coordinator_above

#: Name of the directory for temporary files in each.
TEMPORARY = "tmp"
#: User ids for workloads: above the accounts of people, below those of packages and containers.
FIRST_UID = 47_000
UIDS = 1_000
#: Files of one directory that are counted; beyond that a measurement is a lower bound.
_MEASURED_MOST = 200_000


class WorkDirs:
    """``work/<assignment id>`` under the data directory."""

    def __init__(self, root: str) -> None:
        """Use ``root``, made on the first use."""
        self._root = Path(root)
        self._own_uid = os.geteuid()

    def path(self, assignment_id: str) -> Path:
        """Return where the directory of an assignment is, whether it is there or not."""
        return self._root / assignment_id

    def make(self, assignment_id: str) -> int | None:
        """Make an assignment's directory, and one for temporary files in it.

        Returns:
            The user (and group) id to run as, or ``None`` to run as the agent itself.
        """
        # Others may pass through, to what is theirs below, and see nothing: each directory below is 0700.
        self._root.mkdir(mode=0o711, parents=True, exist_ok=True)
        directory = self.path(assignment_id)
        directory.mkdir(mode=0o700, exist_ok=True)
        temporary = directory / TEMPORARY
        uid = self._owner(assignment_id, directory) if self._own_uid == 0 else None
        if uid is not None:
            os.chown(directory, uid, uid, follow_symlinks=False)
            self._let_through()
        if not temporary.is_symlink() and not temporary.exists():
            temporary.mkdir(mode=0o700)
            if uid is not None:
                os.chown(temporary, uid, uid, follow_symlinks=False)
        return uid

    def remove(self, assignment_id: str) -> None:
        """Remove an assignment's directory and all in it; what cannot be removed is left."""
        import shutil  # noqa: PLC0415 - it loads compressors that an agent has no use for

        with contextlib.suppress(FileNotFoundError):
            # Root needs no help, and must not change modes below a directory that a workload controls.
            onerror = _leave if self._own_uid == 0 else _open_up
            shutil.rmtree(self.path(assignment_id), onerror=onerror)

    def names(self) -> list[str]:
        """Return the names of all directories that are there."""
        try:
            return [entry.name for entry in self._root.iterdir() if entry.is_dir() and not entry.is_symlink()]
        except OSError:
            return []

    def usage(self) -> dict[str, int]:
        """Return the bytes on disk of each directory; links are not followed."""
        return {name: _used_bytes(self.path(name)) for name in self.names()}

    def _owner(self, assignment_id: str, directory: Path) -> int:
        """Return the id that owns the directory already, else a free one."""
        present = directory.stat().st_uid
        if FIRST_UID <= present < FIRST_UID + UIDS:
            return present
        taken = {owner for name in self.names() if (owner := self._uid_of(name)) is not None}
        return choose_uid(assignment_id, lambda uid: uid in taken or _has_account(uid))

    def _uid_of(self, name: str) -> int | None:
        try:
            return self.path(name).stat(follow_symlinks=False).st_uid
        except OSError:
            return None

    def _let_through(self) -> None:
        """Let workloads pass through the data directory to theirs, without reading it.

        And through the coordinator's around it, where there is one: all in it is for its owner alone.
        """
        data = self._root.parent
        # The mode asked for above is cut by the umask, and an agent that was not root may have made it.
        for directory in filter(None, (self._root, data, coordinator_above(str(data)))):
            mode = directory.stat().st_mode & 0o7777
            if not mode & 0o001:
                directory.chmod(mode | 0o011)


def _used_bytes(directory: Path) -> int:
    used = seen = 0
    pending = [str(directory)]
    while pending and seen < _MEASURED_MOST:
        with contextlib.suppress(OSError), os.scandir(pending.pop()) as entries:
            for entry in entries:
                seen += 1
                with contextlib.suppress(OSError):
                    used += entry.stat(follow_symlinks=False).st_blocks * 512
                    if entry.is_dir(follow_symlinks=False):
                        pending.append(entry.path)
    return used


def choose_uid(assignment_id: str, is_taken: Callable[[int], bool]) -> int:
    """Return a user id for an assignment: always the same one first, the next free one when it is taken."""
    for uid in _candidates(assignment_id):
        if not is_taken(uid):
            return uid
    # More workloads than ids: sharing one is still apart from the agent and from everybody else.
    return next(_candidates(assignment_id))


def _candidates(assignment_id: str) -> Iterator[int]:
    first = crc32(assignment_id.encode())
    return (FIRST_UID + (first + n) % UIDS for n in range(UIDS))


def _has_account(uid: int) -> bool:
    import pwd  # noqa: PLC0415 - only an agent that is root asks

    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False
    return True


def _leave(_function: Callable[..., object], _path: str, _why: object) -> None:
    """Leave what cannot be removed."""


def _open_up(function: Callable[..., object], path: str, _why: object) -> None:
    """Remove what a workload closed against its own removal; give up on what stays closed."""
    import shutil  # noqa: PLC0415 - as above

    with contextlib.suppress(OSError):
        os.chmod(os.path.dirname(path), 0o700)  # noqa: PTH101, PTH120 - text paths from rmtree
        if function is os.scandir or function is os.open:
            os.chmod(path, 0o700)  # noqa: PTH101
            shutil.rmtree(path, ignore_errors=True)
        else:
            function(path)
