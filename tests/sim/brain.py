"""The coordinator of the simulation: the product's own decisions and the store's own rules, on virtual time.

The shells are left out; what they do between two decisions is done here in the same order.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from swarmlet.coordinator.dispatcher import Dispatch, wanted
from swarmlet.coordinator.picture import Picture
from swarmlet.coordinator.registry import ACTOR, Registry
from swarmlet.coordinator.scheduler import Moment, Plan, plan
from swarmlet.coordinator.session import Certificate, Phase, advance, objection
from swarmlet.coordinator.standing import audit_counts
from swarmlet.coordinator.store import queries
from swarmlet.coordinator.store.api import Result
from swarmlet.coordinator.store.apply import apply
from swarmlet.coordinator.store.commands import (
    AdmitNode,
    AnyCommand,
    InitCluster,
    MintToken,
    PlanAssignments,
    ReportObserved,
)
from swarmlet.coordinator.store.connection import open_writer
from swarmlet.errors import SwarmletError
from swarmlet.link import messages as m
from swarmlet.model.membership import NodeState
from tests.fakes.records import profile
from tests.sim.clockwork import Clockwork, Wire

HEARTBEAT_S = 5.0
SUSPECT_S = 12.5
LEASE_S = 15.0


class Lease:
    """What the native engine keeps of one node."""

    def __init__(self, now: float, *, alive: bool) -> None:
        self.heard = now
        self.state = "alive" if alive else "suspect"
        self.wire: Wire | None = None


class Voice:
    """One member's session."""

    def __init__(self, uid: str, wire: Wire, say: Callable[[m.AnyMessage], None]) -> None:
        self.uid = uid
        self.wire = wire
        self.say = say
        self.phase = Phase.CERTIFIED
        self.dispatch = Dispatch()


