"""The coordinator's part of the mesh: where nodes are reached, epochs that are remembered, no mesh at all."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarmlet import _native
from swarmlet.clock import SystemClock
from swarmlet.coordinator.hub import AFTER_REMOVAL, Hub, Terms, Voices, epoch_after, reached_at
from swarmlet.errors import SwarmletError
from swarmlet.model.membership import NodeState

CLUSTER = "c1" * 16


@pytest.mark.parametrize(
    ("seen", "host"),
    [
        ("192.0.2.7:41000", "192.0.2.7"),
        ("[2001:db8::7]:41000", "2001:db8::7"),
        ("127.0.0.1:41000", "10.0.0.1"),
        ("[::1]:41000", "10.0.0.1"),
    ],
)
def test_a_node_on_the_coordinators_machine_is_where_the_coordinator_is(seen, host):
    assert reached_at(seen, "10.0.0.1") == host


async def lead(tmp_path, *, probe_ms: int | None = 1000, endpoint: str = "127.0.0.1:7946"):
    engine = _native.Engine()
    tasks = asyncio.TaskGroup()
    async with tasks:
        hub = Hub(
            engine, Terms(tmp_path, CLUSTER, probe_ms), SystemClock(), tasks, Voices(dict, lambda _: None)
        )
        hub.begin(endpoint, "127.0.0.1")
        try:
            yield hub
        finally:
            await asyncio.get_running_loop().run_in_executor(None, engine.stop)


def remembered(tmp_path) -> int:
    return int((tmp_path / "mesh-epoch").read_text())


async def test_epochs_turn_with_days_removals_and_starts_and_are_remembered(tmp_path):
    (tmp_path / "mesh-epoch").write_text("7\n")
    async for hub in lead(tmp_path):
        assert hub.notes == ()
        assert remembered(tmp_path) == 8
        hub.turn()
        assert remembered(tmp_path) == 9
        hub.removed(["00000000-0000-0000-0000-000000000001"], left=False)
        assert remembered(tmp_path) == 9 + AFTER_REMOVAL
    assert (tmp_path / "mesh.key").stat().st_mode & 0o777 == 0o600
    async for _ in lead(tmp_path):
        assert remembered(tmp_path) == 10 + AFTER_REMOVAL


@pytest.mark.parametrize("content", [None, "", "x", "-1", "9" * 40, "\N{SNOWMAN}"])
async def test_a_number_of_the_epoch_that_is_lost_is_never_used_again(tmp_path, content):
    if content is not None:
        (tmp_path / "mesh-epoch").write_text(content)
    async for _ in lead(tmp_path):
        assert remembered(tmp_path) == SystemClock().wall_ms() // 86_400_000 << 10


@given(st.integers(0, 2**42), st.integers(0, 1000))
def test_who_forgot_goes_on_above_whoever_remembers(now_ms, turns):
    forgot = epoch_after(None, now_ms)
    assert epoch_after(forgot + turns, now_ms) > forgot
    assert epoch_after(None, now_ms + 86_400_000) > forgot + turns


async def test_a_damaged_root_key_costs_the_mesh_and_is_said(tmp_path):
    (tmp_path / "mesh.key").write_bytes(b"junk")
    async for hub in lead(tmp_path):
        assert "members do not gossip" in hub.notes[0]
        with pytest.raises(SwarmletError, match="SWL-617"):
            hub.broadcast("hello", "k")


async def test_an_address_of_another_machine_leaves_the_coordinator_without_udp(tmp_path):
    async for hub in lead(tmp_path, endpoint="192.0.2.77:7946"):
        assert "no address of this machine" in hub.notes[0]
        hub.broadcast("hello", "k")


async def test_an_event_is_told_once_for_each_key_and_not_when_too_long(tmp_path):
    async for hub in lead(tmp_path):
        hub.broadcast("hello", "k")
        hub.broadcast("hello", "k")
        assert [one.detail for one in hub.events(0, 9)] == ["hello"]
        with pytest.raises(SwarmletError, match="512"):
            hub.broadcast("x" * 513, "k2")


async def test_without_a_mesh_states_are_told_all_the_same(tmp_path):
    async for hub in lead(tmp_path, probe_ms=None):
        hub.became("00000000-0000-0000-0000-000000000001", NodeState.DOWN, "its lease lapsed")
        hub.turn()
        assert hub.members() == {}
        assert [one.what for one in hub.events(0, 9)] == ["down"]
    assert not (tmp_path / "mesh.key").exists()
