"""The law of one assignment's life, event by event."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from swarmlet.model.workload import AssignmentState as State
from swarmlet.model.workload import OnPartition, RestartPolicy
from swarmlet.workloads import events as ev
from swarmlet.workloads import machine, restarts
from swarmlet.workloads.endings import Exit
from swarmlet.workloads.machine import IllegalTransitionError, recover, step
from swarmlet.workloads.replica import RESERVE, Now, Phase, Replica
from tests.unit.workloads.samples import NOW, replica

LATER = Now(boot=NOW.boot + 5, ms=NOW.ms + 5000, jitter=0.5)


def drive(start: Replica, *events: ev.Event, now: Now = NOW) -> tuple[Replica, list[ev.Action]]:
    """Feed events; an attempt of -1 stands for the replica's own."""
    actions: list[ev.Action] = []
    for event in events:
        own = isinstance(event, ev.Attempted) and event.attempt == -1
        start, done = step(start, replace(event, attempt=start.attempt) if own else event, now)
        actions += done
    return start, actions


def running(**fields: object) -> Replica:
    return drive(replica(**fields), ev.Begin(), ev.Prepared(-1), ev.Started(-1))[0]


def kinds(actions: list[ev.Action] | tuple[ev.Action, ...]) -> list[str]:
    return [type(action).__name__ for action in actions]


def test_a_replica_is_on_disk_before_it_is_prepared() -> None:
    _, actions = step(replica(), ev.Begin(), NOW)
    assert kinds(actions) == ["Journal", "Observe", "Prepare"]


def test_a_good_end_is_on_disk_before_it_is_told() -> None:
    ended, actions = step(running(), ev.Exited(1, Exit(code=0)), LATER)
    assert (ended.state, ended.reason, ended.exit_code) == (State.SUCCEEDED, "exit code 0", 0)
    assert kinds(actions) == ["Journal", "Observe", "Clean"]
    assert ended.since_ms == LATER.ms


@pytest.mark.parametrize(
    ("exit_", "reason", "code"),
    [
        (Exit(code=3), "exit code 3", 3),
        (Exit(signal=9), "killed by signal 9 (out of memory?)", 137),
        (Exit(signal=9, out_of_memory=False), "killed by signal 9 (SIGKILL)", 137),
        (Exit(signal=9, out_of_memory=True), "killed: out of memory", 137),
        (Exit(signal=11), "killed by signal 11 (SIGSEGV)", 139),
        (Exit(signal=63), "killed by signal 63", 191),
        (Exit(code=1, detail="the engine lost it"), "the engine lost it", 1),
    ],
)
def test_a_bad_end_says_why(exit_: Exit, reason: str, code: int) -> None:
    ended, _ = step(running(), ev.Exited(1, exit_), NOW)
    assert (ended.phase, ended.state, ended.reason, ended.exit_code) == (
        Phase.ENDED,
        State.FAILED,
        reason,
        code,
    )


@pytest.mark.parametrize("policy", RestartPolicy)
def test_what_never_ran_ends_without_a_code_and_is_not_tried_again(policy: RestartPolicy) -> None:
    never = Exit(code=127, unstarted="SWL-501: the command nope does not exist")
    ended, _ = step(running(restart=policy), ev.Exited(1, never), NOW)
    assert (ended.phase, ended.state, ended.reason, ended.exit_code) == (
        Phase.ENDED,
        State.FAILED,
        never.unstarted,
        None,
    )


@pytest.mark.parametrize(
    ("policy", "exit_", "again"),
    [
        (RestartPolicy.NEVER, Exit(code=1), False),
        (RestartPolicy.ON_FAILURE, Exit(code=0), False),
        (RestartPolicy.ON_FAILURE, Exit(code=1), True),
        (RestartPolicy.ON_FAILURE, Exit(signal=9), True),
        (RestartPolicy.ALWAYS, Exit(code=0), True),
    ],
)
def test_the_restart_policy_decides_about_another_run(
    policy: RestartPolicy, exit_: Exit, again: bool
) -> None:
    after, actions = step(running(restart=policy), ev.Exited(1, exit_), NOW)
    assert (after.phase is Phase.BACKING_OFF) is again
    assert any(isinstance(action, ev.SetTimer) for action in actions) is again


def test_pauses_double_up_to_a_bound_and_a_steady_run_begins_anew() -> None:
    one, delays = running(restart=RestartPolicy.ALWAYS), []
    for _ in range(12):
        one, actions = drive(one, ev.Exited(-1, Exit(code=1)))
        delays += [action.delay for action in actions if isinstance(action, ev.SetTimer)]
        one, _ = drive(one, ev.RestartDue(-1), ev.Prepared(-1), ev.Started(-1))
    assert delays[:4] == [1.0, 2.0, 4.0, 8.0]
    assert delays[-1] == restarts.BACKOFF_MAX_S
    assert one.restarts == 12
    steady = Now(boot=NOW.boot + restarts.STEADY_S, ms=NOW.ms, jitter=0.5)
    _, timers = step(one, ev.Exited(one.attempt, Exit(code=1)), steady)
    assert [a.delay for a in timers if isinstance(a, ev.SetTimer)] == [1.0]


