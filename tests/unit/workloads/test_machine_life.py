"""Any order of events, crashes included: the law holds (property test over whole lives)."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from swarmlet.model.workload import TERMINAL, Observation, OnPartition, RestartPolicy, may_advance
from swarmlet.workloads import events as ev
from swarmlet.workloads.endings import Exit
from swarmlet.workloads.machine import recover, step
from swarmlet.workloads.replica import Now, Phase, Replica
from tests.unit.workloads.samples import NOW, replica

EXITS = st.sampled_from([Exit(code=0), Exit(code=7), Exit(signal=9), Exit(signal=15)])


class Life(RuleBasedStateMachine):
    """One replica, a world that does what it is told whenever it likes, and a disk."""

    @initialize(
        restart=st.sampled_from(list(RestartPolicy)),
        partition=st.sampled_from(list(OnPartition)),
        image=st.sampled_from([None, "image"]),
    )
    def begin(self, restart: RestartPolicy, partition: OnPartition, image: str | None) -> None:
        self.one: Replica = replica(restart=restart, on_partition=partition, image=image)
        self.disk = self.one
        self.preparing: list[int] = []
        self.starting: list[int] = []
        self.adopting: list[int] = []
        self.runs: list[int] = []
        self.timers: dict[ev.Timer, int] = {}
        self.told: list[Observation] = []
        self.boot = NOW.boot
        self.forgotten = False

    def feed(self, event: ev.Event) -> None:
        self.boot += 1.0
        self.one, actions = step(self.one, event, Now(self.boot, NOW.ms))
        self.carry_out(actions)

    def carry_out(self, actions: tuple[ev.Action, ...]) -> None:
        for action in actions:
            match action:
                case ev.Journal():
                    self.disk = self.one
                case ev.Observe(observation=seen):
                    if seen.state in TERMINAL:
                        assert self.disk.state is seen.state, "an end was told before it was on disk"
                    assert seen.sequence <= self.disk.reserved or self.disk.ended
                    self.check_order(seen)
                    self.told.append(seen)
                case ev.Prepare(attempt=attempt):
                    assert self.disk.key == self.one.key
                    self.preparing.append(attempt)
                case ev.Start(attempt=attempt):
                    self.starting.append(attempt)
                case ev.Adopt(attempt=attempt):
                    self.adopting.append(attempt)
                case ev.SetTimer(timer=timer, attempt=attempt):
                    self.timers[timer] = attempt
                case ev.Terminate() | ev.Kill():
                    assert self.runs
                case ev.Clean() | ev.Remove():
                    assert not self.runs
                case ev.Forget():
                    self.forgotten = True

    def check_order(self, seen: Observation) -> None:
        """What is told grows in number and never goes back in state, as the coordinator demands."""
        if not self.told:
            return
        before = self.told[-1]
        if seen.state in TERMINAL and seen == before:
            return  # the report of an end is repeated until it is acknowledged
        assert seen.sequence > before.sequence
        assert may_advance(before.state, seen.state, restarted=seen.restarts > before.restarts)

    @rule(steps=st.integers(1, 6))
    def all_goes_well(self, steps: int) -> None:
        """Go on towards running, so that most lives see more than their beginning."""
        for _ in range(steps):
            if self.one.phase is Phase.WAITING:
                self.feed(ev.Begin())
            elif self.preparing:
                self.prepared(how="ok")
            elif self.starting:
                self.started(works=True)
            elif self.adopting:
                self.adopted(asked=True)
            elif self.one.phase is Phase.BACKING_OFF:
                self.timer(ev.Timer.RESTART)

    @precondition(lambda self: self.preparing)
    @rule(how=st.sampled_from(["ok", "passing", "never"]))
    def prepared(self, how: str) -> None:
        attempt = self.preparing.pop()
        if how == "ok":
            self.feed(ev.Prepared(attempt))
        else:
            self.feed(ev.Failed(attempt, "not today", passing=how == "passing"))

    @precondition(lambda self: self.starting)
    @rule(works=st.booleans())
    def started(self, works: bool) -> None:
        attempt = self.starting.pop()
        if works:
            self.runs.append(attempt)
            assert len(self.runs) == 1, "two runs of one replica"
            self.feed(ev.Started(attempt))
        else:
            self.feed(ev.Failed(attempt, "no", passing=True))

    @precondition(lambda self: self.adopting)
    @rule(asked=st.booleans())
    def adopted(self, asked: bool) -> None:
        attempt = self.adopting.pop()
        if not asked:
            self.feed(ev.AdoptFailed(attempt, "engine away"))
        elif self.runs:
            self.runs = [attempt]
            self.feed(ev.Adopted(attempt))
        else:
            self.feed(ev.NotFound(attempt))

    @precondition(lambda self: self.runs and self.one.phase not in {Phase.STARTING, Phase.ADOPTING})
    @rule(exit_=EXITS)
    def exited(self, exit_: Exit) -> None:
        self.feed(ev.Exited(self.runs.pop(), exit_))

    @precondition(lambda self: self.timers)
    @rule(timer=st.sampled_from(list(ev.Timer)))
    def timer(self, timer: ev.Timer) -> None:
        attempt = self.timers.pop(timer, None)
        due = {ev.Timer.GRACE: ev.GraceOver, ev.Timer.RESTART: ev.RestartDue, ev.Timer.ADOPT: ev.AdoptDue}
        if attempt is not None:
            self.feed(due[timer](attempt))

    @precondition(lambda self: self.one.phase is Phase.WAITING)
    @rule(event=st.sampled_from([ev.Begin(), ev.Hold("no room"), ev.Refuse("never")]))
    def gate(self, event: ev.Event) -> None:
        self.feed(event)

    @rule()
    def lapsed(self) -> None:
        self.feed(ev.LeaseLapsed())

    @rule(event=st.sampled_from([ev.StopAsked("stop"), ev.Dropped("drop"), ev.Relisted()]), now=st.booleans())
    def asked(self, event: ev.Event, now: bool) -> None:
        # Half as often as the others: it ends a life.
        if now:
            self.feed(event)

    @rule(sequence=st.integers(0, 200))
    def acknowledged(self, sequence: int) -> None:
        self.feed(ev.Acknowledged(sequence))

    @rule()
    def crash(self) -> None:
        """The agent is killed: processes die with it, containers run on, only the disk remains."""
        self.preparing, self.starting, self.adopting, self.timers = [], [], [], {}
        if self.one.assignment.spec.image is None:
            self.runs = []
        was_over = self.disk.ended
        self.one, actions = recover(self.disk, Now(self.boot, NOW.ms))
        assert self.one.ended or not was_over, "an ended replica came back to life"
        self.carry_out(actions)
        if not self.one.ended:
            self.feed(ev.LeaseLapsed())  # no agent holds a lease when it starts

    @invariant()
    def nothing_runs_unseen(self) -> None:
        if getattr(self, "runs", None):
            assert self.one.phase not in {Phase.WAITING, Phase.PREPARING, Phase.BACKING_OFF, Phase.ENDED}

    def teardown(self) -> None:
        """Once it is asked to stop and the world delivers, it ends."""
        if not hasattr(self, "one"):
            return
        self.feed(ev.StopAsked("the end"))
        for _ in range(20):
            if self.one.ended:
                break
            if self.adopting:
                self.adopted(asked=True)
            elif self.starting:
                self.started(works=True)
            elif self.runs and self.one.phase is not Phase.ADOPTING:
                self.exited(Exit(signal=9))
            elif self.timers:
                self.timer(next(iter(self.timers)))
        assert self.one.ended
        assert not self.runs


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=150, stateful_step_count=60, deadline=None)
