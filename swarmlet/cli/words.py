"""Numbers as people read and write them. Pure."""

from __future__ import annotations

import argparse
import re

_UNITS = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))


def age(ms: int | None) -> str:
    """Return a span as its largest unit: ``2s``, ``5min``, ``3h``, ``12d``; ``-`` for unknown."""
    if ms is None:
        return "-"
    seconds = max(0, ms // 1000)
    for unit, size in _UNITS:
        if seconds >= size:
            return f"{seconds // size}{unit}"
    return "0s"


def instant(ms: int | None) -> str:
    """Return Unix milliseconds as ``2024-08-01 15:30:00 UTC``."""
    if ms is None:
        return "-"
    import time  # noqa: PLC0415 - formatting only, no clock is read

    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(ms / 1000))


def gigabytes(used: int | None, total: int | None) -> str:
    """Return ``0.3/8.0 GB``; ``-`` for unknown."""
    if total is None:
        return "-"
    left = "-" if used is None else f"{used / 1e9:.1f}"
    return f"{left}/{total / 1e9:.1f} GB"


def percent_of(permille: int | None, cores: float | None) -> str:
    """Return ``12% of 4``; ``-`` for unknown."""
    if cores is None:
        return "-"
    use = "-" if permille is None else f"{permille / 10:.0f}%"
    return f"{use} of {cores:g}"


# ---- what people write; bounds are the coordinator's to judge, so that they are one text


def whole(text: str) -> int:
    """Read a whole number for argparse.

    Raises:
        argparse.ArgumentTypeError: It is none, or none that a message can hold.
    """
    if not re.match(r"-?[0-9]{1,18}\Z", text):
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is not a whole number, such as 3")
    return int(text)


def number(text: str) -> float:
    """Read a number for argparse.

    Raises:
        argparse.ArgumentTypeError: It is none; what is not finite is none.
    """
    if not re.match(r"-?[0-9]{1,18}(\.[0-9]{1,18})?\Z", text):
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is not a number, such as 0.5")
    return float(text)
