"""Desired against held: a snapshot is the truth, an epoch is a fence, what matches is left alone."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from swarmlet.link.messages import Desired
from swarmlet.model.workload import Assignment, OnPartition, Resources
from swarmlet.workloads import events as ev
from swarmlet.workloads import reconcile as rc
from swarmlet.workloads.limits import Limits
from swarmlet.workloads.reconcile import Ignore, Send, Take, gate, new_fences, reconcile
from swarmlet.workloads.replica import Key, Phase, Replica
from tests.unit.workloads.samples import assignment, change, replica, snapshot


def held(*replicas: Replica) -> dict[Key, Replica]:
    return {one.key: one for one in replicas}


def running(one: Assignment) -> Replica:
    return Replica(assignment=one, phase=Phase.RUNNING)


def test_what_matches_is_left_untouched() -> None:
    same = assignment()
    assert reconcile(held(running(same)), snapshot(same), {}) == ()
    assert reconcile(held(running(same)), change(same, base=1), {}) == ()


def test_a_snapshot_drops_what_it_does_not_list() -> None:
    old, new = assignment("a.0.1", workload="a"), assignment("b.0.1", workload="b")
    orders = reconcile(held(running(old)), snapshot(new), {})
    assert orders == (Send(Key("a.0.1", 1), ev.Dropped(rc.DROPPED)), Take(new))


def test_a_change_drops_only_what_it_names() -> None:
    one, two = assignment("a.0.1", workload="a"), assignment("b.0.1", workload="b")
    orders = reconcile(held(running(one), running(two)), change(base=1, removed=("a.0.1", "zzz")), {})
    assert orders == (Send(Key("a.0.1", 1), ev.Dropped(rc.DROPPED)),)


def test_a_stop_is_asked_once() -> None:
    one = running(assignment())
    stop = change(assignment(stop=True), base=1)
    assert reconcile(held(one), stop, {}) == (Send(one.key, ev.StopAsked(rc.STOPPED)),)
    ended = replace(one, phase=Phase.ENDED)
    assert reconcile(held(ended), stop, {}) == ()


def test_a_newer_epoch_ends_the_older_one_first() -> None:
    old, new = running(assignment("w.0.1", 1)), assignment("w.0.2", 2)
    orders = reconcile(held(old), change(new, base=1), {"w/0": 1})
    assert orders == (Send(old.key, ev.Dropped(rc.SUPERSEDED)), Take(new))


def test_a_stale_epoch_touches_nothing() -> None:
    new = running(assignment("w.0.2", 2))
    orders = reconcile(held(new), change(assignment("w.0.1", 1), base=1), {"w/0": 2})
    assert [type(order) for order in orders] == [Ignore]


def test_an_epoch_fixes_its_spec() -> None:
    one = running(assignment(env={"A": "1"}))
    orders = reconcile(held(one), snapshot(assignment(env={"A": "2"})), {})
    assert [type(order) for order in orders] == [Ignore]


def test_what_is_listed_again_while_leaving_stays() -> None:
    one = replace(running(assignment()), leaving=True)
    assert reconcile(held(one), snapshot(assignment()), {}) == (Send(one.key, ev.Relisted()),)


def test_fences_follow_changes_and_a_snapshot_overrules_them() -> None:
    fences = new_fences({"w/0": 5}, change(assignment("w.0.3", 3), base=1))
    assert fences == {"w/0": 5}
    assert new_fences(fences, snapshot(assignment("w.0.3", 3))) == {"w/0": 3}
    many = {f"x{n}/0": 1 for n in range(rc.FENCES_KEPT)}
    after = new_fences(many, change(assignment("w.0.1", 1), base=1))
    assert len(after) == rc.FENCES_KEPT
    assert "x0/0" not in after
    assert after["w/0"] == 1


names = st.sampled_from(["a.0.1", "b.0.1", "c.0.1"])
assignments = st.lists(
    st.builds(
        lambda name, epoch, stop: assignment(name, epoch, stop=stop, workload=name[0]),
        names,
        st.integers(1, 3),
        st.booleans(),
    ),
    max_size=4,
    unique_by=lambda one: one.assignment_id,
)


@given(before=assignments, desired=assignments)
def test_after_a_snapshot_only_what_it_lists_is_left_and_a_second_one_asks_nothing(
    before: list[Assignment], desired: list[Assignment]
) -> None:
    here = held(*(running(replace(one, stop=False)) for one in before))
    truth = snapshot(*desired)
    for order in reconcile(here, truth, {}):
        match order:
            case Take(assignment=one):
                here[Key(one.assignment_id, one.epoch)] = replica_of(one)
            case Send(key=key, event=ev.Dropped()):
                del here[key]
            case Send(key=key, event=ev.StopAsked()):
                here[key] = replace(here[key], phase=Phase.ENDED)
    assert set(here) == {Key(one.assignment_id, one.epoch) for one in desired}
    assert reconcile(here, truth, {}) == ()


def replica_of(one: Assignment) -> Replica:
    return Replica(assignment=one, phase=Phase.ENDED if one.stop else Phase.WAITING)


@given(st.lists(st.integers(1, 5), min_size=1, max_size=12))
def test_in_changes_the_newest_epoch_of_a_lane_only_grows(epochs: list[int]) -> None:
    fences: dict[str, int] = {}
    highest = 0
    for base, epoch in enumerate(epochs):
        desired: Desired = change(assignment(f"w.0.{epoch}", epoch), base=base)
        orders = reconcile({}, desired, fences)
        taken = any(isinstance(order, Take) for order in orders)
        assert taken is (epoch >= highest)
        fences = new_fences(fences, desired)
        highest = max(highest, epoch)
        assert fences == {"w/0": highest}


# ---- the gate


def test_what_asks_for_too_much_is_refused_with_the_key_to_raise() -> None:
    one = replica(resources=Resources(memory_mb=600))
    verdict = gate(one, held(one), Limits(memory_mb=512), confirmed=True)
    assert isinstance(verdict, ev.Refuse)
    assert "SWL-506" in verdict.reason
    assert "SWARM_MAX_MEMORY_MB" in verdict.reason


def test_what_does_not_fit_beside_the_others_waits() -> None:
    big = running(assignment("a.0.1", workload="a", resources=Resources(memory_mb=400)))
    one = replica(resources=Resources(memory_mb=200))
    verdict = gate(one, held(big, one), Limits(memory_mb=512), confirmed=True)
    assert isinstance(verdict, ev.Hold)
    assert "112 of 512 MB free" in verdict.reason
    ended = replace(big, phase=Phase.ENDED)
    assert gate(one, held(ended, one), Limits(memory_mb=512), confirmed=True) == ev.Begin()


def test_a_stop_replica_waits_for_the_cluster() -> None:
    one = replica(on_partition=OnPartition.STOP)
    assert gate(one, held(one), Limits(), confirmed=False) == ev.Hold(rc.WAITS_LEASE)
    assert gate(one, held(one), Limits(), confirmed=True) == ev.Begin()
    keep = replica()
    assert gate(keep, held(keep), Limits(), confirmed=False) == ev.Begin()


def test_the_same_replica_never_runs_twice_here() -> None:
    old = running(assignment("w.0.1", 1))
    new = Replica(assignment=assignment("w.0.2", 2))
    assert gate(new, held(old, new), Limits(), confirmed=True) == ev.Hold(rc.WAITS_PREDECESSOR)
    gone = replace(old, phase=Phase.ENDED, leaving=True)
    assert isinstance(gate(new, held(gone, new), Limits(), confirmed=True, removing={gone.key}), ev.Hold)
    assert gate(new, held(gone, new), Limits(), confirmed=True) == ev.Begin()
