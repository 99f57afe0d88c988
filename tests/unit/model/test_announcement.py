"""Announcements: hints, read from strangers, never longer or stranger than they may be."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarmlet.model.announcement import Announcement, from_strings, to_strings

WHOLE = Announcement(
    cluster_id="0123456789abcdef" * 2,
    cluster_name="Haus am See",
    key="ab" * 32,
    protocol=1,
    port=7946,
    endpoints=("10.0.0.1:7946", "[2001:db8::1]:443", "co.example:7946"),
)


def test_what_is_written_is_read_back():
    assert from_strings(to_strings(WHOLE)) == WHOLE


def test_no_string_is_longer_than_a_txt_record_holds():
    name = ".".join(["a" * 60] * 4)
    long = Announcement(endpoints=(f"{name}:7946",), cluster_name="x" * 300)
    assert all(len(one) <= 255 for one in to_strings(long))


def test_a_person_may_write_it_into_one_string():
    text = b"txtvers=1 at=10.0.0.1:7946 key=" + b"AB" * 32 + b" name=Haus am See"
    assert from_strings([text]) == Announcement(
        endpoints=("10.0.0.1:7946",), key="ab" * 32, cluster_name="Haus am See"
    )


@pytest.mark.parametrize("strings", [[], [b""], [b"txtvers=2", b"at1=10.0.0.1:1"], [b"v=spf1 -all"], [b"="]])
def test_what_is_not_of_this_form_is_nothing(strings):
    assert from_strings(strings) is None


@pytest.mark.parametrize(
    "poison",
    [
        b"id=zz", b"id=" + b"0" * 31, b"key=" + b"0" * 65, b"port=99999", b"port=0", b"port=-1", b"port=1e3",
        b"proto=256", "port=\N{ARABIC-INDIC DIGIT SEVEN}".encode(), b"at1=a b:1", b"at2=10.0.0.1",
        b"at3=10.0.0.1:99999", b"at4=\xff\xfe:1", b"at5=10.0.0.1:1", b"unknown=1", b"novalue",
    ],
)  # fmt: skip
def test_a_value_that_makes_no_sense_is_as_good_as_absent(poison):
    assert from_strings([b"txtvers=1", poison]) == Announcement()


def test_the_first_of_two_counts():
    assert from_strings([b"txtvers=1", b"port=1", b"port=2"]) == Announcement(port=1)


def test_a_name_can_neither_drive_a_terminal_nor_fill_it():
    found = from_strings([b"txtvers=1", b"name=\x1b[2J\r\n" + b"\xe2\x80\xaex" + b"y" * 300])
    assert found is not None
    assert found.cluster_name.isprintable()
    assert len(found.cluster_name.encode()) <= 63


@given(st.lists(st.binary(max_size=300), max_size=40))
def test_no_strings_whatever_do_harm(strings):
    found = from_strings([b"txtvers=1", *strings])
    assert found is not None
    assert found.cluster_name.isprintable() or not found.cluster_name
    assert len(found.endpoints) <= 4
    assert all(text.isprintable() for text in found.endpoints)
    again = from_strings(to_strings(found))
    assert again is not None
    assert again.endpoints == found.endpoints
