from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from swarmlet.coordinator.brake import SETTLE_S, WINDOW_S
from swarmlet.coordinator.registry import Registry
from swarmlet.model.membership import NodeState, may_follow
from tests.fakes.records import node


def lease(registry: Registry, one, change: str, now: float = 0.0, age_ms: int = 0):
    return registry.lease(one, change, age_ms, now, int(now * 1000))


@pytest.mark.parametrize(
    ("before", "change", "after"),
    [
        (NodeState.JOINED, "joined", NodeState.READY),
        (NodeState.READY, "suspect", NodeState.SUSPECT),
        (NodeState.SUSPECT, "back", NodeState.READY),
        (NodeState.SUSPECT, "lost", NodeState.DOWN),
        (NodeState.READY, "lost", NodeState.DOWN),
        (NodeState.DOWN, "back", NodeState.READY),
        (NodeState.DOWN, "joined", NodeState.READY),
        (NodeState.READY, "joined", None),
        (NodeState.DOWN, "suspect", None),
        (NodeState.REVOKED, "back", None),
        (NodeState.READY, "unheard-of", None),
    ],
)
def test_each_transition_of_a_lease_has_one_meaning(before, change, after) -> None:
    command = lease(Registry(15_000), node(state=before), change)
    assert (command.state if command else None) is after


def test_reasons_say_what_happened() -> None:
    registry = Registry(15_000)
    assert lease(registry, node(), "suspect", age_ms=7400).reason == "no heartbeat for 7 s"
    registry.closed("uid-n", "timed-out")
    assert lease(registry, node(), "suspect").reason == "its connection ended (timed-out)"
    lost = lease(registry, node(state=NodeState.SUSPECT), "lost", age_ms=15_000)
    assert lost.reason == (
        "its connection ended (timed-out) and no heartbeat came for 15 s: its lease of 15 s lapsed"
    )
    back = lease(registry, node(state=NodeState.DOWN), "back")
    assert back.reason == "it is back after being down"
    assert lease(registry, node(), "suspect").reason == "no heartbeat for 0 s"


def test_after_a_restart_everyone_who_was_well_is_expected_and_suspect() -> None:
    rows = [node(state.value, state=state) for state in NodeState]
    transitions, expected = Registry(15_000).restart(rows, now=5, at_ms=7)
    assert expected == ["uid-ready", "uid-suspect"]
    assert [(one.node_uid, one.state, one.at_ms) for one in transitions] == [
        ("uid-ready", NodeState.SUSPECT, 7)
    ]


def test_the_time_since_a_lease_lapsed_is_told_until_it_is_back() -> None:
    registry = Registry(15_000)
    lease(registry, node(), "suspect", now=10)
    assert registry.gone_s(20) == {}
    lease(registry, node(state=NodeState.SUSPECT), "lost", now=20)
    assert registry.gone_s(22) == {"uid-n": 2}
    lease(registry, node(state=NodeState.DOWN), "back", now=30)
    assert registry.gone_s(31) == {}


@given(
    st.lists(st.sampled_from(["joined", "suspect", "lost", "back"]), max_size=30), st.sampled_from(NodeState)
)
def test_no_command_breaks_the_law_of_states(changes, first) -> None:
    registry, one = Registry(15_000), node(state=first)
    for now, change in enumerate(changes):
        command = lease(registry, one, change, now=now)
        if command is not None:
            assert may_follow(one.state, command.state)
            one = replace(one, state=command.state)


# ---- the brake (N6)


def cluster(count: int) -> tuple[Registry, list]:
    registry = Registry(15_000)
    rows = [node(f"n{number}") for number in range(count)]
    for row in rows:
        lease(registry, replace(row, state=NodeState.JOINED), "joined")
    return registry, rows


def lose(registry: Registry, rows, now: float) -> None:
    for row in rows:
        lease(registry, replace(row, state=NodeState.SUSPECT), "lost", now=now)


def test_more_than_half_gone_at_once_suspends_reassignment() -> None:
    registry, rows = cluster(5)
    lose(registry, rows[:2], now=100)
    assert registry.suspended(100) is None
    lose(registry, rows[2:3], now=110)
    reason = registry.suspended(110).reason
    assert reason.startswith("reassignment is suspended: 3 of 5 nodes went away within 60 s")


def test_late_heartbeats_count_once_a_lease_has_lapsed() -> None:
    registry, rows = cluster(4)
    for row in rows[:3]:
        lease(registry, row, "suspect", now=100)
    assert registry.suspended(100) is None
    lose(registry, rows[:1], now=105)
    assert registry.suspended(105) is not None


def test_two_nodes_are_no_majority() -> None:
    registry, rows = cluster(2)
    lose(registry, rows, now=100)
    assert registry.suspended(100) is None


def test_nodes_that_went_one_by_one_do_not_suspend_anything() -> None:
    registry, rows = cluster(5)
    for number, row in enumerate(rows):
        lose(registry, [row], now=number * (WINDOW_S + 1))
        assert registry.suspended(number * (WINDOW_S + 1)) is None


def test_time_alone_releases_nothing_but_return_and_removal_do() -> None:
    registry, rows = cluster(4)
    lose(registry, rows[:3], now=100)
    assert registry.suspended(100)
    assert registry.suspended(100_000).wake_s is None
    lease(registry, replace(rows[0], state=NodeState.DOWN), "back", now=100_001)
    for row in rows[1:3]:
        registry.removed(row.node_uid, 100_001)
    assert registry.suspended(100_002).wake_s == pytest.approx(SETTLE_S - 2)
    assert registry.suspended(100_001 + SETTLE_S) is None


def test_the_last_to_come_back_are_given_as_long_as_the_first() -> None:
    registry, rows = cluster(4)
    lose(registry, rows[:3], now=100)
    assert registry.suspended(100)
    assert registry.suspended(1000)
    lease(registry, replace(rows[0], state=NodeState.DOWN), "back", now=1001)
    assert registry.suspended(1001)
    assert registry.suspended(1000 + SETTLE_S - 1)
    lease(registry, replace(rows[1], state=NodeState.DOWN), "back", now=1030)
    lose(registry, rows[:2], now=1040)
    assert registry.suspended(1040)
    assert registry.suspended(1000 + SETTLE_S + 20)
    for row in rows[:2]:
        lease(registry, replace(row, state=NodeState.DOWN), "back", now=1100)
    assert registry.suspended(1080 + SETTLE_S) is None


def test_a_restart_suspends_nothing_by_itself_but_counts_when_leases_lapse() -> None:
    registry = Registry(15_000)
    rows = [node(f"n{number}") for number in range(4)]
    registry.restart(rows, now=0, at_ms=0)
    assert registry.suspended(1) is None
    lease(registry, replace(rows[3], state=NodeState.SUSPECT), "back", now=2)
    lose(registry, rows[:1], now=15)
    assert registry.suspended(15) is not None


def test_a_removed_node_whose_row_does_not_say_so_yet_is_not_missed() -> None:
    registry = Registry(15_000)
    others = [node(f"n{number}") for number in range(3)]
    for one in others:
        lease(registry, one, "joined")
    registry.removed("uid-n0", 1.0)
    assert lease(registry, others[0], "lost", now=2.0) is None
    lease(registry, others[1], "lost", now=2.0)
    assert registry.suspended(3.0) is None  # one of two is not more than half
