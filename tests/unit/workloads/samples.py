"""Assignments for tests, with what most tests do not care about filled in."""

from __future__ import annotations

from typing import Any

from swarmlet.link.messages import Desired
from swarmlet.model.workload import Assignment, Kind, WorkloadSpec
from swarmlet.workloads.replica import Now, Replica

NOW = Now(boot=1000.0, ms=1_700_000_000_000, jitter=0.5)


def spec(**fields: Any) -> WorkloadSpec:
    fields.setdefault("kind", Kind.CONTAINER if fields.get("image") else Kind.PROCESS)
    if fields["kind"] is Kind.PROCESS:
        fields.setdefault("command", ("/bin/true",))
    return WorkloadSpec(name=fields.pop("title", "w"), **fields)


def assignment(name: str = "w.0.1", epoch: int = 1, *, stop: bool = False, **fields: Any) -> Assignment:
    workload, replica = fields.pop("workload", "w"), fields.pop("replica", 0)
    return Assignment(name, workload, replica, epoch, spec(**fields), stop=stop)


def replica(**fields: Any) -> Replica:
    return Replica(assignment=assignment(**fields), since_ms=NOW.ms)


def snapshot(*assignments: Assignment, generation: int = 1) -> Desired:
    return Desired(generation, 0, full=True, assignments=assignments)


def change(*assignments: Assignment, base: int, removed: tuple[str, ...] = ()) -> Desired:
    return Desired(base + 1, base, full=False, assignments=assignments, removed=removed)
