"""Workloads and assignments: epochs, generations, and observations that never go backwards."""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarmlet.coordinator.store import commands as c
from swarmlet.coordinator.store import queries
from swarmlet.model.membership import NodeState
from swarmlet.model.workload import TERMINAL, AssignmentState, may_advance
from tests.fakes.history import T0, Bench, admit, mint, place, plan, report, seen, submit, uid


@pytest.fixture
def two(bench: Bench) -> Bench:
    """Two nodes and a workload of two replicas."""
    bench.do(mint(uses=9))
    bench.do(admit(1))
    bench.do(admit(2))
    bench.do(submit(replicas=2))
    return bench


def row(bench: Bench, assignment_id: str = "w.0.1"):
    found = queries.assignments(bench.db, node_uid=None, workload_id=None, live=False)
    return next(one for one in found if one.assignment_id == assignment_id)


def stop(workload_id: str = "w") -> c.StopWorkload:
    return c.StopWorkload(at_ms=T0, actor="uid:0", workload_id=workload_id)


# ---- what an auditor sees of plans


def test_u1_a_plan_that_moves_something_is_audited_and_one_that_only_words_a_wait_is_not(two: Bench) -> None:
    two.do(plan(place(1), pending={"w": "no node has enough memory"}))
    two.do(plan(pending={"w": "every node is away"}))
    kinds = [one.kind for one in queries.audit(two.db, before=None, limit=9, everything=False)]
    assert kinds.count("plan-assignments") == 1
    everything = [one.kind for one in queries.audit(two.db, before=None, limit=9, everything=True)]
    assert everything.count("plan-assignments") == 2
    assert queries.verify_audit(two.db, ()).intact


# ---- workloads


def test_a_name_is_taken_while_its_workload_is_wanted(two: Bench) -> None:
    assert two.refusal(submit("other", name="w")) == "SWL-505"
    two.do(stop())
    two.do(submit("other", name="w"))
    assert [one.workload_id for one in queries.workloads(two.db)] == ["other", "w"]


def test_a_name_is_free_once_every_replica_came_to_its_end(two: Bench) -> None:
    two.do(plan(place(1), place(2, replica=1)))
    two.do(report(1, seen("w.0.1", "succeeded", 1)))
    assert two.refusal(submit("other", name="w")) == "SWL-505"
    two.do(report(2, seen("w.1.1", "failed", 1)))
    two.do(submit("other", name="w"))


def test_a_lost_replica_keeps_the_name_because_it_is_placed_again(two: Bench) -> None:
    two.do(plan(place(1), place(2, replica=1)))
    two.do(report(1, seen("w.0.1", "succeeded", 1)))
    two.do(plan(lose=("w.1.1",)))
    assert two.refusal(submit("other", name="w")) == "SWL-505"


def test_nothing_is_given_up_with_a_node_that_came_back_since_the_plan_was_made(two: Bench) -> None:
    two.do(plan(place(1)))
    for state in (NodeState.READY, NodeState.SUSPECT):
        two.do(c.NodeTransition(at_ms=T0, actor="coordinator", node_uid=uid(1), state=state, reason="test"))
        assert two.refusal(plan(place(2, epoch=2), lose=("w.0.1",))) == "SWL-608"
        assert row(two).state is AssignmentState.ASSIGNED
    down = NodeState.DOWN
    two.do(c.NodeTransition(at_ms=T0, actor="coordinator", node_uid=uid(1), state=down, reason="test"))
    two.do(plan(place(2, epoch=2), lose=("w.0.1",)))
    assert row(two).state is AssignmentState.LOST


def test_stopping_asks_every_node_that_has_some_of_it(two: Bench) -> None:
    two.do(plan(place(1), place(2, replica=1)))
    two.do(report(2, seen("w.1.1", "succeeded", 1)))
    before = queries.generation(two.db, uid(1))
    result = two.do(stop())
    assert result.generations == {uid(1): before + 1}
    assert row(two).stop
    assert not row(two, "w.1.1").stop
    assert not two.do(stop()).changed
    assert two.refusal(stop("nothing")) == "SWL-504"


def test_why_a_workload_waits_is_kept_and_cleared(two: Bench) -> None:
    two.do(plan(pending={"w": "no node has docker"}))
    assert queries.workloads(two.db)[0].pending_reason == "no node has docker"
    assert not two.do(plan(pending={"w": "no node has docker"})).changed
    two.do(plan(pending={"w": ""}))
    assert queries.workloads(two.db)[0].pending_reason == ""


# ---- plans


def test_an_epoch_must_be_higher_than_every_earlier_one_of_its_replica(two: Bench) -> None:
    two.do(plan(place(1, epoch=3)))
    two.do(plan(lose=("w.0.3",)))
    for epoch in (1, 2, 3):
        assert two.refusal(plan(place(2, epoch=epoch))) == "SWL-608"
    two.do(plan(place(2, epoch=4)))
    assert queries.epoch(two.db, "w", 0) == 4
    assert queries.epoch(two.db, "w", 1) == 0


def test_a_plan_is_taken_whole_or_not_at_all(two: Bench) -> None:
    two.do(plan(place(1)))
    assert two.refusal(plan(place(2, replica=1), place(2, epoch=1), stop=("w.0.1",))) == "SWL-608"
    assert two.refusal(plan(stop=("nothing",))) == "SWL-608"
    assert not row(two).stop


