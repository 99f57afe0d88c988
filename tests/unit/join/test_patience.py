"""A join that was told how long to try: until then, not longer, and its end says what it met."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from swarmlet.errors import Exit, error
from swarmlet.join.events import (
    Closed,
    Dial,
    Note,
    Opened,
    Resolve,
    Resolved,
    SetTimer,
    Started,
    TimedOut,
    Unresolved,
)
from swarmlet.join.machine import State
from swarmlet.join.plan import Plan
from tests.unit.join.test_machine import (
    EXPORTER,
    NOW_MS,
    ONE,
    REASONS,
    Drive,
    at_first_address,
    challenge,
    knock,
)


def told(seconds: float, **changes: object) -> Plan:
    return structs.replace(ONE, timeout_s=seconds, **changes)


@pytest.mark.parametrize("reason", ["connection-refused", "unreachable", "timed-out", "reset"])
@pytest.mark.parametrize("seconds", [3.0, 300.0])
def test_what_may_pass_by_itself_is_tried_until_the_time_is_over(reason: str, seconds: float) -> None:
    drive = at_first_address(told(seconds))
    knock(drive, 0.01, [reason])
    assert drive.now - 100 == pytest.approx(seconds, abs=0.1)
    assert len(drive.all(Dial)) > seconds / 5
    failure = error(drive.failure.code, **drive.failure.fields)
    assert (failure.code, failure.exit_code) == ("SWL-205", Exit.TIMED_OUT)
    assert failure.what.startswith("joining (10.0.0.1:7946: ")
    assert failure.what.endswith(f"took longer than {seconds:g} s")
    assert "--timeout" in failure.next


def test_without_it_nobody_knocks_again_where_nothing_listens() -> None:
    assert at_first_address(ONE).feed(Closed("connection-refused", "")).failure.code == "SWL-200"


def test_a_name_is_looked_up_again() -> None:
    plan = told(30.0, names=("garden.example:7946",))
    drive = Drive(plan).feed(Started(NOW_MS), Unresolved("no such name"), TimedOut())
    assert drive.all(Resolve) == [Resolve("garden.example:7946")] * 2
    drive.feed(Resolved(("10.0.0.1:7946",)), Opened(EXPORTER), challenge())
    assert drive.machine.state is State.ASKED


@pytest.mark.parametrize(
    ("reason", "code"),
    [("pin-mismatch", "SWL-202"), ("not-swarmlet", "SWL-201"), ("certificate-role", "SWL-206")],
)
def test_what_time_does_not_mend_is_told_at_once(reason: str, code: str) -> None:
    assert at_first_address(told(300.0)).feed(Closed(reason, "")).failure.code == code


def test_what_two_addresses_do_is_said_once_each() -> None:
    drive = Drive(told(20.0, names=("10.0.0.1:7946", "10.0.0.2:7946"))).feed(Started(NOW_MS))
    drive.feed(Resolved(("10.0.0.1:7946",)), Closed("connection-refused", ""), Resolved(("10.0.0.2:7946",)))
    knock(drive, 0.01, ["connection-refused"])
    notes = [note.text for note in drive.all(Note) if "nothing listens there" in note.text]
    assert notes == ["10.0.0.1:7946: nothing listens there", "10.0.0.2:7946: nothing listens there"]


def test_a_connection_gets_no_more_than_what_is_left() -> None:
    drive = at_first_address(told(2.0))
    assert drive.all(Dial)[0].timeout_s < 2.0
    drive.feed(Opened(EXPORTER))
    assert drive.all(SetTimer)[-1].seconds < 2.0
    drive.now += 2.0
    assert drive.feed(TimedOut()).failure.code == "SWL-205"


def test_once_a_request_has_left_its_answer_is_waited_for_as_ever() -> None:
    drive = at_first_address(told(2.0)).feed(Opened(EXPORTER), challenge())
    assert drive.all(SetTimer)[-1].seconds == ONE.reply_s
    knock(drive, 10.0, ["reset"])
    assert drive.now - 100 > ONE.patience_s / 2
    assert drive.failure.code == "SWL-200"
    assert "the token may have been used" in drive.failure.fields["detail"]


@given(st.lists(st.sampled_from(REASONS), min_size=1), st.floats(0.01, 50), st.floats(0.0, 20))
def test_it_always_ends_in_time(reasons: list[str], seconds: float, passed_s: float) -> None:
    drive = at_first_address(told(seconds))
    knock(drive, min(passed_s, seconds), reasons)
    assert drive.now - 100 <= seconds + min(passed_s, seconds) + 0.1
