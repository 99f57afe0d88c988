"""Processors from the text of /proc and /sys. Pure."""

from __future__ import annotations

import re
from typing import NamedTuple

#: More processors than Linux supports (CONFIG_NR_CPUS is at most 8192 anywhere); a list beyond is garbage.
MAX_CPUS = 8192

_SPACE = re.compile(r"\s+")
_RANGE = re.compile(r"([0-9]{1,6})(?:-([0-9]{1,6}))?\Z")
_NUMBER = re.compile(r"(0x[0-9a-fA-F]{1,8}|[0-9]{1,9})\Z")

#: Implementers in the Main ID Register (Arm Architecture Reference Manual, MIDR_EL1).
IMPLEMENTERS = {
    0x41: "ARM", 0x42: "Broadcom", 0x43: "Cavium", 0x46: "Fujitsu", 0x48: "HiSilicon", 0x4E: "NVIDIA",
    0x50: "APM", 0x51: "Qualcomm", 0x53: "Samsung", 0x56: "Marvell", 0x61: "Apple", 0x6D: "Microsoft",
    0x70: "Phytium", 0xC0: "Ampere",
}  # fmt: skip

#: Part numbers by implementer: those of boards, laptops and servers that run Linux.
PARTS = {
    0x41: {
        0xB76: "ARM1176", 0xC05: "Cortex-A5", 0xC07: "Cortex-A7", 0xC08: "Cortex-A8", 0xC09: "Cortex-A9",
        0xC0D: "Cortex-A12", 0xC0E: "Cortex-A17", 0xC0F: "Cortex-A15", 0xD01: "Cortex-A32",
        0xD02: "Cortex-A34", 0xD03: "Cortex-A53", 0xD04: "Cortex-A35", 0xD05: "Cortex-A55",
        0xD06: "Cortex-A65", 0xD07: "Cortex-A57", 0xD08: "Cortex-A72", 0xD09: "Cortex-A73",
        0xD0A: "Cortex-A75", 0xD0B: "Cortex-A76", 0xD0C: "Neoverse-N1", 0xD0D: "Cortex-A77",
        0xD0E: "Cortex-A76AE", 0xD40: "Neoverse-V1", 0xD41: "Cortex-A78", 0xD42: "Cortex-A78AE",
        0xD43: "Cortex-A65AE", 0xD44: "Cortex-X1", 0xD46: "Cortex-A510", 0xD47: "Cortex-A710",
        0xD48: "Cortex-X2", 0xD49: "Neoverse-N2", 0xD4A: "Neoverse-E1", 0xD4B: "Cortex-A78C",
        0xD4C: "Cortex-X1C", 0xD4D: "Cortex-A715", 0xD4E: "Cortex-X3", 0xD4F: "Neoverse-V2",
        0xD80: "Cortex-A520", 0xD81: "Cortex-A720", 0xD82: "Cortex-X4", 0xD84: "Neoverse-V3",
        0xD85: "Cortex-X925", 0xD87: "Cortex-A725", 0xD8E: "Neoverse-N3",
    },
    0x42: {0x100: "Brahma-B53"},
    0x43: {0x0A1: "ThunderX", 0x0AF: "ThunderX2"},
    0x46: {0x001: "A64FX"},
    0x48: {0xD01: "TaiShan-v110"},
    0x4E: {0x003: "Denver 2", 0x004: "Carmel"},
    0x51: {0x001: "Oryon", 0x802: "Kryo 385 Gold", 0x803: "Kryo 385 Silver", 0x804: "Kryo 4xx Gold",
           0x805: "Kryo 4xx Silver"},
    0x61: {0x022: "M1 Icestorm", 0x023: "M1 Firestorm", 0x032: "M2 Blizzard", 0x033: "M2 Avalanche"},
    0xC0: {0xAC3: "Ampere-1", 0xAC4: "Ampere-1a"},
}  # fmt: skip

#: What ``uname -m`` says, and what this project calls it. Others keep their own name.
ARCHITECTURES = {
    "x86_64": "x86_64", "amd64": "x86_64", "aarch64": "arm64", "arm64": "arm64", "armv8l": "armv7",
    "armv7l": "armv7", "armv7": "armv7", "armv6l": "armv6", "i386": "x86", "i586": "x86", "i686": "x86",
}  # fmt: skip


class CpuInfo(NamedTuple):
    """What /proc/cpuinfo tells; Raspberry Pi kernels tell the board there too."""

    model: str | None = None
    processors: int = 0
    hypervisor: bool = False
    board: str | None = None
    serial: str | None = None


