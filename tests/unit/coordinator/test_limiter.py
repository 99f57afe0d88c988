"""D2: how many failures are allowed, by source and for all together."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from swarmlet.coordinator.limiter import Bucket, Limiter, Pace, Rate, refill


def test_d2_five_failures_at_once_then_one_a_second() -> None:
    limiter = Limiter()
    for _ in range(5):
        assert limiter.wait_s("a", 100.0) == 0
        assert limiter.failed("a", 100.0)
    assert limiter.wait_s("a", 100.0) == 1.0
    assert limiter.wait_s("a", 100.75) == 0.25
    assert limiter.wait_s("a", 101.0) == 0
    limiter.failed("a", 101.0)
    assert limiter.wait_s("a", 101.0) == 1.0


def test_d2_a_source_that_did_not_fail_never_waits() -> None:
    limiter = Limiter()
    for number in range(10_000):
        limiter.failed(f"bad{number % 3000}", 100.0)
    assert limiter.wait_s("good", 100.0) == 0


def test_d2_when_all_together_failed_too_often_only_those_who_failed_lately_wait() -> None:
    limiter = Limiter()
    within = [limiter.failed(f"bad{number}", 100.0) for number in range(60)]
    assert within == [True] * 50 + [False] * 10
    assert limiter.wait_s("bad3", 100.0) > 0
    assert limiter.wait_s("good", 100.0) == 0
    assert limiter.wait_s("bad3", 110.0) == 0


def test_d2_the_table_is_bounded() -> None:
    limiter = Limiter(capacity=100)
    for number in range(1000):
        limiter.failed(f"s{number}", 100.0)
    assert len(limiter) == 100


def test_a_source_that_behaved_again_is_forgotten() -> None:
    limiter = Limiter()
    limiter.failed("a", 100.0)
    assert limiter.wait_s("a", 200.0) == 0
    assert len(limiter) == 0


@given(
    st.floats(0, 50),
    st.floats(0, 1e6),
    st.lists(st.floats(-10, 1e5, allow_nan=False), max_size=20),
    st.builds(Rate, st.floats(0.01, 100), st.floats(1, 100)),
)
def test_a_bucket_never_holds_more_than_its_burst_and_never_loses_by_waiting(left, at, steps, rate) -> None:
    bucket = Bucket(min(left, rate.burst), at)
    now = at
    for step in steps:
        now += step
        later = refill(bucket, rate, now)
        assert bucket.left <= later.left <= rate.burst
        assert later.at >= bucket.at
        bucket = later


@given(st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 3)), max_size=200))
def test_d2_no_source_gets_more_than_its_burst_and_rate(events: list[tuple[str, float]]) -> None:
    limiter = Limiter()
    now = 0.0
    failures: dict[str, int] = {}
    for source, step in events:
        now += step
        if limiter.wait_s(source, now) <= 0:
            limiter.failed(source, now)
            failures[source] = failures.get(source, 0) + 1
    assert all(count <= 5 + now + 1e-6 for count in failures.values())


def test_a_pace_refuses_nothing_and_waits_for_what_was_too_much() -> None:
    pace = Pace(Rate(10.0, 100.0))
    assert pace.wait_s("a", 0.0) == 0.0
    pace.recorded("a", 100, 0.0)
    assert pace.wait_s("a", 0.0) == 0.0
    pace.recorded("a", 50, 0.0)
    assert pace.wait_s("a", 0.0) == 5.0
    assert pace.wait_s("b", 0.0) == 0.0
    assert pace.wait_s("a", 4.0) == 1.0
    assert len(pace) == 1
    assert pace.wait_s("a", 15.0) == 0.0
    assert len(pace) == 0
