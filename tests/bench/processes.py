"""What the kernel says of a process: memory, processor time, bytes written. Reads /proc and nothing else."""

from __future__ import annotations

import resource
import time
from pathlib import Path

MB = 1e6
#: The kind of clock that counts what a process ran (``CPUCLOCK_SCHED``, linux/posix-timers.h).
_CPUCLOCK_SCHED = 2


def resident(pid: int) -> int:
    """Return the resident memory of a process, in bytes."""
    return _kilobytes(pid, "VmRSS") * 1024


def resident_peak(pid: int) -> int:
    """Return the most resident memory a process ever had, in bytes."""
    return _kilobytes(pid, "VmHWM") * 1024


def cpu_seconds(pid: int) -> float:
    """Return the processor time a process used so far, all threads, user and system.

    It is the clock of clock_getcpuclockid(3), which counts nanoseconds where /proc counts ticks.
    """
    return time.clock_gettime((~pid << 3) | _CPUCLOCK_SCHED)


def written(pid: int) -> int:
    """Return the bytes a process caused to be written to storage so far (``write_bytes``, proc(5))."""
    lines = Path(f"/proc/{pid}/io").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("write_bytes:"))


def raise_limits() -> None:
    """Let this process and its children open as many files as the system allows."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def most_connections(wanted: int) -> int:
    """Return how many connections one process may have, at most ``wanted``; each end is in another one."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return wanted if hard == resource.RLIM_INFINITY else min(wanted, hard - 512)


class Meter:
    """Processor time of a process over a stretch of time."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._began = time.perf_counter()
        self._cpu = cpu_seconds(pid)

    def read(self) -> tuple[float, float]:
        """Return seconds passed and processor seconds used since the beginning."""
        return time.perf_counter() - self._began, cpu_seconds(self._pid) - self._cpu


def _kilobytes(pid: int, field: str) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{field}:"))
