from __future__ import annotations

import pytest

from swarmlet.errors import SwarmletError
from swarmlet.model.refs import Named, resolve

THINGS = [
    Named("aaaa1111", "pi"),
    Named("aaaa2222", "pi-2"),
    Named("bbbb3333", "garden"),
    Named("cccc4444", "garden", current=False),
    Named("dddd5555", "gone", current=False, since=2),
    Named("dddd6666", "gone", current=False, since=1),
    Named("eeee7777", "gone-too", current=False, since=3),
]


@pytest.mark.parametrize(
    ("reference", "found"),
    [
        ("aaaa1111", "aaaa1111"),
        ("pi", "aaaa1111"),
        ("pi-", "aaaa2222"),
        ("BBBB", "bbbb3333"),
        ("garden", "bbbb3333"),
        ("cccc", "cccc4444"),
        ("gone", "dddd5555"),  # of several of the past the newest
        ("dddd6", "dddd6666"),
    ],
)
def test_a_name_an_id_or_a_prefix_of_one_thing_means_it(reference, found) -> None:
    assert resolve(reference, THINGS, "SWL-605") == found


def test_an_ambiguous_prefix_lists_what_it_could_mean() -> None:
    with pytest.raises(SwarmletError, match="SWL-606") as caught:
        resolve("aaaa", THINGS, "SWL-605")
    assert "pi (aaaa1111), pi-2 (aaaa2222)" in caught.value.what


@pytest.mark.parametrize("reference", ["dddd", "gon"])
def test_ids_and_prefixes_of_several_of_the_past_stay_ambiguous(reference) -> None:
    with pytest.raises(SwarmletError, match="SWL-606"):
        resolve(reference, THINGS, "SWL-605")


@pytest.mark.parametrize("reference", ["", "zz", "pi-3"])
def test_what_means_nothing_is_not_found(reference) -> None:
    with pytest.raises(SwarmletError, match="SWL-605"):
        resolve(reference, THINGS, "SWL-605")


def test_many_candidates_are_counted_not_listed() -> None:
    with pytest.raises(SwarmletError) as caught:
        resolve("n", [Named(f"id{number}", f"n{number}") for number in range(20)], "SWL-605")
    assert "and 15 more" in caught.value.what


def test_what_means_nothing_is_repeated_in_one_line_of_one_screen() -> None:
    with pytest.raises(SwarmletError) as caught:
        resolve("a\x1b[31m\n" + "x" * 400, [], "SWL-605")
    assert caught.value.fields["name"].isprintable()
    assert len(caught.value.fields["name"]) < 100
