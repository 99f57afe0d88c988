"""One coordinator per directory: an exclusive lock on a file that names its holder."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from swarmlet.errors import error
from swarmlet.model.places import LOCK


@contextlib.contextmanager
def held(directory: Path) -> Iterator[None]:
    """Hold the lock of ``directory``; the kernel drops it when the process ends, however it ends.

    Raises:
        SwarmletError: ``SWL-306`` when another process holds it, ``SWL-301`` when the file cannot be written,
            ``SWL-601`` when there is no such directory.
    """
    path = directory / LOCK
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except FileNotFoundError:
        raise error("SWL-601", path=str(directory)) from None
    except OSError as failure:
        raise error("SWL-301", path=str(directory), detail=str(failure.strerror)) from None
    try:
        _take(handle, directory)
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(handle)


def _take(handle: int, directory: Path) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        pid = os.pread(handle, 32, 0).decode(errors="replace").strip() or "unknown"
        raise error("SWL-306", program="coordinator", path=str(directory), pid=pid) from None
