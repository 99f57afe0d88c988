"""The join machine: its course, its failures, and its law under any sequence of events."""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from swarmlet.errors import CATALOGUE, error
from swarmlet.join.events import (
    Closed,
    Dial,
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
from swarmlet.join.machine import TABLE, IllegalEventError, JoinMachine, State
from swarmlet.join.plan import Plan
from swarmlet.link.messages import PROTOCOL_VERSION, Admitted, Challenge, Goodbye, Refused, Settings

CLUSTER = "ab" * 16
NOW_MS = 1_800_000_000_000
EXPORTER = bytes(range(32))
PLAN = Plan(
    names=("10.0.0.1:7946", "10.0.0.2:7946"),
    name="garden",
    cluster_id=CLUSTER,
    pins=(b"\x9f" * 32,),
    expires_s=NOW_MS // 1000 + 3600,
    data_dir="/data",
)
SETTINGS = Settings(
    cluster_id=CLUSTER,
    cluster_name="home",
    endpoints=("10.0.0.1:7946",),
    ca_pins=(b"\x9f" * 32,),
    heartbeat_ms=5000,
    lease_ms=15000,
)


def challenge(**changes):
    fields = {
        "protocol": PROTOCOL_VERSION,
        "cluster_id": CLUSTER,
        "cluster_name": "home",
        "time_ms": NOW_MS,
        "seen": "10.0.0.9:5",
    }
    return Received(Challenge(**(fields | changes)), NOW_MS + 200)


def admitted(**changes):
    fields = {
        "node_uid": "uid",
        "name": "garden",
        "chain": (b"leaf", b"root"),
        "settings": SETTINGS,
        "time_ms": NOW_MS,
        "node_class": "Edge",
        "suitability": ("sensors", "data_collection"),
        "reason": "",
    }
    return Received(Admitted(**(fields | changes)), NOW_MS)


def refused(code, **changes):
    return Received(Refused(code=code, **changes), NOW_MS)


class Drive:
    """A machine and everything it ever asked for."""

    def __init__(self, plan=PLAN):
        self.machine = JoinMachine(plan)
        self.now = 100.0
        self.log = []

    def feed(self, *events):
        for event in events:
            self.now += 0.003
            self.log += self.machine.handle(event, self.now)
        return self

    def all(self, kind):
        return [action for action in self.log if isinstance(action, kind)]

    @property
    def failure(self):
        return self.all(Fail)[0]


def at_first_address(plan=PLAN):
    return Drive(plan).feed(Started(NOW_MS), Resolved((plan.names[0],)))


def asked():
    return at_first_address().feed(Opened(EXPORTER), challenge())


def test_a_join_goes_through_its_steps_in_order():
    drive = asked().feed(admitted(), Saved(NOW_MS + 23 * 3_600_000 + 3_599_000))
    assert [report.number for report in drive.all(Report)] == [2, 3, 4, 5]
    texts = [report.text for report in drive.all(Report)]
    assert texts[0] == "10.0.0.1:7946 ok, 3 ms, clock skew 0.2 s"
    assert texts[1] == "cluster key from the token matches SHA256:9f9f9f9f9f9f9f9f..."
    assert texts[2] == "certificate for garden, valid 24 h, renews itself, saved in /data"
    assert texts[3] == "Edge: sensors, data_collection"
    assert isinstance(drive.log[-1], Finish)
    assert drive.machine.state is State.DONE


def test_nothing_is_sent_before_the_challenge():
    drive = at_first_address().feed(Opened(EXPORTER))
    assert not drive.all(SendRequest)


def test_the_proof_is_asked_for_over_this_connections_exporter():
    assert asked().all(SendRequest) == [SendRequest(EXPORTER)]


def test_success_is_reported_only_after_the_identity_is_saved():
    drive = asked().feed(admitted())
    assert isinstance(drive.log[-1], Save)
    assert [report.number for report in drive.all(Report)] == [2, 3]
    assert not drive.all(Finish)


@pytest.mark.parametrize("noise", [Closed("reset", ""), Received(Goodbye("shutdown"), 0), Garbled("x")])
def test_once_admitted_the_connection_no_longer_matters(noise):
    drive = asked().feed(admitted(), noise, Saved(NOW_MS))
    assert drive.machine.state is State.DONE


def test_a_failed_save_is_the_end_and_says_why():
    drive = asked().feed(admitted(), LocalFailure("SWL-302", {"path": "/data"}))
    assert drive.failure == Fail("SWL-302", {"path": "/data"})
    assert not drive.all(Finish)


def test_a_dead_address_gives_way_to_the_next():
    drive = at_first_address().feed(Closed("connection-refused", ""), Resolved(("10.0.0.2:7946",)))
    assert [dial.address for dial in drive.all(Dial)] == ["10.0.0.1:7946", "10.0.0.2:7946"]
    assert drive.all(Note)[0].text == "10.0.0.1:7946: nothing listens there"
    assert drive.feed(Opened(EXPORTER), challenge(), admitted(), Saved(0)).machine.state is State.DONE


def test_names_are_resolved_only_when_it_is_their_turn():
    drive = Drive().feed(Started(NOW_MS))
    assert drive.all(Resolve) == [Resolve("10.0.0.1:7946")]


def test_an_address_given_twice_is_tried_once():
    plan = Plan(**{**{f: getattr(PLAN, f) for f in PLAN.__struct_fields__}, "names": ("a:1", "a:1")})
    drive = Drive(plan).feed(Started(NOW_MS), Resolved(("1.1.1.1:1",)), Closed("connection-refused", ""))
    assert drive.failure.code == "SWL-200"
    assert len(drive.all(Dial)) == 1


def test_the_most_telling_failure_is_reported_not_the_last():
    drive = at_first_address().feed(
        Closed("pin-mismatch", f"found=SHA256:{'a' * 64} expected=SHA256:{'b' * 64},SHA256:{'c' * 64}"),
        Resolved(("10.0.0.2:7946",)),
        Closed("connection-refused", ""),
    )
    assert drive.failure == Fail(
        "SWL-202",
        {
            "address": "10.0.0.1:7946",
            "found": "SHA256:aaaaaaaaaaaaaaaa...",
            "expected": "SHA256:bbbbbbbbbbbbbbbb..., SHA256:cccccccccccccccc...",
        },
    )


def test_an_unresolved_name_is_named_without_its_port():
    plan = Plan(**{**{f: getattr(PLAN, f) for f in PLAN.__struct_fields__}, "names": ("dev.local:7946",)})
    drive = Drive(plan).feed(Started(NOW_MS), Unresolved("not known"))
    assert drive.failure == Fail("SWL-204", {"host": "dev.local", "detail": "not known"})


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        ("unreachable", "SWL-200"),
        ("connection-refused", "SWL-200"),
        ("not-swarmlet", "SWL-201"),
        ("protocol", "SWL-201"),
        ("certificate-role", "SWL-206"),
        ("certificate-invalid", "SWL-211"),
        ("anything-new", "SWL-201"),
    ],
)
def test_every_way_a_connection_ends_has_its_code(reason, code):
    plan = Plan(**{**{f: getattr(PLAN, f) for f in PLAN.__struct_fields__}, "names": ("10.0.0.1:7946",)})
    assert at_first_address(plan).feed(Closed(reason, "d")).failure.code == code


