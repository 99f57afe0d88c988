"""Who may ask without a token, how often, and what becomes of it (``coordinator/pairings.py``)."""

from __future__ import annotations

import random

import pytest

from swarmlet.coordinator import pairings
from swarmlet.coordinator.pairings import (
    FETCH_S,
    LIFE_S,
    MOST,
    MOST_OF_SOURCE,
    Approval,
    Came,
    Pairings,
    State,
)
from swarmlet.errors import SwarmletError
from swarmlet.link.messages import PairRequest
from swarmlet.model.pairing import commitment, read_code
from swarmlet.tokens.check import Refusal

CLUSTER = "ab" * 16
KEY = b"\x07" * 32


class Devices:
    """Devices that ask one table."""

    def __init__(self, *, on: bool = True) -> None:
        self.table = Pairings(CLUSTER, on=on)
        self.dice = random.Random(5)

    def begin(self, source: str = "10.0.0.1", now: float = 0.0, **says):
        value = self.dice.randbytes(32)
        fields = {
            "public_key": self.dice.randbytes(32), "commitment": commitment(value), "name": "pi",
            "node_class": "Edge", "hardware": "Raspberry Pi 4", "version": "0.1.0",
        }  # fmt: skip
        came = Came(source, source, b"e" * 32, self.dice.randbytes(16).hex(), self.dice.randbytes(32))
        return self.table.begin(PairRequest(**(fields | says)), came, now), value

    def ask(self, source: str = "10.0.0.1", now: float = 0.0, **says):
        made, value = self.begin(source, now, **says)
        assert not isinstance(made, Refusal), made
        return self.table.reveal(made.pairing_id, value, b"e" * 32, KEY, now)


def approval(jti: str, *allow: str) -> Approval:
    return Approval(b"claims", jti, frozenset(allow))


def code_of(refusal: object) -> str:
    assert isinstance(refusal, Refusal), refusal
    return refusal.code


def test_a_device_asks_is_approved_and_fetches_its_token() -> None:
    devices = Devices()
    one = devices.ask()
    assert (one.state, len(one.code)) == (State.PENDING, 7)
    assert devices.table.pending(1.0) == (one,)
    assert devices.table.find(one.code.lower().replace("-", ""), 1.0) is one
    assert devices.table.approve(one, approval("aa"), 2.0)
    assert devices.table.pending(3.0) == ()
    assert devices.table.collect(one.pairing_id, 3.0).signed == b"claims"


def test_nobody_asks_where_pairing_is_off_and_whoever_waits_is_refused_when_it_is_turned_off() -> None:
    devices = Devices(on=False)
    assert code_of(devices.begin()[0]) == "SWL-119"
    devices.table.turn(on=True)
    waiting, (offered, value) = devices.ask(), devices.begin()
    approved = devices.ask()
    devices.table.approve(approved, approval("aa"), 0.0)
    devices.table.turn(on=False)
    assert code_of(devices.table.collect(waiting.pairing_id, 1.0)) == "SWL-119"
    assert code_of(devices.table.reveal(offered.pairing_id, value, b"e" * 32, KEY, 1.0)) == "SWL-119"
    assert devices.table.collect(approved.pairing_id, 1.0).signed == b"claims"
    assert not devices.table.approve(waiting, approval("bb"), 1.0)
    assert devices.table.pending(1.0) == ()


