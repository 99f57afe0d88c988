"""How many nodes one coordinator holds, in how much memory, and what their heartbeats cost."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import NamedTuple

from tests.bench import cluster, processes
from tests.bench.crowd import Crowd
from tests.bench.measure import Figure, Plan
from tests.bench.processes import MB, Meter
from tests.integration.harness import World

_NODES_BAR = 10_000
_MEMORY_BAR_MB = 600.0
#: Devices on their way in at once while the crowd is gathered.
_AT_ONCE = 500
_JOIN_DEADLINE_S = 150.0
_INTERVAL_S = 5.0


class _Held(NamedTuple):
    """A stretch of holding: what the crowd sent and got, what the coordinator counted and used."""

    seconds: float
    heartbeats: int
    acknowledged: int
    ready: int
    cpu: float


def figures(plan: Plan) -> Iterator[Figure]:
    """Gather nodes in steps and hold each number for some heartbeats."""
    most = processes.most_connections(plan.pick(10_000, 1_000))
    with cluster.gathered(plan, "nodes") as (world, crowd):
        for count in sorted({plan.pick(2_000, most), most}):
            began = time.perf_counter()
            crowd.join(crowd.make(count - len(crowd.devices)), at_once=_AT_ONCE, deadline_s=_JOIN_DEADLINE_S)
            gathered_s = time.perf_counter() - began
            # One interval to calm down, then what is counted.
            crowd.hold(_INTERVAL_S)
            held = _hold(world, crowd, 15 if count >= _NODES_BAR else plan.pick(10, 5))
            yield from _report(world, count, held, f"gathered in {gathered_s:.0f} s")


def _hold(world: World, crowd: Crowd, seconds: int) -> _Held:
    before, meter = crowd.engine.stats(), Meter(cluster.pid(world))
    crowd.hold(seconds)
    after, (passed, cpu) = crowd.engine.stats(), meter.read()
    return _Held(
        seconds=passed,
        heartbeats=after["heartbeats_out"] - before["heartbeats_out"],
        # While nothing else happens, acknowledgements are all that comes back.
        acknowledged=after["frames_in"] - before["frames_in"],
        ready=cluster.view(world).nodes.get("ready", 0),
        cpu=cpu,
    )


def _report(world: World, count: int, held: _Held, how: str) -> Iterator[Figure]:
    memory = processes.resident(cluster.pid(world)) / MB
    peak = processes.resident_peak(cluster.pid(world)) / MB
    judged = count >= _NODES_BAR
    yield Figure(
        f"nodes held at a heartbeat each {_INTERVAL_S:g} s, of {count}",
        float(held.ready),
        "nodes",
        bar=f"{_NODES_BAR}" if judged else "",
        met=held.ready >= _NODES_BAR if judged else None,
        note=f"{how}; ready in the coordinator's own count; {held.heartbeats / held.seconds:.0f} "
        f"heartbeats/s, {held.acknowledged / max(held.heartbeats, 1):.1%} acknowledged; "
        f"{held.cpu / held.seconds:.1%} of a core",
    )
    yield Figure(
        f"coordinator's memory at {count} nodes",
        memory,
        "MB RSS",
        bar=f"{_MEMORY_BAR_MB:g} MB" if judged else "",
        met=memory <= _MEMORY_BAR_MB if judged else None,
        note=f"{memory * 1000 / count:.1f} kB a node, the program included; peak {peak:.0f} MB",
    )
