"""Where a cluster is announced."""

from __future__ import annotations

import asyncio

import pytest

from swarmlet.clock import SystemClock
from swarmlet.coordinator import announcing, mdns
from swarmlet.coordinator.announcing import Announcing
from swarmlet.coordinator.mdns import MOST_ADDRESSES, Place, place
from swarmlet.link.interfaces import Interface
from swarmlet.model.announcement import Announcement

ETH = Interface("eth0", 2, "10.0.0.1", "fe80::1")
WLAN = Interface("wlan0", 3, "192.168.1.7", None)
SIX = Interface("eth1", 4, None, "fe80::2")


@pytest.mark.parametrize(
    ("bind", "expected"),
    [
        ("0.0.0.0", Place(("10.0.0.1", "192.168.1.7"), ("10.0.0.1", "192.168.1.7"))),  # noqa: S104
        ("10.0.0.1", Place(("10.0.0.1",), ("10.0.0.1",))),
        ("10.9.9.9", Place((), ())),
        (
            "::",
            Place(("10.0.0.1", "192.168.1.7", "fe80::1", "fe80::2"), ("10.0.0.1", "192.168.1.7", 2, 4)),
        ),
    ],
)
def test_a_cluster_is_announced_where_it_listens(bind, expected):
    assert place(bind, (ETH, WLAN, SIX)) == expected


def test_a_host_of_many_networks_tells_only_some_addresses():
    many = tuple(Interface(f"eth{n}", n, f"10.0.{n}.1", None) for n in range(1, 30))
    assert len(place("0.0.0.0", many).addresses) == MOST_ADDRESSES  # noqa: S104


@pytest.mark.parametrize("bind", ["127.0.0.1", "::1"])
def test_what_only_this_machine_can_reach_is_never_announced(bind, monkeypatch):
    monkeypatch.setattr(announcing, "interfaces", None)  # would fail when called
    one = Announcing(Announcement, bind, SystemClock())
    asyncio.run(one.run())
    assert one.counts() == {}


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (ImportError("zeroconf"), "the package zeroconf is not installed"),
        (OSError(98, "Address already in use"), "address already in use"),
        (MemoryError(), "memoryerror"),
    ],
)
def test_mdns_that_cannot_be_had_is_a_note(fault, said, monkeypatch):
    async def fail(*_words):
        raise fault

    async def run():
        one = Announcing(Announcement, "0.0.0.0", SystemClock())  # noqa: S104
        return await one._multicast((ETH,), 7946)

    monkeypatch.setattr(mdns, "publish", fail)
    assert asyncio.run(run()) == [f"the cluster cannot be found by mDNS: {said}"]


def test_what_fails_is_said_once_and_tried_again(monkeypatch, caplog):
    async def run():
        one = Announcing(Announcement, "0.0.0.0", SystemClock())  # noqa: S104
        one._tell(("it is so",))
        one._tell(("it is so",))
        assert one.notes == ("it is so",)
        one._tell(())
        assert one.notes == ()

    asyncio.run(run())
    assert [record.getMessage() for record in caplog.records] == ["it is so"]
