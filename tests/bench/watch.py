"""Sees when processes write lines to their logs: both sides of a comparison are timed by the same eyes."""

from __future__ import annotations

import re
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path

_PAUSE_S = 0.01


class Watch:
    """Looks at logs over and over.

    Args:
        logs: Logs by the name of their process.
        patterns: What is looked for, by kind; the first group says what or whom it is about.
    """

    def __init__(self, logs: Mapping[str, Path], patterns: Mapping[str, re.Pattern[bytes]]) -> None:
        self._files = {name: path.open("rb") for name, path in logs.items()}
        self._rests = dict.fromkeys(logs, b"")
        self._patterns = patterns
        #: By kind and what it is about: when each process wrote it first.
        self.seen: dict[tuple[str, str], dict[str, float]] = defaultdict(dict)

    def look(self) -> None:
        """Take in what was written since."""
        for name, file in self._files.items():
            written = file.read()
            if not written:
                continue
            *lines, self._rests[name] = (self._rests[name] + written).split(b"\n")
            now = time.perf_counter()
            for line in lines:
                self._take(name, line, now)

    def _take(self, name: str, line: bytes, now: float) -> None:
        for kind, pattern in self._patterns.items():
            found = pattern.search(line)
            if found is not None:
                self.seen[kind, found[1].decode()].setdefault(name, now)

    def until(self, done: Callable[[], bool], deadline_s: float) -> bool:
        """Look until ``done``; false after the deadline."""
        until = time.perf_counter() + deadline_s
        while True:
            self.look()
            if done():
                return True
            if time.perf_counter() > until:
                return False
            time.sleep(_PAUSE_S)

    def close(self) -> None:
        """Let the files go."""
        for file in self._files.values():
            file.close()
