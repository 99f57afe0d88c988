from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from swarmlet.coordinator.candidates import Candidates
from swarmlet.coordinator.filters import Site, capacity_of, demand_of, refuse
from swarmlet.coordinator.picture import Picture, is_live
from swarmlet.coordinator.scheduler import GRACE_S, Moment, Plan, Step, judge, plan
from swarmlet.model.health import Health, Reading
from swarmlet.model.membership import Availability, NodeState
from swarmlet.model.workload import AssignmentState, Kind, Resources
from tests.fakes.records import CLUSTER, assignment, node, profile, workload

NOW = Moment(now_ms=1000)


def picture(nodes=(), workloads=(), assignments=()) -> Picture:
    made = Picture(CLUSTER)
    made.load(nodes, workloads, assignments)
    return made


def decide(nodes=(), workloads=(), assignments=(), moment=NOW) -> Plan:
    made = picture(nodes, workloads, assignments)
    return plan(made, made.take_attention(), moment)


# ---- judging


@pytest.mark.parametrize(
    ("current", "on", "moment", "step"),
    [
        (None, None, NOW, Step.PLACE),
        (assignment(), node(), NOW, Step.KEEP),
        (assignment(state=AssignmentState.SUCCEEDED), node(), NOW, Step.KEEP),
        (assignment(state=AssignmentState.FAILED), node(), NOW, Step.KEEP),
        (assignment(state=AssignmentState.STOPPED), node(), NOW, Step.PLACE),
        (assignment(state=AssignmentState.LOST), node(), NOW, Step.PLACE),
        (assignment(state=AssignmentState.LOST), node(), NOW._replace(suspended="x"), Step.HOLD),
        (assignment(), None, NOW, Step.LOSE),
        (assignment(), node(state=NodeState.REVOKED), NOW, Step.LOSE),
        (assignment(), node(state=NodeState.LEFT), NOW, Step.LOSE),
        (assignment(), node(state=NodeState.SUSPECT), NOW, Step.KEEP),
        (assignment(), node(state=NodeState.DOWN), NOW._replace(gone_s={"uid-n": 1.0}), Step.WAIT),
        (assignment(), node(state=NodeState.DOWN), NOW._replace(gone_s={"uid-n": GRACE_S}), Step.MOVE),
        (assignment(), node(state=NodeState.DOWN), NOW, Step.MOVE),
        (assignment(), node(state=NodeState.DOWN), NOW._replace(present={"uid-n"}), Step.WAIT),
        (assignment(), node(state=NodeState.DOWN), NOW._replace(suspended="x"), Step.HOLD),
        (assignment(), node(availability=Availability.DRAINING), NOW, Step.STOP),
        (assignment(stop=True), node(availability=Availability.DRAINING), NOW, Step.KEEP),
        (assignment(), node(availability=Availability.CORDONED), NOW, Step.KEEP),
    ],
)
def test_what_is_to_be_done_about_a_replica(current, on, moment, step) -> None:
    assert judge(current, on, moment) is step


def test_a_singleton_of_a_removed_node_waits_for_what_would_have_been_its_lease() -> None:
    gone = node(state=NodeState.REVOKED)
    for ended in (
        assignment(state=AssignmentState.LOST),
        assignment(state=AssignmentState.STOPPED),
        assignment(),
    ):
        for since, step in ((0.0, Step.WAIT), (17.9, Step.WAIT)):
            moment = NOW._replace(gone_s={"uid-n": since})
            assert judge(ended, gone, moment, singleton=True) is step
            assert judge(ended, gone, moment) is not Step.WAIT
        late = NOW._replace(gone_s={"uid-n": 18.0})
        assert judge(ended, gone, late, singleton=True) in {Step.PLACE, Step.LOSE}
        just_started = NOW._replace(up_s=5.0)
        assert judge(ended, None, just_started, singleton=True) is Step.WAIT


# ---- placing


def test_a_new_workload_is_placed_on_the_node_that_is_ready() -> None:
    decided = decide([node("a", state=NodeState.DOWN), node("b")], [workload()])
    assert [(one.node_uid, one.replica, one.epoch) for one in decided.place] == [("uid-b", 0, 1)]
    assert decided.pending == {}