def test_nothing_is_placed_for_a_workload_or_on_a_node_that_is_gone(two: Bench) -> None:
    two.do(c.RemoveNode(at_ms=T0, actor="uid:0", node_uid=uid(2)))
    assert two.refusal(plan(place(2))) == "SWL-608"
    assert two.refusal(plan(place(9))) == "SWL-608"
    two.do(stop())
    assert two.refusal(plan(place(1))) == "SWL-608"
    assert two.refusal(plan(place(1, "nothing"))) == "SWL-608"


def test_a_generation_grows_with_every_change_of_a_nodes_desired_set(two: Bench) -> None:
    def generation() -> int:
        found = queries.desired(two.db, uid(1))
        assert found is not None
        assert found.generation == queries.generation(two.db, uid(1))
        return found.generation

    assert generation() == 0
    assert two.do(plan(place(1), place(1, replica=1))).generations == {uid(1): 1}
    two.do(report(1, seen("w.0.1", "running", 1)))
    assert generation() == 1
    two.do(plan(stop=("w.0.1",)))
    assert generation() == 2
    two.do(report(1, seen("w.0.1", "stopped", 2)))
    assert generation() == 3
    desired = queries.desired(two.db, uid(1))
    assert desired is not None
    assert [one.assignment_id for one in desired.assignments] == ["w.1.1"]
    two.do(plan(lose=("w.1.1",)))
    assert generation() == 4
    assert queries.generation(two.db, uid(2)) == 0


# ---- observations (N2)


def test_n2_duplicates_and_reordered_reports_change_nothing(two: Bench) -> None:
    two.do(plan(place(1)))
    two.do(report(1, seen("w.0.1", "running", 2)))
    for late in (seen("w.0.1", "running", 2), seen("w.0.1", "preparing", 1)):
        result = two.do(report(1, late))
        assert not result.changed
        assert result.taken == (("w.0.1", 1, late.sequence),)
    assert row(two).sequence == 2


def test_n2_every_order_and_repetition_of_reports_ends_in_the_same_state() -> None:
    told = [
        seen("w.0.1", "preparing", 1),
        seen("w.0.1", "running", 2),
        seen("w.0.1", "succeeded", 3, exit_code=0),
    ]
    ends = set()
    for order in itertools.permutations(told):
        bench = Bench()
        for command in (mint(), admit(1), submit(), plan(place(1))):
            bench.do(command)
        for one in (*order, *order):
            bench.do(report(1, one))
        ends.add((row(bench).state, row(bench).sequence, row(bench).exit_code))
        bench.close()
    assert ends == {(AssignmentState.SUCCEEDED, 3, 0)}


def test_n2_nobody_reports_for_another_node_or_an_older_epoch(two: Bench) -> None:
    two.do(plan(place(1)))
    assert not two.do(report(2, seen("w.0.1", "running", 1))).changed
    assert not two.do(report(1, seen("w.0.1", "running", 1, epoch=2))).changed
    foreign = two.do(report(1, seen("nothing", "running", 1)))
    assert foreign.taken == (("nothing", 1, 1),)
    assert row(two).state is AssignmentState.ASSIGNED


def test_what_was_lost_stays_lost_when_the_node_comes_back(two: Bench) -> None:
    two.do(plan(place(1)))
    two.do(report(1, seen("w.0.1", "running", 1)))
    two.do(plan(place(2, epoch=2), lose=("w.0.1",)))
    assert not two.do(report(1, seen("w.0.1", "running", 2))).changed
    assert row(two).state is AssignmentState.LOST


def test_a_restart_on_the_node_may_begin_again(two: Bench) -> None:
    two.do(plan(place(1)))
    two.do(report(1, seen("w.0.1", "running", 1)))
    assert not two.do(report(1, seen("w.0.1", "preparing", 2))).changed
    assert two.do(report(1, seen("w.0.1", "preparing", 3, restarts=1))).changed
    assert row(two).restarts == 1


def test_a_node_that_lost_its_journal_may_count_its_restarts_anew(two: Bench) -> None:
    two.do(plan(place(1)))
    two.do(report(1, seen("w.0.1", "running", 5, restarts=3)))
    assert not two.do(report(1, seen("w.0.1", "preparing", 4, restarts=0))).changed
    assert two.do(report(1, seen("w.0.1", "preparing", 6, restarts=0))).changed
    assert row(two).restarts == 0


@given(st.lists(st.tuples(st.sampled_from(list(AssignmentState)), st.booleans()), max_size=12))
def test_states_never_go_backwards_and_an_end_is_an_end(steps) -> None:
    now = AssignmentState.ASSIGNED
    for state, restarted in steps:
        if may_advance(now, state, restarted=restarted):
            assert now not in TERMINAL
            now = state
        elif now not in TERMINAL:
            assert not restarted
            assert list(AssignmentState).index(state) < list(AssignmentState).index(now)


def test_n2_random_deliveries_converge(two: Bench, seed: int) -> None:
    rng = random.Random(seed)
    two.do(plan(place(1)))
    told = [seen("w.0.1", "preparing", 1)]
    told += [seen("w.0.1", "running", number, restarts=number) for number in range(2, 20)]
    told += [seen("w.0.1", "failed", 20, exit_code=3, restarts=19)]
    deliveries = told * 3
    rng.shuffle(deliveries)
    while deliveries:
        batch = [deliveries.pop() for _ in range(min(len(deliveries), rng.randrange(1, 6)))]
        two.do(report(1, *batch))
    end = row(two)
    assert (end.state, end.exit_code, end.restarts, end.sequence) == (AssignmentState.FAILED, 3, 19, 20)
