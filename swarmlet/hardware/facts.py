"""Everything that was read of a device, as values. Gathered by ``gather.py``, judged by ``assemble.py``."""

from __future__ import annotations

from typing import NamedTuple

from swarmlet.hardware.naming import Marks
from swarmlet.hardware.parse_board import Signs
from swarmlet.hardware.parse_cpu import CpuInfo
from swarmlet.hardware.parse_devices import Interface, PciDevice


class CpuFacts(NamedTuple):
    """Processors and the limits on them."""

    info: CpuInfo = CpuInfo()
    online: frozenset[int] | None = None
    allowed: frozenset[int] | None = None
    quotas: tuple[float, ...] = ()  # cores, one for each level that has a quota


class MemoryFacts(NamedTuple):
    """Memory and the limits on it, in bytes. ``controller`` is ``v1``, ``v2``, ``off`` or unknown."""

    total: int | None = None
    limits: tuple[int, ...] = ()
    controller: str | None = None


class ThermalFacts(NamedTuple):
    """The sensor that speaks for the processor: texts as the kernel writes them."""

    current: str | None = None
    trips: tuple[tuple[str | None, str | None], ...] = ()


class Facts(NamedTuple):
    """What the files of a device say."""

    cpu: CpuFacts = CpuFacts()
    memory: MemoryFacts = MemoryFacts()
    signs: Signs = Signs()
    thermal: ThermalFacts = ThermalFacts()
    display: tuple[PciDevice, ...] | None = None
    nvidia: int = 0
    route: str | None = None  # the interface of the default route
    interfaces: dict[str, Interface] = {}  # noqa: RUF012 - never changed, as nothing of this is
    marks: Marks = Marks()
    hostname: str | None = None


class Host(NamedTuple):
    """What only the running system can tell: system calls, the engine's socket, NVIDIA's library."""

    machine: str
    pointer_bits: int
    storage_bytes: int | None = None
    gpus: int | None = None  # by NVIDIA's library, when it answered
    engine: str | None = None