class Brain:
    """A coordinator that can crash: what is in memory goes, what was applied stays."""

    def __init__(self, clock: Clockwork, directory: Path) -> None:
        self.clock = clock
        self._db = open_writer(directory / "cluster.db")
        self._db.execute("PRAGMA synchronous = OFF")  # the machine does not crash in here, only the process
        self.up = False
        self.placed = 0
        self.lost = 0
        self.alarms: list[str] = []
        self._life = 0
        self.apply(
            InitCluster(
                at_ms=0, actor="sim", cluster_id="ab" * 16, name="sim", root=b"r", intermediate=b"i",
                token_kid=bytes(8), token_key=bytes(32),
            )
        )  # fmt: skip
        self.apply(MintToken(at_ms=0, actor="sim", jti="aa", claims=b"", expires_ms=2**50, max_uses=10**6))
        self.start()
        self._tick()

    # ---- life

    def start(self) -> None:
        self._life += 1
        snapshot = queries.snapshot(self._db)
        self.picture = Picture(snapshot.cluster)
        self.picture.load(snapshot.nodes, snapshot.workloads, snapshot.assignments)
        for uid, generation in snapshot.generations.items():
            self.picture.put_generation(uid, generation)
        self.registry = Registry(int(LEASE_S * 1000))
        self.voices: dict[str, Voice] = {}
        self.leases: dict[str, Lease] = {}
        self._planning = False
        self._suspended = False
        self._began = self.clock.now
        self.up = True
        transitions, expected = self.registry.restart(
            self.picture.nodes.values(), self.clock.now, self.clock.ms
        )
        for transition in transitions:
            self.apply(transition)
        for uid in expected:
            self.leases[uid] = Lease(self.clock.now, alive=False)
        self.wake()

    def crash(self) -> None:
        self.up = False
        for voice in self.voices.values():
            voice.wire.open = False

    def admit(self, uid: str, name: str) -> None:
        number = len(self.picture.nodes) + 1
        self.apply(
            AdmitNode(
                at_ms=self.clock.ms, actor="sim", jti="aa", csr_key=uid, node_uid=uid, name=name,
                asked_name=name,
                chain=(b"c",), serial=f"{number:032x}", not_after_ms=2**50, profile=profile(name),
                capabilities=(), clamped=(), version="0", seen="x",
            )
        )  # fmt: skip

    # ---- commands

    def apply(self, command: AnyCommand) -> Result:
        self._db.execute("BEGIN")
        self._db.execute("SAVEPOINT command")
        try:
            result = apply(self._db, command)
        except SwarmletError:
            self._db.execute("ROLLBACK TO command")
            raise
        finally:
            self._db.execute("RELEASE command")
            self._db.execute("COMMIT")
        if self.up and result.changed:
            self._follow(result)
        return result

    def _follow(self, result: Result) -> None:
        touched = queries.touched(self._db, result)
        for workload in touched.workloads:
            self.picture.put_workload(workload)
        for node in touched.nodes:
            self.picture.put_node(node)
            if node.state in (NodeState.LEFT, NodeState.REVOKED):
                self._removed(node.node_uid)
        for record in touched.assignments:
            self.picture.put_assignment(record)
        for uid, generation in result.generations.items():
            self.picture.put_generation(uid, generation)
            if uid in self.voices:
                self._tell(self.voices[uid])
        self.wake()

    def _removed(self, uid: str) -> None:
        self.registry.removed(uid, self.clock.now)
        self.leases.pop(uid, None)
        voice = self.voices.pop(uid, None)
        if voice is not None:
            voice.say(m.Goodbye("revoked"))

    # ---- planning, with a moment between the decision and the disk in which anything may happen

    def wake(self, delay: float = 0.001) -> None:
        if not self._planning:
            self._planning = True
            life = self._life
            self.clock.after(delay, delay + 0.001, lambda: self._plan(life))

    def _plan(self, life: int) -> None:
        if not self.up or life != self._life:
            return
        self._planning = False
        suspension = self.registry.suspended(self.clock.now)
        if suspension is None and self._suspended:
            self.picture.look_at_waiting()
        elif suspension is not None and not self._suspended:
            self.alarms.append(suspension.reason)
        self._suspended = suspension is not None
        if suspension is not None and suspension.wake_s is not None:
            self.clock.at(self.clock.now + suspension.wake_s, lambda: self._look_again(life, frozenset()))
        attention = self.picture.take_attention()
        reason = None if suspension is None else suspension.reason
        now = self.clock.now
        gone, present = self.registry.gone_s(now), self.registry.present
        moment = Moment(self.clock.ms, gone, present, now - self._began, LEASE_S, reason)
        decided = plan(self.picture, attention, moment)
        if decided.wake_s is not None:
            self.clock.at(self.clock.now + decided.wake_s, lambda: self._look_again(life, attention))
        if not decided.empty:
            self._planning = True  # one plan at a time, as in the loop
            self.clock.after(0.0005, 0.02, lambda: self._apply_plan(life, decided, attention))

    def _look_again(self, life: int, attention: frozenset[str]) -> None:
        if self.up and life == self._life:
            self.picture.look_again(attention)
            self.wake()

    def _apply_plan(self, life: int, decided: Plan, attention: frozenset[str]) -> None:
        if not self.up or life != self._life:
            return
        self._planning = False
        command = PlanAssignments(
            at_ms=self.clock.ms, actor=ACTOR, place=decided.place, stop=decided.stop, lose=decided.lose,
            pending=decided.pending,
        )  # fmt: skip
        try:
            self.apply(command)
        except SwarmletError:
            # Something came between: decide anew.
            self.picture.look_again(attention)
            self.wake(0.1)
            return
        self.placed += len(decided.place)
        self.lost += len(decided.lose)
        self.wake()

    # ---- sessions

    def hello(self, uid: str, wire: Wire, hello: m.Hello, say: Callable[[m.AnyMessage], None]) -> None:
        if not self.up:
            wire.open = False
            return
        voice = Voice(uid, wire, say)
        if self._objects(voice):
            return
        voice.phase = advance(voice.phase, hello)
        taken = self._report(uid, hello.observed)
        older = self.voices.get(uid)
        if older is not None:
            older.phase = Phase.ENDING
            older.wire.open = False
        self.voices[uid] = voice
        lease = self.leases.get(uid)
        change = "joined" if lease is None else ("back" if lease.state != "alive" else None)
        self.leases[uid] = Lease(self.clock.now, alive=True)
        self.leases[uid].wire = wire
        if change:
            self._lease(uid, change)
        settings = m.Settings("ab" * 16, "sim", (), (), 5000, 15_000)
        say(m.Welcome("x", settings, self.clock.ms))
        if taken:
            say(m.ObservedAck(taken))
        self._tell(voice)

    def hear(self, wire: Wire, uid: str, message: m.AnyMessage) -> None:
        voice = self.voices.get(uid)
        if not self.up or voice is None or voice.wire is not wire or self._objects(voice):
            return
        voice.phase = advance(voice.phase, message)
        if isinstance(message, m.Observed):
            voice.say(m.ObservedAck(self._report(uid, message.observations)))
        elif isinstance(message, m.Resync):
            voice.dispatch.restart()
            self._tell(voice)

    def _objects(self, voice: Voice) -> bool:
        node = self.picture.nodes.get(voice.uid)
        serial = "" if node is None else node.serial.lstrip("0")
        if objection(Certificate("node", voice.uid, serial, 0, expired=False), node) is None:
            return False
        voice.say(m.Goodbye("revoked"))
        return True

    def _report(self, uid: str, seen) -> tuple:
        if not seen:
            return ()
        return self.apply(
            ReportObserved(at_ms=self.clock.ms, actor=f"node:{uid}", node_uid=uid, observations=seen)
        ).taken

    def _tell(self, voice: Voice) -> None:
        now = wanted(self.picture, voice.uid, self.clock.ms)
        for message in voice.dispatch.messages(now):
            voice.say(message)
        voice.dispatch.told(now)

    # ---- leases

    def beat(self, uid: str, wire: Wire) -> bool:
        """Take a heartbeat; say whether it is acknowledged."""
        lease = self.leases.get(uid)
        if not self.up or lease is None or lease.wire is not wire:
            return False
        lease.heard = self.clock.now
        if lease.state != "alive":
            lease.state = "alive"
            self._lease(uid, "back")
        return True

    def _tick(self) -> None:
        if self.up:
            for uid, lease in list(self.leases.items()):
                self._lapse(uid, lease)
        self.clock.at(self.clock.now + 0.25, self._tick)

    def _lapse(self, uid: str, lease: Lease) -> None:
        silent = self.clock.now - lease.heard
        gone = lease.wire is None or not lease.wire.open
        if lease.state != "lost" and silent >= LEASE_S:
            lease.state = "lost"
            self._lease(uid, "lost", silent)
        elif lease.state == "alive" and (gone or silent >= SUSPECT_S):
            lease.state = "suspect"
            self._lease(uid, "suspect", silent)

    def _lease(self, uid: str, change: str, silent: float = 0.0) -> None:
        node = self.picture.nodes[uid]
        if node.state in (NodeState.LEFT, NodeState.REVOKED):
            return
        command = self.registry.lease(node, change, int(silent * 1000), self.clock.now, self.clock.ms)
        if command is not None:
            self.apply(command)
        self.wake()

    # ---- the law

    def faults(self) -> tuple[str, ...]:
        """What breaks the law of conservation, by the disk and by memory."""
        found = audit_counts(
            queries.workloads(self._db),
            queries.assignments(self._db, node_uid=None, workload_id=None, live=False),
        )
        faults = list(found.faults) + ([] if found.holds else ["the counts do not add up"])
        if self.up:
            disk = {
                one.assignment_id: one
                for one in queries.assignments(self._db, node_uid=None, workload_id=None, live=False)
            }
            if disk != self.picture.assignments:
                faults.append("memory does not follow the disk")
        return tuple(faults)
