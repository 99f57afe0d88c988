from __future__ import annotations

import pytest

from swarmlet.coordinator.picture import Picture
from swarmlet.coordinator.present import node_view, token_state, workload_view
from swarmlet.coordinator.standing import audit_counts, standing
from swarmlet.model.health import Reading
from swarmlet.model.membership import Availability, NodeState
from swarmlet.model.records import TokenRecord
from swarmlet.model.views import TokenState, WorkloadState
from swarmlet.model.workload import AssignmentState as S
from swarmlet.model.workload import OnPartition
from tests.fakes.records import CLUSTER, assignment, node, workload

NODES = {"uid-n": node()}


def stands(*states: S | None, stopping: bool = False, pending: str = "", **given):
    rows = {
        replica: assignment(replica=replica, state=state, **given)
        for replica, state in enumerate(states)
        if state is not None
    }
    return standing(workload(replicas=len(states), stopping=stopping, pending=pending), rows, NODES)


@pytest.mark.parametrize(
    ("states", "stopping", "state", "code"),
    [
        ((None,), False, WorkloadState.STARTING, None),
        ((S.LOST,), False, WorkloadState.STARTING, None),
        ((S.STOPPED,), False, WorkloadState.STARTING, None),
        ((S.ASSIGNED,), False, WorkloadState.STARTING, None),
        ((S.PREPARING, S.RUNNING), False, WorkloadState.STARTING, None),
        ((S.RUNNING,), False, WorkloadState.RUNNING, None),
        ((S.RUNNING, S.SUCCEEDED), False, WorkloadState.RUNNING, None),
        ((S.RUNNING, None), False, WorkloadState.STARTING, None),
        ((S.SUCCEEDED,), False, WorkloadState.SUCCEEDED, 0),
        ((S.SUCCEEDED, S.FAILED), False, WorkloadState.FAILED, 7),
        ((S.RUNNING,), True, WorkloadState.STOPPING, None),
        ((S.STOPPED,), True, WorkloadState.STOPPED, None),
        ((None,), True, WorkloadState.STOPPED, None),
        ((S.STOPPED, S.LOST), True, WorkloadState.STOPPED, None),
        ((S.SUCCEEDED,), True, WorkloadState.SUCCEEDED, 0),
        ((S.FAILED,), True, WorkloadState.FAILED, 7),
    ],
)
def test_where_a_workload_stands(states, stopping, state, code) -> None:
    found = stands(*states, stopping=stopping, exit_code=7)
    assert (found.state, found.exit_code) == (state, code)


def test_what_never_ran_failed_without_a_code() -> None:
    found = stands(S.FAILED, reason="SWL-501: no such command")
    assert (found.state, found.exit_code) == (WorkloadState.FAILED, None)
    assert "SWL-501" in found.reason


def test_the_reason_is_the_most_telling_one() -> None:
    waiting = stands(None, pending="no node fits")
    assert (waiting.state, waiting.reason) == (WorkloadState.PENDING, "no node fits")
    assert stands(S.RUNNING, S.FAILED, reason="exit code 3").reason == "replica 1 failed: exit code 3"


def test_what_runs_on_a_lost_node_does_not_count_as_running() -> None:
    rows = {0: assignment()}
    down = {"uid-n": node(state=NodeState.DOWN, state_reason="no heartbeat for 15 s")}
    found = standing(workload(), rows, down)
    assert found.running == 0
    assert found.reason == "replica 0 is on n, which is down: no heartbeat for 15 s"


@pytest.mark.parametrize(
    ("state", "since_ms", "policy", "node_state", "stands_as"),
    [
        (S.LOST, 10, OnPartition.KEEP, NodeState.DOWN, WorkloadState.STOPPING),
        (S.LOST, 9, OnPartition.KEEP, NodeState.DOWN, WorkloadState.STOPPED),  # it was back since then
        (S.LOST, 10, OnPartition.STOP, NodeState.DOWN, WorkloadState.STOPPED),  # it ended it by itself
        (S.LOST, 10, OnPartition.KEEP, NodeState.READY, WorkloadState.STOPPED),
        (S.LOST, 10, OnPartition.KEEP, NodeState.REVOKED, WorkloadState.STOPPED),
        (S.STOPPED, 10, OnPartition.KEEP, NodeState.DOWN, WorkloadState.STOPPED),
        (S.RUNNING, 1, OnPartition.STOP, NodeState.SUSPECT, WorkloadState.STOPPING),
        (S.RUNNING, 1, OnPartition.KEEP, NodeState.DOWN, WorkloadState.STOPPING),
    ],
)
def test_what_a_node_that_is_away_has_not_confirmed_is_still_stopping(
    state, since_ms, policy, node_state, stands_as
) -> None:
    asked = workload(stopping=True, on_partition=policy)
    record = assignment(state=state, state_since_ms=since_ms)
    nodes = {"uid-n": node(state=node_state, state_since_ms=10)}
    found = standing(asked, {0: record}, nodes, [record])
    away = stands_as is WorkloadState.STOPPING
    assert (found.state, found.reason) == (stands_as, "node n is away" if away else "")
    not_asked = standing(workload(on_partition=policy), {0: record}, nodes, [record])
    assert not_asked.state is not WorkloadState.STOPPING


