"""How things are timed: repeated, paired, medians. What a measurement is given and what it gives."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from tests.integration.harness import World


class Figure(msgspec.Struct):
    """One measured line of the report.

    ``bar`` is what the design asks for and ``met`` whether it was reached; ``None`` where it names none.
    ``value`` is ``None`` for what could not be measured here; ``note`` says why, or how it was done.
    """

    what: str
    value: float | None
    unit: str
    peer: str = ""
    peer_value: float | None = None
    ratio: float | None = None
    bar: str = ""
    met: bool | None = None
    note: str = ""


class Plan(NamedTuple):
    """What a measurement is given: how thorough to be, and a directory of its own that is removed."""

    quick: bool
    directory: Path

    def pick(self, full: int, quick: int) -> int:
        """Return the number for this kind of run."""
        return quick if self.quick else full

    def world(self, name: str) -> World:
        """Return a new cluster's world under the directory; the caller ends it."""
        directory = self.directory / name
        directory.mkdir(parents=True)
        return World(directory)


def rate(work: Callable[[], int], *, seconds: float = 1.0) -> float:
    """Return how many units a second of this process' processor time ``work`` does.

    ``work`` returns the units of one call. Time in which others had the core does not count.
    """
    work()
    done = 0
    began = time.process_time()
    while (spent := time.process_time() - began) < seconds:
        done += work()
    return done / spent


def paired(
    ours: Callable[[], int], peer: Callable[[], int], *, rounds: int = 5
) -> tuple[float, float, float]:
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


def spread(values: Sequence[float], unit: str, scale: float = 1.0) -> str:
    """Return how many values there were, and the least and the greatest of them, in words."""
    least, most = min(values) * scale, max(values) * scale
    return f"{len(values)} runs, {least:.4g} to {most:.4g} {unit}"
