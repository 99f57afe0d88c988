"""The words around a search: what may be asked for, and what is said of what strangers sent."""

from __future__ import annotations

import argparse

import pytest

from swarmlet.cli import commands_discover as cd
from swarmlet.cli import node
from swarmlet.cli.parser import parse
from swarmlet.discovery.report import DiscoveryView, FoundView, UnreachedView, WayView
from swarmlet.errors import SwarmletError

EVIL = "\x1b[31mhome\r\n"


def found(name="home", trusted=None, address="10.0.0.1:7946"):
    return FoundView(
        cluster=name,
        cluster_id="ab" * 16,
        address=address,
        tried=address,
        ways=("mdns",),
        ms=3.0,
        key="SHA256:ab",
        trusted=trusted,
    )


def view(*clusters, unreached=(), ways=()):
    return DiscoveryView(found=clusters, unreached=unreached, ways=ways, seconds=3.0)


@pytest.mark.parametrize("text", ["0.5", "3", "600"])
def test_a_time_to_look_is_taken(text):
    args, _ = parse(node.build(), ["discover", "--timeout", text])
    assert args.timeout == float(text)


@pytest.mark.parametrize("text", ["0", "0.4", "601", "-1", "nan", "inf", "1e2", "", "9" * 400, "\u0667"])
def test_no_other_time_is(text):
    with pytest.raises(argparse.ArgumentTypeError):
        cd._seconds(text)
    with pytest.raises(SwarmletError, match="SWL-400"):
        parse(node.build(), ["discover", "--timeout", text])


@pytest.mark.parametrize("text", ["example.com", "example.com.", "lan", "a_b.example"])
def test_a_domain_is_taken(text):
    assert cd._domain(text) == text


@pytest.mark.parametrize(
    "text", ["", ".", "a..b", "a b", "x" * 64, "a.\x1b", "\u00fc.example", ".".join(["a" * 60] * 5)]
)
def test_what_is_no_domain_is_refused(text):
    with pytest.raises(argparse.ArgumentTypeError):
        cd._domain(text)


def test_a_hint_names_what_answered_and_cannot_drive_a_terminal():
    assert cd._hint(view()) == "no cluster answered on this network"
    assert cd._hint(view(found())) == "home at 10.0.0.1:7946 answers on this network"
    many = view(*(found(EVIL, address=f"10.0.0.{n}:1") for n in range(9)))
    assert cd._hint(many).isprintable()
    assert "and 6 more answer" in cd._hint(many)


def test_why_a_cluster_is_nowhere_tells_the_most_that_is_known():
    ways = (WayView(way="mdns", state="silent", addresses=0, why="nothing answered in 3 s"),)
    gone = (UnreachedView(address="10.0.0.9:1", ways=("dns",), problem=EVIL),)
    assert "none with the token's key" in cd._why(view(found(trusted=False), unreached=gone, ways=ways))
    assert "10.0.0.9:1" in cd._why(view(unreached=gone, ways=ways))
    assert cd._why(view(unreached=gone, ways=ways)).isprintable()
    assert cd._why(view(ways=ways)) == "mdns: nothing answered in 3 s"


def test_another_cluster_is_nothing_to_use():
    seen = view(found(trusted=False), found(trusted=True, address="10.0.0.2:1"))
    assert [one.address for one in seen.usable] == ["10.0.0.2:1"]
