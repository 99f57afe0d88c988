"""Memory follows the disk, also when the disk is slow, cannot be read for a while, or a listener fails."""

from __future__ import annotations

import asyncio
import threading

import pytest

from swarmlet.coordinator import ledger as module
from swarmlet.coordinator.store.commands import RemoveNode
from swarmlet.errors import SwarmletError, error
from swarmlet.model.membership import NodeState
from tests.fakes.coordinator import inside


async def test_a_command_that_is_applied_after_its_caller_gave_up_is_followed(tmp_path) -> None:
    """A removal above all: its certificate must be refused and its work placed anew."""
    async with inside(tmp_path, planning=False) as parts:
        uid = await parts.join("pi")
        denied: list[str] = []
        parts.ledger.on_denied(lambda _command, result: denied.extend(result.denied))
        release = threading.Event()
        hang = asyncio.create_task(parts.store._write(lambda _db: release.wait(30)))
        await asyncio.sleep(0)
        parts.store._wait_s = 0.05
        with pytest.raises(SwarmletError, match="SWL-205"):
            await parts.apply(RemoveNode, node_uid=uid)
        assert parts.picture.nodes[uid].state is NodeState.READY
        parts.store._wait_s = 30
        release.set()
        await hang
        await parts.until(lambda: parts.picture.nodes[uid].state is NodeState.REVOKED)
        assert denied == [parts.picture.nodes[uid].serial]


async def test_what_was_written_is_read_again_until_it_can_be(tmp_path, monkeypatch) -> None:
    async with inside(tmp_path, planning=False) as parts:
        uid = await parts.join("pi")
        touched, failures = parts.store.touched, iter((True, True, False))

        async def failing(result):
            if next(failures):
                raise error("SWL-301", path="x", detail="no descriptor left")
            return await touched(result)

        monkeypatch.setattr(parts.store, "touched", failing)
        await parts.apply(RemoveNode, node_uid=uid)
        assert parts.picture.nodes[uid].state is NodeState.REVOKED


async def test_a_coordinator_that_cannot_follow_its_disk_ends(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(module, "READ_AGAIN_S", (0.001,))

    async def failing(_result):
        raise error("SWL-602", path="x", detail="damaged")

    async def remove_one() -> None:
        async with inside(tmp_path, planning=False) as parts:
            uid = await parts.join("pi")
            monkeypatch.setattr(parts.store, "touched", failing)
            await parts.apply(RemoveNode, node_uid=uid)

    with pytest.raises(ExceptionGroup) as ended:
        await remove_one()
    assert ended.group_contains(SwarmletError, match="SWL-602")


async def test_a_listener_that_fails_keeps_nobody_from_following(tmp_path, caplog) -> None:
    async with inside(tmp_path, planning=False) as parts:
        uid = await parts.join("pi")
        parts.ledger.on_denied(lambda *_: 1 / 0)
        await parts.apply(RemoveNode, node_uid=uid)
        assert parts.picture.nodes[uid].state is NodeState.REVOKED
    assert "ZeroDivisionError" in caplog.text
