"""The code that both ends show (``model/pairing.py``)."""

from __future__ import annotations

import hashlib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarmlet.model.pairing import Transcript, code_of, commitment, opens, read_code

SEEN = Transcript(
    cluster_id="ab" * 16,
    key=b"\x01" * 32,
    public_key=b"\x02" * 32,
    name="pi",
    node_class="Edge",
    hardware="Raspberry Pi 4",
    exporter=b"\x03" * 32,
    theirs=b"\x04" * 32,
    ours=b"\x05" * 32,
)


def test_a_code_is_the_first_thirty_bits_of_a_hash_over_everything() -> None:
    packed = msgspec.msgpack.encode([*SEEN])
    bits = int.from_bytes(hashlib.sha256(b"swarmlet/pair-code/v1\0" + packed).digest(), "big") >> (256 - 30)
    symbols = ""
    for _ in range(6):
        bits, low = divmod(bits, 32)
        symbols = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"[low] + symbols
    assert code_of(SEEN) == f"{symbols[:3]}-{symbols[3:]}"


@pytest.mark.parametrize("field", Transcript._fields)
def test_whatever_one_end_saw_otherwise_makes_another_code(field: str) -> None:
    value = getattr(SEEN, field)
    other = SEEN._replace(**{field: value[:-1] + (b"\xff" if isinstance(value, bytes) else "x")})
    assert code_of(other) != code_of(SEEN)


def test_what_stands_in_two_fields_cannot_be_moved_between_them() -> None:
    one, other = SEEN._replace(name="pi", node_class="Edge"), SEEN._replace(name="piE", node_class="dge")
    assert code_of(one) != code_of(other)


@given(st.binary(min_size=32, max_size=32))
def test_a_commitment_opens_with_its_value_alone(value: bytes) -> None:
    assert opens(value, commitment(value))
    assert not opens(value[:-1], commitment(value[:-1]))
    assert not opens(bytes([value[0] ^ 1]) + value[1:], commitment(value))


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("7KD-2QF", "7KD-2QF"),
        (" 7kd2qf\n", "7KD-2QF"),
        ("7k d2-qf", "7KD-2QF"),
        ("oil-OIL", "011-011"),
        ("7KD-2Q", None),
        ("7KD-2QFF", None),
        ("7KD-2QU", None),
        ("", None),
        ("ÄÖÜ-ßßß", None),
        ("71f4fbad", None),
    ],
)
def test_a_code_is_read_as_people_type_it(typed: str, meant: str | None) -> None:
    assert read_code(typed) == meant


@given(st.text(max_size=12))
def test_any_text_is_a_code_or_none(text: str) -> None:
    found = read_code(text)
    assert found is None or read_code(found) == found
