"""Joining as a state table: from a token to a certificate on disk, over whichever address answers.

The law:

1. Everything that decides the course of a join lives here; the shell (``join.py``) resolves, dials, signs,
   saves and keeps one timer.
2. :data:`TABLE` is complete: a state not listed for an event's type refuses it with
   :class:`IllegalEventError`, which names both and changes nothing. What a *peer* does wrong is never
   illegal: it is a failure of that address.
3. :class:`~swarmlet.join.events.SendRequest` is asked for only in a connection that opened (so its pin
   was checked, T3) with a 32-byte exporter and gave its challenge; ``Finish`` only after ``Saved``.
4. An address that cannot be used gives way to the next; a refusal by the cluster itself is final. When none
   is left the most telling failure is reported, not the last.
5. While nothing was sent, an address is tried again as often as its failure is worth (``failures.py``),
   and for at most ``patience_s``; or, with a ``timeout_s``, until that is over (``patience.py``). Once a
   request has left, the token may be spent, so silence is no longer a reason to give up early: the same
   request (same key, T5) goes out again for ``patience_s`` from then; and its key stays on disk for a later
   run, until ``Saved`` or a refusal that decides (:class:`~swarmlet.join.events.Forget`); where no
   later run would have this token, until the end.
6. Expiry is judged by the coordinator alone (T6): here it only makes a hint.

It must not import asyncio, read a clock or touch a file: ``now`` is an argument, in seconds of any monotonic
clock.
"""

from __future__ import annotations

import enum
import random
from collections.abc import Callable
from typing import Any

from swarmlet.errors import CATALOGUE
from swarmlet.join import steps
from swarmlet.join.events import (
    Action,
    Closed,
    Dial,
    Event,
    Fail,
    Finish,
    Forget,
    Garbled,
    Hangup,
    LocalFailure,
    Note,
    Opened,
    Received,
    Report,
    Resolve,
    Resolved,
    Save,
    Saved,
    SendRequest,
    SetTimer,
    Started,
    TimedOut,
    Unresolved,
)
from swarmlet.join.failures import PASSING, Failure, failure_of, refusal, unexpected
from swarmlet.join.patience import given_up, insisted, within
from swarmlet.join.plan import Plan, Target
from swarmlet.link.messages import PROTOCOL_VERSION, Admitted, Challenge, Refused


class State(enum.Enum):
    """Where a join stands."""

    IDLE = "idle"
    RESOLVING = "resolving"
    CONNECTING = "connecting"
    OPEN = "open"  # pin checked, waiting for the challenge
    ASKED = "asked"  # request sent, waiting for the answer
    WAITING = "waiting"  # between rounds
    SAVING = "saving"
    DONE = "done"
    FAILED = "failed"


_ON = frozenset({State.RESOLVING, State.CONNECTING, State.WAITING, State.FAILED})

#: What may happen in each state, and which states may follow.
TABLE: dict[State, dict[type[Event], frozenset[State]]] = {
    State.IDLE: {Started: _ON, LocalFailure: frozenset({State.FAILED})},
    State.RESOLVING: {
        Resolved: _ON,
        Unresolved: _ON,
        TimedOut: _ON,
        LocalFailure: frozenset({State.FAILED}),
    },
    State.CONNECTING: {
        Opened: _ON | {State.OPEN},
        Closed: _ON,
        TimedOut: _ON,
        LocalFailure: frozenset({State.FAILED}),
    },
    State.OPEN: {
        Received: _ON | {State.ASKED},
        Garbled: _ON,
        Closed: _ON,
        TimedOut: _ON,
        LocalFailure: frozenset({State.FAILED}),
    },
    State.ASKED: {
        Received: _ON | {State.SAVING},
        Garbled: _ON,
        Closed: _ON,
        TimedOut: _ON,
        LocalFailure: frozenset({State.FAILED}),
    },
    State.WAITING: {TimedOut: _ON, LocalFailure: frozenset({State.FAILED})},
    State.SAVING: {
        # The peer may say or do what it likes while the disk works; the join no longer depends on it.
        Received: frozenset({State.SAVING}),
        Garbled: frozenset({State.SAVING}),
        Closed: frozenset({State.SAVING}),
        Saved: frozenset({State.DONE}),
        LocalFailure: frozenset({State.FAILED}),
    },
    State.DONE: {},
    State.FAILED: {},
}


