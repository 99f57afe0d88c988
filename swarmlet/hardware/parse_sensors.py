"""Temperature and power from the text of /sys/class. Pure.

Sources: Documentation/driver-api/thermal/sysfs-api.rst, Documentation/ABI/testing/sysfs-class-power and
Documentation/hwmon/sysfs-interface.rst.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_SIGNED = re.compile(r"-?[0-9]{1,9}\Z")
_HEX = re.compile(r"(0x)?[0-9a-fA-F]{1,8}\Z")

#: hwmon chips that measure the processor itself.
CPU_CHIPS = frozenset({"coretemp", "k10temp", "zenpower", "cpu_thermal", "via_cputemp"})

#: Firmware of every Raspberry Pi throttles at this temperature whatever trip points Linux shows; its
#: ``temp_limit`` can lower it, not raise it (documentation of Raspberry Pi, "Frequency
#: management and thermal control").
RASPBERRY_LIMIT = 85.0


class Supply(NamedTuple):
    """One entry of /sys/class/power_supply."""

    kind: str | None
    scope: str | None = None
    present: str | None = None


def parse_millidegrees(text: str | None) -> float | None:
    """Return a temperature in degrees Celsius. Exactly 0 and the absurd are what dead sensors say."""
    if text is None or not _SIGNED.match(text):
        return None
    degrees = int(text) / 1000
    return round(degrees, 1) if -60 < degrees < 200 and degrees != 0 else None


def parse_throttled(text: str | None) -> int | None:
    """Return the bits of the Raspberry Pi firmware's ``get_throttled``, written in hexadecimal.

    Bits 0 to 3 are "now" (too little voltage, frequency capped, throttled, soft temperature limit), 16 to 19
    the same "since the start" (documentation of Raspberry Pi, "vcgencmd").
    """
    if text is None or not _HEX.match(text):
        return None
    return int(text, 16)


def zone_rank(kind: str | None) -> int:
    """Return how well a thermal zone speaks for the processor: 0 is best."""
    name = (kind or "").lower()
    if name == "x86_pkg_temp" or "cpu" in name:
        return 0
    if name.startswith(("soc", "tj", "bigcore", "package")):
        return 1
    if name == "acpitz":
        return 2
    return 3


def throttle_point(trips: tuple[tuple[str | None, str | None], ...], kind: str | None) -> float | None:
    """Return where a device slows itself down, in degrees Celsius.

    Args:
        trips: Type and temperature text of each trip point of the zone.
        kind: The device type.

    Returns:
        The lowest passive trip point; without one the lowest hot, else the lowest critical one. Active trip
        points only start fans.
    """
    by_type: dict[str, list[float]] = {}
    for trip, text in trips:
        degrees = parse_millidegrees(text)
        # Drivers keep unused trip points at zero, below it or at a few degrees.
        if trip in {"passive", "hot", "critical"} and degrees is not None and degrees > 30:
            by_type.setdefault(trip, []).append(degrees)
    point = next((min(by_type[trip]) for trip in ("passive", "hot", "critical") if trip in by_type), None)
    if (kind or "").startswith("raspberry_pi"):
        return min(point, RASPBERRY_LIMIT) if point is not None else RASPBERRY_LIMIT
    return point


def battery_powered(supplies: tuple[Supply, ...] | None) -> bool | None:
    """Say whether the device has a battery of its own; one of a mouse or headset (scope ``Device``) is not.

    Returns:
        ``None`` when the kernel shows no power supplies at all.
    """
    if supplies is None:
        return None
    return any(
        supply.kind == "Battery" and supply.scope != "Device" and supply.present != "0" for supply in supplies
    )
