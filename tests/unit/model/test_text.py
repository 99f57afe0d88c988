"""What may be shown of text that somebody else wrote."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarmlet.model.text import printable


@pytest.mark.parametrize(
    ("text", "most", "shown"),
    [
        ("pi\x1b[2J\n", None, "pi?[2J?"),
        ("a" * 20, 20, "a" * 20),
        ("a" * 21, 20, "a" * 17 + "..."),
        ("\0" * 9, 8, "?????..."),
        ("Haus am See", None, "Haus am See"),
    ],
)
def test_what_is_shown(text: str, most: int | None, shown: str) -> None:
    assert printable(text, most) == shown


@given(st.text(), st.integers(3, 40))
def test_no_text_whatever_drives_a_terminal_or_is_longer(text: str, most: int) -> None:
    assert printable(text).isprintable()
    assert printable(text, most).isprintable()
    assert len(printable(text, most)) == min(len(text), most)