def test_replicas_spread_over_nodes() -> None:
    decided = decide([node(name) for name in "abc"], [workload(replicas=6)])
    assert sorted(one.node_uid for one in decided.place) == ["uid-a"] * 2 + ["uid-b"] * 2 + ["uid-c"] * 2


def test_the_least_loaded_node_is_taken_and_the_table_says_why() -> None:
    readings = {"uid-a": Reading(cpu_permille=900), "uid-b": Reading(cpu_permille=100)}
    decided = decide([node("a"), node("b")], [workload()], moment=NOW._replace(readings=readings))
    assert decided.place[0].node_uid == "uid-b"
    (view,) = decided.placements["w"]
    assert view.node == "b"
    assert [row.node for row in view.scores] == ["b", "a"]
    assert view.scores[0].parts["idle"] == 0.9
    for row in view.scores:
        assert row.total == pytest.approx(sum(row.parts.values()))


def test_what_no_node_can_take_waits_and_says_which_filter_refused_which_node() -> None:
    nodes = [
        node("down", state=NodeState.DOWN, state_reason="no heartbeat for 15 s"),
        node("cordoned", availability=Availability.CORDONED),
        node("small", profile=profile(memory_gb=1.0)),
        node("wrong", profile=profile(node_class="DataCenter")),
    ]
    asked = workload(node_type="edge", resources=Resources(memory_mb=4000))
    decided = decide(nodes, [asked])
    assert decided.place == ()
    (view,) = decided.placements["w"]
    assert {row.node: row.filter for row in view.refused} == {
        "down": "state",
        "cordoned": "availability",
        "small": "memory",
        "wrong": "class",
    }
    assert "small: 4000 MB asked, 850 of 850 MB free" in decided.pending["w"]
    assert "down: it is down: no heartbeat for 15 s" in decided.pending["w"]


def test_a_cluster_without_nodes_says_so() -> None:
    assert decide([], [workload()]).pending == {"w": "the cluster has no node"}


def test_the_reason_for_waiting_is_cleared_once_it_is_placed_and_not_repeated() -> None:
    waiting = workload(pending="the cluster has no node")
    assert decide([node()], [waiting]).pending == {"w": ""}
    assert decide([], [waiting]).pending == {}


def test_room_counts_what_is_assigned_in_the_same_plan() -> None:
    lent = node("a", limits={"cpu_cores": 2.0})
    decided = decide([lent], [workload(replicas=3, resources=Resources(cpu=1.0))])
    assert len(decided.place) == 2
    assert decided.pending["w"].startswith("1 of 3 replicas wait: a: 1 cores asked, 0 of 2")


def test_tenths_of_cores_fill_a_node_to_the_brim() -> None:
    decided = decide(
        [node("a", limits={"cpu_cores": 1.0})], [workload(replicas=10, resources=Resources(cpu=0.1))]
    )
    assert len(decided.place) == 10


def test_older_workloads_are_served_first() -> None:
    one = node("a", limits={"cpu_cores": 1.0})
    asked = Resources(cpu=1.0)
    old, new = workload("old", created_ms=1, resources=asked), workload("new", created_ms=2, resources=asked)
    decided = decide([one], [new, old])
    assert [place.workload_id for place in decided.place] == ["old"]
    assert "new" in decided.pending


def test_a_container_needs_an_engine_and_leave_to_use_it() -> None:
    nodes = [
        node("none"),
        node("forbidden", profile=profile(engine="docker 27")),
        node("fits", profile=profile(engine="docker 27"), capabilities=("docker",)),
    ]
    decided = decide(nodes, [workload(kind=Kind.CONTAINER, image="a", command=())])
    assert [place.node_uid for place in decided.place] == ["uid-fits"]


def test_a_failing_node_gets_no_work_and_a_degraded_one_only_if_there_is_no_better() -> None:
    made = picture([node("a"), node("b")], [workload()])
    made.put_health("uid-a", Health.DEGRADED)
    assert plan(made, ["w"], NOW).place[0].node_uid == "uid-b"
    made.put_health("uid-b", Health.FAILING)
    assert plan(made, ["w"], NOW).place[0].node_uid == "uid-a"


# ---- moving


DOWN = node("a", state=NodeState.DOWN)
ON_A = assignment(node_uid="uid-a")


