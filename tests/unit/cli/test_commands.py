"""What arguments become: requests, sizes, labels."""

from __future__ import annotations

import argparse

import pytest

from swarmlet.cli.admin import part
from swarmlet.cli.commands_nodes import parse_labels
from swarmlet.cli.commands_work import parse_memory
from swarmlet.cli.words import number, whole
from swarmlet.errors import SwarmletError


@pytest.mark.parametrize(
    ("text", "megabytes"), [("256m", 256), ("256MB", 256), ("1g", 1000), ("1.5g", 1500), ("64", 64)]
)
def test_a_size_is_read_as_people_write_it(text: str, megabytes: int) -> None:
    assert parse_memory(text) == megabytes


@pytest.mark.parametrize("text", ["", "m", "-1g", "1t", "nan", "inf", "1gg", "1e300", "1_0"])
def test_what_is_no_size_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(SwarmletError) as caught:
        parse_memory(text)
    assert "256m" in caught.value.next


def test_labels_are_set_and_removed() -> None:
    assert parse_labels(["zone=garden", "old-", "empty="]) == {"zone": "garden", "old": None, "empty": ""}


@pytest.mark.parametrize("word", ["zone", ""])
def test_what_is_no_label_is_refused(word: str) -> None:
    with pytest.raises(SwarmletError):
        parse_labels([word])


@pytest.mark.parametrize("text", ["", "x", "1.5", "1" * 30, "0x10", "1_000", "\u0663"])
def test_what_is_no_whole_number_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="such as 3"):
        whole(text)
    assert whole("-7") == -7  # whether it is within bounds is the coordinator's to say


@pytest.mark.parametrize("text", ["", "x", "nan", "inf", "1e400", "1" * 30])
def test_what_is_no_number_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match=r"such as 0\.5"):
        number(text)
    assert number("0.25") == 0.25


def test_a_name_that_is_empty_is_no_path_and_one_that_is_endless_fits_into_a_request() -> None:
    with pytest.raises(SwarmletError) as caught:
        part("")
    assert caught.value.code == "SWL-400"
    assert len(part("/" * 100_000)) < 4096
