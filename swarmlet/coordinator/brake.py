"""When so many nodes vanish at once that the network is to blame and not the nodes (N6). Pure.

A pulled switch or a coordinator that lost its own uplink looks like the death of many nodes. Placing all
their work again would restart what still runs and do it twice when the cable is back. So reassignment stops
when more than half of the nodes, and at least :data:`LEAST`, went away within :data:`WINDOW_S`. Late
heartbeats count as away, because the first leases lapse some seconds before the last ones; but nothing is
said before one lapsed.

It is released when enough of those nodes are back, or were removed by an administrator: time alone releases
nothing.
"""

from __future__ import annotations

from collections.abc import Mapping

#: Seconds within which nodes must have gone for it to be one event.
WINDOW_S = 60.0
#: Fewer nodes than this are never a majority worth the name.
LEAST = 3


class Brake:
    """Whether reassignment is suspended, and why."""

    def __init__(self) -> None:
        self._held: set[str] = set()

    def update(
        self, now: float, present: int, away: Mapping[str, float], down: Mapping[str, float]
    ) -> str | None:
        """Take the nodes as they are now; return why reassignment is suspended, or ``None``.

        Args:
            now: Seconds on the boot clock.
            present: How many nodes hold their lease.
            away: When each node that does not was last well, in seconds on the boot clock.
            down: When the lease of each node that has none any more lapsed.
        """
        recent = {node for node, since in away.items() if now - since <= WINDOW_S}
        self._held &= away.keys()
        if self._held or any(now - since <= WINDOW_S for since in down.values()):
            self._held |= recent
        total = present + len(self._held)
        if total < LEAST or 2 * len(self._held) <= total:
            self._held.clear()
            return None
        return (
            f"reassignment is suspended: {len(self._held)} of {total} nodes went away within "
            f"{WINDOW_S:.0f} s, which looks like the network; it resumes when they come back or are removed "
            "(stratoswarm nodes rm)"
        )
