"""What a new token says, and every wish that cannot be granted."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarmlet import _native
from swarmlet.coordinator.minting import Mint, build_claims, intent
from swarmlet.errors import SwarmletError, UsageError
from swarmlet.model.requests import MintRequest

KEY = _native.TokenSeed.generate().public_key
MINT = Mint(
    cluster_id="ab" * 16,
    cluster_name="test",
    kid=bytes(8),
    ca_pins=(bytes(32),),
    endpoints=("192.0.2.1:7946", "198.51.100.1:443"),
    jti=b"j" * 16,
    now_s=1_700_000_000,
)


def wishes(**given_: Any) -> MintRequest:
    return MintRequest(**{"public_key": KEY, **given_})


def refusal(**given_: Any) -> SwarmletError:
    with pytest.raises(UsageError) as caught:
        build_claims(wishes(**given_), MINT)
    return caught.value


def test_t6_by_default_a_token_lives_an_hour_and_admits_one() -> None:
    claims = build_claims(wishes(), MINT)
    assert (claims.expires_s - claims.issued_s, claims.max_uses) == (3600, 1)
    assert (claims.cidrs, claims.node_classes, claims.allow, claims.name_pattern) == ((), (), (), "")
    assert claims.endpoints == MINT.endpoints


def test_what_native_encodes_is_what_was_wished() -> None:
    claims = build_claims(
        wishes(
            expires_s=86_400,
            max_uses=50,
            node_classes=("Edge", "edge", "IoT"),
            allow=("GPU", "docker"),
            cidrs=("10.1.0.0/16", "::ffff:10.2.0.0/112"),
            name_pattern="Garden-*",
            endpoints=("Cluster.example:7946", "[2001:db8::1]:443"),
        ),
        MINT,
    )
    assert claims.node_classes == ("edge", "iot")
    assert claims.allow == ("gpu", "docker")
    assert claims.cidrs == ("10.1.0.0/16", "10.2.0.0/16")
    assert claims.name_pattern == "garden-*"
    assert claims.endpoints == ("cluster.example:7946", "[2001:db8::1]:443")
    encoded = _native.encode_claims(claims.to_tuple())
    assert _native.decode_claims(encoded + bytes(64)) == claims.to_tuple()


def test_t6_more_than_a_week_needs_force() -> None:
    week = 7 * 86_400
    assert build_claims(wishes(expires_s=week), MINT)
    failure = refusal(expires_s=week + 1)
    assert failure.code == "SWL-607"
    assert "7d1s" in failure.what
    assert build_claims(wishes(expires_s=week + 1, force=True), MINT)


def test_every_problem_is_named_at_once() -> None:
    failure = refusal(
        public_key=b"short",
        max_uses=2_000_000,
        node_classes=("edge", "toaster"),
        allow=("gpu", "root"),
        cidrs=("10.1.0.1/16", "10.0.0.0/8", "lan"),
        name_pattern="a b",
        endpoints=("host", "192.0.2.1:7946", "192.0.2.1:99999"),
    )
    assert failure.code == "SWL-608"
    for word in (
        "public_key",
        "2000000",
        "toaster",
        "root",
        "10.1.0.1/16",
        "'lan'",
        "a b",
        "'host'",
        "99999",
    ):
        assert word in failure.what
    for word in ("'edge'", "'gpu'", "10.0.0.0/8"):
        assert word not in failure.what


@pytest.mark.parametrize("pattern", ["a/b", "[a-z]", "ä", "x" * 64, "a b", "a\n"])
def test_a_name_pattern_is_letters_digits_hyphens_and_two_signs(pattern: str) -> None:
    assert refusal(name_pattern=pattern).code == "SWL-608"


def test_a_moment_no_token_can_name_is_refused() -> None:
    assert refusal(expires_s=253_402_300_799, force=True).code == "SWL-608"


def test_only_four_of_the_clusters_addresses_go_into_a_token() -> None:
    many = tuple(f"192.0.2.{number}:7946" for number in range(1, 9))
    claims = build_claims(
        wishes(), Mint(**{**{f: getattr(MINT, f) for f in MINT.__slots__}, "endpoints": many})
    )
    assert claims.endpoints == many[:4]


def test_p3_the_intent_is_what_was_asked_and_nothing_else() -> None:
    assert intent(wishes()) == intent(wishes())
    assert len({intent(wishes()), intent(wishes(max_uses=2)), intent(wishes(force=True))}) == 3


@given(
    st.builds(
        wishes,
        expires_s=st.integers(1, 10 * 365 * 86_400),
        max_uses=st.integers(1, 10_000_000),
        node_classes=st.lists(st.sampled_from(["edge", "IOT", "data-center", "x"]), max_size=8).map(tuple),
        allow=st.lists(st.sampled_from(["gpu", "docker", "device", "exec", "x"]), max_size=8).map(tuple),
        cidrs=st.lists(st.one_of(st.ip_addresses().map(str), st.text(max_size=20)), max_size=8).map(tuple),
        name_pattern=st.text(max_size=70),
        endpoints=st.lists(st.text(max_size=20), max_size=4).map(tuple),
        force=st.booleans(),
    )
)
def test_whatever_is_wished_gives_claims_that_native_takes_or_a_reason(asked: MintRequest) -> None:
    try:
        claims = build_claims(asked, MINT)
    except UsageError as failure:
        assert failure.code in {"SWL-607", "SWL-608"}  # noqa: PT017 - either answer is right
    else:
        assert _native.encode_claims(claims.to_tuple())