def test_a_replica_of_a_lost_node_is_placed_again_with_a_higher_epoch() -> None:
    decided = decide([DOWN, node("b")], [workload()], [ON_A])
    assert decided.lose == ("w.0.1",)
    assert [(one.node_uid, one.epoch) for one in decided.place] == [("uid-b", 2)]


def test_nothing_is_reassigned_in_the_first_seconds_and_the_plan_asks_to_be_woken() -> None:
    decided = decide([DOWN, node("b")], [workload()], [ON_A], NOW._replace(gone_s={"uid-a": 1.0}))
    assert decided.empty
    assert decided.wake_s == pytest.approx(GRACE_S - 1)


def test_a_replica_that_fits_nowhere_else_is_not_given_up() -> None:
    decided = decide(
        [DOWN, node("b", limits={"cpu_cores": 0.1})], [workload(resources=Resources(cpu=1))], [ON_A]
    )
    assert decided.lose == ()
    assert decided.pending["w"].startswith("it goes on when a comes back, which is down")


def test_a_suspended_reassignment_touches_nothing_and_says_why() -> None:
    decided = decide([DOWN, node("b")], [workload()], [ON_A], NOW._replace(suspended="the switch"))
    assert (decided.place, decided.lose, decided.pending) == ((), (), {"w": "the switch"})


def test_new_work_is_placed_while_reassignment_is_suspended() -> None:
    decided = decide([DOWN, node("b")], [workload()], [], NOW._replace(suspended="the switch"))
    assert len(decided.place) == 1


def test_a_removed_node_is_not_waited_for() -> None:
    decided = decide([node("a", state=NodeState.REVOKED), node("b")], [workload()], [ON_A])
    assert decided.lose == ("w.0.1",)
    assert decided.place[0].epoch == 2


def test_draining_stops_first_and_places_once_it_stopped() -> None:
    nodes = [node("a", availability=Availability.DRAINING), node("b")]
    first = decide(nodes, [workload()], [ON_A])
    assert (first.stop, first.place) == (("w.0.1",), ())
    stopped = assignment(node_uid="uid-a", stop=True, state=AssignmentState.STOPPED)
    assert decide(nodes, [workload()], [stopped]).place[0].node_uid == "uid-b"


def test_stopping_asks_every_replica_to_end_and_gives_up_those_of_lost_nodes() -> None:
    replicas = [ON_A, assignment(replica=1, node_uid="uid-b")]
    decided = decide([DOWN, node("b")], [workload(replicas=2, stopping=True)], replicas)
    assert (decided.stop, decided.lose, decided.place) == (("w.1.1",), ("w.0.1",), ())


def test_ended_replicas_stay_ended() -> None:
    ended = [assignment(state=AssignmentState.SUCCEEDED), assignment(replica=1, state=AssignmentState.FAILED)]
    assert decide([node()], [workload(replicas=2)], ended).empty


# ---- laws


NAMES = [f"n{number}" for number in range(5)]
resources = st.builds(
    Resources,
    cpu=st.none() | st.sampled_from([0.5, 1.0, 3.0]),
    memory_mb=st.none() | st.sampled_from([100, 2000, 6000]),
)


@st.composite
def clusters(draw):
    nodes = [
        node(
            name,
            state=draw(st.sampled_from(list(NodeState))),
            availability=draw(st.sampled_from(list(Availability))),
            labels=draw(st.sampled_from([{}, {"zone": "a"}])),
            limits=draw(st.sampled_from([{}, {"cpu_cores": 1.0, "memory_mb": 3000.0}])),
        )
        for name in NAMES
        if draw(st.booleans())
    ]
    workloads, assignments = [], []
    for number in range(draw(st.integers(0, 4))):
        one = workload(
            f"w{number}",
            created_ms=number,
            stopping=draw(st.booleans()),
            replicas=draw(st.integers(1, 4)),
            resources=draw(resources),
            constraints=draw(st.sampled_from([(), ("zone==a",)])),
        )
        workloads.append(one)
        for replica in range(one.spec.replicas):
            newest = draw(st.integers(0, 3))
            for epoch in range(1, newest + 1):
                states = list(AssignmentState) if epoch == newest else [AssignmentState.LOST]
                assignments.append(
                    assignment(
                        one.workload_id,
                        replica,
                        epoch,
                        node_uid=f"uid-{draw(st.sampled_from(NAMES))}",
                        state=draw(st.sampled_from(states)),
                        stop=draw(st.booleans()),
                    )
                )
    suspended = draw(st.none() | st.just("suspended"))
    gone = {f"uid-{name}": draw(st.floats(0, 10)) for name in NAMES if draw(st.booleans())}
    return picture(nodes, workloads, assignments), Moment(1, gone, suspended=suspended)


