"""Lengths of time as people type and read them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarmlet.errors import UsageError
from swarmlet.tokens.durations import instant, parse_duration, short, spoken


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("24h", 86_400),
        ("7d", 604_800),
        ("90m", 5_400),
        ("45s", 45),
        ("2w", 1_209_600),
        ("1h30m", 5_400),
        ("1d12h5m1s", 129_901),
        (" 1H ", 3_600),
        ("0s", 0),
    ],
)
def test_what_people_write_is_read(text: str, seconds: int) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "h", "24", "1.5h", "-1h", "1y", "1h 30m", "h1", "1m1h", "1h2h", "9999999w", "٣h", "1" * 99]
)
def test_anything_else_is_refused_with_something_to_write(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_duration(text)
    assert caught.value.code == "SWL-400"
    assert any(unit in caught.value.next for unit in ("h", "m", "d"))


def test_a_number_without_a_unit_is_asked_back() -> None:
    with pytest.raises(UsageError) as caught:
        parse_duration("24")
    assert caught.value.next == "write 24h, 24m or 24s"


@given(st.integers(0, 100 * 365 * 86_400))
def test_the_short_form_is_read_back(seconds: int) -> None:
    assert parse_duration(short(seconds)) == seconds


@given(st.text(max_size=20))
def test_no_text_fails_in_another_way(text: str) -> None:
    try:
        assert parse_duration(text) >= 0
    except UsageError as failure:
        assert failure.code == "SWL-400"  # noqa: PT017 - any text may be refused


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(-5, "0 s"), (0.9, "0 s"), (59, "59 s"), (7_200, "2 h"), (150, "2 min"), (9e5, "10 d")],
)
def test_spoken_lengths_have_one_unit(seconds: float, words: str) -> None:
    assert spoken(seconds) == words


def test_instants_are_utc_to_the_minute_and_never_fail() -> None:
    assert instant(1_722_526_200) == "2024-08-01 15:30 UTC"
    assert instant(0) == "1970-01-01 00:00 UTC"
    assert "1970" in instant(10**18)
