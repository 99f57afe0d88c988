"""A thousand devices join at once: does everyone get in, how fast, how late is the last."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from typing import NamedTuple

from tests.bench import cluster, processes
from tests.bench.crowd import Device
from tests.bench.measure import Figure, Plan, quantile, spread

_BAR = 150.0
_DEADLINE_S = 90.0


class _Rush(NamedTuple):
    """One round: devices a second, seconds; ``cpu_ms`` is the coordinator's processor time per device."""

    admitted: float
    ready: float
    p99_s: float
    ready_p99_s: float
    cpu_ms: float
    failures: list[str]


def figures(plan: Plan) -> Iterator[Figure]:
    """Measure rounds on a new cluster each."""
    count = plan.pick(1000, 1000)
    rounds = [_round(plan, number, count) for number in range(plan.pick(3, 1))]
    failures = [one for each in rounds for one in each.failures]
    yield Figure(
        f"{count} joins at once: failures",
        float(len(failures)),
        "devices",
        bar="0",
        met=not failures,
        note=f"{len(rounds)} rounds of {count}" + (f"; first: {failures[0]}" if failures else ""),
    )
    cpu = statistics.median(one.cpu_ms for one in rounds)
    yield _rate(
        f"{count} joins at once: admitted",
        [one.admitted for one in rounds],
        f"until the last certificate was received, while the admitted were already coming back with theirs; "
        f"p99 {statistics.median(one.p99_s for one in rounds):.2f} s",
    )
    yield _rate(
        f"{count} joins at once: accepting work",
        [one.ready for one in rounds],
        "until the last device was connected with its certificate and had its desired state; "
        f"p99 {statistics.median(one.ready_p99_s for one in rounds):.2f} s; "
        f"{cpu:.1f} ms of the coordinator's processor time each",
    )


def _rate(what: str, rates: list[float], note: str) -> Figure:
    middle = statistics.median(rates)
    note = f"{note}; {spread(rates, '1/s')}"
    return Figure(what, middle, "1/s", bar=f"{_BAR:g}/s", met=middle >= _BAR, note=note)


def _round(plan: Plan, number: int, count: int) -> _Rush:
    with cluster.gathered(plan, f"rush{number}") as (world, crowd):
        devices = crowd.make(count)
        meter = processes.Meter(cluster.pid(world))
        crowd.join(devices, at_once=count, deadline_s=_DEADLINE_S)
        _, cpu = meter.read()
        began = min(one.began for one in devices)
        return _Rush(
            admitted=count / (max(one.admitted_at for one in devices) - began),
            ready=count / (max(one.ready_at for one in devices) - began),
            p99_s=quantile([one.admitted_at - one.began for one in devices if one.admitted_at], 0.99),
            ready_p99_s=quantile([one.ready_at - one.began for one in devices if one.ready_at], 0.99),
            cpu_ms=cpu / count * 1000,
            failures=[_why(one) for one in devices if not one.ready_at],
        )


def _why(device: Device) -> str:
    return device.fault or f"still {device.phase} after {_DEADLINE_S:g} s"
