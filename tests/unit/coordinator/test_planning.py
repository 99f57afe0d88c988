from __future__ import annotations

import pytest

from swarmlet.coordinator import planning
from swarmlet.coordinator.store.commands import (
    NodeTransition,
    RemoveNode,
    SetAvailability,
    StopWorkload,
    SubmitWorkload,
)
from swarmlet.errors import error
from swarmlet.model.membership import Availability, NodeState
from swarmlet.model.workload import AssignmentState, OnPartition
from tests.fakes.coordinator import inside
from tests.fakes.records import spec


def placed(parts, workload: str = "w") -> list[str]:
    return [one.node_uid for one in parts.picture.of_workload(workload)]


async def test_a_submitted_workload_is_placed_without_anybody_asking(tmp_path) -> None:
    async with inside(tmp_path) as parts:
        uid = await parts.join("pi")
        await parts.apply(SubmitWorkload, workload_id="w", spec=spec())
        await parts.until(lambda: placed(parts) == [uid])
        assert [view.node for view in parts.planning.placement("w")] == ["pi"]


async def test_what_waits_is_placed_when_a_node_comes(tmp_path) -> None:
    async with inside(tmp_path) as parts:
        await parts.apply(SubmitWorkload, workload_id="w", spec=spec())
        await parts.until(lambda: parts.picture.workloads["w"].pending_reason != "")
        uid = await parts.join("pi")
        await parts.until(lambda: placed(parts) == [uid])
        await parts.until(lambda: parts.picture.workloads["w"].pending_reason == "")


async def test_what_was_left_undone_is_done_after_a_restart(tmp_path) -> None:
    async with inside(tmp_path, planning=False) as parts:
        uid = await parts.join("pi")
        await parts.apply(SubmitWorkload, workload_id="w", spec=spec())
    async with inside(tmp_path) as parts:
        await parts.until(lambda: placed(parts) == [uid])


