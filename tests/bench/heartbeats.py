"""Heartbeats a second through one coordinator: the real protocol and process, at shorter intervals."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from typing import NamedTuple

from tests.bench import cluster
from tests.bench.crowd import Crowd
from tests.bench.measure import Figure, Plan, quantile
from tests.bench.processes import Meter
from tests.integration.harness import World, eventually

_BAR = 20_000.0
_LEASE_MS = 15_000
_RETURN_S = 60.0


class _Step(NamedTuple):
    """One interval: heartbeats a second asked for, acknowledged by the clock, and by the coordinator's core.

    ``late`` counts changes of standing (a node called suspect, or back): silence is judged after 2.5
    intervals, so at short ones a pause of the machine's scheduler is enough.
    """

    asked: float
    by_clock: float
    by_core: float
    cores: float
    late: int

    def __str__(self) -> str:
        late = f", {self.late} changes of standing" if self.late else ""
        return (
            f"{self.asked:.0f}/s asked, {self.by_clock:.0f}/s acknowledged with {self.cores:.2f} cores{late}"
        )


def figures(plan: Plan) -> Iterator[Figure]:
    """Join nodes with the coordinator as shipped, then have them come back to one with shorter intervals."""
    nodes = plan.pick(2_000, 500)
    with cluster.gathered(plan, "heartbeats") as (world, crowd):
        crowd.join(crowd.make(nodes), at_once=500, deadline_s=60)
        intervals = (100,) if plan.quick else (200, 100, 50)
        back = _restart(world, crowd, intervals[0])
        steps = [_measure(plan, world, crowd, intervals[0])]
        for interval in intervals[1:]:
            # Only to change the interval: nobody needs to wait for the nodes' back-off again.
            _restart(world, crowd, interval, hurry=True)
            steps.append(_measure(plan, world, crowd, interval))
    steady = [step for step in steps if not step.late] or steps[:1]
    best = max(steady, key=lambda step: step.asked)
    yield Figure(
        f"heartbeats through one core, {nodes} nodes",
        best.by_core,
        "1/s",
        bar=f"{_BAR:g}/s",
        met=best.by_core >= _BAR and not best.late,
        note="acknowledged a second of the coordinator's processor time, at the shortest interval that "
        f"called no node late: {best}. All steps: {'; '.join(map(str, steps))}. The load shares the cores",
    )
    yield Figure(
        f"{nodes} nodes back after the coordinator was killed",
        max(back),
        "s",
        note="from kill -9 to the last node with its desired state, half were back "
        f"after {quantile(back, 0.5):.1f} s, 99 % after {quantile(back, 0.99):.1f} s; the coordinator's "
        "start and the nodes' own back-off included",
    )


def _measure(plan: Plan, world: World, crowd: Crowd, interval_ms: int) -> _Step:
    crowd.hold(1)
    counted, meter = _counts(world, crowd), Meter(cluster.pid(world))
    crowd.hold(plan.pick(5, 3))
    after, (seconds, cpu) = _counts(world, crowd), meter.read()
    acknowledged = after[0] - counted[0]
    return _Step(
        asked=len(crowd.devices) * 1000 / interval_ms,
        by_clock=acknowledged / seconds,
        by_core=acknowledged / cpu,
        cores=cpu / seconds,
        late=after[1] - counted[1],
    )


def _counts(world: World, crowd: Crowd) -> tuple[int, int]:
    """Return what was acknowledged and what was recorded so far.

    Nothing but acknowledgements comes to the nodes now, and nothing but a change of standing is recorded.
    """
    return crowd.engine.stats()["frames_in"], cluster.view(world).stats["store_commands"]


def _restart(world: World, crowd: Crowd, interval_ms: int, *, hurry: bool = False) -> list[float]:
    """Kill the coordinator, start one with another interval; return after how long each node was back."""
    assert world.coordinator is not None
    began = time.perf_counter()
    world.coordinator.kill()
    words = [str(world.cluster_dir), str(world.port), str(interval_ms), str(_LEASE_MS)]
    world.coordinator = world.start(
        [sys.executable, "-m", "tests.bench.coordinator", *words], "coordinator.log"
    )
    crowd.until(lambda: bool(crowd.pending), 10)
    if hurry:
        eventually(
            lambda: world.stratoswarm("cluster", "status").returncode == 0, "the coordinator answering"
        )
        crowd.hurry()
    if not crowd.until(lambda: not crowd.pending, _RETURN_S):
        raise RuntimeError(f"{len(crowd.pending)} nodes did not come back in {_RETURN_S:g} s")
    crowd.until(lambda: cluster.view(world).nodes.get("ready") == len(crowd.devices), 5)
    return [device.ready_at - began for device in crowd.devices]