@pytest.mark.parametrize(("reason", "code"), [("timed-out", "SWL-200"), ("silent", "SWL-201")])
def test_a_slow_address_gets_a_second_more_patient_round(reason, code):
    """Of a thousand devices that join at once most wait, and the coordinator is silent so long (D1)."""
    plan = Plan(**{**{f: getattr(PLAN, f) for f in PLAN.__struct_fields__}, "names": ("10.0.0.1:7946",)})
    drive = at_first_address(plan).feed(Closed(reason, ""), TimedOut())
    assert [dial.timeout_s for dial in drive.all(Dial)] == [2.5, 10.0]
    drive.feed(Closed(reason, ""))
    if reason == "silent":
        drive.feed(TimedOut(), Closed(reason, ""))
        assert [dial.timeout_s for dial in drive.all(Dial)] == [2.5, 10.0, 30.0]
    assert drive.failure.code == code


def knock(drive, passed_s, reasons):
    """Let every connection end until the join gives up; return the moments at which it knocked."""
    knocks = []
    for step in range(10_000):
        if drive.machine.state is State.FAILED:
            return knocks
        waiting = drive.machine.state is State.WAITING
        drive.now += drive.all(SetTimer)[-1].seconds if waiting else passed_s
        drive.feed(TimedOut() if waiting else Closed(reasons[step % len(reasons)], ""))
        knocks.append(drive.now) if waiting else None
    raise AssertionError("it went on for ever")


