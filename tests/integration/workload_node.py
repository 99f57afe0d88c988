"""One node's workloads without a cluster: the real supervisor, journal, processes and engine.

Run as a program it is an agent to be killed: it takes the assignments in a file and runs them until then.
"""

from __future__ import annotations

import asyncio
import sys
import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from swarmlet.clock import SystemClock
from swarmlet.link.messages import Desired
from swarmlet.model.workload import Assignment, AssignmentState, Observation
from swarmlet.workloads.driver import Node
from swarmlet.workloads.limits import Limits
from swarmlet.workloads.supervisor import Settings, Supervisor

DEADLINE_S = 30.0
NO_LIMITS = Limits()


class WorkloadNode:
    """A supervisor and the questions a test asks of it."""

    def __init__(self, data: Path, uid: str, *, limits: Limits = NO_LIMITS, engine: str = "auto") -> None:
        self.data = data
        self.uid = uid
        self.node = Node("c" * 32, uid, "node-1")
        self.supervisor = Supervisor(
            Settings(str(data), self.node, limits, engine),
            now_ms=lambda: time.time_ns() // 1_000_000,
            clock=SystemClock(),
        )
        self._generation = 0

    async def run(self, *assignments: Assignment) -> None:
        """Make exactly these the desired state."""
        self._generation = self.supervisor.generation + 1
        assert await self.supervisor.apply(Desired(self._generation, 0, full=True, assignments=assignments))

    def seen(self, name: str = "w.0.1") -> Observation | None:
        found = [one for one in self.supervisor.observations() if one.assignment_id == name]
        return found[-1] if found else None

    async def until(self, condition: Callable[[], object], what: str, deadline_s: float = DEADLINE_S) -> None:
        try:
            async with asyncio.timeout(deadline_s):
                while not condition():
                    await asyncio.sleep(0.005)
        except TimeoutError as late:
            raise AssertionError(f"{what}; seen: {self.supervisor.observations()}") from late

    async def until_state(self, state: AssignmentState, name: str = "w.0.1") -> Observation:
        def there() -> bool:
            one = self.seen(name)
            return one is not None and one.state is state

        await self.until(there, f"{name} did not become {state}")
        one = self.seen(name)
        assert one is not None
        return one

    async def output(self, name: str = "w.0.1", *, follow: bool = False, tail: int | None = None) -> str:
        parts = [part async for part in self.supervisor.logs(name, follow=follow, tail=tail)]
        return b"".join(parts).decode()

    async def until_said(self, words: str, name: str = "w.0.1") -> str:
        async with asyncio.timeout(DEADLINE_S):
            while words not in (text := await self.output(name)):
                await asyncio.sleep(0.005)
        return text


@asynccontextmanager
async def workload_node(
    data: Path,
    *,
    uid: str | None = None,
    limits: Limits = NO_LIMITS,
    engine: str = "auto",
) -> AsyncIterator[WorkloadNode]:
    """A started node; closed at the end as an agent closes, containers left running."""
    node = WorkloadNode(data, uid or str(uuid.uuid4()), limits=limits, engine=engine)
    await node.supervisor.start()
    try:
        yield node
    finally:
        await node.supervisor.close()


async def _serve(data: str, uid: str, file: str) -> None:
    assignments = msgspec.json.decode(Path(file).read_bytes(), type=tuple[Assignment, ...])
    async with workload_node(Path(data), uid=uid) as node:
        await node.run(*assignments)
        for one in assignments:
            await node.until_state(AssignmentState.RUNNING, one.assignment_id)
        print("running", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve(*sys.argv[1:]))
