"""Reading the device: processor, memory, network, temperature, disk. Read when asked, nothing between.

``psutil`` is imported at the first reading. What a reading means for the node's health is decided by
:func:`judge`, which is pure. Nothing here writes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, TypeVar

from swarmlet.model.health import Health, Reading

T = TypeVar("T")

#: Below this share of the file system, or this many bytes, the disk counts as nearly full.
DISK_SHARE = 0.05
DISK_BYTES = 200_000_000
#: Bits of the Raspberry Pi firmware's throttle word that tell of now: undervoltage, frequency capped,
#: throttled, soft temperature limit. The upper half tells of the past and is no reason for alarm.
THROTTLED_NOW = 0xF
_THROTTLE_FILE = "/sys/devices/platform/soc/soc:firmware/get_throttled"
#: Sensors of processors, best first (k10temp, coretemp on PCs; the others on boards).
_SENSORS = ("cpu_thermal", "cpu-thermal", "soc_thermal", "coretemp", "k10temp", "zenpower", "acpitz")
#: cgroup files: limit and use, of version 2 and of version 1, as seen from inside a container.
_CGROUPS = (
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
)
_UNKNOWN_TEMPERATURE = -32768


class Sample(NamedTuple):
    """One look at the device. Sizes in bytes; ``None`` is unknown."""

    cpu_percent: float = 0.0
    memory_used: int = 0
    memory_total: int = 0
    net_rx: int = 0
    net_tx: int = 0
    temperature_c: float | None = None
    disk_free: int | None = None
    disk_total: int | None = None
    throttled: int = 0
    resident: int = 0


class Verdict(NamedTuple):
    """What a sample means."""

    health: Health = Health.OK
    why: str = ""
    next: str = ""


def judge(sample: Sample) -> Verdict:
    """Say whether the device needs a look: a disk nearly full, or a processor slowed down."""
    if sample.disk_free is not None and sample.disk_total:
        floor = min(DISK_BYTES, int(sample.disk_total * DISK_SHARE))
        if sample.disk_free < floor:
            free_mb = sample.disk_free // 1_000_000
            return Verdict(
                Health.DEGRADED, f"the disk is nearly full: {free_mb} MB are free", "free some space"
            )
    if sample.throttled & 1:
        return Verdict(
            Health.DEGRADED, "the supply voltage is too low", "use a stronger power supply and cable"
        )
    if sample.throttled & THROTTLED_NOW:
        return Verdict(Health.DEGRADED, "the processor is throttled", "cool the device")
    return Verdict()


def to_reading(sample: Sample, *, health: Health, workloads: int) -> Reading:
    """Return ``sample`` in the form of a heartbeat; what does not fit its field is held at the bound."""
    warm = sample.temperature_c
    return Reading(
        health=int(health),
        workloads=min(max(workloads, 0), 0xFFFF),
        cpu_permille=min(max(round(sample.cpu_percent * 10), 0), 1000),
        temperature_centi=_UNKNOWN_TEMPERATURE
        if warm is None
        else min(max(round(warm * 100), -32767), 32767),
        memory_used=max(sample.memory_used, 0),
        memory_total=max(sample.memory_total, 0),
        disk_free=max(sample.disk_free or 0, 0),
        net_rx=max(sample.net_rx, 0),
        net_tx=max(sample.net_tx, 0),
    )


def warmest(sensors: Mapping[str, Sequence[float]]) -> float | None:
    """Return the highest believable temperature of the best sensor, in degrees Celsius."""
    for name in _SENSORS:
        readings = [value for value in sensors.get(name, ()) if -100.0 < value < 200.0]
        if readings:
            return max(readings)
    return None


def memory(used: int, total: int, limit: int | None, charged: int | None) -> tuple[int, int]:
    """Return ``(used, total)`` as the workloads see it: of the cgroup when it limits, else of the machine."""
    if limit is not None and charged is not None and 0 < limit < total:
        return min(charged, limit), limit
    return used, total


class Sensors:
    """Reads the device. Processor use is measured since the reading before; the first one says little."""

    def __init__(self, data_dir: str) -> None:
        self._data_dir = data_dir
        self._has_throttle = os.path.exists(_THROTTLE_FILE)  # noqa: PTH110
        self._cgroup = next((pair for pair in _CGROUPS if _number(pair[0]) is not None), None)

    def read(self) -> Sample:
        """Return a sample; a sensor that fails is unknown, never an exception."""
        import psutil  # noqa: PLC0415 - a megabyte that the first seconds of a start do not need

        machine = _tried(psutil.virtual_memory)
        limit, charged = map(_number, self._cgroup) if self._cgroup else (None, None)
        sizes = (machine.total - machine.available, machine.total) if machine else (0, 0)
        used, total = memory(*sizes, limit, charged)
        network = _tried(lambda: psutil.net_io_counters(nowrap=False))
        own = _tried(lambda: psutil.Process().memory_info())
        free, size = self._disk()
        return Sample(
            cpu_percent=_tried(lambda: psutil.cpu_percent(interval=None)) or 0.0,
            memory_used=used,
            memory_total=total,
            net_rx=network.bytes_recv if network else 0,
            net_tx=network.bytes_sent if network else 0,
            temperature_c=_temperature(),
            disk_free=free,
            disk_total=size,
            throttled=(_number(_THROTTLE_FILE, 16) or 0) if self._has_throttle else 0,
            resident=own.rss if own else 0,
        )

    def _disk(self) -> tuple[int | None, int | None]:
        try:
            found = os.statvfs(self._data_dir)
        except OSError:
            return None, None
        return found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize


def _tried(read: Callable[[], T]) -> T | None:
    """Return what ``read`` returns; ``None`` where /proc or /sys is absent, masked or odd."""
    import psutil  # noqa: PLC0415 - as above

    try:
        return read()
    except (OSError, ValueError, LookupError, AttributeError, RuntimeError, psutil.Error):
        return None


def _temperature() -> float | None:
    import psutil  # noqa: PLC0415 - as above

    found = _tried(psutil.sensors_temperatures) or {}
    return warmest({name: [entry.current for entry in entries] for name, entries in found.items()})


def written() -> int | None:
    """Return the bytes this process has caused to be written to disk, or ``None`` where that is not told."""
    try:
        with open("/proc/self/io", "rb") as file:  # noqa: PTH123 - read every few seconds on small devices
            for line in file:
                if line.startswith(b"write_bytes:"):
                    return int(line[12:])
    except (OSError, ValueError):
        return None
    return None


def _number(path: str, base: int = 10) -> int | None:
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - as above
            return int(file.read(64), base)
    except (OSError, ValueError):
        return None