ONE = Plan(**{**{f: getattr(PLAN, f) for f in PLAN.__struct_fields__}, "names": ("10.0.0.1:7946",)})


@pytest.mark.parametrize("reason", ["reset", "closed"])
def test_d1_a_device_in_a_crowd_is_cut_and_knocks_for_as_long_as_it_has_patience(reason):
    drive = at_first_address(ONE)
    knocks = knock(drive, 0.01, [reason])
    assert 50 < knocks[-1] - 100 <= PLAN.patience_s
    assert max(late - early for early, late in itertools.pairwise(knocks)) < 4.5
    assert drive.failure.code == "SWL-200"
    notes = [note.text for note in drive.all(Note)]
    assert len(notes) == 2, "what it waits for is said once"
    assert "trying again for up to 59 s" in notes[1]


def test_d1_a_busy_moment_of_the_network_does_not_end_the_patience_of_a_crowd():
    drive = at_first_address(ONE)
    assert knock(drive, 0.5, ["reset", "reset", "reset", "reset", "timed-out", "silent"])[-1] - 100 > 50


def test_a_crowd_does_not_knock_in_step():
    pauses = set()
    for seed in range(50):
        machine = JoinMachine(ONE, random.Random(seed))
        machine.handle(Started(NOW_MS), 0.0)
        machine.handle(Resolved(ONE.names), 0.0)
        timer = next(one for one in machine.handle(Closed("reset", ""), 0.1) if isinstance(one, SetTimer))
        assert 0.05 < timer.seconds <= 0.25
        pauses.add(timer.seconds)
    assert len(pauses) == 50


def test_a_coordinator_that_was_there_is_waited_for_while_it_starts_again():
    drive = at_first_address(ONE)
    assert knock(drive, 0.1, ["reset", "connection-refused", "unreachable"])[-1] - 100 > 50
    assert drive.failure.code == "SWL-200"


def test_one_that_turned_out_to_be_a_stranger_is_not():
    drive = at_first_address(ONE).feed(Closed("reset", ""), TimedOut(), Closed("pin-mismatch", ""))
    assert drive.failure.code == "SWL-202"


@pytest.mark.parametrize(("resumes", "says"), [(True, "asks with the same key"), (False, "approved anew")])
def test_silence_after_the_request_is_no_strangers_and_says_what_may_have_happened(resumes, says):
    drive = Drive(structs.replace(ONE, resumes=resumes))
    drive.feed(Started(NOW_MS), Resolved(ONE.names), Opened(EXPORTER), challenge())
    while drive.machine.state is not State.FAILED:
        drive.now += 5
        waiting = drive.machine.state is State.WAITING
        drive.feed(TimedOut() if waiting else Closed("silent", "it said nothing for 5 s"))
    assert drive.failure.code == "SWL-200"
    assert says in drive.failure.fields["detail"]
    assert bool(drive.all(Forget)) != resumes, "a key that no later run could use is removed"


def test_a_stranger_is_not_tried_again():
    plan = Plan(**{**{f: getattr(PLAN, f) for f in PLAN.__struct_fields__}, "names": ("10.0.0.1:7946",)})
    assert at_first_address(plan).feed(Closed("not-swarmlet", "it speaks SSH")).failure.code == "SWL-201"


def test_a_lost_answer_is_asked_for_again_over_a_new_exporter():
    drive = asked().feed(Closed("reset", ""), Resolved(("10.0.0.2:7946",)), Closed("unreachable", ""))
    assert drive.machine.state is State.WAITING
    drive.feed(TimedOut(), Opened(bytes(32)), challenge(), admitted(), Saved(0))
    assert drive.all(SendRequest) == [SendRequest(EXPORTER), SendRequest(bytes(32))]
    assert drive.machine.state is State.DONE


def test_asking_again_ends_when_patience_does_and_warns_of_the_token():
    drive = asked()
    for _ in range(100):
        if drive.machine.state is State.FAILED:
            break
        drive.now += 5
        drive.feed(
            {
                State.RESOLVING: Unresolved("no"),
                State.WAITING: TimedOut(),
            }.get(drive.machine.state, Closed("reset", ""))
        )
    assert drive.failure.code == "SWL-200"
    assert "token may have been used" in drive.failure.fields["detail"]


