"""When a certificate is to be renewed: half-way, give or take a tenth, only by time that was told (C4)."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from swarmlet.identity.rotation import renewal_is_due

HOUR = 3_600_000
START, END = 10 * HOUR, 34 * HOUR
JITTERS = st.floats(0, 1, exclude_max=True)


def test_the_first_fifth_around_the_middle_is_where_renewals_fall() -> None:
    def due(hours: float, jitter: float) -> bool:
        return renewal_is_due(START + int(hours * HOUR), START, END, jitter)

    assert (due(9.59, 0), due(9.61, 0)) == (False, True)
    assert (due(11.99, 0.5), due(12.01, 0.5)) == (False, True)
    assert (due(14.3, 0.99), due(14.4, 0.99)) == (False, True)


@given(JITTERS)
def test_nothing_is_due_before_anyone_told_the_time(jitter: float) -> None:
    assert not renewal_is_due(None, START, END, jitter)


@given(JITTERS, st.integers(0, 100 * 365 * 24 * HOUR))
def test_an_expired_certificate_is_due_however_long_ago(jitter: float, after_ms: int) -> None:
    """C5: a device that lay in a drawer asks again; whether it may is the coordinator's to say."""
    assert renewal_is_due(END + after_ms, START, END, jitter)


@given(JITTERS, st.integers(0, 24 * HOUR), st.integers(0, 24 * HOUR))
def test_what_is_due_stays_due(jitter: float, first_ms: int, later_ms: int) -> None:
    if renewal_is_due(START + first_ms, START, END, jitter):
        assert renewal_is_due(START + first_ms + later_ms, START, END, jitter)


@given(JITTERS, st.integers(1, 90 * 24 * HOUR))
def test_a_fresh_certificate_is_never_due_and_a_third_of_life_always_remains(
    jitter: float, life_ms: int
) -> None:
    assert not renewal_is_due(START, START, START + life_ms, jitter)
    assert renewal_is_due(START + int(life_ms * 0.6) + 1, START, START + life_ms, jitter)
