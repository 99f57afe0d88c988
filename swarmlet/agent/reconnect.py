"""How long to wait before the next attempt, and where to go. Pure.

Full jitter after Marc Brooker, "Exponential Backoff And Jitter" (2015): when a coordinator comes back, its
nodes must not all return in the same moment. It reads no clock and makes no randomness of its own.
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
        self.failures = 0

    def after(self, lasted_s: float, *, superseded: bool = False) -> float:
        """Return the seconds to wait after an attempt or session ended.

        Args:
            lasted_s: How long the session was established; 0 when it never was.
            superseded: Whether it ended because another connection took this node's place.
        """
        if lasted_s >= STABLE_S:
            self.failures = 0
        self.failures += 1
        if superseded:
            return SUPERSEDED_S + self._dice.uniform(0.0, SUPERSEDED_S)
        return self._dice.uniform(0.0, ceiling(self.failures))


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