def test_an_expired_token_is_told_by_the_coordinators_clock():
    at = {"time_ms": (PLAN.expires_s + 7200) * 1000, "seen": "10.0.0.9"}
    drive = asked().feed(refused("SWL-104", **at))
    assert drive.failure.fields == {
        "name": "garden",
        "seen": "10.0.0.9",
        "at": "2027-01-15 09:00 UTC",
        "ago": "2 h",
    }
    assert "expired 2 h ago (2027-01-15 09:00 UTC)" in error("SWL-104", **drive.failure.fields).what


@pytest.mark.parametrize("wall_ms", [0, (2**31 - 1) * 1000, NOW_MS, 10**17])
def test_a_wrong_clock_never_stops_a_join(wall_ms):
    drive = Drive().feed(Started(wall_ms), Resolved(("10.0.0.1:7946",)), Opened(EXPORTER))
    drive.feed(Received(challenge().message, wall_ms), admitted(), Saved(NOW_MS))
    assert drive.machine.state is State.DONE


def test_a_token_that_looks_expired_here_only_makes_a_hint():
    drive = Drive().feed(Started((PLAN.expires_s + 7200) * 1000))
    assert "the cluster's clock decides" in drive.all(Note)[0].text
    assert drive.all(Resolve)


def test_a_refusal_is_final_and_keeps_the_clusters_fields():
    drive = asked().feed(refused("SWL-108", detail={"allowed": "edge", "found": "server"}))
    assert drive.failure.code == "SWL-108"
    assert drive.failure.fields["allowed"] == "edge"
    assert [type(action) for action in drive.log[-4:]] == [Hangup, Forget, SetTimer, Fail]


def test_t5_the_key_on_disk_outlives_silence_and_is_forgotten_when_the_cluster_has_decided():
    assert asked().feed(refused("SWL-106")).all(Forget) == [Forget()]
    undecided = asked().feed(refused("SWL-110", retry_after_ms=90_000))
    assert undecided.failure.code == "SWL-110"
    broken = asked().feed(admitted(), LocalFailure("SWL-301", {}))
    assert broken.failure.code == "SWL-301"
    silent = asked()
    while silent.machine.state is not State.FAILED:
        ends = {State.RESOLVING: Unresolved("no"), State.WAITING: TimedOut()}
        silent.now += 5
        silent.feed(ends.get(silent.machine.state, Closed("reset", "")))
    for drive in (undecided, broken, silent):
        assert not drive.all(Forget)


def test_a_refusal_cannot_smuggle_control_characters_or_arguments():
    drive = asked().feed(refused("SWL-108", detail={"code": "x", "self": "y", "allowed": "\x1b[31mred"}))
    assert "code" not in drive.failure.fields
    assert drive.failure.fields["allowed"] == "?[31mred"
    error(drive.failure.code, **drive.failure.fields)


def test_an_unknown_refusal_still_has_words():
    drive = asked().feed(refused("SWL-1234"))
    assert drive.failure.code == "SWL-115"
    assert "SWL-1234" in error(drive.failure.code, **drive.failure.fields).what


def test_a_busy_cluster_is_asked_again_when_it_said():
    drive = asked().feed(refused("SWL-110", retry_after_ms=2000))
    assert drive.machine.state is State.WAITING
    assert drive.log[-1] == SetTimer(2.0)
    assert drive.feed(TimedOut()).all(Dial)[-1].address == "10.0.0.1:7946"


def test_a_wait_longer_than_patience_is_a_refusal():
    drive = asked().feed(refused("SWL-110", retry_after_ms=90_000, seen="10.0.0.9"))
    assert drive.failure.fields["seconds"] == "90"


@pytest.mark.parametrize(
    "oddity",
    [
        challenge(cluster_id="cd" * 16),
        challenge(protocol=99),
        Received(Goodbye("shutdown"), 0),
        Garbled("no message"),
    ],
)
def test_a_peer_that_misbehaves_loses_its_turn(oddity):
    drive = at_first_address().feed(Opened(EXPORTER), oddity)
    assert drive.machine.state is State.RESOLVING
    assert not drive.all(SendRequest)


def test_an_admission_for_another_cluster_is_not_taken():
    other = Settings(
        **{f: getattr(SETTINGS, f) for f in SETTINGS.__struct_fields__} | {"cluster_id": "0" * 32}
    )
    drive = asked().feed(admitted(settings=other))
    assert not drive.all(Save)


