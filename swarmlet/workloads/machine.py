"""The life of one assignment on this node, as a table with its law on top.

The law:

1. Everything that decides what an assignment does next is in this file; the shell only carries out actions.
2. ``TABLE`` names, for each phase, the events that may happen and the phases that may follow. Anything else
   raises :class:`IllegalTransitionError`, which names both, and changes nothing.
3. An event that carries an ``attempt`` other than the replica's own is from an earlier life of it (a late
   timer, a pull that was given up) and changes nothing.
4. The sequence of observations only grows, also over a crash: numbers are reserved on disk in blocks, and
   :func:`recover` continues behind the block. An ended replica stays ended.
5. ``Journal`` stands before what must not happen unless the replica is on disk: its preparation, and the
   report that it ended. Signals and timers never wait for a disk.

Pure: time and jitter come in as :class:`~swarmlet.workloads.replica.Now`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from swarmlet.model.workload import Assignment, AssignmentState, Kind, OnPartition, RestartPolicy
from swarmlet.workloads import events as ev
from swarmlet.workloads.endings import Exit, describe, shell_code
from swarmlet.workloads.replica import RESERVE, Ending, Now, Phase, Replica
from swarmlet.workloads.restarts import STEADY_S, backoff_s, restarts_after

#: Grace on a lapsed lease, in seconds: the replica must be gone before another node may start it (N4).
LAPSE_GRACE_S = 2.0
#: The longest grace, in seconds, whatever a spec asks.
GRACE_MAX_S = 600.0
#: Seconds between two SIGKILLs to what does not end.
KILL_AGAIN_S = 10.0

LAPSED = "stopped because this node lost contact with the cluster; starts again once the cluster confirms it"

Step = tuple[Replica, tuple[ev.Action, ...]]


class IllegalTransitionError(Exception):
    """An event came in a phase where it cannot happen: a fault of the shell, never of a user."""


def _phases(*phases: Phase) -> frozenset[Phase]:
    return frozenset(phases)


#: phase -> event -> phases that may follow. Acknowledged and Relisted never move a replica.
TABLE: dict[Phase, dict[type[ev.Event], frozenset[Phase]]] = {
    Phase.ADOPTING: {
        ev.Adopted: _phases(Phase.RUNNING, Phase.STOPPING),
        ev.NotFound: _phases(Phase.WAITING, Phase.ENDED),
        ev.AdoptFailed: _phases(Phase.ADOPTING),
        ev.AdoptDue: _phases(Phase.ADOPTING),
        ev.StopAsked: _phases(Phase.ADOPTING),
        ev.Dropped: _phases(Phase.ADOPTING),
        ev.LeaseLapsed: _phases(Phase.ADOPTING),
    },
    Phase.WAITING: {
        ev.Hold: _phases(Phase.WAITING),
        ev.Begin: _phases(Phase.PREPARING),
        ev.Refuse: _phases(Phase.ENDED),
        ev.StopAsked: _phases(Phase.ENDED),
        ev.Dropped: _phases(Phase.ENDED),
        ev.LeaseLapsed: _phases(Phase.WAITING),
    },
    Phase.PREPARING: {
        ev.Prepared: _phases(Phase.STARTING),
        ev.Failed: _phases(Phase.BACKING_OFF, Phase.ENDED),
        ev.StopAsked: _phases(Phase.ENDED),
        ev.Dropped: _phases(Phase.ENDED),
        ev.LeaseLapsed: _phases(Phase.PREPARING, Phase.WAITING),
    },
    Phase.STARTING: {
        ev.Started: _phases(Phase.RUNNING, Phase.STOPPING),
        ev.Failed: _phases(Phase.BACKING_OFF, Phase.WAITING, Phase.ENDED),
        ev.StopAsked: _phases(Phase.STARTING),
        ev.Dropped: _phases(Phase.STARTING),
        ev.LeaseLapsed: _phases(Phase.STARTING),
    },
    Phase.RUNNING: {
        ev.Exited: _phases(Phase.BACKING_OFF, Phase.ENDED),
        ev.StopAsked: _phases(Phase.STOPPING),
        ev.Dropped: _phases(Phase.STOPPING),
        ev.LeaseLapsed: _phases(Phase.RUNNING, Phase.STOPPING),
    },
    Phase.BACKING_OFF: {
        ev.RestartDue: _phases(Phase.PREPARING),
        ev.StopAsked: _phases(Phase.ENDED),
        ev.Dropped: _phases(Phase.ENDED),
        ev.LeaseLapsed: _phases(Phase.BACKING_OFF, Phase.WAITING),
    },
    Phase.STOPPING: {
        ev.Exited: _phases(Phase.WAITING, Phase.ENDED),
        ev.GraceOver: _phases(Phase.KILLING),
        ev.StopAsked: _phases(Phase.STOPPING),
        ev.Dropped: _phases(Phase.STOPPING),
        ev.LeaseLapsed: _phases(Phase.STOPPING),
    },
    Phase.KILLING: {
        ev.Exited: _phases(Phase.WAITING, Phase.ENDED),
        ev.GraceOver: _phases(Phase.KILLING),
        ev.StopAsked: _phases(Phase.KILLING),
        ev.Dropped: _phases(Phase.KILLING),
        ev.LeaseLapsed: _phases(Phase.KILLING),
    },
    Phase.ENDED: {
        ev.StopAsked: _phases(Phase.ENDED),
        ev.Dropped: _phases(Phase.ENDED),
        ev.LeaseLapsed: _phases(Phase.ENDED),
    },
}
for _phase, _row in TABLE.items():
    _row[ev.Acknowledged] = _phases(_phase)
    _row[ev.Relisted] = _phases(_phase)


def take(assignment: Assignment, now: Now, *, journal_is_new: bool = False) -> Replica:
    """Return the replica of a newly assigned piece of work; it must be on disk before anything is done.

    With a new journal the cluster may know more of it than this node: numbers of a lost journal were told.
    Then numbers begin at cluster time in milliseconds, which no replica reaches by counting.
    """
    before = now.ms if journal_is_new else 0
    return Replica(assignment=assignment, since_ms=now.ms, sequence=before, reserved=before + RESERVE)


def step(replica: Replica, event: ev.Event, now: Now) -> Step:
    """Return what becomes of ``replica`` by ``event``, and what the shell is to do, in order.

    Raises:
        IllegalTransitionError: ``event`` cannot happen in this phase; nothing changed.
    """
    if isinstance(event, ev.Attempted) and event.attempt != replica.attempt:
        return replica, ()
    allowed = TABLE[replica.phase].get(type(event))
    if allowed is None:
        raise IllegalTransitionError(f"{type(event).__name__} in phase {replica.phase}")
    after, actions = _HANDLERS[type(event)](replica, event, now)
    if after.phase not in allowed:
        raise IllegalTransitionError(f"{type(event).__name__} led from {replica.phase} to {after.phase}")
    return after, actions


def recover(replica: Replica, now: Now) -> Step:
    """Return a replica read from the journal as it stands after this agent's restart, and what is to be done.

    A process died with the agent; a container may run on and is looked for. What was to be stopped is not
    started again. Sequences continue behind the reserved block (law 4).
    """
    if replica.ended:
        acknowledged = replica.acknowledged >= replica.sequence
        tell: tuple[ev.Action, ...] = () if acknowledged else (ev.Observe(replica.observation()),)
        if replica.leaving:
            tell = (*tell, ev.Remove(), *((ev.Forget(),) if acknowledged else ()))
        return replica, tell
    ready = replace(
        replica,
        attempt=replica.attempt + 1,
        sequence=replica.reserved,
        started=0.0,
        suspended=False,
        recovered=True,
    )
    if replica.assignment.spec.kind is Kind.CONTAINER:
        adopting = replace(ready, phase=Phase.ADOPTING)
        return adopting, (ev.Adopt(adopting.attempt),)
    waiting = _lost(ready)
    return _end_as_asked(waiting, now) if waiting.ending else (waiting, ())


# ---- shared moves


def _observed(
    replica: Replica, now: Now, state: AssignmentState, reason: str = "", *, exit_code: int | None = None
) -> Step:
    """Record an observation when it says something new, reserving numbers when they run out."""
    same = (replica.state, replica.reason, replica.exit_code) == (state, reason, exit_code)
    if same and replica.sequence > 0:
        return replica, ()
    sequence = replica.sequence + 1
    since = replica.since_ms if replica.state is state and replica.sequence > 0 else now.ms
    after = replace(
        replica, sequence=sequence, state=state, since_ms=since, reason=reason, exit_code=exit_code
    )
    actions: tuple[ev.Action, ...] = (ev.Observe(after.observation()),)
    if sequence > replica.reserved:
        after = replace(after, reserved=sequence + RESERVE)
        actions = (ev.Journal(), *actions)
    return after, actions


def _again(replica: Replica) -> Replica:
    """Count a restart when a run is known to be over: only that lets the state told go back (may_advance)."""
    ran = replica.state in {AssignmentState.RUNNING, AssignmentState.STOPPING}
    return replace(replica, restarts=replica.restarts + 1) if ran else replica


def _lost(replica: Replica) -> Replica:
    """Return a recovered replica of which nothing runs any more, ready to be run again.

    It may have been told as running although the journal does not know; restarts are on disk before they are
    told, so one more is more than was ever told. The attempt was counted up once by the recovery.
    """
    begun = replica.attempt > 1
    return replace(replica, phase=Phase.WAITING, suspended=False, restarts=replica.restarts + int(begun))


def _journal_first(actions: tuple[ev.Action, ...]) -> tuple[ev.Action, ...]:
    return (ev.Journal(), *(action for action in actions if not isinstance(action, ev.Journal)))


def _end(
    replica: Replica, now: Now, state: AssignmentState, reason: str, *, exit_code: int | None = None
) -> Step:
    """End for good: on disk, then told, then cleaned up."""
    ended = replace(replica, phase=Phase.ENDED, attempt=replica.attempt + 1, suspended=False)
    # A journalled end must be reported even when a crash cut off the report: law 4 holds since it is on disk.
    after, told = _observed(ended, now, state, reason, exit_code=exit_code)
    return after, (*_journal_first(told), ev.Remove() if replica.leaving else ev.Clean())


def _end_as_asked(replica: Replica, now: Now, ended: Exit | None = None) -> Step:
    ending = replica.ending or Ending(AssignmentState.STOPPED, "stopped")
    code = None if ended is None else shell_code(ended)
    return _end(replica, now, ending.state, ending.reason, exit_code=code)


def _wait(replica: Replica, now: Now, reason: str) -> Step:
    """Go back to waiting; whatever is under way is of an earlier attempt now."""
    idle = replace(_again(replica), phase=Phase.WAITING, attempt=replica.attempt + 1, suspended=False)
    after, told = _observed(idle, now, AssignmentState.PREPARING, reason)
    return after, _journal_first(told)


def _back_off(replica: Replica, now: Now, why: str, *, exit_code: int | None = None) -> Step:
    quick = replica.started == 0.0 or now.boot - replica.started < STEADY_S
    failures = replica.failures if quick else 0
    delay = backoff_s(failures, now.jitter)
    paused = replace(
        _again(replica),
        phase=Phase.BACKING_OFF,
        attempt=replica.attempt + 1,
        failures=failures + 1,
        started=0.0,
    )
    reason = f"{why}; starts again in {max(1, round(delay))} s"
    after, told = _observed(paused, now, AssignmentState.PREPARING, reason, exit_code=exit_code)
    return after, (ev.SetTimer(ev.Timer.RESTART, after.attempt, delay), *_journal_first(told))


def _terminate(replica: Replica, now: Now) -> Step:
    """Ask a running replica to end within its grace."""
    spec = replica.assignment.spec
    grace = min(max(spec.stop_grace_s, 0.0), GRACE_MAX_S)
    reason = replica.ending.reason if replica.ending else LAPSED
    if replica.suspended and replica.ending is None:
        grace = min(grace, LAPSE_GRACE_S)
    stopping = replace(replica, phase=Phase.STOPPING)
    after, told = _observed(stopping, now, AssignmentState.STOPPING, reason)
    return after, (ev.Terminate(), ev.SetTimer(ev.Timer.GRACE, replica.attempt, grace), *told)


def _prepare(replica: Replica, now: Now) -> Step:
    ready = replace(replica, phase=Phase.PREPARING, attempt=replica.attempt + 1)
    after, told = _observed(ready, now, AssignmentState.PREPARING)
    return after, (*told, ev.Prepare(after.attempt))


# ---- one handler for each event


def _hold(replica: Replica, event: ev.Hold, now: Now) -> Step:
    fresh = replica.state is AssignmentState.ASSIGNED
    state = AssignmentState.ASSIGNED if fresh else AssignmentState.PREPARING
    return _observed(replica, now, state, event.reason)


def _begin(replica: Replica, _event: ev.Begin, now: Now) -> Step:
    after, actions = _prepare(replica, now)
    return after, _journal_first(actions)


def _refuse(replica: Replica, event: ev.Refuse, now: Now) -> Step:
    return _end(replica, now, AssignmentState.FAILED, event.reason)


def _prepared(replica: Replica, _event: ev.Prepared, _now: Now) -> Step:
    return replace(replica, phase=Phase.STARTING), (ev.Start(replica.attempt),)


def _started(replica: Replica, event: ev.Started | ev.Adopted, now: Now) -> Step:
    running = replace(replica, phase=Phase.RUNNING, started=now.boot)
    if running.ending or running.suspended:
        return _terminate(running, now)
    return _observed(running, now, AssignmentState.RUNNING, event.note)


def _failed(replica: Replica, event: ev.Failed, now: Now) -> Step:
    if replica.ending:
        return _end_as_asked(replica, now)
    if replica.suspended:
        return _wait(replica, now, LAPSED)
    # What ran here before is not given up because an engine starts late after a boot.
    patient = replica.recovered or replica.assignment.spec.restart is not RestartPolicy.NEVER
    if event.waits or (event.passing and patient):
        return _back_off(replica, now, event.reason)
    return _end(replica, now, AssignmentState.FAILED, event.reason)


def _exited(replica: Replica, event: ev.Exited, now: Now) -> Step:
    code = shell_code(event.exit)
    why = describe(event.exit)
    if replica.phase is not Phase.RUNNING:
        if replica.ending is None:
            return _wait(replica, now, LAPSED)
        if replica.phase is Phase.KILLING:
            ending = Ending(
                replica.ending.state, f"{replica.ending.reason}; it did not end in time and was killed"
            )
            replica = replace(replica, ending=ending)
        return _end_as_asked(replica, now, event.exit)
    if event.exit.unstarted:
        return _end(replica, now, AssignmentState.FAILED, event.exit.unstarted)
    if restarts_after(replica.assignment.spec.restart, event.exit):
        return _back_off(replica, now, why, exit_code=code)
    state = AssignmentState.SUCCEEDED if event.exit.success else AssignmentState.FAILED
    return _end(replica, now, state, why, exit_code=code)


def _restart_due(replica: Replica, _event: ev.RestartDue, now: Now) -> Step:
    return _prepare(replica, now)


def _grace_over(replica: Replica, _event: ev.GraceOver, _now: Now) -> Step:
    again = ev.SetTimer(ev.Timer.GRACE, replica.attempt, KILL_AGAIN_S)
    return replace(replica, phase=Phase.KILLING), (ev.Kill(), again)


def _not_found(replica: Replica, _event: ev.NotFound, now: Now) -> Step:
    if replica.ending:
        return _end_as_asked(replica, now)
    return _lost(replica), ()


def _adopt_failed(replica: Replica, _event: ev.AdoptFailed, now: Now) -> Step:
    # Nothing is told: it may well run on, and what was told last may be newer than what the journal has.
    delay = backoff_s(replica.failures, now.jitter)
    later = replace(replica, failures=replica.failures + 1)
    return later, (ev.SetTimer(ev.Timer.ADOPT, later.attempt, delay),)


def _adopt_due(replica: Replica, _event: ev.AdoptDue, _now: Now) -> Step:
    return replica, (ev.Adopt(replica.attempt),)


def _stop(replica: Replica, now: Now, ending: Ending) -> Step:
    """End because the cluster or the node asked; the first reason stays."""
    if replica.ended or replica.ending:
        return replica, ()
    asked = replace(replica, ending=ending)
    match asked.phase:
        case Phase.RUNNING:
            after, actions = _terminate(asked, now)
            return after, (*actions, ev.Journal())
        case Phase.STARTING | Phase.ADOPTING | Phase.STOPPING | Phase.KILLING:
            after, told = _observed(asked, now, AssignmentState.STOPPING, ending.reason)
            return after, (*told, ev.Journal())
        case _:
            after, actions = _end_as_asked(asked, now)
            return after, (ev.Cancel(), *actions)


def _stop_asked(replica: Replica, event: ev.StopAsked, now: Now) -> Step:
    state = AssignmentState.FAILED if event.failed else AssignmentState.STOPPED
    return _stop(replica, now, Ending(state, event.reason))


def _dropped(replica: Replica, event: ev.Dropped, now: Now) -> Step:
    if replica.ended:
        # Dropped once it was over, or dropped again: the cluster knows, or does not care, how it ended.
        tidy: tuple[ev.Action, ...] = () if replica.leaving else (ev.Remove(),)
        return replace(replica, leaving=True), (*tidy, ev.Forget())
    leaving = replace(replica, leaving=True)
    after, actions = _stop(leaving, now, Ending(AssignmentState.STOPPED, event.reason))
    return after, actions or (ev.Journal(),)


def _relisted(replica: Replica, _event: ev.Relisted, _now: Now) -> Step:
    return replace(replica, leaving=False), ()


def _lapsed(replica: Replica, _event: ev.LeaseLapsed, now: Now) -> Step:
    if replica.ended or replica.assignment.spec.on_partition is not OnPartition.STOP:
        return replica, ()
    match replica.phase:
        case Phase.PREPARING | Phase.BACKING_OFF:
            after, told = _wait(replica, now, LAPSED)
            return after, (ev.Cancel(), *told)
        case Phase.STARTING | Phase.ADOPTING:
            return replace(replica, suspended=True), ()
        case Phase.RUNNING:
            return _terminate(replace(replica, suspended=True), now)
        case Phase.STOPPING:
            return replica, (ev.SetTimer(ev.Timer.GRACE, replica.attempt, LAPSE_GRACE_S),)
        case _:
            return replica, ()


def _acknowledged(replica: Replica, event: ev.Acknowledged, _now: Now) -> Step:
    taken = max(replica.acknowledged, min(event.sequence, replica.sequence))
    after = replace(replica, acknowledged=taken)
    over = after.ended and after.leaving and taken >= after.sequence
    return after, (ev.Forget(),) if over else ()


_HANDLERS: dict[type[ev.Event], Callable[[Replica, Any, Now], Step]] = {
    ev.Hold: _hold,
    ev.Begin: _begin,
    ev.Refuse: _refuse,
    ev.Prepared: _prepared,
    ev.Started: _started,
    ev.Adopted: _started,
    ev.Failed: _failed,
    ev.Exited: _exited,
    ev.RestartDue: _restart_due,
    ev.GraceOver: _grace_over,
    ev.NotFound: _not_found,
    ev.AdoptFailed: _adopt_failed,
    ev.AdoptDue: _adopt_due,
    ev.StopAsked: _stop_asked,
    ev.Dropped: _dropped,
    ev.Relisted: _relisted,
    ev.LeaseLapsed: _lapsed,
    ev.Acknowledged: _acknowledged,
}
