"""Node names are one DNS label."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarmlet.model.names import is_node_name, numbered_from, to_node_name, with_number


@pytest.mark.parametrize("name", ["a", "0", "swarmlet-rpi4-001", "a" * 63])
def test_a_label_is_a_name(name):
    assert is_node_name(name)
    assert to_node_name(name) == name


@pytest.mark.parametrize(
    "name", ["", "-a", "a-", "A", "a.b", "a_b", "a" * 64, "\N{LATIN SMALL LETTER E WITH ACUTE}", "a\n"]
)
def test_anything_else_is_not(name):
    assert not is_node_name(name)


@given(st.text())
def test_the_nearest_name_is_a_name(text):
    near = to_node_name(text)
    assert near is None or is_node_name(near)


@given(st.text(min_size=1).map(to_node_name).filter(bool), st.integers(2, 999_999_999))
def test_a_numbered_name_is_a_name_and_told_by_what_was_asked_for(asked, number):
    name = with_number(asked, number)
    assert is_node_name(name)
    assert numbered_from(name, asked)


@pytest.mark.parametrize("name", ["pi", "pi-1", "pi-02", "pi-x", "pi-2-3", "api-2"])
def test_other_names_are_not_numbered_from_it(name):
    assert not numbered_from(name, "pi")
