"""Each limit of a token, and the reason it gives."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarmlet.errors import RefusedError
from swarmlet.model.classification import NODE_CLASSES
from swarmlet.tokens import check


def code(refusal: check.Refusal | None) -> str | None:
    return None if refusal is None else refusal.code


# ---- time (T6)


@pytest.mark.parametrize(("now_s", "answer"), [(0, None), (1000, None), (1060, None), (1060.5, "SWL-104")])
def test_t6_a_token_is_taken_until_a_minute_past_its_end(now_s: float, answer: str | None) -> None:
    assert code(check.expired(1000, now_s)) == answer


def test_t6_expiry_says_how_long_ago_and_when() -> None:
    refusal = check.expired(1_722_526_200, 1_722_526_200 + 7_300)
    assert refusal is not None
    assert refusal.fields == {"ago": "2 h", "at": "2024-08-01 15:30 UTC"}
    failure = refusal.to_error()
    assert isinstance(failure, RefusedError)
    assert failure.what == "the token expired 2 h ago (2024-08-01 15:30 UTC)"


# ---- network (T7)


@pytest.mark.parametrize(
    ("cidrs", "seen", "inside"),
    [
        ((), "203.0.113.9:1", True),
        ((), "not an address", True),
        (("10.1.0.0/16",), "10.1.2.3:5", True),
        (("10.1.0.0/16",), "10.1.2.3", True),
        (("10.1.0.0/16",), "10.2.0.1:5", False),
        (("10.1.0.0/16",), "[::ffff:10.1.2.3]:5", True),
        (("10.1.0.0/16",), "::ffff:10.1.2.3", True),
        (("10.1.0.0/16",), "[::ffff:10.2.2.3]:5", False),
        (("::ffff:10.1.0.0/112",), "10.1.2.3:5", True),
        (("10.1.0.0/16", "2001:db8::/32"), "[2001:db8::5]:7", True),
        (("2001:db8::/32",), "[2001:db9::5]:7", False),
        (("fe80::/10",), "[fe80::1%eth0]:7", True),
        (("0.0.0.0/0",), "[2001:db8::5]:7", False),
        (("10.1.0.0/16",), "", False),
        (("10.1.0.0/16",), "10.1.2.3, 192.0.2.1", False),
        (("10.1.0.0/16",), "10.1.2.999:1", False),
        (("nonsense",), "10.1.2.3:1", False),
        (("127.0.0.1/32",), "127.0.0.1:40000", True),
    ],
)
def test_t7_the_peer_address_decides(cidrs: tuple[str, ...], seen: str, inside: bool) -> None:
    assert code(check.outside(cidrs, seen)) == (None if inside else "SWL-107")


def test_t7_the_refusal_names_the_address_without_its_port() -> None:
    refusal = check.outside(("10.1.0.0/16", "10.2.0.0/16"), "[::ffff:192.0.2.7]:999")
    assert refusal is not None
    assert refusal.fields == {"seen": "192.0.2.7", "cidrs": "10.1.0.0/16, 10.2.0.0/16"}


@given(st.text(max_size=60))
def test_t7_no_text_passes_for_an_address(seen: str) -> None:
    assert check.peer_ip(seen) is None or code(check.outside(("198.51.100.0/24",), seen)) in {None, "SWL-107"}


@given(st.ip_addresses(v=4))
def test_t7_an_ipv4_address_is_the_same_however_the_socket_shows_it(ip) -> None:
    assert check.peer_ip(f"{ip}:9") == check.peer_ip(f"[::ffff:{ip}]:9") == ip


# ---- name, uses, revocation


@pytest.mark.parametrize(
    ("pattern", "name", "fits"),
    [
        ("", "anything", True),
        ("garden-*", "garden-sensor-01", True),
        ("garden-*", "kitchen", False),
        ("pi-?", "pi-1", True),
        ("pi-?", "pi-12", False),
        ("garden", "garden", True),
        ("garden", "gardens", False),
        ("GARDEN-*", "garden-1", True),
    ],
)
def test_a_name_fits_its_pattern_or_is_told_so(pattern: str, name: str, fits: bool) -> None:
    assert code(check.misnamed(pattern, name)) == (None if fits else "SWL-109")


def test_uses_and_revocation() -> None:
    assert check.used_up("aa", 1, 2) is None
    assert check.revoked("aa", None) is None
    spent = check.used_up("aa", 2, 2)
    assert spent is not None
    assert spent.fields == {"jti": "aa", "uses": "2", "max_uses": "2"}
    assert code(check.revoked("aa", 5)) == "SWL-105"


# ---- class (T8)


@pytest.mark.parametrize(
    ("allowed", "found", "given_class"),
    [
        ((), "Edge", "Edge"),
        (("edge",), "Edge", "Edge"),
        (("edge",), "DataCenter", "Edge"),
        (("iot", "laptop"), "DataCenter", "Laptop"),
        (("iot", "laptop"), "Edge", "IoT"),
        (("datacenter",), "Edge", None),
        (("workstation",), "Laptop", None),
        (("edge",), "IoT", None),
        (("data-center",), "datacenter", "DataCenter"),
        (("toaster",), "Edge", None),
        ((), "Toaster", None),
    ],
)
def test_t8_a_device_is_lowered_to_its_token_and_never_lifted(
    allowed: tuple[str, ...], found: str, given_class: str | None
) -> None:
    assert check.class_within(allowed, found) == given_class


@given(st.lists(st.sampled_from(NODE_CLASSES), max_size=5), st.sampled_from(NODE_CLASSES))
def test_t8_the_class_is_allowed_and_no_stronger_than_the_device(allowed: list[str], found: str) -> None:
    given_class = check.class_within(allowed, found)
    if given_class is not None:
        assert not allowed or given_class in allowed
        assert NODE_CLASSES.index(given_class) >= NODE_CLASSES.index(found)
    else:
        assert all(NODE_CLASSES.index(one) < NODE_CLASSES.index(found) for one in allowed)