def parse_cpuinfo(text: str | None) -> CpuInfo:
    """Read /proc/cpuinfo of any architecture."""
    first: dict[str, str] = {}
    parts: list[tuple[str, str]] = []
    processors = 0
    implementer = ""
    for line in (text or "").splitlines():
        name, colon, value = line.partition(":")
        if not colon:
            continue
        name, value = name.strip(), value.strip()
        first.setdefault(name, value)
        if name == "processor":
            processors += value.isascii() and value.isdigit()
        elif name == "CPU implementer":
            implementer = value
        elif name == "CPU part" and (implementer, value) not in parts:
            parts.append((implementer, value))
    return CpuInfo(
        model=_model(first, parts),
        processors=min(processors, MAX_CPUS),
        hypervisor="hypervisor" in first.get("flags", "").split(),
        board=_clean(first.get("Model")),
        serial=_clean(first.get("Serial")),
    )


def _model(first: dict[str, str], parts: list[tuple[str, str]]) -> str | None:
    # ARM kernels give a model name only to 32-bit programs, and it is the instruction set's.
    names = [name for implementer, part in parts[:4] if (name := arm_core(implementer, part))]
    if names:
        return " + ".join(names)
    for key in ("model name", "Model Name", "uarch", "cpu model", "cpu"):
        if model := _clean(first.get(key)):
            return model
    return None


def arm_core(implementer: str, part: str) -> str | None:
    """Return the name of an ARM core, such as ``ARM Cortex-A72``, or its number when it has no known name."""
    if not _NUMBER.match(implementer) or not _NUMBER.match(part):
        return None
    maker, number = _number(implementer), _number(part)
    if maker not in IMPLEMENTERS:
        return None
    return f"{IMPLEMENTERS[maker]} {PARTS.get(maker, {}).get(number, f'part {number:#05x}')}"


def _number(text: str) -> int:
    return int(text, 16) if text.startswith("0x") else int(text)


def _clean(text: str | None) -> str | None:
    """Return a text in one line, at most 120 characters; ``None`` when nothing is left."""
    if text is None:
        return None
    printable = "".join(character if character.isprintable() else " " for character in text[:500])
    return _SPACE.sub(" ", printable).strip()[:120] or None


def architecture(machine: str, pointer_bits: int) -> str | None:
    """Return the architecture as this project names it: ``x86_64``, ``arm64``, ``armv7``, ``armv6``, ``x86``.

    Args:
        machine: What ``uname -m`` says, which is the kernel's.
        pointer_bits: Of this program. A 32-bit system on a 64-bit kernel is 32-bit for its workloads.
    """
    name = ARCHITECTURES.get(machine, machine)
    if pointer_bits == 32:
        name = {"arm64": "armv7", "x86_64": "x86"}.get(name, name)
    return name or None


def parse_cpu_list(text: str | None) -> frozenset[int] | None:
    """Read a list such as ``0-3,5`` (cpumask, Documentation/admin-guide/kernel-parameters.rst)."""
    if not text:
        return None
    cpus: set[int] = set()
    for part in text.strip().split(","):
        match = _RANGE.match(part.strip())
        if not match:
            return None
        low = int(match.group(1))
        high = int(match.group(2) or low)
        if not low <= high < MAX_CPUS:
            return None
        cpus.update(range(low, high + 1))
    return frozenset(cpus)


def parse_allowed(status: str | None) -> frozenset[int] | None:
    """Read the processors this process may run on from /proc/self/status; a cpuset shows there."""
    for line in (status or "").splitlines():
        if line.startswith("Cpus_allowed_list:"):
            return parse_cpu_list(line.partition(":")[2])
    return None


def usable_cores(
    online: frozenset[int] | None, allowed: frozenset[int] | None, listed: int, quota: float | None
) -> float | None:
    """Return how many cores workloads may use.

    Args:
        online: Processors that are running.
        allowed: Processors this process may use; may name ones that do not exist.
        listed: How many /proc/cpuinfo lists, 0 when unknown.
        quota: The least cgroup quota above this process, in cores.

    Returns:
        A whole number, or a fraction when a quota gives one; ``None`` when nothing is known.
    """
    if online is not None:
        count = len(online & allowed) if allowed else len(online)
    else:
        count = min(listed, len(allowed)) if allowed else listed
    if not count:
        return None if quota is None else tidy(quota)
    return tidy(min(float(count), quota)) if quota is not None else count


def tidy(cores: float) -> float:
    """Return cores with two places at most, a whole number as ``int`` so that JSON shows ``4``."""
    rounded = round(cores, 2)
    return int(rounded) if rounded == int(rounded) else rounded