def test_an_older_placement_on_a_node_that_is_away_counts_too() -> None:
    made = Picture(CLUSTER)
    nodes = [node(), node("m", state=NodeState.DOWN), node("k", state=NodeState.DOWN)]
    rows = [
        assignment(state=S.LOST, node_uid="uid-m", state_since_ms=5),
        assignment(epoch=2, state=S.LOST, node_uid="uid-k", state_since_ms=5),
        assignment(epoch=3, state=S.STOPPED),
    ]
    made.load(nodes, [workload(stopping=True)], rows)
    shown = workload_view(made, made.workloads["w"], ())
    assert (shown.state, shown.reason) == (WorkloadState.STOPPING, "nodes k and m are away")


def test_every_replica_is_counted_once() -> None:
    rows = [
        assignment(replica=0, state=S.LOST),
        assignment(replica=0, epoch=2, state=S.RUNNING),
        assignment(replica=1, state=S.SUCCEEDED),
        assignment(replica=2, state=S.LOST),
    ]
    found = audit_counts([workload(replicas=4), workload("v", stopping=True, replicas=2)], rows)
    assert found.holds
    assert (found.submitted, found.running, found.done, found.pending, found.cancelled) == (6, 1, 1, 2, 2)


def test_what_breaks_conservation_is_named() -> None:
    rows = [
        assignment(replica=0, state=S.RUNNING),
        assignment(replica=0, epoch=2, state=S.RUNNING),
        assignment(replica=5),
        assignment(replica=1),
        assignment(replica=1, assignment_id="twin"),
    ]
    faults = audit_counts([workload(replicas=2)], rows).faults
    assert "w.0.1 has not ended though epoch 2 exists" in faults
    assert "w has a replica 5 nobody asked for" in faults
    assert any("shares its epoch" in fault for fault in faults)


def test_a_node_is_shown_with_its_reading_and_without_one() -> None:
    seen = node_view(node(), [assignment()], (2000, Reading(0, 1, 120, 4550, 300, 8000, 5, 6, 7)))
    assert (seen.health, seen.cpu_permille, seen.temperature_c) == ("ok", 120, 45.5)
    assert (seen.memory_used, seen.memory_total, seen.workloads) == (300, 8000, 1)
    unseen = node_view(node(state=NodeState.DOWN), [], None)
    assert (unseen.health, unseen.cpu_permille, unseen.memory_total) == (None, None, 8_000_000_000)
    assert unseen.next_step.startswith("check its power")
    cold = node_view(node(availability=Availability.CORDONED), [], (1, Reading()))
    assert cold.temperature_c is None
    assert cold.next_step.endswith("uncordon n")


def test_current_assignments_are_shown_before_past_ones() -> None:
    made = Picture(CLUSTER)
    made.load([node()], [workload(replicas=2)], [
        assignment(state=S.LOST), assignment(epoch=2), assignment(replica=1, node_uid="uid-gone")
    ])  # fmt: skip
    shown = workload_view(made, made.workloads["w"], ())
    assert [(one.replica, one.epoch, one.node) for one in shown.assignments] == [
        (0, 2, "n"), (1, 1, "uid-gone"), (0, 1, "n")
    ]  # fmt: skip
    assert (shown.wanted, shown.running) == (2, 1)


@pytest.mark.parametrize(
    ("uses", "revoked", "now", "state"),
    [
        (0, None, 5, TokenState.USABLE),
        (1, None, 5, TokenState.USED_UP),
        (0, None, 10, TokenState.EXPIRED),
        (0, 3, 5, TokenState.REVOKED),
    ],
)
def test_what_a_token_is_good_for(uses, revoked, now, state) -> None:
    assert token_state(TokenRecord("aa", b"", 0, "uid:0", 10, 1, uses, revoked, ()), now) is state
