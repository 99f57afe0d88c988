"""The session of a member: its course, its ends, and its law under any sequence of events."""

# ruff: noqa: FBT003 - messages are written as they are read

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarmlet.agent.batches import BATCH_BYTES, batches
from swarmlet.agent.events import (
    Acknowledge,
    Applied,
    Apply,
    Closed,
    CloseStream,
    End,
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
    StopAsked,
    Store,
    Stored,
    TimedOut,
)
from swarmlet.agent.session import MOST_ASSIGNMENTS, TABLE, IllegalEventError, Session, State
from swarmlet.link.messages import (
    PROTOCOL_VERSION,
    Challenge,
    Desired,
    Goodbye,
    Hello,
    Leave,
    LogsOpen,
    MeshBody,
    MeshGrant,
    MeshHello,
    MeshMeasure,
    Observed,
    ObservedAck,
    Problem,
    Refused,
    Renewed,
    RenewRequest,
    Resync,
    Settings,
    StreamClose,
    Welcome,
    encode,
)
from swarmlet.model.profile import Capabilities, Classification, Hardware, Profile
from swarmlet.model.workload import Assignment, AssignmentState, Kind, Observation, WorkloadSpec

CLUSTER = "ab" * 16
NOW_MS = 1_800_000_000_000
SETTINGS = Settings(CLUSTER, "home", ("10.0.0.1:7946",), (b"\x01" * 32,), 5000, 15000)
PROFILE = Profile("n", Hardware(), Capabilities(), Classification("Edge", (), ""))
CHALLENGE = Challenge(PROTOCOL_VERSION, CLUSTER, "home", NOW_MS, "10.0.0.9:1")
WELCOME = Welcome("garden", SETTINGS, NOW_MS)
RENEWED = Renewed((b"leaf",), SETTINGS, NOW_MS)
HELLO = Hello(PROTOCOL_VERSION, "0", "b", "n", PROFILE, 0)


def assignment(number):
    return Assignment(f"a{number}", "w", number, 1, WorkloadSpec("w", Kind.PROCESS, ("true",)))


def seen(number, sequence=1, reason=""):
    return Observation(f"a{number}", 1, sequence, AssignmentState.RUNNING, NOW_MS, reason)


class Drive:
    def __init__(self, not_after_ms=NOW_MS + 3_600_000):
        self.session = Session(CLUSTER, not_after_ms)
        self.log = []

    def feed(self, *events):
        for event in events:
            wrapped = event if type(event) in set().union(*TABLE.values()) else Received(event)
            self.log += self.session.handle(wrapped)
        return self

    def all(self, kind):
        return [action for action in self.log if isinstance(action, kind)]

    @property
    def sent(self):
        return [action.message for action in self.all(Send)]

    @property
    def end(self):
        return self.all(End)[0]


def greeted():
    return Drive().feed(Opened(), CHALLENGE)


def ready():
    drive = greeted().feed(WELCOME)
    drive.log.clear()
    return drive


def test_a_member_is_greeted_in_order():
    drive = Drive().feed(Opened())
    assert not drive.all(SayHello)
    drive.feed(CHALLENGE, WELCOME)
    kinds = [type(action) for action in drive.log]
    assert kinds.index(Learn) < kinds.index(SayHello) < kinds.index(Ready) < kinds.index(Flush)
    assert drive.all(Ready) == [Ready("garden", SETTINGS)]


@pytest.mark.parametrize("event", [Garbled("x"), WELCOME, Desired(1, 0, True, ())])
def test_what_comes_before_the_challenge_ends_the_session(event):
    drive = Drive().feed(Opened(), event)
    assert drive.end.outcome is Outcome.LOST
    assert drive.all(Hangup)


def test_another_cluster_or_protocol_is_left():
    for odd in (
        Challenge(PROTOCOL_VERSION, "00" * 16, "x", NOW_MS, ""),
        Challenge(99, CLUSTER, "home", NOW_MS, ""),
    ):
        assert Drive().feed(Opened(), odd).end.outcome is Outcome.LOST


def test_a_snapshot_in_parts_is_applied_once_and_whole():
    drive = ready().feed(
        Desired(7, 0, True, (assignment(1),), more=True),
        Desired(7, 0, True, (assignment(2),), more=True),
    )
    assert not drive.all(Apply)
    drive.feed(Desired(7, 0, True, (assignment(3),)))
    applied = drive.all(Apply)[0].desired
    assert [one.assignment_id for one in applied.assignments] == ["a1", "a2", "a3"]
    assert not applied.more


def test_parts_of_an_older_snapshot_are_forgotten():
    drive = ready().feed(
        Desired(7, 0, True, (assignment(1),), more=True), Desired(8, 0, True, (assignment(2),))
    )
    assert [one.assignment_id for one in drive.all(Apply)[0].desired.assignments] == ["a2"]