#: What an address did is noted once, and no more of it all: a peer chooses some of the words.
MOST_NOTES = 64


class IllegalEventError(Exception):
    """The shell reported something that cannot happen now; nothing was changed."""

    def __init__(self, state: State, event: Event) -> None:
        super().__init__(f"{type(event).__name__} cannot happen while a join is {state.value}")
        self.state = state
        self.event = event


class JoinMachine:
    """One join. Feed events with :meth:`handle`; do the actions it returns, in order.

    Args:
        plan: What to start from.
        dice: Shortens pauses, so that a crowd does not knock in step; without it they are whole.
    """

    def __init__(self, plan: Plan, dice: random.Random | None = None) -> None:
        self.state = State.IDLE
        self._plan = plan
        self._dice = dice
        self._names = list(dict.fromkeys(plan.names))
        self._nameless: list[str] = []  # of this round, worth being looked up again
        self._targets: list[Target] = []  # of this round, not tried yet
        self._known: list[Target] = []  # everything that ever resolved, for later rounds
        self._slow: list[Target] = []  # of this round, worth another one
        self._worth: dict[
            Target, float
        ] = {}  # how many rounds: one that once took a connection is no dead one
        self._worst: Failure | None = None  # the most telling one
        self._noted: set[str] = set()
        self._target = Target("", "")
        self._resolving = ""
        self._round = 0
        self._dialled_at = 0.0
        self._opened_at = 0.0
        self._exporter = b""
        self._began_at = 0.0
        self._asked_at: float | None = None
        self._admitted: Admitted | None = None
        self._handlers: dict[type[Event], Callable[[Any, float], list[Action]]] = {
            Started: self._on_started,
            Resolved: self._on_resolved,
            Unresolved: self._on_unresolved,
            Opened: self._on_opened,
            Received: self._on_received,
            Garbled: self._on_garbled,
            Closed: self._on_closed,
            TimedOut: self._on_timed_out,
            Saved: self._on_saved,
            LocalFailure: self._on_local_failure,
        }

    def handle(self, event: Event, now: float) -> list[Action]:
        """Take one event and return what to do.

        Args:
            event: What happened.
            now: Seconds on a monotonic clock, never decreasing between calls.

        Returns:
            The actions, to be done in order. ``Fail`` and ``Finish`` are the last ever.

        Raises:
            IllegalEventError: The event cannot happen in this state; nothing was changed.
        """
        allowed = TABLE[self.state].get(type(event))
        if allowed is None:
            raise IllegalEventError(self.state, event)
        actions = self._handlers[type(event)](event, now)
        assert self.state in allowed, (type(event).__name__, self.state)  # noqa: S101 - law 2, checked by the tests
        return actions

    # ---- one handler an event; the table has already said that it may happen

    def _on_started(self, event: Started, now: float) -> list[Action]:
        self._began_at = now
        over_s = event.wall_ms / 1000 - self._plan.expires_s
        hint = "by this device's clock the token expired {} ago; the cluster's clock decides"
        hints: list[Action] = [Note(hint.format(steps.span(over_s)))] if over_s > 60 else []
        return hints + self._next(now)

    def _on_resolved(self, event: Resolved, now: float) -> list[Action]:
        found = [Target(self._resolving, address) for address in event.addresses]
        if not found:
            return self._on_unresolved(Unresolved("no address"), now)
        self._known.extend(found)
        self._targets = found + self._targets
        return self._next(now)

    def _on_unresolved(self, event: Unresolved, now: float) -> list[Action]:
        self._target = Target(self._resolving, self._resolving)
        return self._give_up(Closed("name-unresolved", event.detail), now)

    def _on_opened(self, event: Opened, now: float) -> list[Action]:
        if len(event.exporter) != 32:
            return self._give_up(unexpected("it has no exporter"), now)
        self.state = State.OPEN
        self._opened_at = now
        self._exporter = event.exporter
        return [SetTimer(within(self._plan.reply_s, self._left(now)))]

    def _on_received(self, event: Received, now: float) -> list[Action]:
        if self.state is State.SAVING:
            return []
        message = event.message
        if self.state is State.OPEN and isinstance(message, Challenge):
            return self._challenged(message, event.wall_ms, now)
        if self.state is State.ASKED and isinstance(message, Admitted):
            return self._admit(message, now)
        if isinstance(message, Refused):
            return self._refused(message, now)
        return self._give_up(unexpected(f"it sent {type(message).__name__} out of turn"), now)

    def _on_garbled(self, event: Garbled, now: float) -> list[Action]:
        return [] if self.state is State.SAVING else self._give_up(unexpected(event.detail), now)

    def _on_closed(self, event: Closed, now: float) -> list[Action]:
        return [] if self.state is State.SAVING else self._give_up(event, now)

    def _on_timed_out(self, _event: TimedOut, now: float) -> list[Action]:
        if self.state is State.WAITING:
            return self._next(now)
        if self.state is State.RESOLVING:
            return self._on_unresolved(Unresolved("the name server did not answer in time"), now)
        return self._give_up(Closed("timed-out", "no answer in time"), now)

    def _on_saved(self, event: Saved, _now: float) -> list[Action]:
        admitted = self._admitted
        if admitted is None:  # unreachable: SAVING is entered with it
            return self._fail("SWL-799", {"detail": "saved what was never admitted"})
        self.state = State.DONE
        actions: list[Action] = [SetTimer(None), Hangup()]
        valid_s = (event.not_after_ms - admitted.time_ms) / 1000
        name = steps.plain(admitted.name, 63)
        actions.append(Report(steps.IDENTITY, steps.identified(name, valid_s, self._plan.data_dir)))
        if admitted.name != self._plan.name:
            actions.append(Note(f"the name {self._plan.name} is taken in this cluster; this node is {name}"))
        if admitted.replaced:
            actions.append(Note("this device was in the cluster before; its old entry was replaced"))
        suits = tuple(steps.plain(word, 40) for word in admitted.suitability[:16])
        actions.append(Report(steps.CLASS, steps.classified(steps.plain(admitted.node_class, 40), suits)))
        actions.append(Finish(admitted))
        return actions

    def _on_local_failure(self, event: LocalFailure, _now: float) -> list[Action]:
        return self._fail(event.code, event.fields)

    # ---- the course

    def _next(self, now: float) -> list[Action]:
        """Dial or resolve what is left of this round, or begin the next, or fail."""
        left = self._left(now)
        if left is not None and left <= 0.0:
            return self._fail_as_seen()
        if self._targets:
            self._target = self._targets.pop(0)
            self.state = State.CONNECTING
            self._dialled_at = now
            patience = self._plan.connect_s[min(self._round, len(self._plan.connect_s) - 1)]
            # The engine keeps the deadline too; the timer is for an engine that does not.
            patience = within(patience, left)
            return [Dial(self._target.address, patience), SetTimer(patience + 1.0)]
        if self._names:
            self._resolving = self._names.pop(0)
            self.state = State.RESOLVING
            return [Resolve(self._resolving), SetTimer(within(self._plan.connect_s[1], left))]
        return self._next_round(now)

    def _next_round(self, now: float) -> list[Action]:
        pause = 0.25 * 2 ** min(self._round, 4)
        if self._dice is not None:
            pause *= self._dice.uniform(0.25, 1.0)
        again, names, patience_s = self._known, self._nameless, self._plan.patience_s
        since, left = self._asked_at, self._left(now)
        if since is None:
            again = [target for target in self._slow if self._round + 1 < self._worth[target]]
            since, patience_s = self._began_at, self._plan.timeout_s or patience_s
        pause = within(pause, left)
        over = left is None and now + pause - since > patience_s
        if over or not (again or names):
            return self._fail_as_seen()
        self._round += 1
        self._targets, self._slow = list(again), []
        self._names, self._nameless = list(names), []
        self.state = State.WAITING
        if self._round > 1:
            return [SetTimer(pause)]
        left_s = since + patience_s - now
        return [Note(f"trying again for up to {steps.span(left_s)}"), SetTimer(pause)]

    def _give_up(self, event: Closed, now: float) -> list[Action]:
        """Leave this address for the next."""
        asked = self._asked_at is not None
        failure = failure_of(event, self._target.label, asked=asked, resumes=self._plan.resumes)
        if self._left(now) is not None:
            failure = insisted(failure)
        if self._worst is None or failure.rank > self._worst.rank:
            self._worst = failure
        if failure.rounds > 1 and self.state is State.RESOLVING:
            self._nameless.append(self._resolving)
        elif failure.rounds > 1 or (failure.code in PASSING and self._target in self._worth):
            # One that took a connection before may only be starting again.
            self._slow.append(self._target)
            self._worth[self._target] = max(self._worth.get(self._target, 0), failure.rounds)
        actions: list[Action] = [] if self.state is State.RESOLVING else [Hangup()]
        following = self._next(now)
        note = f"{self._target_of(failure)}: {failure.short}"
        if self.state is not State.FAILED and note not in self._noted and len(self._noted) < MOST_NOTES:
            self._noted.add(note)
            actions.append(Note(note))
        return actions + following

    @staticmethod
    def _target_of(failure: Failure) -> str:
        return failure.fields.get("address") or failure.fields.get("host", "?")

    def _challenged(self, challenge: Challenge, wall_ms: int, now: float) -> list[Action]:
        if challenge.protocol != PROTOCOL_VERSION:
            return self._give_up(Closed("protocol-version", str(challenge.protocol)), now)
        if challenge.cluster_id != self._plan.cluster_id:
            return self._give_up(unexpected("it is another cluster under the same key"), now)
        self.state = State.ASKED
        if self._asked_at is None:
            self._asked_at = now
        rtt_ms = (self._opened_at - self._dialled_at) * 1000
        skew_s = (wall_ms - challenge.time_ms) / 1000
        return [
            Report(steps.REACH, steps.reached(self._target.label, rtt_ms, skew_s)),
            Report(steps.TRUST, steps.trusted(self._plan.pins[0])),
            SendRequest(self._exporter),
            SetTimer(self._plan.reply_s),
        ]

    def _admit(self, admitted: Admitted, now: float) -> list[Action]:
        if not admitted.chain or admitted.settings.cluster_id != self._plan.cluster_id:
            return self._give_up(unexpected("its admission is not for this token's cluster"), now)
        self._admitted = admitted
        self.state = State.SAVING
        return [SetTimer(None), Save(admitted)]

    def _refused(self, refused: Refused, now: float) -> list[Action]:
        wait_s = (refused.retry_after_ms or 0) / 1000
        if self._may_wait(wait_s, now):
            # A busy cluster, not a bad token: the answer named its own time, so keep to it.
            self._round += 1
            self._targets, self._slow = [self._target, *self._targets], []
            self.state = State.WAITING
            return [
                Hangup(),
                Note(f"the cluster is busy; asking again in {steps.span(wait_s)}"),
                SetTimer(wait_s),
            ]
        code, fields = refusal(refused, self._plan.expires_s, self._plan.name)
        # One that names a time has not decided: an earlier request with this key may have been granted.
        return [Hangup(), *self._fail(code, fields, decided=refused.retry_after_ms is None)]

    def _may_wait(self, wait_s: float, now: float) -> bool:
        began = self._asked_at
        return began is not None and wait_s > 0 and now + wait_s - began <= self._plan.patience_s

    def _left(self, now: float) -> float | None:
        """Return for how many seconds yet to knock; ``None`` when nobody said, or a request has left."""
        timeout_s = self._plan.timeout_s
        return None if timeout_s is None or self._asked_at is not None else self._began_at + timeout_s - now

    def _fail_as_seen(self) -> list[Action]:
        """Fail with the most telling of what was seen."""
        worst = self._worst
        if worst is None:
            return self._fail("SWL-200", {"address": "the cluster", "detail": "no address is known"})
        if self._plan.timeout_s is None or self._asked_at is not None:
            return self._fail(worst.code, worst.fields)
        return self._fail(*given_up(worst, self._target_of(worst), self._plan.timeout_s))

    def _fail(self, code: str, fields: dict[str, str], *, decided: bool = False) -> list[Action]:
        self.state = State.FAILED
        over = decided or (self._asked_at is not None and not self._plan.resumes)
        forget: list[Action] = [Forget()] if over else []
        return [*forget, SetTimer(None), Fail(code if code in CATALOGUE else "SWL-799", fields)]
