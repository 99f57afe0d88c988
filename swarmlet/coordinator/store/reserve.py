"""Room that is kept on the disk for what must be recorded even when it is full (N9).

A file of its own beside the database, written out in full. When the disk takes nothing more, it gives its
room up step by step, to the commands that must not wait (``commands.URGENT``): whom the cluster refuses,
which nodes are there, which certificates they have. Every other command is refused until the file is whole
again, so that nothing else of ours eats what was given up. Other files of the disk may: the steps are small.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
from pathlib import Path
from typing import Final

from swarmlet.clock import Clock

#: As much as the write-ahead log may hold, so that it can always be folded into the database.
RESERVE: Final = 4 * 1024 * 1024
_STEP: Final = 512 * 1024
_AGAIN_S: Final = 1.0
_NOT_OFFERED: Final = frozenset({errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL})
_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})

logger = logging.getLogger(__name__)


class Reserve:
    """The file. One thread uses it; :attr:`whole` and :attr:`held` may be read by any.

    Args:
        path: Where it lies, on the database's disk.
        clock: Spaces out tries to make it whole again.
        size: Bytes; 0 keeps none.
    """

    def __init__(self, path: Path, clock: Clock, size: int) -> None:
        self._path = path
        self._clock = clock
        self._size = size
        self._tried = -_AGAIN_S
        self.held = _size_of(path) if size else 0

    @property
    def whole(self) -> bool:
        """Whether all of it is there."""
        return self.held >= self._size

    def fill(self) -> bool:
        """Make it whole, if it is not and there is room; say whether it is."""
        if self.whole:
            return True
        now = self._clock.boot()
        if now - self._tried < _AGAIN_S:
            return False
        self._tried = now
        try:
            _allocate(self._path, self.held, self._size)
        except OSError as failure:
            if failure.errno not in _NO_ROOM:
                # The database may well be written: it goes on without a reserve, and on a full disk stops.
                logger.warning("no reserve can be kept on the disk", extra={"why": failure.strerror})
                self._size = 0
            with contextlib.suppress(OSError):
                os.truncate(self._path, self.held)
            return self.whole
        self.held = self._size
        logger.info("the reserve on the disk is whole", extra={"bytes": self._size})
        return True

    def release(self) -> bool:
        """Give up one step of it; false when there is nothing left."""
        if self.held <= 0:
            return False
        if self.whole:
            logger.error("the disk is full: only what must be is recorded, from the reserve")
        self.held = max(0, self.held - _STEP)
        with contextlib.suppress(OSError):
            os.truncate(self._path, self.held)
        return True


def _size_of(path: Path) -> int:
    try:
        return path.stat(follow_symlinks=False).st_size
    except OSError:
        return 0


def _allocate(path: Path, held: int, size: int) -> None:
    """Give the file real blocks from ``held`` to ``size``.

    Raises:
        OSError: There is no room, or it cannot be written.
    """
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        try:
            os.posix_fallocate(handle, held, size - held)
        except OSError as failure:
            if failure.errno not in _NOT_OFFERED:
                raise
            # A file system that cannot promise room: what is written is there on all but compressing ones.
            for at in range(held, size, _STEP):
                os.pwrite(handle, bytes(min(_STEP, size - at)), at)
        os.fsync(handle)
    finally:
        os.close(handle)
