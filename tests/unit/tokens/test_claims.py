"""Claims by name, to and from the tuple the native extension codes (T1)."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarmlet import _native
from swarmlet.tokens.claims import VERSION, Claims

_word = st.text("abcdefghijklmnopqrstuvwxyz0123456789-_", min_size=1, max_size=12)


def _some(item: st.SearchStrategy[str], most: int) -> st.SearchStrategy[tuple[str, ...]]:
    return st.lists(item, max_size=most, unique=True).map(tuple)


claims = st.builds(
    Claims,
    version=st.just(VERSION),
    cluster_id=st.binary(min_size=16, max_size=16),
    cluster_name=_word,
    jti=st.binary(min_size=16, max_size=16),
    kid=st.binary(min_size=8, max_size=8),
    issued_s=st.integers(0, 2**31),
    expires_s=st.integers(2**31 + 1, 2**33),
    ca_pins=st.lists(st.binary(min_size=32, max_size=32), min_size=1, max_size=2, unique=True).map(tuple),
    endpoints=_some(st.integers(1, 65535).map("192.0.2.1:{}".format), 4),
    max_uses=st.integers(1, 1_000_000),
    cidrs=_some(st.integers(0, 255).map("10.{}.0.0/16".format), 8),
    node_classes=_some(_word, 4),
    allow=_some(_word, 4),
    name_pattern=st.text("abc*?-", max_size=63),
    public_key=st.just(_native.TokenSeed.generate().public_key),
)


@given(claims)
def test_t1_claims_survive_the_tuple_and_the_bytes(made: Claims) -> None:
    assert Claims.from_tuple(made.to_tuple()) == made
    encoded = _native.encode_claims(made.to_tuple())
    assert Claims.from_tuple(_native.decode_claims(encoded + bytes(64))) == made


def test_claims_cannot_be_changed() -> None:
    made = Claims.from_tuple((1, b"", "", b"", b"", 0, 1, [], [], 1, [], [], [], "", b""))
    assert made.endpoints == ()
    with pytest.raises(dataclasses.FrozenInstanceError):
        made.max_uses = 2  # type: ignore[misc]