def test_jitter_spreads_a_pause_by_a_quarter() -> None:
    assert restarts.backoff_s(3, 0.0) == 6.0
    assert restarts.backoff_s(3, 1.0) == 10.0
    assert restarts.backoff_s(10_000, 1.0) == restarts.BACKOFF_MAX_S * 1.25


def test_stopping_sends_term_waits_the_grace_and_kills() -> None:
    one, actions = step(running(stop_grace_s=7.0), ev.StopAsked("stopped as asked"), NOW)
    assert kinds(actions) == ["Terminate", "SetTimer", "Observe", "Journal"]
    assert isinstance(actions[1], ev.SetTimer)
    assert actions[1].delay == 7.0
    one, actions = step(one, ev.GraceOver(one.attempt), NOW)
    assert (one.phase, kinds(actions)) == (Phase.KILLING, ["Kill", "SetTimer"])
    one, _ = step(one, ev.Exited(one.attempt, Exit(signal=9)), NOW)
    assert (one.state, one.exit_code) == (State.STOPPED, 137)
    assert "killed" in one.reason


def test_whatever_the_exit_code_a_stopped_replica_is_stopped() -> None:
    for exit_ in (Exit(code=0), Exit(code=3), Exit(signal=15)):
        one, _ = drive(running(), ev.StopAsked("stopped as asked"), ev.Exited(-1, exit_))
        assert (one.state, one.reason) == (State.STOPPED, "stopped as asked")


def test_what_the_node_ends_for_cause_has_failed() -> None:
    one, _ = drive(running(), ev.StopAsked("too much disk", failed=True), ev.Exited(-1, Exit(signal=15)))
    assert (one.state, one.reason) == (State.FAILED, "too much disk")


def test_a_stop_before_the_start_ends_it_and_gives_up_the_preparation() -> None:
    one, actions = drive(replica(), ev.Begin(), ev.StopAsked("stopped as asked"))
    assert one.state is State.STOPPED
    assert "Cancel" in kinds(actions)
    after, late = step(one, ev.Prepared(1), NOW)
    assert (after, late) == (one, ())


def test_a_stop_while_it_starts_is_carried_out_once_it_runs() -> None:
    one, actions = drive(replica(), ev.Begin(), ev.Prepared(-1), ev.StopAsked("stopped as asked"))
    assert one.phase is Phase.STARTING
    assert "Terminate" not in kinds(actions)
    one, actions = drive(one, ev.Started(-1))
    assert one.phase is Phase.STOPPING
    assert "Terminate" in kinds(actions)


def test_a_dropped_replica_is_removed_told_and_forgotten_once_acknowledged() -> None:
    one, actions = drive(running(), ev.Dropped("gone"), ev.Exited(-1, Exit(code=0)))
    assert kinds(actions)[-3:] == ["Journal", "Observe", "Remove"]
    assert step(one, ev.Acknowledged(one.sequence - 1), NOW)[1] == ()
    assert kinds(step(one, ev.Acknowledged(one.sequence), NOW)[1]) == ["Forget"]


def test_what_was_over_when_it_was_dropped_is_forgotten_at_once() -> None:
    one, _ = drive(running(), ev.Exited(-1, Exit(code=0)))
    assert kinds(step(one, ev.Dropped("gone"), NOW)[1]) == ["Remove", "Forget"]


@pytest.mark.parametrize("passing", [True, False])
@pytest.mark.parametrize("policy", list(RestartPolicy))
def test_a_failure_that_may_pass_is_tried_again_only_when_restarts_are_wanted(
    passing: bool, policy: RestartPolicy
) -> None:
    one, _ = drive(replica(restart=policy), ev.Begin(), ev.Failed(-1, "no engine", passing=passing))
    again = passing and policy is not RestartPolicy.NEVER
    assert one.phase is (Phase.BACKING_OFF if again else Phase.ENDED)


def test_what_ran_before_a_reboot_waits_for_its_engine() -> None:
    one, _ = recover(running(), NOW)
    one, _ = drive(one, ev.Begin(), ev.Failed(-1, "no engine", passing=True))
    assert one.phase is Phase.BACKING_OFF


