"""Runs the scheduler when something changed: wait, plan, apply. The plan itself is ``scheduler.py``'s.

Woken by events, never by polling; what happens within :data:`DEBOUNCE_S` is decided together.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping

from swarmlet.clock import Clock
from swarmlet.coordinator.brake import Suspension
from swarmlet.coordinator.ledger import Ledger
from swarmlet.coordinator.picture import Picture
from swarmlet.coordinator.registry import ACTOR, Registry
from swarmlet.coordinator.scheduler import Moment, Plan, plan
from swarmlet.coordinator.store.commands import PlanAssignments
from swarmlet.errors import SwarmletError
from swarmlet.model.health import Reading
from swarmlet.model.views import PlacementView

#: Seconds in which further events join the plan that an event set off.
DEBOUNCE_S = 0.001
#: Seconds until a plan that could not be applied is made again; doubles with each failure in a row.
RETRY_S = 0.1
RETRY_MOST_S = 5.0
#: How often a node is judged for a workload in one plan, at most: some 10 us each.
JUDGEMENTS = 20_000
#: Workloads whose last decisions are kept for whoever asks.
_EXPLAINED = 1000

logger = logging.getLogger(__name__)


class Planning:
    """The scheduler's loop."""

    def __init__(
        self,
        picture: Picture,
        ledger: Ledger,
        registry: Registry,
        clock: Clock,
        readings: Callable[[], Mapping[str, Reading]],
    ) -> None:
        self._picture = picture
        self._ledger = ledger
        self._registry = registry
        self._clock = clock
        self._readings = readings
        self._began = clock.boot()
        self._wanted = asyncio.Event()
        self._later: frozenset[str] = frozenset()
        self._placements: OrderedDict[str, dict[int, PlacementView]] = OrderedDict()
        self.suspended: str | None = None

    def wake(self) -> None:
        """Something changed: plan soon."""
        self._wanted.set()

    def placement(self, workload_id: str) -> tuple[PlacementView, ...]:
        """Return the last decision about each replica of a workload, as far as they are kept."""
        found = self._placements.get(workload_id, {})
        return tuple(found[replica] for replica in sorted(found))

    async def run(self) -> None:
        """Plan for ever."""
        wait_s: float | None = None
        failures = 0
        while True:
            await self._sleep(wait_s)
            await asyncio.sleep(DEBOUNCE_S)
            self._wanted.clear()
            try:
                wait_s, failed = await self._once()
            except Exception:
                # The rest of the cluster's work goes on; what went wrong is tried again, ever more rarely.
                logger.exception("a plan failed")
                wait_s, failed = None, True
            failures = failures + 1 if failed else 0
            if failed:
                wait_s = min(RETRY_S * 2 ** (failures - 1), RETRY_MOST_S)

    async def _sleep(self, seconds: float | None) -> None:
        """Wait until woken, or for so long; then what was left for later is looked at too."""
        try:
            async with asyncio.timeout(seconds):
                await self._wanted.wait()
        except TimeoutError:
            self._picture.look_again(self._later)
            self._later = frozenset()

    async def _once(self) -> tuple[float | None, bool]:
        """Plan and apply; return when to look again, and whether something could not be applied."""
        now = self._clock.boot()
        suspension = self._registry.suspended(now)
        self._notice(suspension)
        settles_s = None if suspension is None else suspension.wake_s
        attention = self._slice(self._picture.take_attention() | self._later)
        if not attention:
            return settles_s, False
        self._later = attention  # whatever happens now, these are looked at again
        moment = Moment(
            now_ms=self._clock.wall_ms(),
            gone_s=self._registry.gone_s(now),
            present=self._registry.present,
            up_s=now - self._began,
            lease_s=self._registry.lease_s,
            suspended=self.suspended,
            readings=self._readings(),
        )
        decided = plan(self._picture, attention, moment)
        if not await self._apply(decided) and not await self._apply_each(attention, moment):
            return None, True
        self._later = attention if decided.wake_s is not None else frozenset()
        return min(filter(None, (decided.wake_s, settles_s)), default=None), False

    def _slice(self, attention: frozenset[str]) -> frozenset[str]:
        """Return as many workloads, oldest first, as can be decided without holding up the event loop."""
        most = max(1, JUDGEMENTS // max(1, len(self._picture.nodes)))
        if len(attention) <= most:
            return attention
        known = [self._picture.workloads[one] for one in attention if one in self._picture.workloads]
        known.sort(key=lambda row: (row.created_ms, row.workload_id))
        self._picture.look_again(row.workload_id for row in known[most:])
        self.wake()
        return frozenset(row.workload_id for row in known[:most])

    async def _apply(self, decided: Plan) -> bool:
        self._remember(decided.placements)
        if decided.empty:
            return True
        try:
            await self._ledger.apply(
                PlanAssignments(
                    at_ms=self._clock.wall_ms(),
                    actor=ACTOR,
                    place=decided.place,
                    stop=decided.stop,
                    lose=decided.lose,
                    pending=decided.pending,
                )
            )
        except SwarmletError as refusal:
            logger.warning("a plan was refused", extra={"code": refusal.code, "why": refusal.what})
            return False
        for place in decided.place:
            node = self._picture.nodes[place.node_uid].name
            logger.info("replica placed", extra={"assignment": place.assignment_id, "node": node})
        for name in decided.lose:
            logger.warning("replica given up with its node", extra={"assignment": name})
        return True

    async def _apply_each(self, attention: Iterable[str], moment: Moment) -> bool:
        """Plan workload by workload, so that one that cannot be applied holds up no other."""
        done = [await self._apply(plan(self._picture, [one], moment)) for one in sorted(attention)]
        return all(done)

    def _notice(self, suspension: Suspension | None) -> None:
        before, self.suspended = self.suspended, None if suspension is None else suspension.reason
        if before is None and self.suspended is not None:
            logger.error(self.suspended)
        elif before is not None and self.suspended is None:
            logger.warning("reassignment goes on: enough nodes are back or were removed")
            self._picture.look_at_waiting()

    def _remember(self, placements: Mapping[str, tuple[PlacementView, ...]]) -> None:
        for workload_id, views in placements.items():
            kept = self._placements.setdefault(workload_id, {})
            kept.update((view.replica, view) for view in views)
            self._placements.move_to_end(workload_id)
        while len(self._placements) > _EXPLAINED:
            self._placements.popitem(last=False)
