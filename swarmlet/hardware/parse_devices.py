"""Graphics processors and network interfaces from the text of /proc and /sys. Pure."""

from __future__ import annotations

import re
from typing import NamedTuple

_DISPLAY = re.compile(r"0x03[0-9a-f]{4}\Z")
_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}\Z")
_ROUTE_UP = 0x1
_NVIDIA, _AMD, _INTEL = "0x10de", "0x1002", "0x8086"
#: Where an Intel processor's own graphics sits; a card of Intel's is behind a bridge.
_INTEL_INTEGRATED = ":00:02."


class PciDevice(NamedTuple):
    """One entry of /sys/bus/pci/devices."""

    slot: str
    device_class: str | None
    vendor: str | None


class Interface(NamedTuple):
    """One network interface, as far as its bandwidth and address tell something."""

    speed: str | None = None  # Mbit/s
    wireless: bool = False
    physical: bool = False  # there is a device behind it
    lower: tuple[str, ...] = ()  # the interfaces below a bridge, bond or VLAN
    address: str | None = None
    assigned: str | None = None  # addr_assign_type; 0 is the address the maker gave
    kind: str | None = None  # ARPHRD type; 1 is Ethernet


def is_display(device_class: str | None) -> bool:
    """Say whether a PCI class is a display controller (PCI Code and ID Assignment, base class 03h)."""
    return _DISPLAY.match(device_class or "") is not None


def count_gpus(pci: tuple[PciDevice, ...] | None, nvidia: int, compatible: tuple[str, ...]) -> int | None:
    """Count the graphics processors that workloads can compute on.

    Cards of NVIDIA, AMD and Intel count, and the graphics of a Tegra. What only shows pictures does not:
    a server's console chip, a virtual display, Intel's integrated graphics, a Raspberry Pi's VideoCore.

    Args:
        pci: The display controllers, ``None`` where no bus can be seen at all.
        nvidia: How many the NVIDIA driver lists; it may know some in a container that hides the bus.
        compatible: The device tree's, which names a Tegra.

    Returns:
        ``None`` when neither a bus nor a driver can be seen.
    """
    cards = 0
    for device in pci or ():
        integrated = device.vendor == _INTEL and _INTEL_INTEGRATED in device.slot
        if is_display(device.device_class) and device.vendor in {_NVIDIA, _AMD, _INTEL} and not integrated:
            cards += 1
    if not cards and any(name.startswith("nvidia,tegra") for name in compatible):
        cards = 1
    return None if pci is None and not cards and not nvidia else max(cards, nvidia)


def has_nvidia(pci: tuple[PciDevice, ...] | None, nvidia: int) -> bool:
    """Say whether asking NVIDIA's library is worth its cost."""
    return nvidia > 0 or any(
        device.vendor == _NVIDIA and is_display(device.device_class) for device in pci or ()
    )


def default_interface(routes: str | None, routes6: str | None) -> str | None:
    """Return the interface of the default route with the least metric; IPv4 (/proc/net/route) before IPv6."""
    best: tuple[int, str] | None = None
    for line in (routes or "").splitlines()[1:]:
        fields = line.split()
        if len(fields) < 8 or fields[1] != "00000000" or fields[7] != "00000000":
            continue
        if is_up(fields[3]) and fields[6].isascii() and fields[6].isdigit():
            best = min(best or (1 << 33, ""), (int(fields[6][:10]), fields[0]))
    if best is None:
        for line in (routes6 or "").splitlines():
            fields = line.split()
            if len(fields) < 10 or fields[0].strip("0") or fields[1] != "00" or fields[9] == "lo":
                continue
            if is_up(fields[8]) and re.fullmatch(r"[0-9a-f]{8}", fields[5]):
                best = min(best or (1 << 33, ""), (int(fields[5], 16), fields[9]))
    return best[1] if best else None


def is_up(flags: str) -> bool:
    """Say whether the hexadecimal flags of a route say that it is in use."""
    return re.fullmatch(r"[0-9A-Fa-f]{4,8}", flags) is not None and bool(int(flags, 16) & _ROUTE_UP)


def bandwidth(name: str | None, interfaces: dict[str, Interface], depth: int = 3) -> float | None:
    """Return the link speed of an interface in Mbit/s.

    A bridge, bond or VLAN is as fast as the fastest device below it. A wireless link changes its rate all the
    time, and a virtual one has none: a veth pair says 10000 whatever carries it. For both ``None``.
    """
    interface = interfaces.get(name or "")
    if interface is None or interface.wireless or depth == 0:
        return None
    if interface.physical:
        return parse_speed(interface.speed)
    speeds = [
        speed for lower in interface.lower if (speed := bandwidth(lower, interfaces, depth - 1)) is not None
    ]
    return max(speeds, default=None)


def parse_speed(text: str | None) -> float | None:
    """Read a link speed; -1 and 4294967295 are "unknown"."""
    if text is None or not (text.isascii() and text.isdigit() and len(text) <= 8):
        return None
    return float(text) or None


def hardware_addresses(interfaces: dict[str, Interface]) -> tuple[str, ...]:
    """Return the Ethernet addresses that makers gave to devices, sorted; random and set ones are left out."""
    return tuple(
        sorted(
            {
                interface.address
                for interface in interfaces.values()
                if interface.physical
                and interface.kind == "1"
                and interface.assigned == "0"
                and interface.address
                and _MAC.match(interface.address)
                and interface.address.strip("0:")
            }
        )
    )
