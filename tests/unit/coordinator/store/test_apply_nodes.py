"""The life of a node after admission, and what founding and refusing leave."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarmlet.coordinator.store import commands as c
from swarmlet.coordinator.store import queries
from swarmlet.coordinator.store.apply import decode
from swarmlet.model.membership import Availability, NodeState, may_follow
from tests.fakes.history import (
    T0,
    Bench,
    admit,
    init,
    mint,
    move,
    place,
    plan,
    remove,
    serial,
    submit,
    uid,
)
from tests.fakes.records import profile


@pytest.fixture
def member(bench: Bench) -> Bench:
    bench.do(mint(uses=99))
    bench.do(admit(1))
    return bench


def node(bench: Bench, number: int = 1):
    found = queries.node(bench.db, uid(number))
    assert found is not None
    return found


def update(**given: object) -> c.UpdateNode:
    fields = {"boot_id": "b", "version": "0.1.0", "profile": profile("pi"), "limits": {}, "seen": "192.0.2.7"}
    return c.UpdateNode(**{"at_ms": T0, "actor": "node", "node_uid": uid(1), **fields, **given})


def test_a_cluster_is_founded_once(bench: Bench) -> None:
    assert bench.refusal(init(name="again")) == "SWL-600"
    cluster = queries.cluster(bench.db)
    assert cluster is not None
    assert (cluster.name, cluster.token_keys) == ("test", {"00" * 8: bytes(32)})


def test_a_new_intermediate_is_recorded_once(bench: Bench) -> None:
    command = c.RenewIntermediate(at_ms=T0, actor="coordinator", intermediate=b"new")
    assert bench.do(command).changed
    assert not bench.do(command).changed


@pytest.mark.parametrize("before", [state for state in NodeState if state is not NodeState.REVOKED])
@pytest.mark.parametrize("after", list(NodeState))
def test_a_state_follows_only_where_the_law_lets_it(
    member: Bench, before: NodeState, after: NodeState
) -> None:
    if before is not NodeState.JOINED:
        member.do(move(1, NodeState.READY))
        member.do(move(1, before))
    if before is after:
        assert not member.do(move(1, after)).changed
    elif may_follow(before, after) and after is not NodeState.REVOKED:
        assert member.do(move(1, after)).nodes == (uid(1),)
        assert node(member).state is after
    else:
        assert member.refusal(move(1, after)) == "SWL-608"


def test_removal_is_final(member: Bench) -> None:
    result = member.do(remove(1))
    assert result.denied == (serial(1),)
    assert not member.do(remove(1)).changed
    for command in (
        move(1, NodeState.READY),
        update(),
        c.LabelNode(at_ms=T0, actor="a", node_uid=uid(1), labels={"a": "b"}),
        c.SetAvailability(at_ms=T0, actor="a", node_uid=uid(1), availability=Availability.CORDONED),
    ):
        assert member.refusal(command) == "SWL-207"


def test_a_node_that_left_is_out_for_good(member: Bench) -> None:
    member.do(remove(1, left=True))
    assert node(member).state is NodeState.LEFT
    assert member.refusal(move(1, NodeState.READY)) == "SWL-207"
    assert queries.denied_serials(member.db) == (serial(1),)


def test_an_unknown_node_is_named(member: Bench) -> None:
    assert member.refusal(remove(9)) == "SWL-605"
    assert member.refusal(move(9, NodeState.READY)) == "SWL-605"


def test_removal_ends_what_ran_there_and_frees_it_to_be_placed_again(member: Bench) -> None:
    member.do(submit(replicas=2))
    member.do(plan(place(1, replica=0), place(1, replica=1)))
    member.do(plan(stop=("w.1.1",)))
    result = member.do(remove(1))
    rows = queries.assignments(member.db, node_uid=uid(1), workload_id=None, live=False)
    assert [row.state for row in rows] == ["lost", "stopped"]
    assert result.assignments == ("w.0.1", "w.1.1")
    member.do(admit(2))
    member.do(plan(place(2, replica=0, epoch=2)))


def test_labels_are_set_and_removed_together(member: Bench) -> None:
    def label(**labels: str | None) -> c.LabelNode:
        return c.LabelNode(at_ms=T0, actor="uid:0", node_uid=uid(1), labels=labels)

    member.do(label(room="garden", rack="1"))
    member.do(label(rack=None, zone="b"))
    assert node(member).labels == {"room": "garden", "zone": "b"}
    assert not member.do(label(rack=None, zone="b")).changed


def test_a_hello_that_says_the_same_changes_nothing(member: Bench) -> None:
    assert member.do(update()).changed
    assert not member.do(update()).changed
    assert member.do(update(boot_id="c")).changed
    assert node(member).boot_id == "c"


def test_limits_that_are_no_numbers_are_none_and_the_row_can_be_read(member: Bench) -> None:
    member.do(update(limits={"cpu": 2.0, "memory_mb": float("nan"), "disk": float("inf")}))
    assert node(member).limits == {"cpu": 2.0}


def test_a_device_without_a_fingerprint_cannot_be_blocked_and_is_not_removed_instead(member: Bench) -> None:
    assert member.refusal(remove(1, block=True)) == "SWL-608"
    assert node(member).state is NodeState.JOINED


def test_t8_a_hello_that_claimed_too_much_is_always_in_the_audit(member: Bench) -> None:
    member.do(update())
    member.do(update(clamped=("class DataCenter to Edge",)))
    newest = queries.audit(member.db, before=None, limit=1, everything=False)[0]
    assert newest.kind == "update-node"
    assert decode(newest.payload or b"").clamped == ("class DataCenter to Edge",)


def test_a_refused_join_is_in_the_audit_and_nowhere_else(bench: Bench) -> None:
    bench.do(c.RefuseJoin(at_ms=T0, actor="token:aa", jti="aa", code="SWL-104", name="pi", seen="192.0.2.7"))
    newest = queries.audit(bench.db, before=None, limit=1, everything=False)[0]
    assert newest.kind == "refuse-join"
    assert not queries.nodes(bench.db, removed=True)


@given(st.lists(st.sampled_from(list(NodeState)), max_size=12))
def test_no_sequence_of_transitions_breaks_the_law(states: list[NodeState]) -> None:
    bench = Bench()
    bench.do(mint())
    bench.do(admit(1))
    now = NodeState.JOINED
    for state in states:
        if state is not NodeState.REVOKED and (state is now or may_follow(now, state)):
            bench.do(move(1, state))
            now = state
        else:
            bench.refusal(move(1, state))
        assert node(bench).state is now
    bench.close()
