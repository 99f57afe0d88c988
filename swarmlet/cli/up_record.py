"""What ``up`` keeps running, on disk: ``down`` and the next ``up`` find it, whatever became of this one.

A process is named by pid, start and boot, so that a pid that another process has by now is never mistaken for
ours. The children also end by themselves when ``up`` is killed (:func:`end_with_parent`); the record is for
those that take their time, or cannot be told.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import stat
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Final, NamedTuple

from swarmlet.clock import boot_id
from swarmlet.errors import error

#: Seconds that a process is given to end after it was asked to.
STOP_TIMEOUT_S: Final = 12.0
_KEEPER: Final = "up"
_PR_SET_PDEATHSIG: Final = 1
_START_FIELD: Final = 19  # of those behind the command's name in /proc/PID/stat; proc(5) counts it as 22


class Entry(NamedTuple):
    """One process: what it is, and which one."""

    name: str
    pid: int
    started: str  # clock ticks since boot, as the kernel says it

    @property
    def alive(self) -> bool:
        """Whether this very process still runs."""
        return started(self.pid) == self.started


def started(pid: int) -> str:
    """Return when a process was started, in the kernel's ticks; empty when it is gone or only a corpse."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:  # noqa: PTH123
            fields = file.read().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if len(fields) <= _START_FIELD or fields[0] in "ZX" else fields[_START_FIELD]


class Record:
    """The file ``up.pid`` of a cluster's directory."""

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self.path = f"{directory}/up.pid"

    def check(self) -> None:
        """Refuse to keep up what another process keeps up.

        Raises:
            SwarmletError: ``SWL-306``; ``SWL-301`` when this is no directory.
        """
        check_directory(self._directory)
        for entry in self._read():
            if entry.name == _KEEPER and entry.alive:
                raise error("SWL-306", program="stratoswarm up", path=self._directory, pid=str(entry.pid))

    def write(self, children: Iterable[tuple[str, int]]) -> None:
        """Name this process as the one that keeps the cluster up, and its children by name and pid.

        Raises:
            SwarmletError: ``SWL-301``, ``SWL-302``.
        """
        named = [(_KEEPER, os.getpid()), *children]
        lines = [_boot(), *(f"{name} {pid} {started(pid)}" for name, pid in named)]
        draft = f"{self.path}.new"
        with writing(self._directory):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(draft)  # noqa: PTH108
            handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
            with os.fdopen(handle, "w") as file:
                file.write("\n".join(lines) + "\n")
            os.rename(draft, self.path)  # noqa: PTH104

    def remove(self) -> None:
        """Forget it all; what cannot be removed names processes that are gone, and is not believed."""
        with contextlib.suppress(OSError):
            os.unlink(self.path)  # noqa: PTH108

    def stop(self) -> None:
        """End what is kept up: by whoever keeps it, or each process when that one is gone.

        Raises:
            SwarmletError: ``SWL-700`` when nothing is up, ``SWL-205`` when it does not end, ``SWL-301`` when
                this is no directory.
        """
        check_directory(self._directory)
        entries = self._read()
        keeper = next((entry for entry in entries if entry.name == _KEEPER and entry.alive), None)
        if keeper is None:
            if not self.end_leftovers():
                raise error("SWL-700", path=self.path, detail="nothing is up")
            return
        _signal(keeper, signal.SIGTERM)
        most_s = (len(entries) - 1) * STOP_TIMEOUT_S + 2
        if not _gone(keeper, most_s):
            raise error("SWL-205", what_waited="stopping", seconds=f"{most_s:g}")

    def end_leftovers(self) -> list[str]:
        """End what an ``up`` that was killed left running; return what that was, last started first."""
        left = [entry for entry in reversed(self._read()) if entry.name != _KEEPER and entry.alive]
        for entry in left:
            _signal(entry, signal.SIGTERM)
            if not _gone(entry, STOP_TIMEOUT_S):
                _signal(entry, signal.SIGKILL)
                _gone(entry, STOP_TIMEOUT_S)
        self.remove()
        return [f"{entry.name} (process {entry.pid})" for entry in left]

    def _read(self) -> list[Entry]:
        """Return what the file names; nothing of an earlier boot, or of a file that is none of ours."""
        try:
            with open(self.path, encoding="utf-8", errors="replace") as file:  # noqa: PTH123
                boot, *lines = file.read(4096).splitlines() or [""]
        except OSError:
            return []
        if boot != _boot():
            return []
        words = [line.split() for line in lines]
        return [
            Entry(one[0], int(one[1]), one[2])
            for one in words
            if len(one) == 3 and one[1].isascii() and one[1].isdigit()
        ]


def check_directory(path: str) -> None:
    """Refuse a data directory that is something else; one that is not there yet is as good as an empty one.

    Raises:
        SwarmletError: ``SWL-301``.
    """
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116
    except NotADirectoryError as failure:
        raise error("SWL-301", path=path, detail=failure.strerror or "?") from None
    except OSError:
        return  # whoever uses it says what is wrong
    if not stat.S_ISDIR(mode):
        raise error("SWL-301", path=path, detail=os.strerror(errno.ENOTDIR))


@contextlib.contextmanager
def writing(directory: str) -> Iterator[None]:
    """Turn what the system says of a file of ours into an entry of the catalogue."""
    try:
        yield
    except OSError as failure:
        if failure.errno in (errno.ENOSPC, errno.EDQUOT):
            raise error("SWL-302", path=directory) from None
        raise error("SWL-301", path=directory, detail=failure.strerror or "?") from None


def end_with_parent() -> Callable[[], None] | None:
    """Return what a child does before it becomes its program, so that it is asked to end when we are killed.

    ``None`` where the interpreter has no way to ask the kernel for that (prctl(2), ``PR_SET_PDEATHSIG``).
    """
    try:
        import ctypes  # noqa: PLC0415 - only where children are kept

        prctl = ctypes.CDLL(None, use_errno=True).prctl
    except (ImportError, OSError, AttributeError):
        return None
    parent = os.getpid()

    def tie() -> None:
        prctl(_PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGTERM), 0, 0, 0)
        if os.getppid() != parent:  # it was killed before the tie held
            os._exit(1)

    return tie


def _boot() -> str:
    return boot_id() or "unknown"


def _signal(entry: Entry, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(entry.pid, number)


def _gone(entry: Entry, within_s: float) -> bool:
    until = time.monotonic() + within_s
    while entry.alive:
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True
