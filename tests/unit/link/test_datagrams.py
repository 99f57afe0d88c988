"""Datagrams on loopback: who, over which interface, how many hops; and the kernel's filters."""

from __future__ import annotations

import select
import socket
from collections.abc import Iterator

import pytest

from swarmlet.link import datagrams

MAGIC = b"SWLD"


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket, int]]:
    there, here = datagrams.open_ipv4("127.0.0.1", 0), datagrams.open_ipv4("127.0.0.1", 0)
    with there, here:
        yield there, here, there.getsockname()[1]


def arrived(one: socket.socket, wait_s: float = 5.0) -> datagrams.Datagram | None:
    return datagrams.receive(one) if select.select([one], [], [], wait_s)[0] else None


def test_a_datagram_says_where_it_came_from(pair):
    there, here, port = pair
    loopback = socket.if_nametoindex("lo")
    datagrams.send(here, b"hello", "127.0.0.1", port, loopback)
    came = arrived(there)
    assert came is not None
    assert (came.data, came.host, came.port) == (b"hello", "127.0.0.1", here.getsockname()[1])
    assert (came.interface, came.number, came.hops) == ("lo", loopback, 255)
    assert came.local == "127.0.0.1"


def test_nothing_waiting_is_nothing(pair):
    assert datagrams.receive(pair[0]) is None


@pytest.mark.parametrize(
    ("data", "kept"),
    [
        (MAGIC + bytes(12), True),
        (MAGIC + bytes(28), True),
        (MAGIC + bytes(11), False),
        (MAGIC + bytes(29), False),
        (b"SWLE" + bytes(12), False),
        (bytes(16), False),
        (b"SWL", False),
        (b"", False),
    ],
)
def test_the_kernel_drops_junk_and_counts_it(pair, data, kept):
    there, here, port = pair
    datagrams.refuse_junk(there, MAGIC, 16, 32)
    here.sendto(data, ("127.0.0.1", port))
    here.sendto(MAGIC + bytes(16), ("127.0.0.1", port))
    came = arrived(there)
    assert came is not None
    assert came.data == (data if kept else MAGIC + bytes(16))
    assert datagrams.dropped(there) == (0 if kept else 1)


@pytest.mark.parametrize("hops", [1, 64, 254])
def test_what_may_have_been_routed_is_dropped_on_a_socket_kept_on_its_link(pair, hops):
    there, here, port = pair
    datagrams.keep_on_link(there)
    here.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, hops)
    here.sendto(b"far", ("127.0.0.1", port))
    here.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, 255)
    here.sendto(b"near", ("127.0.0.1", port))
    came = arrived(there)
    assert came is not None
    assert came.data == b"near"
    assert datagrams.dropped(there) == 1


def test_likewise_over_ipv6():
    with (
        datagrams.open_ipv6("::1", 0, 0, join=False) as there,
        socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as here,
    ):
        datagrams.keep_on_link(there)
        for hops, data in ((64, b"far"), (255, b"near")):
            here.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, hops)
            here.sendto(data, there.getsockname()[:2])
        came = arrived(there)
        assert came is not None
        assert (came.data, came.hops) == (b"near", 255)
