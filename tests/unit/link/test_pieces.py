"""Bodies in pieces: whole again, or nothing."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from swarmlet._native import MAX_BODY
from swarmlet.link.messages import MeshBody, encode
from swarmlet.link.pieces import Assembly, pieces


@given(st.integers(0, MAX_BODY), st.binary(min_size=1, max_size=9))
def test_a_body_is_whole_again(length, pattern):
    body = (pattern * (length // len(pattern) + 1))[:length]
    assembly = Assembly()
    told = [assembly.take(piece) for piece in pieces(body)]
    assert told[-1] == body
    assert set(told[:-1]) <= {None}


def test_every_piece_fits_into_a_frame():
    assert max(len(encode(piece)) for piece in pieces(bytes(MAX_BODY))) < 65_536


def test_a_body_that_is_too_long_is_dropped_whole_and_the_next_one_is_taken():
    assembly = Assembly()
    for _ in range(10):
        assert assembly.take(MeshBody(bytes(32 * 1024), more=True)) is None
    assert assembly.take(MeshBody(b"end")) is None
    assert assembly.take(MeshBody(b"next")) == b"next"


@given(st.lists(st.tuples(st.integers(0, 70_000), st.booleans()), max_size=30))
def test_whatever_comes_little_is_kept(parts):
    assembly = Assembly()
    for length, more in parts:
        body = assembly.take(MeshBody(bytes(length), more=more))
        assert body is None or (not more and len(body) <= MAX_BODY)
