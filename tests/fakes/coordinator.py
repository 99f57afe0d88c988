"""A coordinator's inside for tests: real store, picture, ledger and planning, without a network."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from swarmlet import _native
from swarmlet.clock import SystemClock
from swarmlet.coordinator.ledger import Ledger
from swarmlet.coordinator.picture import Picture
from swarmlet.coordinator.planning import Planning
from swarmlet.coordinator.registry import Registry
from swarmlet.coordinator.store.commands import (
    AdmitNode,
    AnyCommand,
    InitCluster,
    MintToken,
    NodeTransition,
    ReportObserved,
)
from swarmlet.coordinator.store.sqlite import SqliteStore
from swarmlet.model.membership import NodeState
from swarmlet.model.workload import AssignmentState, Observation
from tests.fakes.records import profile

CLUSTER_ID = "ab" * 16
NOW_MS = 1_700_000_000_000
CLAIMS = _native.encode_claims(
    (
        1, bytes.fromhex(CLUSTER_ID), "test", b"\xaa" * 16, bytes(8), 1_700_000_000, 1_800_000_000,
        [bytes(32)],
        ["192.0.2.1:7946"], 10**6, [], [], ["docker"], "", _native.TokenSeed.generate().public_key,
    )
)  # fmt: skip


@dataclass
class Inside:
    """The parts, wired as in the real one."""

    store: SqliteStore
    picture: Picture
    ledger: Ledger
    registry: Registry
    planning: Planning
    tasks: asyncio.TaskGroup
    clock: Any = field(default_factory=SystemClock)

    async def apply(self, kind: type[AnyCommand], **given: Any):
        fields = {"at_ms": self.clock.wall_ms(), "actor": "test", **given}
        return await self.ledger.apply(kind(**fields))

    async def join(self, name: str, *, state: NodeState = NodeState.READY, **given: Any) -> str:
        """Admit a node as admission would, and return its uid."""
        number = len(self.picture.nodes) + 1
        uid = f"00000000-0000-4000-8000-{number:012d}"
        if not await self.store.tokens():
            await self.apply(MintToken, jti="aa" * 16, claims=CLAIMS, expires_ms=2**50, max_uses=10**6)
        await self.apply(
            AdmitNode,
            jti="aa" * 16,
            csr_key=f"{number:064x}",
            node_uid=uid,
            name=name,
            asked_name=name,
            chain=(b"leaf", b"root"),
            serial=f"{number:032x}",
            not_after_ms=self.clock.wall_ms() + 86_400_000,
            profile=given.pop("profile", None) or profile(name),
            capabilities=given.pop("capabilities", ()),
            clamped=(),
            version="0.1.0",
            seen="127.0.0.1:1",
        )
        if state is not NodeState.JOINED:
            await self.apply(NodeTransition, node_uid=uid, state=NodeState.READY, reason="test")
        if state not in (NodeState.JOINED, NodeState.READY):
            await self.apply(NodeTransition, node_uid=uid, state=state, reason="test")
        return uid

    async def observe(self, assignment_id: str, state: AssignmentState, **given: Any) -> None:
        """Report a new state of an assignment as its node would."""
        record = self.picture.assignments[assignment_id]
        seen = Observation(
            assignment_id, record.epoch, record.sequence + 1, state, self.clock.wall_ms(), **given
        )
        await self.apply(ReportObserved, node_uid=record.node_uid, observations=(seen,))

    async def until(self, condition, what: str = "") -> None:
        """Wait until ``condition()`` holds."""
        async with asyncio.timeout(20):
            while not condition():
                await asyncio.sleep(0.002)


@contextlib.asynccontextmanager
async def inside(directory: Path, *, planning: bool = True) -> AsyncIterator[Inside]:
    """Open the parts on a store in ``directory``, founding a cluster when there is none."""
    clock = SystemClock()
    async with await SqliteStore.open(directory / "cluster.db", clock) as store, asyncio.TaskGroup() as tasks:
        if await store.cluster() is None:
            await store.apply(
                InitCluster(
                    at_ms=NOW_MS,
                    actor="test",
                    cluster_id=CLUSTER_ID,
                    name="test",
                    root=b"root",
                    intermediate=b"intermediate",
                    token_kid=bytes(8),
                    token_key=bytes(32),
                )
            )
        snapshot = await store.snapshot()
        assert snapshot.cluster is not None
        picture = Picture(snapshot.cluster)
        picture.load(snapshot.nodes, snapshot.workloads, snapshot.assignments)
        ledger = Ledger(store, picture, tasks)
        registry = Registry(15_000)
        planner = Planning(picture, ledger, registry, clock, dict)
        ledger.on_changed(lambda _command, _result: planner.wake())
        loop = tasks.create_task(planner.run()) if planning else None
        planner.wake()
        yield Inside(store, picture, ledger, registry, planner, tasks, clock)
        if loop is not None:
            loop.cancel()
