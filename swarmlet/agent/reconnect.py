"""How long to wait before the next attempt, and where to go. Pure.

Full jitter after Marc Brooker, "Exponential Backoff And Jitter" (2015): when a coordinator comes back, its
nodes must not all return in the same moment. It reads no clock and makes no randomness of its own.

No wait is longer than the node has been away already: whoever was cut off for six seconds is back within
another six, inside its lease of fifteen, and the spread grows with the outage as the crowd does. What that
does to 10,000 nodes that come back together, simulated (``tests/unit/agent/test_reconnect.py``):

=========  ==========================  ==========================
outage     last node back after        most attempts in one second
=========  ==========================  ==========================
  5 s        5 s (without it 29 s)      4,300 (without it 2,000)
 10 s       10 s (30 s)                 2,400 (1,200)
 60 s       30 s (30 s)                   700 (700)
=========  ==========================  ==========================

A coordinator that admits 400 nodes a second is the bottleneck in each case: it takes 25 s for them all.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

#: The first wait is drawn from zero to this many seconds, later ones from zero to twice as many each time ...
FIRST_S = 0.2
#: ... up to this.
MOST_S = 30.0
#: A session that lasted this long was a good one: what follows it begins with short waits again.
STABLE_S = 30.0
#: After two nodes with one identity displaced each other, wait at least this long: they must not take turns.
SUPERSEDED_S = 30.0


class Backoff:
    """Counts failed attempts in a row and says how long to wait."""

    def __init__(self, dice: random.Random) -> None:
        self._dice = dice
        self._away_since: float | None = None
        self.failures = 0

    def after(self, lasted_s: float, now: float, *, superseded: bool = False) -> float:
        """Return the seconds to wait after an attempt or session ended.

        Args:
            lasted_s: How long the session was established; 0 when it never was.
            now: Seconds on any clock that never goes back.
            superseded: Whether it ended because another connection took this node's place.
        """
        if lasted_s >= STABLE_S or self._away_since is None:
            # Sessions that break at once do not end an absence: they would be tried again without a pause.
            self.failures = 0
            self._away_since = now
        self.failures += 1
        if superseded:
            return SUPERSEDED_S + self._dice.uniform(0.0, SUPERSEDED_S)
        return self._dice.uniform(0.0, min(ceiling(self.failures), max(FIRST_S, now - self._away_since)))


def ceiling(failures: int) -> float:
    """Return the longest wait after ``failures`` failures in a row, in seconds."""
    return min(MOST_S, FIRST_S * 2.0 ** min(failures - 1, 16)) if failures > 0 else 0.0


def rotate(names: Sequence[str], last_good: str | None, failures: int) -> tuple[str, ...]:
    """Return the order in which to try addresses.

    Args:
        names: All of them, best first.
        last_good: The one that worked last; it goes first as long as it is known.
        failures: Rounds that failed since. After the first one the order moves on by one each round, so
            that an address that accepts and then fails cannot keep a node from the others.
    """
    order = list(dict.fromkeys(names))
    if last_good in order:
        order.remove(last_good)
        order.insert(0, last_good)
    if not order:
        return ()
    shift = failures % len(order)
    return tuple(order[shift:] + order[:shift])
