"""One connection of a member, as a state table: from the dialled number to the reason it ended.

The law:

1. Every rule about the protocol of a member lives here; the shell (``member.py``) does the actions in order.
2. :data:`TABLE` is complete: an event not listed for a state raises :class:`IllegalEventError`, which names
   both and changes nothing. What the *peer* does wrong is never illegal: it ends the session.
3. ``Hello`` is said only after the challenge, so that cluster time is known first; a certificate that cluster
   time calls expired may only be renewed (C5).
4. A change of desired state that does not fit is answered with one ``Resync``; until the snapshot comes
   further changes are dropped, because each would only ask again.
5. An observation is sent once per connection and newer sequence, again when the coordinator could not record
   it, and again on the next connection until it is acknowledged (N2).
6. ``End`` comes exactly once and is the last action ever.

It must not import asyncio, read a clock or touch a file.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Any

import msgspec

from swarmlet.agent.batches import batches
from swarmlet.agent.events import (
    Acknowledge,
    Action,
    Applied,
    Apply,
    Closed,
    CloseStream,
    End,
    Event,
    Flush,
    Garbled,
    Hangup,
    Learn,
    LeaseLapsed,
    LeaveAsked,
    MeshSays,
    MeshTold,
    Note,
    Observations,
    Opened,
    OpenLogs,
    Outcome,
    Ready,
    Received,
    RenewalDue,
    Requested,
    RequestRenewal,
    SayHello,
    Send,
    SetTimer,
    StopAsked,
    Store,
    Stored,
    TimedOut,
)
from swarmlet.link.messages import (
    PROTOCOL_VERSION,
    Challenge,
    Desired,
    Goodbye,
    Leave,
    LogsOpen,
    MeshBody,
    MeshGrant,
    MeshMeasure,
    Observed,
    ObservedAck,
    Problem,
    Refused,
    Renewed,
    RenewRequest,
    Resync,
    StreamClose,
    Welcome,
)
from swarmlet.model.workload import Observation

#: Patience with the answer to a step of the greeting, a renewal or a leave, in seconds.
REPLY_S = 15.0
#: A snapshot of more assignments than this is refused: no device runs them, and the parts are kept in memory.
MOST_ASSIGNMENTS = 4096

#: Code of a problem with a message that another try would meet again.
_NOT_UNDERSTOOD = "SWL-608"


class State(enum.Enum):
    """Where a member's connection stands."""

    DIALLED = "dialled"
    OPENED = "opened"  # waiting for the challenge
    GREETED = "greeted"  # hello said, waiting for the welcome
    READY = "ready"
    RENEWING = "renewing"  # the certificate has expired: nothing but its renewal happens here
    LEAVING = "leaving"  # leave said, waiting for the goodbye
    ENDED = "ended"


_LIVE = frozenset(State)
_ANY_TIME: dict[type[Event], frozenset[State]] = {
    Closed: frozenset({State.ENDED}),
    StopAsked: frozenset({State.ENDED}),
    TimedOut: _LIVE,
    LeaseLapsed: _LIVE,
    LeaveAsked: _LIVE,
    MeshSays: _LIVE,
    RenewalDue: _LIVE,
    Observations: _LIVE,
}
_TALKING: dict[type[Event], frozenset[State]] = {**_ANY_TIME, Received: _LIVE, Garbled: _LIVE}
_RENEWABLE: dict[type[Event], frozenset[State]] = {**_TALKING, Requested: _LIVE, Stored: _LIVE}

#: What may happen in each state, and which states may follow.
TABLE: dict[State, dict[type[Event], frozenset[State]]] = {
    State.DIALLED: {**_ANY_TIME, Opened: frozenset({State.OPENED})},
    State.OPENED: _TALKING,
    State.GREETED: _TALKING,
    State.READY: {**_RENEWABLE, Applied: frozenset({State.READY})},
    State.RENEWING: _RENEWABLE,
    State.LEAVING: {**_RENEWABLE, Applied: frozenset({State.LEAVING})},
    State.ENDED: {},
}

