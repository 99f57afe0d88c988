"""The only reader of time.

Timers, leases and back-off run on the boot clock, which counts through suspend and never jumps (C10).
Cluster time is the last time told by the coordinator over the pinned channel plus boot-clock time since;
the wall clock is shown to people and judged by nobody but the coordinator, whose clock it is.
"""

from __future__ import annotations

import os
import time
from typing import Protocol


class Clock(Protocol):
    """What a component may ask of time."""

    def boot(self) -> float:
        """Return seconds since boot, suspend included."""
        ...

    def wall_ms(self) -> int:
        """Return this machine's idea of Unix time in milliseconds."""
        ...


class SystemClock:
    """The real clock of this machine."""

    def boot(self) -> float:
        """Return seconds since boot, suspend included."""
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    def wall_ms(self) -> int:
        """Return this machine's idea of Unix time in milliseconds."""
        return time.time_ns() // 1_000_000


def boot_id() -> str | None:
    """Return what the kernel calls this boot, to tell a reboot from a restart, if it does."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:  # noqa: PTH123
            return file.read(64).strip()
    except OSError:
        return None


def process_began(clock: Clock) -> float:
    """Return when this process was started, in boot-clock seconds: before its interpreter was loaded.

    From ``starttime`` of /proc/self/stat, in ticks since boot (proc(5)); now, where that cannot be read.
    """
    try:
        with open("/proc/self/stat", encoding="ascii", errors="replace") as file:  # noqa: PTH123
            after_name = file.read().rpartition(")")[2].split()
        return int(after_name[19]) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError):
        return clock.boot()


class ClusterTime:
    """Time as the coordinator tells it, carried forward by the boot clock (C10)."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._offset_ms: float | None = None

    def learn(self, told_ms: int) -> None:
        """Take a time told over the pinned channel as the truth from now on."""
        self._offset_ms = told_ms - self._clock.boot() * 1000

    def now_ms(self) -> int | None:
        """Return cluster time in Unix milliseconds, or ``None`` before anyone told it."""
        if self._offset_ms is None:
            return None
        return int(self._offset_ms + self._clock.boot() * 1000)
