"""When so many nodes vanish at once that the network is to blame and not the nodes (N6). Pure.

A pulled switch or a coordinator that lost its own uplink looks like the death of many nodes. Placing all
their work again would restart what still runs and do it twice when the cable is back. So reassignment stops
when more than half of the nodes, and at least :data:`LEAST`, went away within :data:`WINDOW_S`. Late
heartbeats count as away, because the first leases lapse some seconds before the last ones; but nothing is
said before one lapsed.

It is released when enough of those nodes are back, or were removed by an administrator, and that has been so
for :data:`SETTLE_S`: nodes come back one by one, and the last of them deserve the same patience as the first.
Time alone releases nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

#: Seconds within which nodes must have gone for it to be one event.
WINDOW_S = 60.0
#: Seconds from the return of enough nodes until reassignment goes on: twice a node's longest pause.
SETTLE_S = 60.0
#: Fewer nodes than this are never a majority worth the name.
LEAST = 3


class Suspension(NamedTuple):
    """Why reassignment is suspended; ``wake_s`` seconds from now it may not be any more."""

    reason: str
    wake_s: float | None = None


class Brake:
    """Whether reassignment is suspended, and why."""

    def __init__(self) -> None:
        self._held: set[str] = set()
        self._settled: float | None = None

    def update(
        self, now: float, present: int, away: Mapping[str, float], down: Mapping[str, float]
    ) -> Suspension | None:
        """Take the nodes as they are now; return the suspension, if there is one.

        Args:
            now: Seconds on the boot clock.
            present: How many nodes hold their lease.
            away: When each node that does not was last well, in seconds on the boot clock.
            down: When the lease of each node that has none any more lapsed.
        """
        held_before = bool(self._held)
        self._held &= away.keys()
        if held_before or any(now - since <= WINDOW_S for since in down.values()):
            self._held |= {node for node, since in away.items() if now - since <= WINDOW_S}
        total = present + len(self._held)
        if total >= LEAST and 2 * len(self._held) > total:
            self._settled = now + SETTLE_S
            return Suspension(
                f"reassignment is suspended: {len(self._held)} of {total} nodes went away within "
                f"{WINDOW_S:.0f} s, which looks like the network; it resumes when they come back or are "
                "removed (stratoswarm nodes rm)"
            )
        if self._settled is None or now >= self._settled:
            self._held.clear()
            self._settled = None
            return None
        reason = "reassignment is suspended: enough nodes are back, the others are given a minute"
        return Suspension(reason, self._settled - now)
