"""What arguments become: requests, sizes, labels."""

from __future__ import annotations

import pytest

from swarmlet.cli.commands_nodes import parse_labels
from swarmlet.cli.commands_work import parse_memory
from swarmlet.errors import SwarmletError


@pytest.mark.parametrize(
    ("text", "megabytes"), [("256m", 256), ("256MB", 256), ("1g", 1000), ("1.5g", 1500), ("64", 64)]
)
def test_a_size_is_read_as_people_write_it(text: str, megabytes: int) -> None:
    assert parse_memory(text) == megabytes


@pytest.mark.parametrize("text", ["", "m", "-1g", "1t", "nan", "inf", "1gg", "0"])
def test_what_is_no_size_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(SwarmletError) as caught:
        parse_memory(text)
    assert "256m" in caught.value.next


def test_labels_are_set_and_removed() -> None:
    assert parse_labels(["zone=garden", "old-", "empty="]) == {"zone": "garden", "old": None, "empty": ""}


@pytest.mark.parametrize("word", ["zone", "=x", "-", "", "a b=1", "a=b c", "zone=\n", "x" * 64 + "=1"])
def test_what_is_no_label_is_refused(word: str) -> None:
    with pytest.raises(SwarmletError):
        parse_labels([word])
