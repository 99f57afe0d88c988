from __future__ import annotations

import random

from msgspec.structs import replace

from swarmlet.coordinator.filters import Usage
from swarmlet.coordinator.picture import Picture, is_live
from swarmlet.model.health import Health
from swarmlet.model.membership import NodeState
from swarmlet.model.workload import AssignmentState, Resources
from tests.fakes.records import CLUSTER, assignment, node, workload


def test_usage_follows_assignments_as_they_come_and_end(seed: int) -> None:
    dice = random.Random(seed)
    made = Picture(CLUSTER)
    made.put_workload(workload(resources=Resources(cpu=0.1, memory_mb=10)))
    rows = {}
    for step in range(300):
        replica = dice.randrange(20)
        state = dice.choice(list(AssignmentState))
        where = f"uid-{dice.choice('ab')}"
        row = assignment(replica=replica, node_uid=where, state=state, sequence=step)
        before = rows.get(replica)
        if before is not None:
            row = replace(row, node_uid=before.node_uid)
        rows[replica] = row
        made.put_assignment(row)
        for uid in ("uid-a", "uid-b"):
            live = [one for one in rows.values() if one.node_uid == uid and is_live(one)]
            assert made.usage(uid).replicas == len(live)
            assert abs(made.usage(uid).memory_mb - 10 * len(live)) < 1e-6
            assert {one.replica for one in made.live_on(uid)} == {one.replica for one in live}


def test_an_empty_node_uses_exactly_nothing() -> None:
    made = Picture(CLUSTER)
    made.put_workload(workload(resources=Resources(cpu=0.1)))
    for replica in range(3):
        made.put_assignment(assignment(replica=replica))
    for replica in range(3):
        made.put_assignment(assignment(replica=replica, state=AssignmentState.FAILED))
    assert made.usage("uid-n") == Usage()


def test_only_what_changed_deserves_a_look() -> None:
    made = Picture(CLUSTER)
    made.load(
        [node("n"), node("m")],
        [workload("w"), workload("v"), workload("waits", pending="no node fits")],
        [assignment("w"), assignment("v", node_uid="uid-m")],
    )
    assert made.take_attention() == {"w", "v", "waits"}
    assert made.take_attention() == frozenset()
    made.put_node(node("n"))
    assert made.take_attention() == frozenset()
    made.put_node(node("n", state=NodeState.DOWN))
    assert made.take_attention() == {"w", "waits"}
    made.put_assignment(assignment("v", node_uid="uid-m", state=AssignmentState.SUCCEEDED))
    assert made.take_attention() == {"v", "waits"}
    made.put_health("uid-m", Health.FAILING)
    assert made.take_attention() == {"waits"}
    made.put_health("uid-m", Health.FAILING)
    assert made.take_attention() == frozenset()


def test_what_waits_no_more_is_left_alone() -> None:
    made = Picture(CLUSTER)
    made.put_workload(workload(pending="no node fits"))
    made.put_workload(workload())
    made.take_attention()
    made.put_node(node())
    assert made.take_attention() == frozenset()


def test_the_newest_epoch_speaks_for_a_replica() -> None:
    made = Picture(CLUSTER)
    for epoch in (2, 3, 1):
        made.put_assignment(assignment(epoch=epoch))
    assert made.latest("w")[0].epoch == 3
    assert [one.epoch for one in made.of_workload("w")] == [3, 2, 1]
