"""The supervisor over a real journal and runs that a test ends: what is told, kept and restarted."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import pytest

from swarmlet.clock import SystemClock
from swarmlet.errors import SwarmletError, error
from swarmlet.model.workload import AssignmentState as State
from swarmlet.model.workload import Kind, Observation, OnPartition, Resources, RestartPolicy
from swarmlet.workloads import reconcile as rc
from swarmlet.workloads import restarts
from swarmlet.workloads.committer import Committer
from swarmlet.workloads.driver import Node
from swarmlet.workloads.journal import Journal, JournalState
from swarmlet.workloads.limits import Limits
from swarmlet.workloads.supervisor import Settings, Supervisor
from tests.fakes.drivers import FakeDriver
from tests.unit.workloads.samples import assignment, change, snapshot

NODE = Node("c" * 32, "11111111-2222-3333-4444-555555555555", "node-1")


class Scene:
    """One node whose agent can be ended and started again."""

    def __init__(self, tmp_path: Path, limits: Limits = Limits()) -> None:  # noqa: B008 - immutable
        self.path = tmp_path
        self.limits = limits
        self.processes = FakeDriver()
        self.containers = FakeDriver()
        self.told: list[Observation] = []
        self.supervisor = self._new()

    def _new(self) -> Supervisor:
        made = Supervisor(
            Settings(str(self.path), NODE, self.limits),
            now_ms=lambda: 1_700_000_000_000,
            clock=SystemClock(),
            rng=random.Random(1),
            drivers={Kind.PROCESS: self.processes, Kind.CONTAINER: self.containers},
        )
        made.subscribe(lambda: self.told.append(made.observations()[-1]))
        return made

    async def crash(self) -> None:
        """The agent dies: processes die with it, containers run on, and a new agent starts."""
        assert self.supervisor._main is not None
        self.supervisor._closing = True
        self.supervisor._main.cancel()
        await asyncio.wait([self.supervisor._main])
        survivors = {name: run for name, run in self.containers.runs.items() if not run.ended.done()}
        self.processes, self.containers = FakeDriver(), FakeDriver()
        self.containers.surviving = survivors
        self.supervisor = self._new()
        await self.supervisor.start()

    def state(self, name: str = "w.0.1") -> State | None:
        found = [one.state for one in self.supervisor.observations() if one.assignment_id == name]
        return found[-1] if found else None

    def reason(self, name: str = "w.0.1") -> str:
        return next(one.reason for one in self.supervisor.observations() if one.assignment_id == name)

    def has_started(self, times: int) -> bool:
        return len(self.processes.started) == times

    async def until(self, condition: Callable[[], object], what: str = "") -> None:
        async with asyncio.timeout(10):
            while not condition():
                await asyncio.sleep(0.001)

    async def until_state(self, state: State, name: str = "w.0.1") -> None:
        try:
            await self.until(lambda: self.state(name) is state)
        except TimeoutError:
            pytest.fail(f"{name} is {self.state(name)}, not {state}")


def play(tmp_path: Path, act: Callable[[Scene], Awaitable[None]], limits: Limits = Limits()) -> None:  # noqa: B008
    async def run() -> None:
        scene = Scene(tmp_path, limits)
        await scene.supervisor.start()
        try:
            await act(scene)
        finally:
            await scene.supervisor.close()

    asyncio.run(run())


def test_work_runs_and_its_end_is_told_until_it_is_acknowledged(tmp_path: Path) -> None:
    async def act(scene: Scene) -> None:
        up = scene.supervisor
        assert await up.apply(snapshot(assignment()))
        await scene.until_state(State.RUNNING)
        assert up.active == 1
        scene.processes.runs["w.0.1"].end(3)
        await scene.until_state(State.FAILED)
        (last,) = up.unacknowledged()
        assert (last.reason, last.exit_code) == ("exit code 3", 3)
        await up.acknowledge((("w.0.1", 1, last.sequence - 1),))
        assert up.unacknowledged() == (last,)
        await up.acknowledge((("w.0.1", 1, last.sequence),))
        assert up.unacknowledged() == ()
        assert [one.state for one in scene.told] == [State.PREPARING, State.RUNNING, State.FAILED]
        assert up.active == 0

    play(tmp_path, act)


def test_an_assignment_is_on_disk_before_it_starts(tmp_path: Path) -> None:
    async def act(scene: Scene) -> None:
        on_disk: list[JournalState] = []
        scene.processes.on_start = lambda _: on_disk.append(Journal(str(tmp_path / "journal")).load()[0])
        await scene.supervisor.apply(snapshot(assignment(), generation=4))
        await scene.until_state(State.RUNNING)
        assert [one.assignment for one in on_disk[0].replicas] == [assignment()]
        assert on_disk[0].generation == 4

    play(tmp_path, act)


def test_generations_are_followed_and_gaps_refused(tmp_path: Path) -> None:
    async def act(scene: Scene) -> None:
        up = scene.supervisor
        assert up.generation == 0
        assert not await up.apply(change(assignment(), base=3))
        assert await up.apply(snapshot(generation=3))
        assert await up.apply(change(assignment(), base=3))
        assert up.generation == 4
        assert not await up.apply(change(assignment(), base=3))
        await scene.until_state(State.RUNNING)
        assert scene.processes.started == ["w.0.1"]
        assert await up.apply(snapshot(generation=2))
        assert up.generation == 2
        await scene.until_state(State.STOPPED)

    play(tmp_path, act)


def test_a_repeated_snapshot_restarts_nothing_and_writes_nothing(tmp_path: Path) -> None:
    async def act(scene: Scene) -> None:
        await scene.supervisor.apply(snapshot(assignment()))
        await scene.until_state(State.RUNNING)
        await scene.supervisor.apply(snapshot(assignment()))
        slots = sorted((tmp_path / "journal").iterdir())
        before = [slot.read_bytes() for slot in slots]
        for _ in range(5):
            await scene.supervisor.apply(snapshot(assignment()))
        assert [slot.read_bytes() for slot in slots] == before
        assert scene.processes.started == ["w.0.1"]

    play(tmp_path, act)


def test_what_a_snapshot_omits_is_stopped_removed_and_forgotten(tmp_path: Path) -> None:
    async def act(scene: Scene) -> None:
        up = scene.supervisor
        await up.apply(snapshot(assignment()))
        await scene.until_state(State.RUNNING)
        await up.apply(snapshot(generation=2))
        await scene.until_state(State.STOPPED)
        await scene.until(lambda: scene.processes.removed == ["w.0.1"])
        (last,) = up.unacknowledged()
        await up.acknowledge((("w.0.1", 1, last.sequence),))
        assert up.observations() == ()
        await up.apply(snapshot(generation=3))
        assert Journal(str(tmp_path / "journal")).load()[0].replicas == ()
        await scene.until(lambda: scene.processes.swept[-1:] == [[]])
        assert [chunk async for chunk in up.logs("w.0.1", follow=False, tail=None)]

    play(tmp_path, act)


def test_a_stubborn_replica_is_killed_after_its_grace(tmp_path: Path) -> None:
    async def act(scene: Scene) -> None:
        scene.processes.stubborn = True
        await scene.supervisor.apply(snapshot(assignment(stop_grace_s=0.05)))
        await scene.until_state(State.RUNNING)
        await scene.supervisor.apply(snapshot(assignment(stop_grace_s=0.05, stop=True), generation=2))
        await scene.until_state(State.STOPPED)
        assert "was killed" in scene.reason()

    play(tmp_path, act)


def test_an_assignment_that_arrives_stopped_never_runs(tmp_path: Path) -> None:
    async def act(scene: Scene) -> None:
        await scene.supervisor.apply(snapshot(assignment(stop=True)))
        await scene.until_state(State.STOPPED)
        assert scene.processes.started == []

    play(tmp_path, act)


def test_a_stop_gives_up_a_preparation(tmp_path: Path) -> None:
    async def act(scene: Scene) -> None:
        scene.containers.preparing = asyncio.Event()
        await scene.supervisor.apply(snapshot(assignment(image="big")))
        await scene.until_state(State.PREPARING)
        await scene.supervisor.apply(snapshot(assignment(image="big", stop=True), generation=2))
        await scene.until_state(State.STOPPED)
        scene.containers.preparing.set()
        await asyncio.sleep(0.01)
        assert scene.containers.started == []

    play(tmp_path, act)


def test_a_failed_start_is_told_with_its_code(tmp_path: Path) -> None:
    async def act(scene: Scene) -> None:
        scene.processes.failures = [error("SWL-501", command="/bin/nope", node="node-1")]
        await scene.supervisor.apply(snapshot(assignment()))
        await scene.until_state(State.FAILED)
        assert scene.reason() == "SWL-501: the command /bin/nope does not exist on the node node-1"

    play(tmp_path, act)


def test_a_fault_of_a_driver_fails_the_replica_and_nothing_else(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def act(scene: Scene) -> None:
        def broken(_: object) -> None:
            raise ZeroDivisionError

        scene.processes.on_start = broken
        await scene.supervisor.apply(snapshot(assignment()))
        await scene.until_state(State.FAILED)
        assert "SWL-799" in scene.reason()
        scene.processes.on_start = lambda _: None
        await scene.supervisor.apply(change(assignment("b.0.1", workload="b"), base=1))
        await scene.until_state(State.RUNNING, "b.0.1")

    play(tmp_path, act)
    assert "ZeroDivisionError" in caplog.text


def test_restarts_follow_the_policy_and_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(restarts, "BACKOFF_BASE_S", 0.001)

    async def act(scene: Scene) -> None:
        await scene.supervisor.apply(snapshot(assignment(restart=RestartPolicy.ON_FAILURE)))
        for run in range(1, 4):
            await scene.until(partial(scene.has_started, run))
            await scene.until_state(State.RUNNING)
            scene.processes.runs["w.0.1"].end(1)
            await scene.until(partial(scene.has_started, run + 1))
        await scene.until_state(State.RUNNING)
        scene.processes.runs["w.0.1"].end(0)
        await scene.until_state(State.SUCCEEDED)
        (last,) = scene.supervisor.observations()
        assert last.restarts == 3

    play(tmp_path, act)


# ---- limits


def test_over_the_limit_fails_and_over_the_sum_waits_for_room(tmp_path: Path) -> None:
    async def act(scene: Scene) -> None:
        big = assignment("big.0.1", workload="big", resources=Resources(memory_mb=600))
        one = assignment("a.0.1", workload="a", resources=Resources(memory_mb=400))
        two = assignment("b.0.1", workload="b", resources=Resources(memory_mb=200))
        free = assignment("c.0.1", workload="c")
        await scene.supervisor.apply(snapshot(big, one, two, free))
        await scene.until_state(State.FAILED, "big.0.1")
        assert "SWL-506" in scene.reason("big.0.1")
        await scene.until_state(State.RUNNING, "a.0.1")
        await scene.until_state(State.ASSIGNED, "b.0.1")
        assert "112 of 512 MB free" in scene.reason("b.0.1")
        await scene.until_state(State.ASSIGNED, "c.0.1")
        assert "for want of --memory" in scene.reason("c.0.1")
        scene.processes.runs["a.0.1"].end(0)
        await scene.until_state(State.RUNNING, "b.0.1")
        await scene.until_state(State.ASSIGNED, "c.0.1")
        scene.processes.runs["b.0.1"].end(0)
        await scene.until_state(State.RUNNING, "c.0.1")
        assert scene.processes.runs["c.0.1"].job.bounds.memory_mb == 512

    play(tmp_path, act, Limits(memory_mb=512))


# ---- the lease


def test_a_lapsed_lease_stops_stop_replicas_until_the_cluster_confirms(tmp_path: Path) -> None:
    async def act(scene: Scene) -> None:
        up = scene.supervisor
        one = assignment("one.0.1", workload="one", on_partition=OnPartition.STOP)
        keep = assignment("keep.0.1", workload="keep")
        await up.apply(snapshot(one, keep))
        await scene.until_state(State.RUNNING, "keep.0.1")
        await scene.until(lambda: scene.state("one.0.1") is State.ASSIGNED)
        assert scene.reason("one.0.1") == rc.WAITS_LEASE
        up.lease(held=True)
        await scene.until_state(State.RUNNING, "one.0.1")
        up.lease(held=False)
        await scene.until_state(State.PREPARING, "one.0.1")
        assert scene.state("keep.0.1") is State.RUNNING
        up.lease(held=True)
        await asyncio.sleep(0.02)
        assert scene.processes.started.count("one.0.1") == 1, "it started before the cluster confirmed it"
        await up.apply(snapshot(one, keep, generation=2))
        await scene.until_state(State.RUNNING, "one.0.1")
        assert scene.processes.started == ["keep.0.1", "one.0.1", "one.0.1"]

    play(tmp_path, act)


def test_a_newer_epoch_starts_only_after_the_older_one_ended(tmp_path: Path) -> None:
    async def act(scene: Scene) -> None:
        scene.processes.stubborn = True
        await scene.supervisor.apply(snapshot(assignment("w.0.1", 1)))
        await scene.until_state(State.RUNNING, "w.0.1")
        await scene.supervisor.apply(change(assignment("w.0.2", 2), base=1))
        await scene.until_state(State.STOPPING, "w.0.1")
        await scene.until(lambda: scene.state("w.0.2") is State.ASSIGNED)
        assert scene.reason("w.0.2") == rc.WAITS_PREDECESSOR
        scene.processes.stubborn = False
        scene.processes.runs["w.0.1"].end(0)
        await scene.until_state(State.RUNNING, "w.0.2")

    play(tmp_path, act)


# ---- restarts of the agent


def test_after_a_crash_processes_start_again_and_containers_are_adopted(tmp_path: Path) -> None:
    async def act(scene: Scene) -> None:
        process, container = assignment("p.0.1", workload="p"), assignment("c.0.1", workload="c", image="x")
        await scene.supervisor.apply(snapshot(process, container, generation=9))
        await scene.until_state(State.RUNNING, "p.0.1")
        await scene.until_state(State.RUNNING, "c.0.1")
        sequences = {one.assignment_id: one.sequence for one in scene.supervisor.observations()}
        await scene.crash()
        assert scene.supervisor.generation == 9
        await scene.until_state(State.RUNNING, "p.0.1")
        await scene.until_state(State.RUNNING, "c.0.1")
        assert scene.processes.started == ["p.0.1"]
        assert scene.containers.started == []
        after = {one.assignment_id: one for one in scene.supervisor.observations()}
        assert all(after[name].sequence > number for name, number in sequences.items())
        assert (after["p.0.1"].restarts, after["c.0.1"].restarts) == (1, 0)
        assert await scene.supervisor.apply(change(base=9, removed=("p.0.1",)))

    play(tmp_path, act)


def test_a_container_that_is_gone_after_a_reboot_is_started_again(tmp_path: Path) -> None:
    async def act(scene: Scene) -> None:
        await scene.supervisor.apply(snapshot(assignment(image="x")))
        await scene.until_state(State.RUNNING)
        scene.containers.runs.clear()
        await scene.crash()
        await scene.until(lambda: scene.containers.started == ["w.0.1"])
        await scene.until_state(State.RUNNING)

    play(tmp_path, act)


def test_an_end_told_before_a_crash_is_told_again_and_not_undone(tmp_path: Path) -> None:
    async def act(scene: Scene) -> None:
        await scene.supervisor.apply(snapshot(assignment()))
        await scene.until_state(State.RUNNING)
        scene.processes.runs["w.0.1"].end(0)
        await scene.until_state(State.SUCCEEDED)
        (before,) = scene.supervisor.unacknowledged()
        await scene.crash()
        assert scene.supervisor.unacknowledged() == (before,)
        await scene.supervisor.apply(snapshot(assignment(), generation=2))
        await asyncio.sleep(0.02)
        assert scene.processes.started == []

    play(tmp_path, act)


def test_close_stops_processes_leaves_containers_and_keeps_the_journal(tmp_path: Path) -> None:
    async def act(scene: Scene) -> None:
        process, container = assignment("p.0.1", workload="p"), assignment("c.0.1", workload="c", image="x")
        await scene.supervisor.apply(snapshot(process, container))
        await scene.until_state(State.RUNNING, "p.0.1")
        await scene.until_state(State.RUNNING, "c.0.1")
        told = len(scene.told)
        await scene.supervisor.close()
        assert scene.processes.runs["p.0.1"].ended.done()
        assert not scene.containers.runs["c.0.1"].ended.done()
        assert len(scene.told) == told
        kept = Journal(str(tmp_path / "journal")).load()[0]
        assert {one.assignment.assignment_id for one in kept.replicas} == {"p.0.1", "c.0.1"}
        assert not any(one.ended for one in kept.replicas)

    play(tmp_path, act)


def test_close_kills_what_does_not_end(tmp_path: Path) -> None:
    async def act(scene: Scene) -> None:
        scene.processes.stubborn = True
        await scene.supervisor.apply(snapshot(assignment(stop_grace_s=0.05)))
        await scene.until_state(State.RUNNING)
        await scene.supervisor.close()
        assert scene.processes.runs["w.0.1"].ended.result().signal == 9

    play(tmp_path, act)


def test_leaving_ends_everything_and_empties_the_journal(tmp_path: Path) -> None:
    async def act(scene: Scene) -> None:
        process, container = assignment("p.0.1", workload="p"), assignment("c.0.1", workload="c", image="x")
        await scene.supervisor.apply(snapshot(process, container))
        await scene.until_state(State.RUNNING, "p.0.1")
        await scene.until_state(State.RUNNING, "c.0.1")
        await scene.supervisor.stop_all("this node left the cluster")
        assert scene.processes.runs["p.0.1"].ended.done()
        assert scene.containers.runs["c.0.1"].ended.done()
        assert (scene.processes.removed, scene.containers.removed) == (["p.0.1"], ["c.0.1"])
        assert Journal(str(tmp_path / "journal")).load()[0] == JournalState()
        assert scene.supervisor.observations() == ()

    play(tmp_path, act)


# ---- bad disks


def test_a_damaged_journal_starts_empty_says_so_and_leaves_containers_until_a_snapshot(
    tmp_path: Path,
) -> None:
    (tmp_path / "journal").mkdir()
    for name in "ab":
        (tmp_path / "journal" / name).write_bytes(b"junk")

    async def act(scene: Scene) -> None:
        trouble = scene.supervisor.trouble()
        assert trouble is not None
        assert "SWL-309" in trouble
        assert scene.containers.swept == []
        await scene.supervisor.apply(snapshot(assignment(image="x")))
        await scene.until(lambda: scene.containers.swept == [["w.0.1"]])
        assert scene.supervisor.trouble() is None

    play(tmp_path, act)


def test_after_losing_the_journal_numbers_go_on_beyond_what_was_told(tmp_path: Path) -> None:
    async def act(scene: Scene) -> None:
        await scene.supervisor.apply(snapshot(assignment()))
        await scene.until_state(State.RUNNING)
        (before,) = scene.supervisor.observations()
        for slot in (tmp_path / "journal").iterdir():
            slot.write_bytes(b"junk")
        await scene.crash()
        scene.supervisor._now_ms = lambda: 1_700_000_060_000
        await scene.supervisor.apply(snapshot(assignment()))
        await scene.until_state(State.RUNNING)
        (after,) = scene.supervisor.observations()
        assert after.sequence > before.sequence

    play(tmp_path, act)


def test_a_full_disk_starts_nothing_new_stops_what_it_must_and_recovers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("swarmlet.workloads.committer.RETRY_S", 0.01)
    full = False
    save = Journal.save

    def maybe(journal: Journal, state: JournalState) -> bool:
        if full:
            raise error("SWL-302", path="journal")
        return save(journal, state)

    monkeypatch.setattr(Journal, "save", maybe)

    async def act(scene: Scene) -> None:
        nonlocal full
        up = scene.supervisor
        await up.apply(snapshot(assignment("a.0.1", workload="a")))
        await scene.until_state(State.RUNNING, "a.0.1")
        full = True
        with pytest.raises(SwarmletError, match="SWL-302"):
            await up.apply(change(assignment("b.0.1", workload="b"), base=1, removed=("a.0.1",)))
        assert up.generation == 1
        assert "SWL-302" in (up.trouble() or "")
        await scene.until(scene.processes.runs["a.0.1"].ended.done)
        assert scene.state("a.0.1") is State.STOPPING, "an end was told that is not on disk"
        assert scene.processes.started == ["a.0.1"]
        full = False
        await scene.until_state(State.STOPPED, "a.0.1")
        await scene.until_state(State.RUNNING, "b.0.1")
        assert up.trouble() is None
        assert up.generation == 2

    play(tmp_path, act)


def test_engine_trouble_is_shown_only_while_a_container_is_wanted(tmp_path: Path) -> None:
    async def act(scene: Scene) -> None:
        scene.containers.said = "SWL-503: no engine"
        assert scene.supervisor.trouble() is None
        await scene.supervisor.apply(snapshot(assignment(image="x")))
        assert scene.supervisor.trouble() == "SWL-503: no engine"

    play(tmp_path, act)


# ---- output


def test_output_is_followed_to_the_end_and_an_unknown_name_is_an_error(tmp_path: Path) -> None:
    async def act(scene: Scene) -> None:
        up = scene.supervisor
        scene.processes.preparing = asyncio.Event()
        await up.apply(snapshot(assignment()))
        found = bytearray()

        async def read() -> None:
            async for part in up.logs("w.0.1", follow=True, tail=None):
                found.extend(part)

        reader = asyncio.create_task(read())
        await asyncio.sleep(0)
        scene.processes.preparing.set()
        await scene.until_state(State.RUNNING)
        scene.processes.runs["w.0.1"].ring.append(1, b"x" * 100_000)
        scene.processes.runs["w.0.1"].end(0)
        await asyncio.wait_for(reader, 5)
        assert bytes(found) == b"hello from w.0.1\n" + b"x" * 100_000
        last = [part async for part in up.logs("w.0.1", follow=False, tail=1)]
        assert b"".join(last) == b"x" * 100_000
        assert max(map(len, last)) <= 32 * 1024
        with pytest.raises(SwarmletError, match="SWL-504"):
            await anext(aiter(up.logs("nobody", follow=False, tail=None)))

    play(tmp_path, act)


def test_a_name_that_is_no_name_is_not_taken(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def act(scene: Scene) -> None:
        bad = [assignment(name, workload=str(n)) for n, name in enumerate(["../up", "a/b", "", ".x", "a..b"])]
        await scene.supervisor.apply(snapshot(*bad, assignment()))
        await scene.until_state(State.RUNNING)
        assert scene.processes.started == ["w.0.1"]

    play(tmp_path, act)
    assert caplog.text.count("cannot be its name") == 5


def test_many_changes_share_few_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writes = 0
    save = Journal.save

    def counted(journal: Journal, state: JournalState) -> bool:
        nonlocal writes
        written = save(journal, state)
        writes += written
        return written

    monkeypatch.setattr(Journal, "save", counted)

    async def act(scene: Scene) -> None:
        many = [assignment(f"w{n}.0.1", workload=f"w{n}") for n in range(100)]
        await scene.supervisor.apply(snapshot(*many))
        await scene.until(lambda: len(scene.processes.started) == 100)
        assert writes <= 3
        for run in scene.processes.runs.values():
            run.end(0)
        await scene.until(
            lambda: all(one.state is State.SUCCEEDED for one in scene.supervisor.observations())
        )
        assert writes <= 12
        assert Committer is not None

    play(tmp_path, act)
