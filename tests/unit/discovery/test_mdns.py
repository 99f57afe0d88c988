"""Services of multicast DNS as sightings: nothing of a stranger's record is taken for more than a hint."""

from __future__ import annotations

import socket
from types import SimpleNamespace

from hypothesis import given
from hypothesis import strategies as st
from zeroconf import ServiceInfo

from swarmlet.discovery.mdns import MOST_ADDRESSES, sightings_of
from swarmlet.model.announcement import SERVICE, Announcement, to_strings

NAME = f"home-abababab.{SERVICE}"
TEXT = b"".join(
    bytes((len(one),)) + one
    for one in to_strings(Announcement(cluster_id="ab" * 16, cluster_name="home", key="cd" * 32))
)


def service(*addresses, text=TEXT, port=7946):
    return ServiceInfo(
        SERVICE, NAME, port=port, properties=text, server="co.local.", parsed_addresses=list(addresses)
    )


def test_a_service_is_seen_at_each_of_its_addresses():
    found = sightings_of(NAME, service("10.0.0.1", "192.168.0.1"))
    assert {one.address for one in found} == {"10.0.0.1:7946", "192.168.0.1:7946"}
    assert {(one.source, one.key, one.cluster_name) for one in found} == {("co.local.", "cd" * 32, "home")}


def test_an_address_that_is_told_beside_comes_first():
    text = TEXT + b"\x10at1=10.9.9.9:443" + b"\x0fat2=evil.test:1"
    found = [one.address for one in sightings_of(NAME, service("10.0.0.1", text=text))]
    assert found == ["10.9.9.9:443", "10.0.0.1:7946"]


def test_what_cannot_be_another_machine_is_not_tried():
    found = sightings_of(NAME, service("127.0.0.1", "0.0.0.0", "224.0.0.1", "::1", "fe80::1"))  # noqa: S104
    assert found == ()


def test_a_link_local_address_needs_the_link_it_was_heard_on():
    index = socket.if_nametoindex("lo")
    scoped = SimpleNamespace(
        text=TEXT, port=1, server="x.", parsed_scoped_addresses=lambda: [f"fe80::1%{index}", "fe80::2"]
    )
    assert [one.address for one in sightings_of(NAME, scoped)] == ["[fe80::1%lo]:1"]


def test_a_service_of_a_thousand_addresses_gets_a_few():
    many = SimpleNamespace(
        text=TEXT,
        port=1,
        server="x.",
        parsed_scoped_addresses=lambda: [f"10.0.{n // 250}.{n % 250 + 1}" for n in range(1000)],
    )
    assert len(sightings_of(NAME, many)) == MOST_ADDRESSES


@given(st.binary(max_size=600), st.lists(st.text(max_size=40), max_size=6), st.integers(-1, 70_000))
def test_no_record_whatever_does_harm(text, addresses, port):
    odd = SimpleNamespace(text=text, port=port, server="\x1b[2J", parsed_scoped_addresses=lambda: addresses)
    for one in sightings_of("\x1b[2J", odd):
        assert one.address.isprintable()
        assert one.cluster_name.isprintable() or not one.cluster_name
