"""Back-off and the order of addresses."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from swarmlet.agent.reconnect import FIRST_S, MOST_S, STABLE_S, SUPERSEDED_S, Backoff, ceiling, rotate


@given(st.integers(0, 2**32), st.integers(1, 200))
def test_waits_stay_within_their_growing_bounds(seed, rounds):
    backoff = Backoff(random.Random(seed))
    for failures in range(1, rounds + 1):
        assert 0.0 <= backoff.after(0.0) <= min(MOST_S, FIRST_S * 2 ** (failures - 1))


def test_the_ceiling_doubles_up_to_half_a_minute():
    assert [ceiling(failures) for failures in (0, 1, 2, 3, 8, 9, 10_000)] == [0, 0.2, 0.4, 0.8, 25.6, 30, 30]


def test_waits_are_spread_over_the_whole_interval():
    dice = random.Random(1)
    waits = []
    for _ in range(1000):
        backoff = Backoff(dice)
        backoff.failures = 20
        waits.append(backoff.after(0.0))
    assert min(waits) < 1.0
    assert max(waits) > 29.0
    assert 14 < sum(waits) / len(waits) < 16


def test_a_stable_session_is_followed_by_a_short_wait():
    backoff = Backoff(random.Random(2))
    for _ in range(10):
        backoff.after(0.0)
    assert backoff.after(STABLE_S) <= FIRST_S


def test_a_session_that_flaps_does_not_reset_the_count():
    backoff = Backoff(random.Random(3))
    for _ in range(5):
        backoff.after(1.0)
    assert backoff.failures == 5


def test_two_nodes_with_one_identity_do_not_take_turns():
    assert Backoff(random.Random(4)).after(0.0, superseded=True) >= SUPERSEDED_S


def test_the_address_that_worked_last_goes_first():
    assert rotate(("a", "b", "c"), "b", 0) == ("b", "a", "c")


def test_an_address_no_longer_known_is_not_tried():
    assert rotate(("a", "b"), "gone", 0) == ("a", "b")
    assert rotate((), "gone", 3) == ()


@given(st.lists(st.text(max_size=3), max_size=6), st.integers(0, 20))
def test_every_address_gets_its_turn_first(names, start):
    distinct = set(names)
    firsts = {rotate(names, None, start + step)[0] for step in range(len(distinct))} if names else set()
    assert firsts == distinct