def test_places_are_spent_by_the_exchange_and_come_back_with_time_alone() -> None:
    devices = Devices()
    sources = [f"10.0.1.{number}" for number in range(MOST // MOST_OF_SOURCE)]
    for source in sources:
        for _ in range(MOST_OF_SOURCE):
            devices.begin(source)  # and goes away without another word
        assert code_of(devices.begin(source)[0]) == "SWL-122"
    refusal, _ = devices.begin("10.9.9.9", now=100.0)
    assert (refusal.code, refusal.fields) == ("SWL-122", {"seconds": "201"})
    assert code_of(devices.begin("10.9.9.9", now=LIFE_S - 0.1)[0]) == "SWL-122"
    assert devices.ask("10.9.9.9", now=LIFE_S).state is State.PENDING


@pytest.mark.parametrize("ending", ["denied", "broken", "turned off"])
def test_no_ending_of_a_device_gives_its_place_back(ending) -> None:
    devices = Devices()
    for _ in range(MOST_OF_SOURCE):
        made, value = devices.begin()
        if ending == "broken":
            devices.table.reveal(made.pairing_id, value[::-1], b"e" * 32, KEY, 0.0)
            continue
        devices.table.reveal(made.pairing_id, value, b"e" * 32, KEY, 0.0)
        if ending == "denied":
            devices.table.deny(made)
    if ending == "turned off":
        devices.table.turn(on=False)
        devices.table.turn(on=True)
    assert code_of(devices.begin(now=LIFE_S / 2)[0]) == "SWL-122"


def test_whoever_tries_codes_gets_no_more_tries_than_the_law_says(monkeypatch) -> None:
    """With codes of 8 bits instead of 30, an attacker who never rests hits one as seldom as it should."""
    monkeypatch.setattr(pairings, "code_of", lambda seen: seen.ours[:1].hex())
    devices = Devices()
    tries = hits = 0
    hours = 200
    for step in range(hours * 60):
        for source in range(MOST):  # a botnet: each minute it asks from addresses it never used
            made, value = devices.begin(f"{step}-{source}", now=60.0 * step)
            if isinstance(made, Refusal):
                break
            tries += 1
            devices.table.reveal(made.pairing_id, value, b"e" * 32, KEY, 60.0 * step)
            hits += made.code == "00"
    assert tries <= MOST * (hours * 3600 / LIFE_S + 1)
    assert hits < 2 * tries / 256 + 20


@pytest.mark.parametrize(
    "says",
    [
        {"public_key": b"k" * 31},
        {"commitment": b""},
        {"name": ""},
        {"name": "Pi of \x1b[31mmine"},
        {"name": "a" * 64},
        {"node_class": "Mainframe"},
        {"hardware": "x" * 121},
        {"version": "1" * 65},
        {"hardware": "\x9b31mPi"},
        {"hardware": "Pi \u202eevil"},
        {"version": "1\n2"},
    ],
)
def test_what_no_device_says_is_refused_and_takes_no_place(says) -> None:
    devices = Devices()
    for _ in range(MOST):
        assert code_of(devices.begin(**says)[0]) == "SWL-608"
    assert devices.ask().state is State.PENDING


def test_a_code_needs_the_value_that_was_committed_to_over_the_same_connection_once() -> None:
    devices = Devices()
    reveal = devices.table.reveal
    made, value = devices.begin()
    assert code_of(reveal(made.pairing_id, value, b"x" * 32, KEY, 0.0)) == "SWL-121"
    assert reveal(made.pairing_id, value, b"e" * 32, KEY, 0.0) is made
    assert code_of(reveal(made.pairing_id, value, b"e" * 32, KEY, 0.0)) == "SWL-121"
    assert code_of(reveal("00" * 16, value, b"e" * 32, KEY, 0.0)) == "SWL-121"
    other, value = devices.begin()
    assert code_of(reveal(other.pairing_id, bytes(32), b"e" * 32, KEY, 0.0)) == "SWL-121"
    assert code_of(reveal(other.pairing_id, value, b"e" * 32, KEY, 0.0)) == "SWL-121"
    assert code_of(devices.table.collect(other.pairing_id, 0.0)) == "SWL-121"


def test_a_code_is_meant_whole_and_an_id_by_its_beginning() -> None:
    devices = Devices()
    one, other = devices.ask(), devices.ask()
    for reference in (one.code[:3], one.code[:-1], "", "zzz"):
        with pytest.raises(SwarmletError, match="SWL-618"):
            devices.table.find(reference, 0.0)
    assert devices.table.find(one.pairing_id[:10], 0.0) is one
    other.code = one.code
    with pytest.raises(SwarmletError, match="SWL-606"):
        devices.table.find(one.code, 0.0)


def test_what_reads_as_a_code_is_never_the_beginning_of_an_id() -> None:
    devices = Devices()
    one = devices.ask()
    six = one.pairing_id[:6]
    assert read_code(six) is not None
    for reference in (six, f"{six[:3]}-{six[3:]}", six.upper()):
        with pytest.raises(SwarmletError, match="SWL-618"):
            devices.table.find(reference, 0.0)
    one.code = read_code(six) or ""
    assert devices.table.find(six, 0.0) is one


def test_it_is_known_for_how_long_a_device_has_not_asked() -> None:
    devices = Devices()
    one = devices.ask(now=10.0)
    assert one.silent_ms(11.5) == 1500
    devices.table.collect(one.pairing_id, 12.0)
    assert (one.silent_ms(12.0), one.silent_ms(11.0)) == (0, 0)


def test_only_an_approval_gives_a_place_back() -> None:
    devices = Devices()
    waiting = [devices.ask() for _ in range(MOST_OF_SOURCE)]
    assert code_of(devices.begin()[0]) == "SWL-122"
    for number, one in enumerate(waiting):
        assert devices.table.approve(one, approval(f"{number}"), 0.0)
        assert devices.ask().state is State.PENDING
        assert code_of(devices.begin()[0]) == "SWL-122"
    assert devices.table.collect(waiting[0].pairing_id, 1.0).signed == b"claims"


def test_an_approval_is_said_to_be_over_only_when_it_would_be_another() -> None:
    devices = Devices()
    one = devices.ask()
    assert devices.table.over(one, frozenset({"exec"})) is None
    devices.table.approve(one, approval("aa", "exec"), 0.0)
    assert devices.table.over(one, frozenset({"exec"})) is None
    other = devices.table.over(one, frozenset())
    assert code_of(other) == "SWL-608"
    assert "approved already, with --allow exec" in other.fields["detail"]
    assert "token revoke aa" in other.fields["hint"]
    shut = devices.ask()
    devices.table.turn(on=False)
    assert "discovery on" in devices.table.over(shut, frozenset()).fields["hint"]


def test_what_was_denied_is_told_and_cannot_be_approved() -> None:
    devices = Devices()
    one = devices.ask()
    assert devices.table.deny(one) is None
    assert devices.table.deny(one) is None
    assert not devices.table.approve(one, approval("aa"), 0.0)
    assert code_of(devices.table.collect(one.pairing_id, 0.0)) == "SWL-120"
    approved = devices.ask()
    devices.table.approve(approved, approval("aa"), 0.0)
    assert "token revoke aa" in devices.table.deny(approved).fields["hint"]


def test_an_approval_at_the_last_moment_can_still_be_fetched() -> None:
    devices = Devices()
    one, late = devices.ask(), devices.ask()
    assert devices.table.approve(one, approval("aa"), LIFE_S - 0.01)
    assert devices.table.collect(one.pairing_id, LIFE_S + FETCH_S / 2).signed == b"claims"
    assert not devices.table.approve(late, approval("bb"), LIFE_S)
    assert code_of(devices.table.collect(one.pairing_id, LIFE_S + FETCH_S)) == "SWL-121"
