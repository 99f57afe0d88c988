"""Addresses as people write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarmlet.model.address import Address, is_host, is_loopback, parse_address


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("192.168.1.100:7946", Address("192.168.1.100", 7946)),
        (" Dev.local:1 ", Address("dev.local", 1)),
        ("host", Address("host", 9)),
        ("[::1]:65535", Address("::1", 65535)),
        ("[::1]", Address("::1", 9)),
        ("2001:DB8::1", Address("2001:db8::1", 9)),
    ],
)
def test_an_address_is_read(text, address):
    assert parse_address(text, 9) == address


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":1",
        "a b:1",
        "h:0",
        "h:x",
        "h:99999",
        "h:123456",
        "[::1",
        "[::1]x",
        "[h]:1",
        "1.2.3:",
        "256.1.1.1:1",
        "-a:1",
    ],
)
def test_what_is_no_address_is_refused(text):
    with pytest.raises(ValueError):
        parse_address(text, 9)


def test_a_port_is_required_without_a_default():
    with pytest.raises(ValueError, match="the port is missing"):
        parse_address("host")


@given(st.text() | st.from_regex(r"\[?[0-9a-f:.%]{0,30}\]?(:[0-9]{0,6})?"))
def test_an_address_that_is_read_is_written_and_read_again(text):
    try:
        address = parse_address(text, 9)
    except ValueError:
        return
    assert parse_address(str(address)) == address


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST.", "a.localhost", "127.0.0.1", "127.255.0.9", "::1", "::ffff:127.0.0.1"]
)
def test_loopback_is_this_machine(host):
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["localhost.com", "128.0.0.1", "::2", "::ffff:10.0.0.1", "", "host"])
def test_anything_else_is_not(host):
    assert not is_loopback(host)


@given(st.text())
def test_no_text_makes_a_host_test_fail(text):
    is_host(text)
    is_loopback(text)
