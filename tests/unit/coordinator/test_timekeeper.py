"""The cluster's time never goes back before what was recorded, and follows the clock otherwise."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from swarmlet.coordinator.timekeeper import FOLLOWED_MS, Timekeeper

NOW_MS = 1_800_000_000_000
DAY_MS = 86_400_000


class Hands:
    """A clock that is set by hand."""

    def __init__(self, wall_ms: int) -> None:
        self.wall = wall_ms
        self.booted = 100.0

    def boot(self) -> float:
        return self.booted

    def wall_ms(self) -> int:
        return self.wall

    def passes(self, seconds: float) -> None:
        self.booted += seconds
        self.wall += int(seconds * 1000)


def test_a_clock_without_a_battery_goes_on_from_what_was_recorded_until_it_is_set() -> None:
    hands = Hands(600_000)
    time = Timekeeper(hands, NOW_MS)
    hands.passes(60)
    assert time.wall_ms() == NOW_MS + 60_000
    assert "1970-01-01 00:11 UTC" in (time.note or "")
    assert "--accept-clock" in (time.note or "")
    hands.wall = NOW_MS + DAY_MS
    assert time.wall_ms() == NOW_MS + DAY_MS
    assert time.note is None


def test_a_clock_that_is_set_back_while_it_runs_is_not_followed() -> None:
    hands = Hands(NOW_MS)
    time = Timekeeper(hands, NOW_MS - DAY_MS)
    hands.passes(10)
    time.recorded(time.wall_ms())
    hands.wall -= 3 * DAY_MS
    hands.passes(10)
    assert time.wall_ms() == NOW_MS + 20_000


def test_a_clock_that_is_corrected_by_a_little_is_followed_and_not_spoken_of() -> None:
    hands = Hands(NOW_MS)
    time = Timekeeper(hands, NOW_MS)
    hands.wall -= FOLLOWED_MS
    assert time.wall_ms() == hands.wall
    assert time.note is None


def test_a_clock_that_jumps_ahead_for_a_moment_leaves_no_trace() -> None:
    hands = Hands(NOW_MS)
    time = Timekeeper(hands, NOW_MS)
    hands.wall += 4000 * DAY_MS
    assert time.wall_ms() == hands.wall
    hands.wall = NOW_MS + 1
    assert time.wall_ms() == NOW_MS + 1


def test_a_clock_that_is_accepted_is_followed_whatever_was_recorded() -> None:
    hands = Hands(NOW_MS)
    time = Timekeeper(hands, 0)
    assert time.wall_ms() == NOW_MS
    assert time.note is None


@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(-(10**10), 10**10), st.booleans())))
def test_what_is_recorded_never_goes_back_by_more_than_a_minute(steps) -> None:
    hands = Hands(NOW_MS)
    time = Timekeeper(hands, NOW_MS)
    newest = NOW_MS
    for passed_s, set_by_ms, records in steps:
        hands.passes(passed_s)
        hands.wall = max(0, hands.wall + set_by_ms)
        now_ms = time.wall_ms()
        assert now_ms >= newest - FOLLOWED_MS
        if records:
            time.recorded(now_ms)
            newest = max(newest, now_ms)