def test_a_changed_name_and_a_replaced_entry_are_said():
    drive = asked().feed(admitted(name="garden-2", replaced="old"), Saved(NOW_MS))
    assert [note.text for note in drive.all(Note)] == [
        "the name garden is taken in this cluster; this node is garden-2",
        "this device was in the cluster before; its old entry was replaced",
    ]


def test_an_illegal_event_names_both_and_changes_nothing():
    drive = Drive()
    with pytest.raises(IllegalEventError, match="Saved cannot happen while a join is idle"):
        drive.feed(Saved(0))
    assert drive.machine.state is State.IDLE
    assert drive.feed(Started(NOW_MS)).machine.state is State.RESOLVING


def test_the_table_lists_every_state():
    assert set(TABLE) == set(State)


MESSAGES = st.sampled_from(
    [
        challenge(),
        challenge(protocol=3),
        challenge(cluster_id="other"),
        admitted(),
        admitted(chain=()),
        refused("SWL-100"),
        refused("SWL-104", time_ms=0),
        refused("SWL-110", retry_after_ms=500),
        refused("nonsense", detail={"code": "x"}),
        Received(Goodbye("revoked"), 0),
    ]
)
REASONS = ["unreachable", "connection-refused", "timed-out", "silent", "not-swarmlet", "pin-mismatch", "?"]
EVENTS = st.one_of(
    MESSAGES,
    st.just(Started(NOW_MS)),
    st.builds(Resolved, st.lists(st.sampled_from(["1.1.1.1:1", "[::1]:2"]), max_size=3).map(tuple)),
    st.builds(Unresolved, st.text(max_size=5)),
    st.builds(Opened, st.sampled_from([EXPORTER, b"", bytes(31)])),
    st.builds(Garbled, st.text(max_size=5)),
    st.builds(Closed, st.sampled_from(REASONS), st.text(max_size=20)),
    st.just(TimedOut()),
    st.just(Saved(NOW_MS)),
    st.just(LocalFailure("SWL-302", {})),
)


class Lawful:
    """An observer that knows only what the world sees, and objects when the law is broken."""

    def __init__(self):
        self.open = self.challenged = self.saved = self.ended = self.decided = False

    def event(self, event):
        if isinstance(event, Opened):
            self.open = len(event.exporter) == 32
        if isinstance(event, Received) and isinstance(event.message, Challenge):
            self.challenged = self.open
        if isinstance(event, Received) and isinstance(event.message, Refused):
            self.decided = event.message.retry_after_ms is None
        if isinstance(event, Saved):
            self.saved = True

    def actions(self, actions):
        for action in actions:
            assert not self.ended, "nothing follows the end"
            if isinstance(action, SendRequest):
                assert self.open
                assert self.challenged
                assert action.exporter == EXPORTER
            if isinstance(action, Forget):
                assert self.decided
            if isinstance(action, (Dial, Hangup)):
                self.open = self.challenged = False
            if isinstance(action, Finish) or (isinstance(action, Report) and action.number >= 4):
                assert self.saved
            if isinstance(action, Fail):
                assert action.code in CATALOGUE
                error(action.code, **action.fields)
            self.ended = isinstance(action, (Fail, Finish))


@given(st.lists(st.tuples(EVENTS, st.floats(0, 20)), max_size=60), st.sampled_from([None, 0.5, 30.0]))
def test_no_sequence_of_events_breaks_the_law(events, timeout_s):
    machine, law, now = JoinMachine(structs.replace(PLAN, timeout_s=timeout_s)), Lawful(), 0.0
    law_events = [(Started(NOW_MS), 0.0), *events]
    for event, passed in law_events:
        now += passed
        before = machine.state
        try:
            actions = machine.handle(event, now)
        except IllegalEventError:
            assert machine.state is before
            continue
        law.event(event)
        law.actions(actions)
        assert law.ended == (machine.state in {State.DONE, State.FAILED})


@given(st.lists(st.sampled_from(REASONS), min_size=1), st.booleans())
def test_a_join_where_nothing_works_always_ends(reasons, answer_first):
    drive = asked() if answer_first else at_first_address()
    for step in range(2000):
        if drive.machine.state is State.FAILED:
            return
        reason = reasons[step % len(reasons)]
        drive.now += 0.2
        drive.feed(
            {
                State.RESOLVING: Resolved(("10.0.0.2:7946",)),
                State.WAITING: TimedOut(),
            }.get(drive.machine.state, Closed(reason, ""))
        )
    pytest.fail("it went on for ever")
