from __future__ import annotations

import random

from swarmlet.coordinator.dispatcher import KEPT_MOST, KEPT_MS, PART_BYTES, Dispatch, Wanted, fits, wanted
from swarmlet.coordinator.picture import Picture
from swarmlet.link.messages import Desired, encode
from swarmlet.model.workload import AssignmentState
from tests.fakes.records import CLUSTER, assignment, desired, node, spec, workload

FRAME = 65_536


def told(generation: int, *assignments) -> Wanted:
    return Wanted(generation, {one.assignment_id: one for one in assignments})


def tell(dispatch: Dispatch, now) -> tuple[Desired, ...]:
    messages = dispatch.messages(now)
    dispatch.told(now)
    return messages


def test_a_session_begins_with_a_snapshot() -> None:
    (first,) = tell(Dispatch(), told(7, desired("a")))
    assert (first.full, first.generation, first.more) == (True, 7, False)
    assert first.assignments == (desired("a"),)


def test_a_node_with_nothing_to_do_is_told_so() -> None:
    (first,) = tell(Dispatch(), told(0))
    assert first.full
    assert first.assignments == ()


def test_after_that_only_changes_are_sent_with_the_generation_they_build_on() -> None:
    dispatch = Dispatch()
    tell(dispatch, told(7, desired("a"), desired("b")))
    (change,) = tell(dispatch, told(9, desired("b", stop=True), desired("c")))
    assert (change.full, change.base, change.generation) == (False, 7, 9)
    assert change.assignments == (desired("b", stop=True), desired("c"))
    assert change.removed == ("a",)


def test_an_unchanged_generation_sends_nothing() -> None:
    dispatch = Dispatch()
    tell(dispatch, told(7, desired("a")))
    assert tell(dispatch, told(7, desired("a"))) == ()


def test_what_could_not_be_queued_is_followed_by_a_snapshot() -> None:
    dispatch = Dispatch()
    tell(dispatch, told(7))
    dispatch.messages(told(8, desired("a")))
    dispatch.restart()
    (again,) = tell(dispatch, told(8, desired("a")))
    assert again.full


def test_a_large_snapshot_comes_in_parts_that_fit_a_frame() -> None:
    many = [desired(f"a{number}", spec=spec(env={"K": "v" * 3000})) for number in range(60)]
    parts = tell(Dispatch(), told(3, *many))
    assert len(parts) > 1
    assert [part.more for part in parts] == [True] * (len(parts) - 1) + [False]
    assert {part.generation for part in parts} == {3}
    assert [one for part in parts for one in part.assignments] == many
    assert all(len(encode(part)) <= FRAME for part in parts)


def test_a_change_too_large_for_a_frame_becomes_a_snapshot() -> None:
    dispatch = Dispatch()
    tell(dispatch, told(1))
    many = [desired(f"a{number}", spec=spec(env={"K": "v" * 3000})) for number in range(60)]
    assert all(part.full for part in tell(dispatch, told(2, *many)))


def test_the_largest_assignment_that_fits_goes_into_a_frame() -> None:
    low, high = 0, PART_BYTES
    while high - low > 1:
        middle = (low + high) // 2
        one = desired("a", spec=spec(env={"K": "v" * middle}))
        low, high = (middle, high) if fits(one) else (low, middle)
    (part,) = tell(Dispatch(), told(1, desired("a", spec=spec(env={"K": "v" * low}))))
    assert len(encode(part)) <= FRAME


def test_a_node_that_applies_what_it_is_sent_has_what_is_wanted(seed: int) -> None:
    """Random histories with lost sessions and lost messages; the node follows the rule of ``Desired``."""
    dice = random.Random(seed)
    dispatch, listed, generation = Dispatch(), {}, 0
    has: dict = {}
    applied = -1
    for _ in range(400):
        generation += 1
        name = f"a{dice.randrange(12)}"
        if dice.random() < 0.4:
            listed.pop(name, None)
        else:
            listed[name] = desired(name, stop=dice.random() < 0.3)
        for message in tell(dispatch, told(generation, *listed.values())):
            if dice.random() < 0.1:
                continue  # never arrives; the next change does not fit, and the node asks again
            if message.full:
                has = {one.assignment_id: one for one in message.assignments}
            elif message.base == applied:
                has.update((one.assignment_id, one) for one in message.assignments)
                for gone in message.removed:
                    has.pop(gone, None)
            else:
                dispatch.restart()
                continue
            applied = message.generation
    dispatch.restart()
    (last,) = tell(dispatch, told(generation, *listed.values()))
    assert {one.assignment_id: one for one in last.assignments} == listed


def on_a_node(rows, now_ms: int, replicas: int = 100):
    made = Picture(CLUSTER)
    made.load([node()], [workload(replicas=replicas)], rows)
    made.put_generation("uid-n", 4)
    made.put_generation("uid-n", 3)
    return wanted(made, "uid-n", now_ms)


def test_ended_replicas_stay_listed_as_stopped_for_a_while() -> None:
    rows = [
        assignment(replica=0, state=AssignmentState.SUCCEEDED, state_since_ms=KEPT_MS),
        assignment(replica=1, state=AssignmentState.LOST, state_since_ms=KEPT_MS),
        assignment(replica=2, state=AssignmentState.RUNNING, state_since_ms=KEPT_MS),
        assignment(replica=3, state=AssignmentState.FAILED, state_since_ms=0),
        assignment(replica=4, node_uid="uid-m"),
        assignment(replica=5, stop=True),
    ]
    now = on_a_node(rows, KEPT_MS + 1)
    assert now.generation == 4
    assert {name: one.stop for name, one in now.assignments.items()} == {
        "w.0.1": True,
        "w.2.1": False,
        "w.5.1": True,
    }


def test_only_the_newest_ended_replicas_stay_listed() -> None:
    rows = [
        assignment(replica=number, state=AssignmentState.FAILED, state_since_ms=number)
        for number in range(100)
    ]
    kept = on_a_node(rows, 100).assignments.values()
    assert [one.replica for one in kept] == list(range(99, 99 - KEPT_MOST, -1))
