"""Reading of /proc and /sys below a root. What is absent, masked or unreadable is ``None``; nothing raises.

It never runs a program and never writes. A test points it at a tree of another device.
"""
# ruff: noqa: PTH208 - pathlib costs milliseconds at every start, and a profile reads a hundred small files

from __future__ import annotations

import os

#: The most that is read of one file, in bytes: /proc/cpuinfo repeats itself after that.
MAX_BYTES = 65536


class Reader:
    """The files of one machine, named by absolute paths as if ``root`` were ``/``."""

    def __init__(self, root: str = "/") -> None:
        self._root = "" if root == "/" else root.rstrip("/")

    def data(self, path: str) -> bytes | None:
        """Return the first 64 KiB of a file."""
        try:
            # Non-blocking: a pipe where a file belongs must not hold up the start.
            fd = os.open(self._root + path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
        except (OSError, ValueError):
            return None
        try:
            return self._read(fd)
        except OSError:
            return None
        finally:
            os.close(fd)

    @staticmethod
    def _read(fd: int) -> bytes:
        # Files in /proc come in pieces of at most a page or so.
        pieces = []
        size = 0
        while size < MAX_BYTES and (piece := os.read(fd, MAX_BYTES - size)):
            pieces.append(piece)
            size += len(piece)
        return b"".join(pieces)

    def text(self, path: str) -> str | None:
        """Return a file as text without its final line end and zero bytes; ``None`` when nothing is left."""
        data = self.data(path)
        if data is None:
            return None
        return data.decode("utf-8", "replace").strip("\x00\r\n\t ") or None

    def names(self, path: str) -> tuple[str, ...] | None:
        """Return the sorted names in a directory, or ``None`` when it cannot be read."""
        try:
            return tuple(sorted(os.listdir(self._root + path)))
        except (OSError, ValueError):
            return None

    def exists(self, path: str) -> bool:
        """Say whether there is something at ``path``, be it a dangling link."""
        try:
            os.lstat(self._root + path)
        except (OSError, ValueError):
            return False
        return True