@given(clusters())
def test_a_replica_never_has_two_assignments_that_have_not_ended(drawn) -> None:
    made, moment = drawn
    decided = plan(made, made.take_attention(), moment)
    live = [
        one for one in made.assignments.values() if is_live(one) and one.assignment_id not in decided.lose
    ]
    taken = [(one.workload_id, one.replica) for one in [*live, *decided.place]]
    assert len(taken) == len(set(taken))


@given(clusters())
def test_epochs_only_grow(drawn) -> None:
    made, moment = drawn
    for place in plan(made, made.take_attention(), moment).place:
        before = made.latest(place.workload_id).get(place.replica)
        assert place.epoch == (before.epoch + 1 if before else 1)
        assert place.assignment_id not in made.assignments


@given(clusters())
def test_no_replica_is_put_where_a_filter_refuses_it(drawn) -> None:
    made, moment = drawn
    usage = {uid: made.usage(uid) for uid in made.nodes}
    for place in plan(made, made.take_attention(), moment).place:
        on = made.nodes[place.node_uid]
        asked = made.workloads[place.workload_id].spec
        site = Site(on, Health.OK, capacity_of(on), usage[place.node_uid])
        assert refuse(demand_of(asked), site) is None
        usage[place.node_uid] = usage[place.node_uid].plus(asked.resources)


@given(clusters())
def test_only_live_assignments_are_stopped_or_lost_and_never_both(drawn) -> None:
    made, moment = drawn
    decided = plan(made, made.take_attention(), moment)
    assert not set(decided.stop) & set(decided.lose)
    assert len(decided.lose) == len(set(decided.lose))
    for name in (*decided.stop, *decided.lose):
        assert is_live(made.assignments[name])


@given(clusters())
def test_nothing_of_a_lost_node_is_given_up_while_reassignment_is_suspended(drawn) -> None:
    made, moment = drawn
    decided = plan(made, made.take_attention(), moment._replace(suspended="x"))
    for name in decided.lose:
        record = made.assignments[name]
        on = made.nodes.get(record.node_uid)
        gone_for_good = on is None or on.state in (NodeState.LEFT, NodeState.REVOKED)
        assert gone_for_good or made.workloads[record.workload_id].stopping


@given(clusters())
def test_a_stopping_workload_gets_nothing_new(drawn) -> None:
    made, moment = drawn
    for place in plan(made, made.take_attention(), moment).place:
        assert not made.workloads[place.workload_id].stopping


@given(clusters())
def test_a_plan_that_was_applied_leaves_nothing_to_decide(drawn) -> None:
    made, moment = drawn
    decided = plan(made, made.take_attention(), moment)
    apply(made, decided)
    again = plan(made, list(made.workloads), moment)
    assert (again.place, again.lose, again.stop) == ((), (), ())


def apply(made: Picture, decided: Plan) -> None:
    """What the store does with a plan, as far as the picture shows it."""
    for name in decided.lose:
        made.put_assignment(replace(made.assignments[name], state=AssignmentState.LOST))
    for name in decided.stop:
        made.put_assignment(replace(made.assignments[name], stop=True))
    for place in decided.place:
        made.put_assignment(
            assignment(
                place.workload_id,
                place.replica,
                place.epoch,
                node_uid=place.node_uid,
                state=AssignmentState.ASSIGNED,
            )
        )
    for name, reason in decided.pending.items():
        made.put_workload(replace(made.workloads[name], pending_reason=reason))


def test_a_thousand_replicas_on_a_thousand_nodes_do_not_judge_every_pair(monkeypatch) -> None:
    judged = 0
    inner = Candidates._judge

    def counted(self, node_uid):
        nonlocal judged
        judged += 1
        return inner(self, node_uid)

    monkeypatch.setattr(Candidates, "_judge", counted)
    decided = decide([node(f"n{number}") for number in range(1000)], [workload(replicas=1000)])
    assert len({place.node_uid for place in decided.place}) == 1000
    assert judged == 2000
