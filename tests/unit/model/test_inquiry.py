"""The datagrams of discovery by broadcast: fixed bytes, no answer longer than its question."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarmlet.model.announcement import Announcement
from swarmlet.model.inquiry import (
    LENGTH,
    Question,
    read_answer,
    read_question,
    split_strings,
    write_answer,
    write_question,
)
from tests.vectors import read

NUMBER = bytes(range(16))
WHAT = Announcement(cluster_id="ab" * 16, cluster_name="home", key="cd" * 32, protocol=1, port=7946)


def test_the_bytes_are_those_of_the_document():
    asked = write_question(Question(NUMBER, "ab" * 16))
    assert asked == b"SWLD\x01\x01\x00\x00" + NUMBER + bytes.fromhex("ab" * 16) + bytes(472)
    told = write_answer(NUMBER, Announcement(port=7946))
    assert told == b"SWLD\x01\x02\x00\x14" + NUMBER + b"\x09txtvers=1\x09port=7946"


def test_the_golden_vectors_are_written_and_read():
    golden = read("discovery.txt")
    number = golden["question.any"][8:24]
    for name, wanted in (("question.any", ""), ("question.one", bytes(range(16)).hex())):
        assert read_question(golden[name]) == Question(number, wanted)
        assert write_question(Question(number, wanted)) == golden[name]
    said = read_answer(golden["answer"], number)
    assert said == Announcement(
        cluster_id=bytes(range(16)).hex(),
        cluster_name="Haus am See",
        key=hashlib.sha256(b"root").hexdigest(),
        protocol=1,
        port=7946,
        endpoints=("192.168.1.100:7946", "[fd00::1]:7946"),
    )
    assert write_answer(number, said) == golden["answer"]


@pytest.mark.parametrize("wanted", ["", "ab" * 16])
def test_a_question_is_read_back(wanted):
    assert read_question(write_question(Question(NUMBER, wanted))) == Question(NUMBER, wanted)


def test_an_answer_is_read_back_by_who_asked_and_by_nobody_else():
    told = write_answer(NUMBER, WHAT)
    assert read_answer(told, NUMBER) == WHAT
    assert read_answer(told, bytes(16)) is None


def test_an_answer_is_never_longer_than_its_question():
    names = tuple(f"{letter * 60}.{letter * 60}.{letter * 60}.example:7946" for letter in "abcd")
    told = write_answer(NUMBER, Announcement(**{**_fields(WHAT), "endpoints": names}))
    assert len(told) <= LENGTH
    found = read_answer(told, NUMBER)
    assert found is not None
    assert found.key == WHAT.key
    assert found.endpoints == names[:1]


def _fields(what):
    return {name: getattr(what, name) for name in what.__struct_fields__}


@pytest.mark.parametrize(
    "data",
    [
        b"", b"SWLD", bytes(LENGTH), write_question(Question(NUMBER))[:-1],
        write_question(Question(NUMBER)) + b"\0",
        b"SWLE" + write_question(Question(NUMBER))[4:], write_question(Question(NUMBER))[:-1] + b"\1",
        write_answer(NUMBER, WHAT), write_answer(NUMBER, WHAT).ljust(LENGTH, b"\0"),
    ],
)  # fmt: skip
def test_what_is_no_question_gets_nothing(data):
    assert read_question(data) is None


@given(st.binary(max_size=2 * LENGTH))
def test_junk_is_neither_question_nor_answer(data):
    assert read_question(data) is None
    assert read_answer(data, NUMBER) is None
    strings = split_strings(data)
    assert strings is None or len(strings) <= 32


@given(st.binary(max_size=LENGTH))
def test_an_answer_full_of_junk_does_no_harm(body):
    head = b"SWLD\x01\x02" + len(body).to_bytes(2, "big") + NUMBER
    found = read_answer(head + body, NUMBER)
    assert found is None or len(found.endpoints) <= 4
