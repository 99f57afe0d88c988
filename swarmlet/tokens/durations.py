"""Lengths of time as people write and read them: ``90m``, ``24h``, ``7d``. Pure text work."""

from __future__ import annotations

import datetime as dt
import re
from typing import Final

from swarmlet.errors import error

#: Seconds in each unit, largest first.
_UNITS: Final = {"w": 604_800, "d": 86_400, "h": 3_600, "m": 60, "s": 1}
_WHOLE: Final = re.compile(r"([0-9]{1,9}[wdhms])+\Z")
_PART: Final = re.compile(r"([0-9]+)([wdhms])")
_NUMBER: Final = re.compile(r"[0-9]{1,9}\Z")
_LONGEST_S: Final = 100 * 365 * 86_400


def parse_duration(text: str) -> int:
    """Read a length of time: numbers with a unit of s, m, h, d or w, largest first, such as ``1h30m``.

    Args:
        text: What was typed. A number without a unit is refused: it could be seconds or hours.

    Returns:
        Seconds, at most a hundred years.

    Raises:
        UsageError: ``SWL-400``, with a value that would be taken.
    """
    typed = text.strip().lower()
    if not _WHOLE.match(typed):
        raise error("SWL-400", detail=f"{text[:40]!r} is not a length of time", hint=f"write {_hint(typed)}")
    parts = [(int(number), unit) for number, unit in _PART.findall(typed)]
    order = [list(_UNITS).index(unit) for _, unit in parts]
    if order != sorted(set(order)):
        raise error(
            "SWL-400", detail=f"{text[:40]!r} repeats or mixes its units", hint="largest unit first: 1d12h"
        )
    seconds = sum(number * _UNITS[unit] for number, unit in parts)
    if seconds > _LONGEST_S:
        raise error(
            "SWL-400", detail=f"{text[:40]!r} is longer than a hundred years", hint="write 7d, 24h or 90m"
        )
    return seconds


def _hint(typed: str) -> str:
    return f"{typed}h, {typed}m or {typed}s" if _NUMBER.match(typed) else "90m, 24h or 7d"


def spoken(seconds: float) -> str:
    """Return a length of time for a sentence, in one unit, rounded down: ``2 h``, ``40 s``, ``8 d``."""
    whole = max(0, int(seconds))
    for unit in ("d", "h", "m"):
        if whole >= _UNITS[unit]:
            return f"{whole // _UNITS[unit]} {'min' if unit == 'm' else unit}"
    return f"{whole} s"


def short(seconds: int) -> str:
    """Return a length of time as :func:`parse_duration` reads it: ``1d12h``; ``0s`` for none."""
    rest = max(0, seconds)
    parts = []
    for unit, size in _UNITS.items():
        if unit != "w" and rest >= size:
            parts.append(f"{rest // size}{unit}")
            rest %= size
    return "".join(parts) or "0s"


def instant(unix_s: int) -> str:
    """Return a moment for a sentence, to the minute: ``2024-08-01 15:30 UTC``."""
    try:
        moment = dt.datetime.fromtimestamp(unix_s, dt.UTC)
    except (ValueError, OverflowError, OSError):
        return f"second {unix_s} of 1970"
    return moment.strftime("%Y-%m-%d %H:%M UTC")
