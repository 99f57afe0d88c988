"""The golden vectors are what their maker makes, so that nobody edits bytes to make a test pass."""

from __future__ import annotations

import pytest

from tests.vectors import HERE, make, read


@pytest.mark.parametrize("file", sorted(make.FILES))
def test_file_holds_what_the_maker_makes(file: str) -> None:
    assert read(file) == make.FILES[file]()


def test_every_file_has_a_maker() -> None:
    assert {path.name for path in HERE.glob("*.txt")} == set(make.FILES)
