"""Coordinator and nodes through loss, duplication, reordering, partitions and crashes; seeds are printed."""

from __future__ import annotations

import contextlib

import pytest

from swarmlet.coordinator.picture import is_live
from swarmlet.coordinator.standing import standing
from swarmlet.coordinator.store.commands import (
    RemoveNode,
    SetAvailability,
    StopWorkload,
    SubmitWorkload,
)
from swarmlet.errors import SwarmletError
from swarmlet.model.membership import Availability, NodeState
from swarmlet.model.views import FINISHED, WorkloadState
from swarmlet.model.workload import TERMINAL, AssignmentState, OnPartition, Resources
from tests.fakes.records import spec
from tests.sim.brain import Brain
from tests.sim.clockwork import Clockwork
from tests.sim.device import Device


class Story:
    """A cluster, what is done to it, and what must hold all the while."""

    def __init__(self, seed: int, directory, nodes: int, hostile: float = 0.0) -> None:
        self.clock = Clockwork(seed)
        self.brain = Brain(self.clock, directory)
        self.devices = [Device(f"n{number}", self.clock, self.brain, hostile) for number in range(nodes)]
        self.asked: dict[str, SubmitWorkload] = {}
        self.events = 0

    def run(self, seconds: float) -> None:
        self.clock.run(seconds, self.watch)

    def watch(self) -> None:
        """What holds at every moment."""
        self.events += 1
        self.no_singleton_runs_twice()
        if self.events % 50 == 0:
            assert self.brain.faults() == ()

    def no_singleton_runs_twice(self) -> None:
        running: dict[str, str] = {}
        for device in self.devices:
            for name in device.running:
                if device.journal[name].spec.on_partition is not OnPartition.STOP:
                    continue
                replica = name.rpartition(".")[0]
                assert replica not in running, f"{name} and {running[replica]} run at {self.clock.now}"
                running[replica] = name

    def submit(self, name: str, **given) -> None:
        command = SubmitWorkload(
            at_ms=self.clock.ms, actor="sim", key=name, workload_id=name, spec=spec(name, **given)
        )
        self.asked[name] = command
        self.brain.apply(command)

    def act(self, command) -> None:
        if self.brain.up:
            with contextlib.suppress(SwarmletError):
                self.brain.apply(command)

    # ---- what must hold once everything is whole again

    def settle(self) -> None:
        """Heal, give every node a fresh connection without faults, and let things come to rest."""
        if not self.brain.up:
            self.brain.start()
        for device in self.devices:
            device.hostile = 0
            device.set_cut(cut=False)
            if not device.on:
                device.boot()
            device._hang_up()
            device._dial()
        self.run(90)

    def is_whole(self) -> None:
        """Nothing is lost, nothing runs that should not, and everybody knows the same."""
        assert self.brain.faults() == ()
        picture = self.brain.picture
        for device in self.devices:
            if device.revoked:
                assert not device.running
                continue
            wanted = {one.assignment_id for one in picture.live_on(device.uid) if not one.stop}
            assert device.running == wanted, device.name
            assert not device.unacknowledged
        for name, workload in picture.workloads.items():
            latest = picture.latest(name)
            state = standing(workload, latest, picture.nodes).state
            if workload.stopping:
                assert state in FINISHED, (name, state)
            elif state is WorkloadState.PENDING:
                assert workload.pending_reason, name
            else:
                assert state in FINISHED | {WorkloadState.RUNNING}, (name, state, latest)

    def nothing_started_twice(self) -> None:
        """The effect of an assignment is once, however often it was told (N2)."""
        for device in self.devices:
            for name, count in device.starts.items():
                record = self.brain.picture.assignments[name]
                assert count <= 1 + record.restarts + device._life, name


def mischief(story: Story) -> None:
    """One random thing."""
    dice, brain = story.clock.dice, story.brain
    device = dice.choice(story.devices)
    count = len(story.asked)
    what = dice.choices(
        ["submit", "stop", "cut", "crash", "restart", "drain", "uncordon", "remove", "wait"],
        [6, 2, 4, 2, 1, 1, 1, 0.3, 6],
    )[0]
    if what == "submit" and brain.up:
        kind = dice.choice(["short", "long"])
        story.submit(
            f"{kind}{count}",
            replicas=dice.randint(1, 4),
            resources=Resources(cpu=dice.choice([None, 0.5, 2.0])),
            on_partition=dice.choice(list(OnPartition)),
        )
    elif what == "stop" and story.asked:
        story.act(StopWorkload(at_ms=story.clock.ms, actor="sim", workload_id=dice.choice(list(story.asked))))
    elif what == "cut":
        device.set_cut(cut=True)
        story.clock.after(0.5, 60, lambda: device.set_cut(cut=False))
    elif what == "crash" and device.on:
        device.crash()
        story.clock.after(0.5, 40, lambda: None if device.on else device.boot())
    elif what == "restart" and brain.up:
        brain.crash()
        story.clock.after(0.5, 30, lambda: None if brain.up else brain.start())
    elif what in ("drain", "uncordon"):
        wish = Availability.DRAINING if what == "drain" else Availability.ACTIVE
        story.act(SetAvailability(at_ms=story.clock.ms, actor="sim", node_uid=device.uid, availability=wish))
    elif what == "remove" and len(story.devices) > 3:
        story.act(RemoveNode(at_ms=story.clock.ms, actor="sim", node_uid=device.uid))