async def test_work_of_a_lost_node_moves_after_the_grace(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("swarmlet.coordinator.scheduler.GRACE_S", 0.2)
    async with inside(tmp_path) as parts:
        first = await parts.join("a")
        await parts.apply(SubmitWorkload, workload_id="w", spec=spec())
        await parts.until(lambda: placed(parts) == [first])
        second = await parts.join("b")
        parts.registry.lease(parts.picture.nodes[first], "lost", 0, parts.clock.boot(), 0)
        await parts.apply(NodeTransition, node_uid=first, state=NodeState.DOWN, reason="test")
        await parts.until(lambda: second in placed(parts))
        states = {one.node_uid: one.state for one in parts.picture.of_workload("w")}
        assert states == {first: AssignmentState.LOST, second: AssignmentState.ASSIGNED}


async def test_a_singleton_of_a_removed_node_waits_for_its_lease(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("swarmlet.coordinator.scheduler.GRACE_S", 0.1)
    async with inside(tmp_path) as parts:
        parts.registry.lease_s = 0.3
        parts.planning._began = float("-inf")
        first = await parts.join("a")
        await parts.apply(SubmitWorkload, workload_id="w", spec=spec(on_partition=OnPartition.STOP))
        await parts.until(lambda: placed(parts) == [first])
        second = await parts.join("b")
        began = parts.clock.boot()
        parts.registry.removed(first, began)
        await parts.apply(RemoveNode, node_uid=first)
        await parts.until(lambda: second in placed(parts))
        assert parts.clock.boot() - began >= 0.4


async def test_a_drained_node_is_emptied_and_its_work_begins_elsewhere(tmp_path) -> None:
    async with inside(tmp_path) as parts:
        first = await parts.join("a")
        await parts.apply(SubmitWorkload, workload_id="w", spec=spec())
        await parts.until(lambda: placed(parts) == [first])
        second = await parts.join("b")
        await parts.apply(SetAvailability, node_uid=first, availability=Availability.DRAINING)
        await parts.until(lambda: parts.picture.assignments["w.0.1"].stop)
        await parts.observe("w.0.1", AssignmentState.STOPPED)
        await parts.until(lambda: second in placed(parts))


async def test_a_plan_that_is_refused_is_made_again(tmp_path, monkeypatch) -> None:
    async with inside(tmp_path) as parts:
        uid = await parts.join("pi")
        refusals = 0
        inner = parts.planning._ledger.apply

        async def refuse_first(command):
            nonlocal refusals
            if type(command).__name__ == "PlanAssignments" and refusals < 4:
                refusals += 1
                raise error("SWL-302", path="/x")
            return await inner(command)

        monkeypatch.setattr(parts.planning._ledger, "apply", refuse_first)
        await parts.apply(SubmitWorkload, workload_id="w", spec=spec())
        await parts.until(lambda: placed(parts) == [uid])
        assert refusals == 4


async def test_one_workload_that_cannot_be_planned_holds_up_no_other(tmp_path, monkeypatch) -> None:
    async with inside(tmp_path) as parts:
        uid = await parts.join("pi")
        inner = parts.planning._ledger.apply

        async def refuse_bad(command):
            if any(place.workload_id == "bad" for place in getattr(command, "place", ())):
                raise error("SWL-608", detail="test", hint="")
            return await inner(command)

        monkeypatch.setattr(parts.planning._ledger, "apply", refuse_bad)
        await parts.apply(SubmitWorkload, workload_id="bad", spec=spec("bad"))
        await parts.apply(SubmitWorkload, workload_id="w", spec=spec())
        await parts.until(lambda: placed(parts) == [uid])


async def test_a_bug_in_a_plan_does_not_end_the_coordinator(tmp_path, monkeypatch, caplog) -> None:
    async with inside(tmp_path) as parts:
        uid = await parts.join("pi")
        real = planning.plan
        broken = [True]

        def plan(*args):
            if broken:
                broken.pop()
                raise ZeroDivisionError
            return real(*args)

        monkeypatch.setattr(planning, "plan", plan)
        await parts.apply(SubmitWorkload, workload_id="w", spec=spec())
        await parts.until(lambda: not broken)
        await parts.apply(SubmitWorkload, workload_id="v", spec=spec("v"))
        await parts.until(lambda: placed(parts, "v") == [uid])
        await parts.until(lambda: placed(parts) == [uid])
    assert "ZeroDivisionError" in caplog.text


async def test_much_to_decide_is_decided_in_slices_oldest_first(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(planning, "JUDGEMENTS", 3)
    sizes: list[int] = []
    real = planning.plan

    def plan(picture, attention, moment):
        sizes.append(len(list(attention)))
        return real(picture, attention, moment)

    monkeypatch.setattr(planning, "plan", plan)
    async with inside(tmp_path, planning=False) as parts:
        uid = await parts.join("pi")
        for number in range(10):
            await parts.apply(SubmitWorkload, workload_id=f"w{number}", spec=spec(f"w{number}"))
    async with inside(tmp_path) as parts:
        await parts.until(lambda: all(placed(parts, f"w{number}") == [uid] for number in range(10)))
    assert max(sizes) <= 3


async def test_stopping_before_it_was_placed_places_nothing(tmp_path) -> None:
    async with inside(tmp_path, planning=False) as parts:
        await parts.join("pi")
        await parts.apply(SubmitWorkload, workload_id="w", spec=spec())
        await parts.apply(StopWorkload, workload_id="w")
    async with inside(tmp_path) as parts:
        await parts.apply(SubmitWorkload, workload_id="v", spec=spec("v"))
        await parts.until(lambda: placed(parts, "v") != [])
        assert placed(parts) == []


@pytest.mark.parametrize("count", [1, 40])
async def test_commands_under_way_together_leave_memory_as_the_disk_is(tmp_path, count) -> None:
    async with inside(tmp_path) as parts:
        await parts.join("pi")
        jobs = [
            parts.tasks.create_task(
                parts.apply(SubmitWorkload, workload_id=f"w{n}", spec=spec(f"w{n}", replicas=3))
            )
            for n in range(count)
        ]
        for job in jobs:
            await job
        await parts.until(lambda: len(parts.picture.assignments) == 3 * count)
        assert {
            one.assignment_id: one for one in await parts.store.assignments()
        } == parts.picture.assignments
        assert {one.workload_id: one for one in await parts.store.workloads()} == parts.picture.workloads
        for uid in parts.picture.nodes:
            assert parts.picture.generations[uid] == await parts.store.generation(uid)
