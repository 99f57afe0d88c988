"""Back-off and the order of addresses."""

from __future__ import annotations

import bisect
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarmlet.agent.reconnect import FIRST_S, MOST_S, STABLE_S, SUPERSEDED_S, Backoff, ceiling, rotate


@given(st.integers(0, 2**32), st.integers(1, 200))
def test_waits_stay_within_their_growing_bounds(seed, rounds):
    backoff = Backoff(random.Random(seed))
    for failures in range(1, rounds + 1):
        assert 0.0 <= backoff.after(0.0, 1e9 * failures) <= min(MOST_S, FIRST_S * 2 ** (failures - 1))


def test_the_ceiling_doubles_up_to_half_a_minute():
    assert [ceiling(failures) for failures in (0, 1, 2, 3, 8, 9, 10_000)] == [0, 0.2, 0.4, 0.8, 25.6, 30, 30]


def test_waits_are_spread_over_the_whole_interval():
    dice = random.Random(1)
    waits = []
    for _ in range(1000):
        backoff = Backoff(dice)
        backoff.after(0.0, 0.0)
        backoff.failures = 20
        waits.append(backoff.after(0.0, 100.0))
    assert min(waits) < 1.0
    assert max(waits) > 29.0
    assert 14 < sum(waits) / len(waits) < 16


def test_a_stable_session_is_followed_by_a_short_wait():
    backoff = Backoff(random.Random(2))
    for _ in range(10):
        backoff.after(0.0, 0.0)
    assert backoff.after(STABLE_S, 500.0) <= FIRST_S


def test_a_session_that_flaps_does_not_reset_the_count():
    backoff = Backoff(random.Random(3))
    for _ in range(5):
        backoff.after(1.0, 0.0)
    assert backoff.failures == 5


def test_sessions_that_flap_are_not_tried_again_without_a_pause():
    backoff = Backoff(random.Random(4))
    waits = [backoff.after(1.0, 10.0 * number) for number in range(100)]
    assert max(waits[20:]) > 20.0


def test_two_nodes_with_one_identity_do_not_take_turns():
    assert Backoff(random.Random(4)).after(0.0, 0.0, superseded=True) >= SUPERSEDED_S


def back_after(outage_s, nodes, seed):
    """When each node of a crowd that lost its coordinator at 0 is back, in seconds after its return."""
    dice, back = random.Random(seed), []
    for _ in range(nodes):
        backoff, now = Backoff(dice), 0.0
        now += backoff.after(STABLE_S, now)
        while now < outage_s:
            now += backoff.after(0.0, now)
        back.append(now - outage_s)
    return sorted(back)


def busiest_second(back):
    return max(bisect.bisect_left(back, start + 1.0) - place for place, start in enumerate(back))


@pytest.mark.parametrize("outage_s", [1.0, 5.0, 6.0, 7.0])
def test_a_node_is_back_within_its_lease_after_an_outage_of_less_than_half_of_it(outage_s):
    assert back_after(outage_s, 1000, seed=7)[-1] <= max(outage_s, FIRST_S)


def test_ten_thousand_nodes_that_were_away_for_a_minute_do_not_return_in_one_moment():
    back = back_after(60.0, 10_000, seed=8)
    assert back[-1] <= MOST_S
    assert busiest_second(back) < 800


def test_ten_thousand_nodes_that_were_away_for_five_seconds_are_spread_over_five():
    back = back_after(5.0, 10_000, seed=9)
    assert back[-1] <= 5.0
    assert busiest_second(back) < 5000


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
