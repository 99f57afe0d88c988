"""A way to run things that runs nothing: what it was asked, and ends that the test decides."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection

from swarmlet.errors import SwarmletError
from swarmlet.model.workload import Assignment
from swarmlet.workloads.driver import Job
from swarmlet.workloads.endings import Exit
from swarmlet.workloads.output import STDOUT, Ring


class FakeRun:
    """Something that runs until the test, SIGTERM or SIGKILL ends it."""

    def __init__(self, job: Job, ring: Ring, *, stubborn: bool) -> None:
        self.job = job
        self.ring = ring
        self.note = ""
        self.stubborn = stubborn
        self.ended: asyncio.Future[Exit] = asyncio.get_running_loop().create_future()

    async def wait(self) -> Exit:
        return await asyncio.shield(self.ended)

    def end(self, code: int = 0) -> None:
        if not self.ended.done():
            self.ended.set_result(Exit(code=code))

    async def terminate(self) -> None:
        if not self.stubborn and not self.ended.done():
            self.ended.set_result(Exit(signal=15))

    async def kill(self) -> None:
        if not self.ended.done():
            self.ended.set_result(Exit(signal=9))


class FakeDriver:
    """Records what it was asked; ``surviving`` are runs from before this agent."""

    def __init__(self) -> None:
        self.runs: dict[str, FakeRun] = {}
        self.started: list[str] = []
        self.removed: list[str] = []
        self.cleaned: list[str] = []
        self.swept: list[list[str]] = []
        self.surviving: dict[str, FakeRun] = {}
        self.failures: list[SwarmletError] = []
        self.stubborn = False
        self.preparing: asyncio.Event | None = None
        self.said: str | None = None
        self.on_start: Callable[[Job], None] = lambda _: None

    async def begin(self) -> None:
        pass

    async def prepare(self, job: Job) -> None:
        if self.preparing is not None:
            await self.preparing.wait()
        if self.failures:
            raise self.failures.pop(0)

    async def start(self, job: Job, ring: Ring) -> FakeRun:
        name = job.assignment.assignment_id
        live = self.runs.get(name)
        assert live is None or live.ended.done(), "two runs of one assignment"
        self.on_start(job)
        self.started.append(name)
        ring.append(STDOUT, f"hello from {name}\n".encode())
        self.runs[name] = FakeRun(job, ring, stubborn=self.stubborn)
        return self.runs[name]

    async def adopt(self, job: Job, ring: Ring) -> FakeRun | None:
        run = self.surviving.pop(job.assignment.assignment_id, None)
        if run is not None:
            self.runs[job.assignment.assignment_id] = run
        return run

    async def clean(self, assignment: Assignment) -> None:
        self.cleaned.append(assignment.assignment_id)

    async def remove(self, assignment: Assignment) -> None:
        self.removed.append(assignment.assignment_id)

    async def sweep(self, keep: Callable[[], Collection[Assignment]]) -> None:
        self.swept.append([one.assignment_id for one in keep()])

    def trouble(self) -> str | None:
        return self.said

    async def close(self) -> None:
        pass