#: Ends of a connection that are about this node, not about the way to the coordinator.
_VERDICTS = {
    "revoked": Outcome.REVOKED,
    "certificate-refused": Outcome.REFUSED,
    "superseded-certificate": Outcome.REFUSED,
    "role": Outcome.REFUSED,
    "superseded": Outcome.SUPERSEDED,
}


class IllegalEventError(Exception):
    """The shell reported something that cannot happen now; nothing was changed."""

    def __init__(self, state: State, event: Event) -> None:
        super().__init__(f"{type(event).__name__} cannot happen while a session is {state.value}")
        self.state = state
        self.event = event


class Session:
    """One connection. Feed events with :meth:`handle`; do the actions it returns, in order."""

    def __init__(self, cluster_id: str, not_after_ms: int) -> None:
        """Begin with a connection being dialled.

        Args:
            cluster_id: The cluster this node belongs to, hex.
            not_after_ms: When its certificate expires, in cluster time.
        """
        self.state = State.DIALLED
        self._cluster_id = cluster_id
        self._not_after_ms = not_after_ms
        self._leaving = False
        self._renewing = False
        self._resyncing = False
        self._parts: list[Desired] = []
        self._sent: dict[tuple[str, int], int] = {}
        self._handlers: dict[type[Event], Callable[[Any], list[Action]]] = {
            Opened: self._on_opened,
            Received: self._on_received,
            Garbled: self._on_garbled,
            Closed: self._on_closed,
            TimedOut: self._on_timed_out,
            Applied: self._on_applied,
            Observations: self._on_observations,
            RenewalDue: self._on_renewal_due,
            Requested: self._on_requested,
            Stored: self._on_stored,
            LeaseLapsed: self._on_lease_lapsed,
            LeaveAsked: self._on_leave_asked,
            StopAsked: self._on_stop_asked,
            MeshSays: self._on_mesh_says,
        }
        self._takers: dict[type, Callable[[Any], list[Action]]] = {
            Desired: self._take_desired,
            ObservedAck: self._take_ack,
            Renewed: self._take_renewed,
            Refused: self._take_refused,
            LogsOpen: lambda message: [OpenLogs(message)],
            StreamClose: lambda message: [CloseStream(message.stream)],
            MeshGrant: lambda message: [MeshTold(message)],
            MeshBody: lambda message: [MeshTold(message)],
            MeshMeasure: lambda message: [MeshTold(message)],
            Problem: self._take_problem,
        }

    def handle(self, event: Event) -> list[Action]:
        """Take one event and return what to do, in order.

        Raises:
            IllegalEventError: The event cannot happen in this state; nothing was changed.
        """
        allowed = TABLE[self.state].get(type(event))
        if allowed is None:
            raise IllegalEventError(self.state, event)
        actions = self._handlers[type(event)](event)
        assert self.state in allowed, (type(event).__name__, self.state)  # noqa: S101 - law 2, checked by the tests
        return actions

    # ---- the greeting

    def _on_opened(self, _event: Opened) -> list[Action]:
        self.state = State.OPENED
        return [SetTimer(REPLY_S)]

    def _on_received(self, event: Received) -> list[Action]:
        message = event.message
        if isinstance(message, Goodbye):
            return self._goodbye(message.reason)
        if self.state is State.OPENED:
            return self._take_challenge(message)
        if self.state is State.GREETED:
            return self._take_welcome(message)
        if self.state is State.RENEWING and not isinstance(message, (Renewed, Refused)):
            return []
        taker = self._takers.get(type(message))
        if taker is None:
            return [Send(Problem("SWL-608", type(message).__name__))]
        return taker(message)

    def _take_challenge(self, message: object) -> list[Action]:
        if isinstance(message, Refused):
            return self._take_refused(message)
        if not isinstance(message, Challenge):
            return self._broken(f"it sent {type(message).__name__} before its challenge")
        wrong = odd_challenge(message, self._cluster_id)
        if wrong is not None:
            return self._broken(wrong)
        learn = Learn(message.time_ms)
        if message.time_ms >= self._not_after_ms:
            self.state = State.RENEWING
            self._renewing = True
            return [learn, RequestRenewal(), SetTimer(REPLY_S)]
        if self._leaving:  # nothing to greet for: whoever leaves takes no more work
            return [learn, *self._say_leave()]
        self.state = State.GREETED
        return [learn, SayHello(), SetTimer(REPLY_S)]

    def _take_welcome(self, message: object) -> list[Action]:
        if isinstance(message, Refused):
            return self._take_refused(message)
        if not isinstance(message, Welcome):
            return self._broken(f"it sent {type(message).__name__} before its welcome")
        self.state = State.READY
        actions: list[Action] = [
            SetTimer(None),
            Learn(message.time_ms),
            Ready(message.name, message.settings),
            Flush(),
        ]
        return actions + (self._say_leave() if self._leaving else [])

    # ---- work

    def _take_desired(self, desired: Desired) -> list[Action]:
        if not desired.full:
            self._parts = []
            return [] if self._resyncing else [Apply(desired)]
        if self._parts and self._parts[0].generation != desired.generation:
            self._parts = []
        self._parts.append(desired)
        if sum(len(part.assignments) for part in self._parts) > MOST_ASSIGNMENTS:
            return self._broken(f"its snapshot has more than {MOST_ASSIGNMENTS} assignments")
        if desired.more:
            return []
        whole = tuple(assignment for part in self._parts for assignment in part.assignments)
        self._parts = []
        self._resyncing = False
        return [Apply(msgspec.structs.replace(desired, assignments=whole, more=False))]

    def _on_applied(self, event: Applied) -> list[Action]:
        if event.ok or self._resyncing:
            return []
        self._resyncing = True
        return [Send(Resync(event.generation))]

    def _on_observations(self, event: Observations) -> list[Action]:
        if self.state is not State.READY:
            return []
        fresh = [seen for seen in event.unacknowledged if seen.sequence > self._sent.get(_key(seen), -1)]
        self._sent.update((_key(seen), seen.sequence) for seen in fresh)
        return [Send(Observed(batch)) for batch in batches(fresh)]

    def _take_ack(self, ack: ObservedAck) -> list[Action]:
        for assignment_id, epoch, sequence in ack.taken:
            if self._sent.get((assignment_id, epoch), sequence + 1) <= sequence:
                del self._sent[assignment_id, epoch]
        return [Acknowledge(ack.taken)]

    def _on_mesh_says(self, event: MeshSays) -> list[Action]:
        # Advice, and asked for again: between sessions it is dropped.
        return [Send(message) for message in event.messages] if self.state is State.READY else []

    def _take_problem(self, problem: Problem) -> list[Action]:
        if problem.about == Observed.__name__ and problem.code != _NOT_UNDERSTOOD:
            # Nothing of it is on the coordinator's disk; all that is not acknowledged goes out again.
            self._sent.clear()
        return [Note(f"the coordinator could not take {problem.about}: {problem.code}")]

    # ---- renewal

    def _on_renewal_due(self, _event: RenewalDue) -> list[Action]:
        if self.state is not State.READY or self._renewing:
            return []
        self._renewing = True
        return [RequestRenewal(), SetTimer(REPLY_S)]

    def _on_requested(self, event: Requested) -> list[Action]:
        wanted = self._renewing and self.state is not State.LEAVING
        return [Send(RenewRequest(event.csr))] if wanted else []

    def _take_renewed(self, renewed: Renewed) -> list[Action]:
        if not self._renewing:
            return [Note("a certificate came that nobody asked for; it was dropped")]
        if not renewed.chain or renewed.settings.cluster_id != self._cluster_id:
            return self._broken("its certificate is not for this cluster")
        return [SetTimer(None), Learn(renewed.time_ms), Store(renewed)]

    def _on_stored(self, event: Stored) -> list[Action]:
        self._renewing = False
        if self.state is State.LEAVING:
            return []
        if event.ok:
            # A member's connection stays until the next one is welcomed: a renewal is no absence.
            is_member = self.state is State.READY
            return self._end(Outcome.RENEWED, "renewed", "", hangup=not is_member)
        if self.state is State.RENEWING:
            return self._end(
                Outcome.LOST, "closed", "the renewed certificate could not be saved", hangup=True
            )
        return [Note("the renewed certificate could not be saved; the old one stays in use")]

    # ---- the end

    def _on_lease_lapsed(self, _event: LeaseLapsed) -> list[Action]:
        if self.state in {State.READY, State.LEAVING}:
            return self._end(Outcome.LOST, "lease-lapsed", "heartbeats went unanswered", hangup=True)
        return []

    def _on_leave_asked(self, _event: LeaveAsked) -> list[Action]:
        if self._leaving:
            return []
        self._leaving = True
        return self._say_leave() if self.state is State.READY else []

    def _say_leave(self) -> list[Action]:
        self.state = State.LEAVING
        return [Send(Leave()), SetTimer(REPLY_S)]

    def _on_stop_asked(self, _event: StopAsked) -> list[Action]:
        # Said on purpose, so that the coordinator need not wait for the lease to know.
        bye: list[Action] = [Send(Goodbye("shutdown"))] if self.state is State.READY else []
        return bye + self._end(Outcome.STOPPED, "closed", "", hangup=True)

    def _on_garbled(self, event: Garbled) -> list[Action]:
        if self.state in {State.READY, State.LEAVING}:
            return [
                Note(f"a message was not understood: {event.detail}"),
                Send(Problem("SWL-608", "unknown")),
            ]
        return self._broken(event.detail)

    def _on_timed_out(self, _event: TimedOut) -> list[Action]:
        if self.state is State.READY:
            self._renewing = False
            return [Note("the coordinator did not answer the renewal; it is asked again later")]
        return self._end(Outcome.LOST, "timed-out", "no answer in time", hangup=True)

    def _on_closed(self, event: Closed) -> list[Action]:
        return self._end(self._verdict(event.reason, event.detail), event.reason, event.detail, hangup=False)

    def _goodbye(self, reason: str) -> list[Action]:
        named = "revoked" if reason == "left" else reason
        return self._end(self._verdict(named, ""), reason, "the coordinator said goodbye", hangup=True)

    def _verdict(self, reason: str, detail: str) -> Outcome:
        outcome = _VERDICTS.get(reason, Outcome.LOST)
        if reason == "certificate-refused" and "revoked" in detail:
            outcome = Outcome.REVOKED
        if self.state is State.LEAVING and outcome in {Outcome.REVOKED, Outcome.REFUSED}:
            # Told, or denied before the goodbye came through: either way this node is no member any more.
            return Outcome.LEFT
        return outcome

    def _take_refused(self, refused: Refused) -> list[Action]:
        if refused.code == "SWL-207":
            return self._end(Outcome.REVOKED, "revoked", "", hangup=True)
        if self.state is State.READY:
            self._renewing = False
            return [SetTimer(None), Note(f"the coordinator refused the renewal: {refused.code}")]
        return self._end(Outcome.LOST, "refused", refused.code, hangup=True)

    def _broken(self, detail: str) -> list[Action]:
        return self._end(Outcome.LOST, "protocol", detail, hangup=True)

    def _end(self, outcome: Outcome, reason: str, detail: str, *, hangup: bool) -> list[Action]:
        self.state = State.ENDED
        ending: list[Action] = [Hangup("closed")] if hangup else []
        return [SetTimer(None), *ending, End(outcome, reason, detail)]


def odd_challenge(challenge: Challenge, cluster_id: str) -> str | None:
    """Return what keeps this node from talking to a peer with this challenge, or ``None``."""
    if challenge.protocol != PROTOCOL_VERSION:
        return f"it speaks protocol version {challenge.protocol}"
    if challenge.cluster_id != cluster_id:
        return "it is another cluster under the same key"
    return None


def _key(seen: Observation) -> tuple[str, int]:
    return seen.assignment_id, seen.epoch