def test_a_lapsed_lease_suspends_a_stop_replica_and_leaves_a_keep_one() -> None:
    assert step(running(), ev.LeaseLapsed(), NOW) == (running(), ())
    one, actions = step(running(on_partition=OnPartition.STOP), ev.LeaseLapsed(), NOW)
    assert kinds(actions) == ["Terminate", "SetTimer", "Observe"]
    assert isinstance(actions[1], ev.SetTimer)
    assert actions[1].delay == machine.LAPSE_GRACE_S
    one, _ = drive(one, ev.Exited(-1, Exit(signal=15)))
    assert (one.phase, one.reason) == (Phase.WAITING, machine.LAPSED)
    one, _ = drive(one, ev.Begin(), ev.Prepared(-1), ev.Started(-1))
    assert (one.phase, one.restarts) == (Phase.RUNNING, 1)


def test_a_lapse_shortens_the_grace_of_a_replica_being_stopped() -> None:
    one = running(on_partition=OnPartition.STOP, stop_grace_s=60.0)
    one, _ = drive(one, ev.StopAsked("stopped as asked"))
    _, actions = step(one, ev.LeaseLapsed(), NOW)
    assert [a.delay for a in actions if isinstance(a, ev.SetTimer)] == [machine.LAPSE_GRACE_S]


def test_a_stop_asked_while_suspended_makes_it_end_for_good() -> None:
    one, _ = drive(
        running(on_partition=OnPartition.STOP),
        ev.LeaseLapsed(),
        ev.StopAsked("stopped as asked"),
        ev.Exited(-1, Exit(code=0)),
    )
    assert (one.phase, one.state) == (Phase.ENDED, State.STOPPED)


def test_recovery_looks_for_a_container_and_starts_a_process_again() -> None:
    process, actions = recover(running(), NOW)
    assert (process.phase, actions) == (Phase.WAITING, ())
    container, actions = recover(running(image="x"), NOW)
    assert (container.phase, kinds(actions)) == (Phase.ADOPTING, ["Adopt"])
    adopted, _ = drive(container, ev.Adopted(-1))
    assert adopted.phase is Phase.RUNNING
    assert adopted.restarts == 0
    gone, _ = drive(container, ev.NotFound(-1))
    assert gone.phase is Phase.WAITING


def test_recovery_of_what_was_to_stop_does_not_start_it_again() -> None:
    process, _ = drive(running(), ev.StopAsked("stopped as asked"))
    process, actions = recover(process, NOW)
    assert process.state is State.STOPPED
    assert "Journal" in kinds(actions)
    container, _ = drive(running(image="x"), ev.StopAsked("stopped as asked"))
    container, _ = recover(container, NOW)
    found, actions2 = drive(container, ev.Adopted(-1))
    assert (found.phase, "Terminate" in kinds(actions2)) == (Phase.STOPPING, True)
    missing, _ = drive(container, ev.NotFound(-1))
    assert missing.state is State.STOPPED


def test_recovery_tells_an_end_that_was_not_acknowledged() -> None:
    one, _ = drive(running(), ev.Exited(-1, Exit(code=0)))
    same, actions = recover(one, NOW)
    assert (same, kinds(actions)) == (one, ["Observe"])
    one, _ = drive(one, ev.Acknowledged(one.sequence))
    assert recover(one, NOW) == (one, ())


def test_an_engine_that_cannot_be_asked_is_asked_again() -> None:
    one, _ = recover(running(image="x"), NOW)
    one, actions = drive(one, ev.AdoptFailed(-1, "no engine"))
    assert (one.phase, kinds(actions)) == (Phase.ADOPTING, ["SetTimer"])
    _, actions = drive(one, ev.AdoptDue(-1))
    assert kinds(actions) == ["Adopt"]


def test_sequences_are_reserved_on_disk_before_they_are_used() -> None:
    one = replica()
    highest = one.reserved
    for n in range(3 * RESERVE):
        one, actions = step(one, ev.Hold(f"reason {n}"), NOW)
        if any(isinstance(action, ev.Journal) for action in actions):
            assert kinds(actions)[0] == "Journal"
            highest = one.reserved
        assert one.sequence <= highest
    before = one.sequence
    assert recover(one, NOW)[0].sequence >= before


def test_saying_the_same_again_is_no_observation() -> None:
    one, _ = step(replica(), ev.Hold("no room"), NOW)
    assert step(one, ev.Hold("no room"), LATER) == (one, ())


def test_an_illegal_event_raises_names_both_and_changes_nothing() -> None:
    one = replica()
    with pytest.raises(IllegalTransitionError, match="GraceOver in phase waiting"):
        step(one, ev.GraceOver(one.attempt), NOW)
    assert one == replica()


def test_every_event_has_a_handler_and_every_phase_a_row() -> None:
    named = {event for row in machine.TABLE.values() for event in row}
    assert named == set(machine._HANDLERS)
    assert set(machine.TABLE) == set(Phase)
