"""A node of the simulation: it keeps the protocol's rules as ``link/messages.py`` writes them down."""

from __future__ import annotations

from msgspec.structs import replace

from swarmlet.link import messages as m
from swarmlet.model.workload import TERMINAL, Assignment, AssignmentState, Observation, OnPartition
from tests.fakes.records import profile
from tests.sim.brain import HEARTBEAT_S, Brain
from tests.sim.clockwork import Clockwork, Wire

#: A node gives its lease up after so many seconds without an acknowledged heartbeat (N4).
PATIENCE_S = 10.0


class Device:
    """Runs what it is told. The journal survives a crash; processes and the connection do not."""

    def __init__(self, name: str, clock: Clockwork, brain: Brain, hostile: float) -> None:
        self.name = name
        self.uid = f"uid-{name}"
        self.clock = clock
        self.brain = brain
        self.hostile = hostile
        self.on = True
        self.cut = False
        self.revoked = False
        self.generation = 0
        self.journal: dict[str, Assignment] = {}
        self.seen: dict[str, Observation] = {}
        self.unacknowledged: dict[str, Observation] = {}
        self.running: set[str] = set()
        self._held_back: set[str] = set()
        self.starts: dict[str, int] = {}
        self.wire: Wire | None = None
        self._parts: list[m.Desired] = []
        self._welcomed = False
        self._synced = False
        self._held = False  # the lease, as far as this node can prove it
        self._acknowledged = 0.0
        self._life = 0
        brain.admit(self.uid, name)
        clock.after(0, 1, self._dial)
        clock.after(0, HEARTBEAT_S, self._beat)

    # ---- faults

    def crash(self) -> None:
        self._life += 1
        self.on = self._held = False
        self.running.clear()
        self._held_back.clear()
        self._hang_up()

    def boot(self) -> None:
        self.on = True
        if self.revoked:
            return  # it knows, also after a restart
        for name, assignment in self.journal.items():
            before = self.seen.get(name)
            if before is None or before.state in TERMINAL:
                continue
            if assignment.stop:
                self._observe(name, AssignmentState.STOPPED)
            elif assignment.spec.on_partition is OnPartition.STOP:
                self._held_back.add(name)  # until the cluster says that it is still this node's
            else:
                self._again(name)
        self._dial()

    def _again(self, name: str) -> None:
        self._observe(name, AssignmentState.PREPARING, restarts=self.seen[name].restarts + 1)
        self._later(0.01, 0.5, name, self._run)

    def set_cut(self, *, cut: bool) -> None:
        self.cut = cut
        if self.wire is not None:
            self.wire.cut() if cut else self.wire.heal()

    # ---- connection

    def _hang_up(self) -> None:
        if self.wire is not None:
            self.wire.open = False
        self.wire = None
        self._welcomed = self._synced = False
        self._parts = []

    def _dial(self) -> None:
        if not self.on or self.revoked or (self.wire is not None and self.wire.open):
            return
        self._hang_up()
        if self.cut or not self.brain.up:
            self.clock.after(0.2, 3, self._dial)
            return
        wire = self.wire = Wire(self.clock, self.hostile)
        hello = m.Hello(
            1, "0", f"boot-{self._life}", self.name, profile(self.name), self.generation,
            observed=tuple(self.seen.values()),
        )  # fmt: skip
        wire.send(
            lambda: self.brain.hello(self.uid, wire, hello, lambda said: self._down(wire, said)), up=True
        )
        self.clock.after(5, 10, lambda: self._give_up(wire))

    def _give_up(self, wire: Wire) -> None:
        """Nobody welcomed this connection: try another."""
        if self.wire is wire and not self._welcomed:
            self._hang_up()
            self._dial()

    def _down(self, wire: Wire, message: m.AnyMessage) -> None:
        wire.send(lambda: self._take(wire, message), up=False)

    def _up(self, message: m.AnyMessage) -> None:
        wire = self.wire
        if wire is not None and wire.open and self._welcomed:
            wire.send(lambda: self.brain.hear(wire, self.uid, message), up=True)

    def _beat(self) -> None:
        self.clock.at(self.clock.now + HEARTBEAT_S, self._beat)
        if self.on and self.wire is not None and not self.wire.open:
            self._dial()
        self._beat_now()

    def _beat_now(self) -> None:
        """Heartbeats are the engine's, on a connection of TCP: none is lost while that is there."""
        wire = self.wire
        if self.on and wire is not None and self._welcomed:
            sent = self.clock.now
            self.clock.after(0.001, 0.1, lambda: self._beat_arrives(wire, sent))

    def _beat_arrives(self, wire: Wire, sent: float) -> None:
        if self.on and not self.cut and wire.open and self.brain.beat(self.uid, wire):
            self._acknowledged = max(self._acknowledged, sent)
            self.clock.at(self._acknowledged + PATIENCE_S, self._lapse)
            self._held = True
            self._release()

    def _lapse(self) -> None:
        if not self._held or self.clock.now - self._acknowledged < PATIENCE_S - 1e-6:
            return
        self._held = False
        for name in [one for one in self.running if self.journal[one].spec.on_partition is OnPartition.STOP]:
            self._end(name, AssignmentState.STOPPED)
        self._hang_up()
        self._dial()

    def _release(self) -> None:
        """Begin what waited for the lease, now that the cluster said what is still this node's."""
        if not (self._held and self._synced):
            return
        held_back, self._held_back = self._held_back, set()
        for name in held_back & self.journal.keys():
            if not self.journal[name].stop:
                self._again(name)

    # ---- messages

    def _take(self, wire: Wire, message: m.AnyMessage) -> None:
        if self.wire is not wire or not self.on:
            return
        match message:
            case m.Welcome():
                self._welcomed = True
                self._beat_now()
                self._report()
            case m.Goodbye(reason="revoked"):
                self.revoked = True
                self._life += 1  # nothing that was under way goes on
                for name in list(self.running):
                    self._end(name, AssignmentState.STOPPED)
                self._hang_up()
            case m.Desired():
                self._desired(message)
            case m.ObservedAck():
                for name, _epoch, sequence in message.taken:
                    seen = self.unacknowledged.get(name)
                    if seen is not None and seen.sequence <= sequence:
                        del self.unacknowledged[name]

    def _desired(self, desired: m.Desired) -> None:
        if desired.full:
            if self._parts and self._parts[0].generation != desired.generation:
                self._parts = []
            self._parts.append(desired)
            if desired.more:
                return
            listed = {one.assignment_id: one for part in self._parts for one in part.assignments}
            self._parts = []
        elif desired.base == self.generation:
            listed = {**self.journal, **{one.assignment_id: one for one in desired.assignments}}
            listed = {name: one for name, one in listed.items() if name not in desired.removed}
        else:
            self._up(m.Resync(self.generation))
            return
        self.generation = desired.generation
        gone = [name for name in self.journal if name not in listed]
        self.journal = listed
        for name in gone:
            self.running.discard(name)
            self.seen.pop(name, None)
            self.unacknowledged.pop(name, None)
        self._synced = self._synced or desired.full
        for name, one in listed.items():
            self._reconcile(name, one)
        self._release()

    # ---- work

    def _reconcile(self, name: str, one: Assignment) -> None:
        seen = self.seen.get(name)
        if seen is not None and seen.state in TERMINAL:
            return
        if one.stop:
            if seen is None or name not in self.running:
                self._end(name, AssignmentState.STOPPED)
            elif seen.state is not AssignmentState.STOPPING:
                self._observe(name, AssignmentState.STOPPING)
                self._later(0.01, 2, name, lambda name: self._end(name, AssignmentState.STOPPED))
        elif seen is None:
            self._observe(name, AssignmentState.PREPARING)
            self._later(0.01, 0.5, name, self._run)

    def _run(self, name: str) -> None:
        if self.seen[name].state is not AssignmentState.PREPARING or self.journal[name].stop:
            return
        if self.journal[name].spec.on_partition is OnPartition.STOP and not self._held:
            self._held_back.add(name)
            return
        self.running.add(name)
        self.starts[name] = self.starts.get(name, 0) + 1
        self._observe(name, AssignmentState.RUNNING)
        if self.journal[name].spec.name.startswith("short"):
            outcome = self.clock.dice.choice([AssignmentState.SUCCEEDED, AssignmentState.FAILED])
            self._later(0.5, 20, name, lambda name: self._end(name, outcome))

    def _end(self, name: str, state: AssignmentState) -> None:
        seen = self.seen.get(name)
        if seen is None or seen.state not in TERMINAL:
            self.running.discard(name)
            self._observe(name, state, exit_code=0 if state is AssignmentState.SUCCEEDED else 1)

    def _later(self, low: float, high: float, name: str, act) -> None:
        life = self._life
        self.clock.after(
            low, high, lambda: act(name) if self.on and life == self._life and name in self.journal else None
        )

    def _observe(self, name: str, state: AssignmentState, **given) -> None:
        before = self.seen.get(name) or Observation(name, self.journal[name].epoch, 0, state, 0)
        now = replace(before, sequence=before.sequence + 1, state=state, since_ms=self.clock.ms, **given)
        self.seen[name] = self.unacknowledged[name] = now
        self._report()

    def _report(self) -> None:
        if self.unacknowledged and self._welcomed:
            self._up(m.Observed(tuple(self.unacknowledged.values())))