@pytest.mark.parametrize("hostile", [0.0, 0.3], ids=["tcp", "hostile"])
@pytest.mark.parametrize("run", range(6))
def test_nothing_is_lost_and_nothing_runs_twice_whatever_happens(tmp_path, seed, run, hostile) -> None:
    story = Story(seed + run, tmp_path, nodes=5, hostile=hostile)
    story.run(10)
    for _ in range(60):
        mischief(story)
        story.run(story.clock.dice.uniform(0, 10))
    story.settle()
    story.is_whole()
    story.nothing_started_twice()


def test_work_of_a_dead_node_moves_and_the_old_copy_ends_when_it_returns(tmp_path, seed) -> None:
    story = Story(seed, tmp_path, nodes=5)
    story.run(10)
    story.submit("long", replicas=5)
    story.run(10)
    victim = next(device for device in story.devices if device.running)
    victim.set_cut(cut=True)
    story.run(12)
    assert story.brain.lost == 0
    story.run(18)
    assert story.brain.lost == 1
    assert victim.running  # it keeps its copy: nobody told it anything
    victim.set_cut(cut=False)
    story.run(30)
    assert not victim.running
    story.is_whole()


def test_a_pulled_switch_moves_nothing_and_restarts_nothing(tmp_path, seed) -> None:
    """N6."""
    story = Story(seed, tmp_path, nodes=6)
    story.run(10)
    story.submit("long", replicas=6)
    story.run(10)
    placed = story.brain.placed
    for device in story.devices:
        device.set_cut(cut=True)
    story.run(600)
    assert story.brain.alarms
    for device in story.devices:
        device.set_cut(cut=False)
    story.run(60)
    assert (story.brain.placed, story.brain.lost) == (placed, 0)
    assert all(count == 1 for device in story.devices for count in device.starts.values())
    story.is_whole()


def test_a_coordinator_that_was_away_for_an_hour_restarts_nothing(tmp_path, seed) -> None:
    story = Story(seed, tmp_path, nodes=4)
    story.run(10)
    story.submit("long", replicas=4)
    story.run(10)
    story.brain.crash()
    story.run(3600)
    assert all(device.running for device in story.devices)
    story.brain.start()
    assert {node.state for node in story.brain.picture.nodes.values()} == {NodeState.SUSPECT}
    story.run(60)
    assert all(count == 1 for device in story.devices for count in device.starts.values())
    story.is_whole()


def test_a_singleton_waits_out_its_lease_before_it_runs_elsewhere(tmp_path, seed) -> None:
    """N4: the old copy has ended before the new one begins, also when nobody can tell the old one."""
    story = Story(seed, tmp_path, nodes=5)
    story.run(10)
    story.submit("long", on_partition=OnPartition.STOP)
    story.run(10)
    for _ in range(3):
        victim = next(device for device in story.devices if device.running)
        victim.set_cut(cut=True)
        story.run(30)
        assert sum(bool(device.running) for device in story.devices) == 1
        assert not victim.running
        victim.set_cut(cut=False)
        story.run(61)
    story.is_whole()


def test_draining_empties_a_node(tmp_path, seed) -> None:
    story = Story(seed, tmp_path, nodes=3)
    story.run(10)
    story.submit("long", replicas=3)
    story.run(10)
    drained = story.devices[0]
    story.act(SetAvailability(at_ms=0, actor="sim", node_uid=drained.uid, availability=Availability.DRAINING))
    story.run(20)
    assert not drained.running
    assert sum(len(device.running) for device in story.devices) == 3
    story.is_whole()


def test_every_state_that_was_ever_acknowledged_is_terminal_only_once(tmp_path, seed) -> None:
    story = Story(seed, tmp_path, nodes=4, hostile=0.5)
    ended: dict[str, AssignmentState] = {}

    def look() -> None:
        story.watch()
        for name, record in story.brain.picture.assignments.items():
            if record.state in TERMINAL:
                assert ended.setdefault(name, record.state) is record.state

    story.run(10)
    for number in range(10):
        story.submit(f"short{number}", replicas=3)
    story.clock.run(300, look)
    story.settle()
    assert all(not is_live(record) for record in story.brain.picture.assignments.values())
