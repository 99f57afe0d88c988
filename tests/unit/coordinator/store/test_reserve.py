"""N9: what must be recorded is recorded on a full disk, from a reserve that nothing else may touch."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from swarmlet.clock import SystemClock
from swarmlet.coordinator.store.commands import LabelNode, NodeTransition
from swarmlet.coordinator.store.reserve import Reserve
from swarmlet.coordinator.store.sqlite import SqliteStore
from swarmlet.errors import SwarmletError
from swarmlet.model.membership import NodeState
from tests.fakes.history import admit, init, mint, remove, uid

SIZE = 2 * 1024 * 1024
MEMBERS = 60


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system of twelve megabytes."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system needs root")
    place = tmp_path / "small"
    place.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", str(place)]
    mounted = subprocess.run(words, capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip(f"cannot mount: {mounted.stderr.decode().strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def fill(place: Path) -> Path:
    ballast = place / "ballast"
    with contextlib.suppress(OSError), ballast.open("ab", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    assert shutil.disk_usage(place).free == 0
    return ballast


async def opened(place: Path) -> SqliteStore:
    return await SqliteStore.open(place / "cluster.db", SystemClock(), reserve=SIZE)


def transition(number: int, state: NodeState) -> NodeTransition:
    return NodeTransition(at_ms=9, actor="coordinator", node_uid=uid(number), state=state, reason="told")


async def fills_up(store: SqliteStore) -> str:
    """Record what is not urgent until that is refused; return with which code."""
    for number in range(100_000):
        labels = {f"k{number % 50}": "v" * 200 + str(number)}
        try:
            await store.apply(LabelNode(at_ms=9, actor="uid:0", node_uid=uid(1), labels=labels))
        except SwarmletError as failure:
            return failure.code
    raise AssertionError("a small disk never filled up")


async def test_on_a_full_disk_nodes_can_be_removed_and_nothing_else_takes_the_room(small: Path) -> None:
    async with await opened(small) as store:
        await store.apply(init())
        await store.apply(mint(uses=1000))
        for number in range(1, MEMBERS + 1):
            await store.apply(admit(number))
        assert store.stats()["reserve_bytes"] == SIZE
        ballast = fill(small)
        assert await fills_up(store) == "SWL-302"
        for number in range(2, MEMBERS + 1):
            await store.apply(transition(number, NodeState.READY))
            await store.apply(transition(number, NodeState.DOWN))
            result = await store.apply(remove(number))
            assert result.denied
            fill(small)  # whatever is given up may be taken by somebody else at once
            assert await fills_up(store) == "SWL-302"
        assert store.short_of_room
        assert len(await store.denied_serials()) == MEMBERS - 1
        ballast.unlink()
        assert await eventually_whole(store)
        await store.apply(admit(MEMBERS + 1))
        assert (await store.verify_audit()).intact
    async with await opened(small) as store:
        assert not store.short_of_room
        assert {node.node_uid for node in await store.nodes()} == {uid(1), uid(MEMBERS + 1)}


async def eventually_whole(store: SqliteStore) -> bool:
    """Ask for what is not urgent until it is taken again."""
    import asyncio  # noqa: PLC0415 - only here

    for _ in range(200):
        with contextlib.suppress(SwarmletError):
            await store.apply(LabelNode(at_ms=9, actor="uid:0", node_uid=uid(1), labels={"k": str(_)}))
            return not store.short_of_room
        await asyncio.sleep(0.05)
    return False


async def test_a_store_opens_on_a_full_disk_and_still_has_its_reserve(small: Path) -> None:
    async with await opened(small) as store:
        await store.apply(init())
        await store.apply(mint(uses=1000))
        await store.apply(admit(1))
    fill(small)  # the write-ahead log is gone with the clean end: its room is taken too
    async with await opened(small) as store:
        await store.apply(remove(1))
        assert await store.denied_serials()


def test_a_reserve_is_real_room_and_gives_it_up_in_steps(tmp_path: Path) -> None:
    file = tmp_path / "reserve"
    reserve = Reserve(file, SystemClock(), SIZE)
    assert not reserve.whole
    assert reserve.fill()
    assert file.stat().st_blocks * 512 >= SIZE
    assert file.stat().st_mode & 0o077 == 0
    sizes = []
    while reserve.release():
        sizes.append(file.stat().st_size)
    assert sizes == sorted(sizes, reverse=True)
    assert len(sizes) >= 4
    assert sizes[-1] == 0
    assert not reserve.release()


def test_a_place_that_takes_no_reserve_costs_only_the_reserve(tmp_path: Path) -> None:
    reserve = Reserve(tmp_path / "none" / "reserve", SystemClock(), SIZE)
    assert reserve.fill()
    assert not reserve.release()


def test_no_reserve_is_kept_when_none_is_asked_for(tmp_path: Path) -> None:
    reserve = Reserve(tmp_path / "reserve", SystemClock(), 0)
    assert reserve.fill()
    assert not (tmp_path / "reserve").exists()
