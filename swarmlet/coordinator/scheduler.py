"""Which replica runs where, and why. Pure: a picture and a moment in, decisions out.

For every replica :func:`judge` says what is to be done about its newest assignment; :mod:`.filters` say which
nodes can take it, :mod:`.scoring` which of them is best. Laws, tested as properties:

* at most one assignment of a replica has not ended, and a new one has a higher epoch than all before it;
* no replica is put on a node that a filter refuses;
* a replica whose node is down is declared lost only in the same breath as its replacement is placed, and not
  before the lease lapsed and :data:`GRACE_S` more passed (N4); when nothing else fits it stays where it was
  and goes on there if the node returns;
* a singleton (``on_partition: stop``) of a removed node begins elsewhere once that node's lease would have
  lapsed: a removed node that nobody can reach goes on until then;
* while reassignment is suspended (N6) nothing is declared lost and nothing lost is placed again.

Restarting a replica that ended is the node's business; only what was lost or moved is placed again here.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from typing import NamedTuple

from swarmlet.coordinator.candidates import Candidates, Pick
from swarmlet.coordinator.filters import Refusal, Usage, demand_of, summarise
from swarmlet.coordinator.picture import Picture, is_live
from swarmlet.coordinator.scoring import shown
from swarmlet.coordinator.store.commands import Place
from swarmlet.model.health import Reading
from swarmlet.model.membership import PAST, Availability, NodeState
from swarmlet.model.records import AssignmentRecord, NodeRecord, WorkloadRecord
from swarmlet.model.views import PlacementView, RefusalView, ScoreView
from swarmlet.model.workload import AssignmentState, OnPartition

#: Seconds between a lapsed lease and a reassignment (N4): a node stops its singletons well before.
GRACE_S = 3.0
#: Rows kept of each explanation.
_SHOWN = 16
#: Replicas of one decision whose whole score table is kept.
_TABLES = 16


class Moment(NamedTuple):
    """What a plan depends on beside the picture.

    Attributes:
        now_ms: Unix milliseconds, for the record.
        gone_s: Seconds since the lease of each node that is down lapsed, or since a node was removed.
        present: Nodes that hold their lease, also where the disk does not say so yet.
        up_s: Seconds since this coordinator started: for so long at least nodes not in ``gone_s`` are gone.
        lease_s: Length of a lease, in seconds.
        suspended: Why reassignment is suspended (N6), or ``None``.
        readings: The last heartbeat's reading of nodes that have one.
    """

    now_ms: int
    gone_s: Mapping[str, float] = {}
    present: AbstractSet[str] = frozenset()
    up_s: float = math.inf
    lease_s: float = 15.0
    suspended: str | None = None
    readings: Mapping[str, Reading] = {}


class Plan(NamedTuple):
    """Decisions to be applied together, and how they came about.

    Attributes:
        place: New assignments.
        stop: Assignments asked to end.
        lose: Assignments given up with their node.
        pending: Workloads whose reason for waiting changed; an empty reason is "waits no more".
        placements: The decisions about each workload, for whoever asks why.
        wake_s: Seconds after which the same question may have another answer, if any.
    """

    place: tuple[Place, ...] = ()
    stop: tuple[str, ...] = ()
    lose: tuple[str, ...] = ()
    pending: dict[str, str] = {}  # noqa: RUF012 - a named tuple's default, never changed
    placements: dict[str, tuple[PlacementView, ...]] = {}  # noqa: RUF012 - as above
    wake_s: float | None = None

    @property
    def empty(self) -> bool:
        """Whether there is nothing to apply."""
        return not (self.place or self.stop or self.lose or self.pending)


class Step(enum.Enum):
    """What is to be done about one replica."""

    KEEP = "keep"
    PLACE = "place"  # it has no node
    LOSE = "lose"  # its node is gone for good: give it up, then place
    MOVE = "move"  # its node is down: give it up when it can be placed elsewhere
    STOP = "stop"  # its node is being drained
    WAIT = "wait"  # its node went down a moment ago
    HOLD = "hold"  # reassignment is suspended


_ENDED_ITSELF = frozenset({AssignmentState.SUCCEEDED, AssignmentState.FAILED})


def judge(
    current: AssignmentRecord | None, node: NodeRecord | None, moment: Moment, *, singleton: bool = False
) -> Step:
    """Return what is to be done about a replica of a workload that is to run.

    Args:
        current: Its newest assignment, if it ever had one.
        node: The node of that assignment, if it is known.
        moment: When, and under what circumstances.
        singleton: Whether two of it must never run at a time.
    """
    if current is None:
        return Step.PLACE
    if current.state in _ENDED_ITSELF:
        return Step.KEEP
    if patience(current, node, moment, singleton=singleton) > 0:
        return Step.WAIT
    step = _judge_live(current, node) if is_live(current) else Step.PLACE
    is_reassignment = step is Step.MOVE or current.state is AssignmentState.LOST
    return Step.HOLD if is_reassignment and moment.suspended is not None else step


def _judge_live(current: AssignmentRecord, node: NodeRecord | None) -> Step:
    if node is None or node.state in PAST:
        return Step.LOSE
    if node.state is NodeState.DOWN:
        return Step.MOVE
    drained = node.availability is Availability.DRAINING
    return Step.STOP if drained and not current.stop else Step.KEEP


def patience(current: AssignmentRecord, node: NodeRecord | None, moment: Moment, *, singleton: bool) -> float:
    """Return for how many seconds yet a replica may not begin elsewhere: it may still run where it was."""
    gone_s = moment.gone_s.get(current.node_uid, moment.up_s)
    if node is None or node.state in PAST:
        return moment.lease_s + GRACE_S - gone_s if singleton else 0.0
    if is_live(current) and node.state is NodeState.DOWN:
        return GRACE_S if current.node_uid in moment.present else GRACE_S - gone_s
    return 0.0


def plan(picture: Picture, attention: Iterable[str], moment: Moment) -> Plan:
    """Decide about the workloads that deserve a look.

    Args:
        picture: The cluster as it is on disk.
        attention: Ids of the workloads to decide about; unknown ones are skipped.
        moment: When, and under what circumstances.
    """
    planner = _Planner(picture, moment)
    known = (picture.workloads[one] for one in attention if one in picture.workloads)
    for workload in sorted(known, key=lambda record: (record.created_ms, record.workload_id)):
        planner.decide(workload)
    return planner.plan()


class _Planner:
    """The decisions of one plan while they are being taken."""

    def __init__(self, picture: Picture, moment: Moment) -> None:
        self._picture = picture
        self._moment = moment
        self._place: list[Place] = []
        self._stop: list[str] = []
        self._lose: list[str] = []
        self._pending: dict[str, str] = {}
        self._placements: dict[str, tuple[PlacementView, ...]] = {}
        self._wake_s: float | None = None
        self._usage: dict[str, Usage] = {}

    def plan(self) -> Plan:
        return Plan(
            tuple(self._place),
            tuple(self._stop),
            tuple(self._lose),
            self._pending,
            self._placements,
            self._wake_s,
        )

    def decide(self, workload: WorkloadRecord) -> None:
        latest = self._picture.latest(workload.workload_id)
        if workload.stopping:
            for record in latest.values():
                self._end(record)
            self._say(workload, "")
            return
        self._say(workload, self._run(workload, latest))

    def _end(self, record: AssignmentRecord) -> None:
        """Bring one replica of a stopping workload to its end."""
        if not is_live(record):
            return
        node = self._picture.nodes.get(record.node_uid)
        moment = self._moment._replace(suspended=None)
        step = judge(record, node, moment)
        if step in {Step.LOSE, Step.MOVE}:
            self._lose.append(record.assignment_id)
            return
        if step is Step.WAIT:
            self._wake_after(patience(record, node, moment, singleton=False))
        if not record.stop:
            self._stop.append(record.assignment_id)

    def _run(self, workload: WorkloadRecord, latest: dict[int, AssignmentRecord]) -> str:
        """Decide about every replica; return why some wait, or nothing."""
        singleton = workload.spec.on_partition is OnPartition.STOP
        homeless: dict[int, Step] = {}
        waiting: list[str] = []
        for replica in range(workload.spec.replicas):
            record = latest.get(replica)
            node = self._node_of(record)
            step = judge(record, node, self._moment, singleton=singleton)
            if step in {Step.PLACE, Step.MOVE, Step.LOSE}:
                homeless[replica] = step
            if record is None:
                continue
            if step is Step.LOSE:
                self._lose.append(record.assignment_id)
            elif step is Step.STOP:
                self._stop.append(record.assignment_id)
            elif step is Step.WAIT:
                self._wake_after(patience(record, node, self._moment, singleton=singleton))
            elif step is Step.HOLD and self._moment.suspended is not None:
                waiting.append(self._moment.suspended)
        if homeless:
            waiting += self._settle(workload, latest, homeless)
        return _together(waiting, workload.spec.replicas)

    def _settle(
        self, workload: WorkloadRecord, latest: dict[int, AssignmentRecord], homeless: dict[int, Step]
    ) -> list[str]:
        """Place the replicas in ``homeless``; return a reason for each that finds no place."""
        candidates = Candidates(
            demand_of(workload.spec),
            self._picture,
            self._moment.readings,
            self._usage,
            [record.node_uid for record in latest.values() if is_live(record)],
        )
        reasons: list[str] = []
        views: list[PlacementView] = []
        for replica, step in homeless.items():
            pick = candidates.take(table=_SHOWN if len(views) < _TABLES else 0)
            views.append(_view(replica, self._moment.now_ms, pick, candidates.refused))
            record = latest.get(replica)
            if pick is None:
                reasons.append(self._why(record, step, candidates.refused))
                continue
            if record is not None and step is Step.MOVE:
                self._lose.append(record.assignment_id)
            epoch = record.epoch + 1 if record is not None else 1
            name = assignment_id(workload.workload_id, replica, epoch)
            self._place.append(Place(name, workload.workload_id, replica, epoch, pick.node_uid))
        self._placements[workload.workload_id] = tuple(views)
        return reasons

    def _why(self, record: AssignmentRecord | None, step: Step, refused: dict[str, Refusal]) -> str:
        reason = summarise(refused)
        node = self._node_of(record)
        if step is not Step.MOVE or node is None:
            return reason
        return f"it goes on when {node.name} comes back, which is down ({node.state_reason}); {reason}"

    def _node_of(self, record: AssignmentRecord | None) -> NodeRecord | None:
        return None if record is None else self._picture.nodes.get(record.node_uid)

    def _wake_after(self, seconds: float) -> None:
        self._wake_s = seconds if self._wake_s is None else min(self._wake_s, seconds)

    def _say(self, workload: WorkloadRecord, reason: str) -> None:
        if reason != workload.pending_reason:
            self._pending[workload.workload_id] = reason


def assignment_id(workload_id: str, replica: int, epoch: int) -> str:
    """Return the one id of an assignment: what it is, so that nobody has to choose it."""
    return f"{workload_id}.{replica}.{epoch}"


def _together(reasons: list[str], replicas: int) -> str:
    """Return one sentence for the replicas that wait, the commonest reason standing for all."""
    if not reasons:
        return ""
    reason = max(reasons, key=reasons.count)
    return reason if replicas == 1 else f"{len(reasons)} of {replicas} replicas wait: {reason}"


def _view(replica: int, now_ms: int, pick: Pick | None, refused: dict[str, Refusal]) -> PlacementView:
    rows = [RefusalView(node, one.filter, one.reason) for node, one in sorted(refused.items())[:_SHOWN]]
    if pick is None:
        return PlacementView(replica, now_ms, None, (), tuple(rows))
    judged = [(row.name, shown(row.parts)) for row in pick.table]
    scores = tuple(ScoreView(name, score.total, score.parts) for name, score in judged)
    return PlacementView(replica, now_ms, pick.name, scores, tuple(rows))
