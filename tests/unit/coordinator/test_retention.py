"""What is spent goes, from the disk and from memory; what has not ended stays, whatever is asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from swarmlet.coordinator import retention
from swarmlet.coordinator.housekeeping import Housekeeping
from swarmlet.coordinator.picture import Picture
from swarmlet.coordinator.retention import KEPT_MS, MOST_PAST, spent
from swarmlet.coordinator.store.commands import Prune, RemoveNode, SubmitWorkload
from swarmlet.model.records import ClusterRecord
from swarmlet.model.workload import AssignmentState
from tests.fakes.coordinator import inside
from tests.fakes.records import assignment, node, spec, workload

NOW_MS = 2_000_000_000_000
CLUSTER = ClusterRecord("c", "test", b"", b"", {}, 0)


def picture(*, workloads, assignments) -> Picture:
    made = Picture(CLUSTER)
    made.load([node()], workloads, assignments)
    return made


def ended(name: str, at_ms: int, state: AssignmentState = AssignmentState.SUCCEEDED, **given):
    return assignment(name, state=state, state_since_ms=at_ms, **given)


def test_finished_work_is_kept_for_a_week_and_work_that_goes_on_for_good() -> None:
    found = picture(
        workloads=[workload("old"), workload("new"), workload("runs"), workload("waits")],
        assignments=[
            ended("old", NOW_MS - KEPT_MS - 1),
            ended("new", NOW_MS - KEPT_MS + 1),
            assignment("runs", state=AssignmentState.RUNNING, state_since_ms=1),
        ],
    )
    assert spent(found, NOW_MS) == (("old",), ())


def test_of_very_much_finished_work_the_newest_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "MOST_FINISHED", 3)
    names = [f"w{number}" for number in range(10)]
    found = picture(
        workloads=[workload(name) for name in names],
        assignments=[ended(name, NOW_MS - 1000 + number) for number, name in enumerate(names)],
    )
    assert spent(found, NOW_MS).workloads == tuple(names[:7])


def test_of_a_replica_that_moved_very_often_the_last_places_are_kept() -> None:
    lost = [ended("w", NOW_MS, AssignmentState.LOST, epoch=epoch) for epoch in range(1, 40)]
    runs = assignment("w", epoch=40, state=AssignmentState.RUNNING)
    chosen = spent(picture(workloads=[workload("w")], assignments=[*lost, runs]), NOW_MS)
    assert chosen.workloads == ()
    kept = {record.assignment_id for record in lost} - set(chosen.assignments)
    assert kept == {record.assignment_id for record in lost[-MOST_PAST:]}


async def submit(parts, name: str, number: int, **given) -> str:
    workload_id = f"{number:016x}"
    await parts.apply(SubmitWorkload, workload_id=workload_id, spec=spec(name, **given))
    return workload_id


async def test_what_is_forgotten_is_gone_from_disk_and_memory_and_the_rest_is_not(tmp_path: Path) -> None:
    async with inside(tmp_path) as parts:
        await parts.join("pi")
        done = await submit(parts, "done", 0)
        await parts.until(lambda: f"{done}.0.1" in parts.picture.assignments)
        await parts.observe(f"{done}.0.1", AssignmentState.SUCCEEDED, exit_code=0)
        runs = await submit(parts, "runs", 1)
        await parts.until(lambda: f"{runs}.0.1" in parts.picture.assignments)
        waits = await submit(parts, "waits", 3, constraints=("zone==nowhere",))
        result = await parts.ledger.apply(
            Prune(
                at_ms=parts.clock.wall_ms(),
                actor="coordinator",
                workloads=(done, runs, waits, "none"),
                assignments=(f"{runs}.0.1", "none"),
            )
        )
        assert (result.gone_workloads, result.gone_assignments) == ((done,), (f"{done}.0.1",))
        assert set(parts.picture.workloads) == {runs, waits}
        assert set(parts.picture.assignments) == {f"{runs}.0.1"}
        assert {row.workload_id for row in await parts.store.workloads()} == {runs, waits}
        assert list(parts.picture.ended_on(next(iter(parts.picture.nodes)))) == []
        again = await submit(parts, "done", 2)  # its name is free, as it was
        assert again != done
        assert (await parts.store.verify_audit()).intact


async def test_a_refusal_goes_once_the_certificate_and_its_grace_are_long_over(tmp_path: Path) -> None:
    async with inside(tmp_path) as parts:
        await parts.join("pi")
        uid = next(iter(parts.picture.nodes))
        await parts.apply(RemoveNode, node_uid=uid)
        denied = await parts.store.denied_serials()
        assert denied
        house = Housekeeping(parts.store, parts.ledger, parts.picture, parts.clock)
        await house.once()
        assert await parts.store.denied_serials() == denied
        late = Prune(at_ms=parts.clock.wall_ms() + 200 * 86_400_000, actor="coordinator")
        result = await parts.ledger.apply(late)
        assert result.forgiven == denied
        assert await parts.store.denied_serials() == ()
        before = await parts.store.head()
        await house.once()  # nothing is spent: nothing is written
        assert await parts.store.head() == before
