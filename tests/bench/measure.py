"""How things are timed: repeated, paired, medians."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence

import msgspec


class Figure(msgspec.Struct):
    """One measured line of the report.

    ``bar`` is what the design asks for and ``met`` whether it was reached; ``None`` where it names none.
    """

    what: str
    value: float
    unit: str
    peer: str = ""
    peer_value: float | None = None
    ratio: float | None = None
    bar: str = ""
    met: bool | None = None
    note: str = ""


def rate(work: Callable[[], int], *, seconds: float = 1.0) -> float:
    """Return how many units a second ``work`` does; it returns the units of one call."""
    work()
    done = 0
    began = time.perf_counter()
    while (spent := time.perf_counter() - began) < seconds:
        done += work()
    return done / spent


def paired(ours: Callable[[], int], peer: Callable[[], int], *, rounds: int = 5) -> tuple[float, float, float]:
    """Return the median rates of both and the median of the ratios, measured in turn."""
    pairs = [(rate(ours, seconds=0.4), rate(peer, seconds=0.4)) for _ in range(rounds)]
    return (
        statistics.median(one for one, _ in pairs),
        statistics.median(other for _, other in pairs),
        statistics.median(one / other for one, other in pairs),
    )


def quantile(values: Sequence[float], share: float) -> float:
    """Return a quantile of what was measured (nearest rank)."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