def test_a_snapshot_beyond_all_measure_ends_the_session():
    part = Desired(7, 0, True, tuple(assignment(n) for n in range(MOST_ASSIGNMENTS // 2 + 1)), more=True)
    assert ready().feed(part, part).end.reason == "protocol"


def test_a_change_that_does_not_fit_asks_once_for_a_snapshot():
    drive = ready().feed(Desired(9, 8, False, ()), Applied(False, 3), Desired(10, 9, False, ()))
    assert drive.sent == [Resync(3)]
    assert len(drive.all(Apply)) == 1
    drive.feed(Desired(10, 0, True, ()), Applied(True, 10), Desired(11, 10, False, ()))
    assert len(drive.all(Apply)) == 3


def test_an_observation_is_sent_once_until_it_changes():
    drive = ready().feed(Observations((seen(1), seen(2))), Observations((seen(1), seen(2, 2))))
    assert drive.sent == [Observed((seen(1), seen(2))), Observed((seen(2, 2),))]


def test_an_acknowledgement_is_passed_on():
    drive = ready().feed(Observations((seen(1),)), ObservedAck((("a1", 1, 1),)))
    assert drive.all(Acknowledge) == [Acknowledge((("a1", 1, 1),))]


def test_observations_wait_for_the_welcome():
    drive = greeted().feed(Observations((seen(1),)))
    assert not drive.sent
    assert drive.feed(WELCOME, Observations((seen(1),))).sent == [Observed((seen(1),))]


def test_batches_keep_the_order_and_fit_a_frame():
    many = [seen(number, reason="x" * (number % 5000)) for number in range(600)]
    groups = batches(many)
    assert [one.assignment_id for group in groups for one in group] == [one.assignment_id for one in many]
    assert all(len(encode(Observed(group))) < 65_536 - 8_192 for group in groups)
    assert len(groups) < 600 * 2200 / BATCH_BYTES * 2


def test_renewal_asks_stores_and_ends_with_the_new_identity():
    drive = ready().feed(RenewalDue())
    assert drive.all(RequestRenewal)
    drive.feed(Requested(b"csr"), RENEWED)
    assert drive.sent == [RenewRequest(b"csr")]
    assert drive.all(Store) == [Store(RENEWED)]
    assert drive.feed(Stored(True)).end.outcome is Outcome.RENEWED


def test_a_renewal_is_asked_for_once_at_a_time():
    drive = ready().feed(RenewalDue(), RenewalDue())
    assert len(drive.all(RequestRenewal)) == 1


@pytest.mark.parametrize("answer", [Refused("SWL-608"), TimedOut(), Stored(False)])
def test_a_failed_renewal_keeps_the_session_and_may_be_tried_again(answer):
    drive = ready().feed(RenewalDue(), Requested(b"csr"), answer)
    assert drive.session.state is State.READY
    assert drive.all(Note)
    assert len(drive.feed(RenewalDue()).all(RequestRenewal)) == 2


def test_an_unasked_certificate_is_dropped():
    drive = ready().feed(RENEWED)
    assert not drive.all(Store)
    assert drive.session.state is State.READY


def test_an_expired_certificate_is_renewed_and_nothing_else():
    drive = Drive(not_after_ms=NOW_MS).feed(Opened(), CHALLENGE)
    assert not drive.all(SayHello)
    assert drive.all(RequestRenewal)
    drive.feed(Desired(1, 0, True, ()), Requested(b"csr"), RENEWED, Stored(True))
    assert not drive.all(Apply)
    assert drive.end.outcome is Outcome.RENEWED


def test_leaving_waits_for_the_goodbye():
    drive = ready().feed(LeaveAsked(), LeaveAsked())
    assert drive.sent == [Leave()]
    assert not drive.all(End)
    assert drive.feed(Goodbye("left")).end.outcome is Outcome.LEFT


def test_leaving_asked_early_is_said_in_place_of_the_hello():
    drive = Drive().feed(LeaveAsked(), Opened(), CHALLENGE)
    assert drive.sent == [Leave()]
    assert not drive.all(SayHello)


def test_leaving_asked_during_the_greeting_is_said_after_the_welcome():
    assert greeted().feed(LeaveAsked(), WELCOME).sent == [Leave()]


@pytest.mark.parametrize("reason", ["revoked", "certificate-refused"])
def test_a_denied_certificate_after_leave_means_it_left(reason):
    assert ready().feed(LeaveAsked(), Closed(reason, "")).end.outcome is Outcome.LEFT


@pytest.mark.parametrize(
    ("event", "outcome"),
    [
        (Goodbye("revoked"), Outcome.REVOKED),
        (Goodbye("left"), Outcome.REVOKED),
        (Goodbye("superseded"), Outcome.SUPERSEDED),
        (Goodbye("shutdown"), Outcome.LOST),
        (Closed("certificate-refused", "it was revoked"), Outcome.REVOKED),
        (Closed("certificate-refused", "it has expired or is not valid yet"), Outcome.REFUSED),
        (Goodbye("superseded-certificate"), Outcome.REFUSED),
        (Closed("superseded", ""), Outcome.SUPERSEDED),
        (Closed("reset", ""), Outcome.LOST),
        (LeaseLapsed(), Outcome.LOST),
        (StopAsked(), Outcome.STOPPED),
    ],
)
def test_every_end_has_its_outcome(event, outcome):
    assert ready().feed(event).end.outcome is outcome


def test_a_refused_hello_is_told():
    assert greeted().feed(Refused("SWL-207")).end.outcome is Outcome.REVOKED
    assert greeted().feed(Refused("SWL-608")).end.detail == "SWL-608"


def test_silence_during_the_greeting_ends_it():
    assert greeted().feed(TimedOut()).end.reason == "timed-out"


def test_an_unknown_message_is_answered_and_the_session_goes_on():
    drive = ready().feed(Garbled("new tag"), HELLO)
    assert [type(message) for message in drive.sent] == [Problem, Problem]
    assert drive.session.state is State.READY


def test_what_the_coordinator_could_not_record_is_sent_again_on_the_same_connection():
    drive = ready().feed(Observations((seen(1),)), Observations((seen(1),)))
    assert drive.sent == [Observed((seen(1),))]
    drive.feed(Problem("SWL-302", "Observed"), Observations((seen(1),)), Observations((seen(1),)))
    assert drive.sent == [Observed((seen(1),))] * 2
    drive.feed(Problem("SWL-608", "Observed"), Observations((seen(1),)))
    assert drive.sent == [Observed((seen(1),))] * 2


def test_log_streams_are_passed_on():
    drive = ready().feed(LogsOpen(4, "a1"), StreamClose(4), Problem("SWL-504", "x"))
    assert drive.all(OpenLogs) == [OpenLogs(LogsOpen(4, "a1"))]
    assert drive.all(CloseStream) == [CloseStream(4)]


def test_the_mesh_speaks_and_is_spoken_to_within_a_session_alone():
    grant, body = MeshGrant(b"g", b"s", b"x", "10.0.0.7", 1000, 1), MeshBody(b"b", more=True)
    drive = ready().feed(grant, body, MeshMeasure(1, bytes(16)), MeshSays((MeshHello(b"s", b"x"), body)))
    assert drive.all(MeshTold) == [MeshTold(grant), MeshTold(body), MeshTold(MeshMeasure(1, bytes(16)))]
    assert drive.sent == [MeshHello(b"s", b"x"), body]
    assert greeted().feed(MeshSays((body,))).sent == []


def test_an_illegal_event_names_both_and_changes_nothing():
    drive = Drive()
    with pytest.raises(IllegalEventError, match="Stored cannot happen while a session is dialled"):
        drive.feed(Stored(True))
    assert drive.session.state is State.DIALLED


def test_the_table_lists_every_state():
    assert set(TABLE) == set(State)


EVENTS = st.sampled_from(
    [
        Opened(),
        Garbled("x"),
        Closed("reset", ""),
        Closed("revoked", ""),
        TimedOut(),
        Applied(True, 1),
        Applied(False, 1),
        Observations((seen(1), seen(2, 3))),
        RenewalDue(),
        Requested(b"csr"),
        Stored(True),
        Stored(False),
        LeaseLapsed(),
        LeaveAsked(),
        StopAsked(),
        MeshSays((MeshHello(b"s", b"x"),)),
        *(
            Received(message)
            for message in (
                CHALLENGE,
                WELCOME,
                RENEWED,
                HELLO,
                Desired(1, 0, True, (assignment(1),), more=True),
                Desired(1, 0, True, ()),
                Desired(2, 1, False, ()),
                ObservedAck((("a1", 1, 1), ("zz", 9, 9))),
                Refused("SWL-207"),
                Refused("x"),
                Goodbye("left"),
                Goodbye("superseded"),
                LogsOpen(1, "a"),
                StreamClose(1),
                Problem("x"),
            )
        ),
    ]
)


@given(st.lists(EVENTS, max_size=60), st.booleans())
def test_no_sequence_of_events_breaks_the_law(events, expired):
    session = Session(CLUSTER, NOW_MS - 1 if expired else NOW_MS + 1)
    ended = challenged = asked = False
    for event in [Opened(), Received(CHALLENGE), *events] if expired else events:
        before = session.state
        try:
            actions = session.handle(event)
        except IllegalEventError:
            assert session.state is before
            continue
        assert not ended
        challenged |= isinstance(event, Received) and isinstance(event.message, Challenge)
        for action in actions:
            assert not ended, "nothing follows the end"
            asked |= isinstance(action, RequestRenewal)
            assert not isinstance(action, (SayHello, Send)) or challenged
            assert not isinstance(action, (SayHello, Ready)) or not expired
            assert not isinstance(action, Store) or asked
            ended = isinstance(action, End)
        assert ended == (session.state is State.ENDED)
