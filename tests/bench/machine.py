"""Where the figures are from: processor, memory, kernel, versions, how the extension was built."""

from __future__ import annotations

import datetime as dt
import os
import platform
import subprocess
from pathlib import Path

import msgspec

from swarmlet import __version__, _native


class Machine(msgspec.Struct, frozen=True):
    """The machine and the build that were measured. ``load`` is the load average before anything was run."""

    date: str
    cpu: str
    cores: int
    memory_gb: float
    kernel: str
    python: str
    swarmlet: str
    extension: dict[str, str]
    load: tuple[float, float, float]


def describe() -> Machine:
    """Describe this machine and what is to be measured on it."""
    return Machine(
        date=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        cpu=_line("/proc/cpuinfo", "model name").partition(":")[2].strip() or platform.machine(),
        cores=len(os.sched_getaffinity(0)),
        memory_gb=round(int(_line("/proc/meminfo", "MemTotal").split()[1]) * 1024 / 1e9, 1),
        kernel=f"{platform.system()} {platform.release()}",
        python=f"{platform.python_implementation()} {platform.python_version()}",
        swarmlet=__version__,
        extension=_extension(),
        load=os.getloadavg(),
    )


def _line(path: str, start: str) -> str:
    lines = Path(path).read_text().splitlines()
    return next((line for line in lines if line.startswith(start)), "")


def _extension() -> dict[str, str]:
    """Say how the extension was built: what it says of itself, its size, the compiler that is there."""
    said = {name: str(value) for name, value in _native.build_info().items()}
    said["size"] = f"{Path(_native.__file__).stat().st_size / 1e6:.1f} MB"
    try:
        found = subprocess.run(
            ["rustc", "--version"], capture_output=True, text=True, timeout=20, check=False
        )
        said["rustc here"] = found.stdout.strip()
    except OSError:
        pass
    return said
