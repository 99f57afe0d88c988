"""Addresses that were given: order, looking up, and never waiting for a hanging name server."""

from __future__ import annotations

import asyncio
import socket
import threading
import time

import pytest

from swarmlet.discovery import direct, mdns
from swarmlet.discovery.direct import Resolver, candidates
from swarmlet.errors import UnreachableError


def test_candidates_keep_the_order_of_their_sources_and_drop_repeats():
    assert candidates(7946, ["10.0.0.1"], ["dev.example", "10.0.0.1:7946"], ["[::1]:9"]) == (
        "10.0.0.1:7946",
        "dev.example:7946",
        "[::1]:9",
    )


def test_a_bad_address_does_not_hide_the_good_ones():
    assert candidates(7946, ["", "a b", "10.0.0.1:99999", "10.0.0.2"]) == ("10.0.0.2:7946",)


@pytest.mark.parametrize("text", ["127.0.0.1:7946", "[::1]:7946"])
def test_an_ip_address_needs_no_name_server(text, monkeypatch):
    monkeypatch.setattr(socket, "getaddrinfo", None)
    assert asyncio.run(Resolver().resolve(text)) == (text,)


def test_localhost_resolves_to_loopback():
    found = asyncio.run(Resolver().resolve("localhost:7946"))
    assert set(found) <= {"127.0.0.1:7946", "[::1]:7946"}
    assert found


def test_a_name_without_address_is_a_catalogue_error(monkeypatch):
    def fail(*_args, **_kwargs):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    with pytest.raises(UnreachableError) as caught:
        asyncio.run(Resolver().resolve("nowhere.example:7946"))
    assert caught.value.code == "SWL-204"
    assert caught.value.fields == {"host": "nowhere.example", "detail": "name or service not known"}


@pytest.mark.parametrize("fault", [LookupError("unknown encoding: idna"), ModuleNotFoundError("unicodedata")])
def test_a_python_without_the_codec_of_names_says_so_and_does_not_wait_for_ever(fault, monkeypatch):
    def fail(*_args, **_kwargs):
        raise fault

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    with pytest.raises(UnreachableError, match="SWL-204"):
        asyncio.run(asyncio.wait_for(Resolver().resolve("nowhere.example:7946"), 5))


def test_neighbours_are_asked_for_names_in_local_alone_and_only_after_the_system(monkeypatch):
    asked = []

    async def look_up(host, timeout_s):
        asked.append(host)
        return ("10.0.0.9", "fe80::1%3")

    def fail(*_args, **_kwargs):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(mdns, "look_up", look_up)
    assert asyncio.run(Resolver().resolve("localhost:1"))
    monkeypatch.setattr(socket, "getaddrinfo", fail)
    assert asyncio.run(Resolver().resolve("co.local:7946")) == ("10.0.0.9:7946", "[fe80::1%3]:7946")
    for name in ("co.example:1", "local:1", "co.local.example:1"):
        with pytest.raises(UnreachableError):
            asyncio.run(Resolver().resolve(name))
    assert asked == ["co.local"]


def test_a_name_with_many_addresses_is_cut_short(monkeypatch):
    many = [(socket.AF_INET, 1, 6, "", (f"10.0.0.{last}", 1)) for last in range(100)]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_kwargs: many)
    assert len(asyncio.run(Resolver().resolve("many.example:1"))) == direct.MAX_PER_NAME


def test_a_link_local_address_keeps_its_scope(monkeypatch):
    entry = (socket.AF_INET6, 1, 6, "", ("fe80::1%eth0", 7946, 0, 3))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_kwargs: [entry])
    assert asyncio.run(Resolver().resolve("pi.local:7946")) == ("[fe80::1%3]:7946",)


def test_a_hanging_name_server_holds_up_neither_the_loop_nor_the_exit(monkeypatch):
    release, asked = threading.Event(), []

    def hang(host, *_args, **_kwargs):
        asked.append(host)
        release.wait(30)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", hang)

    async def give_up_thrice():
        resolver = Resolver()
        for _ in range(3):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(resolver.resolve("slow.example:1"), 0.05)

    began = time.monotonic()
    asyncio.run(give_up_thrice())
    release.set()
    assert time.monotonic() - began < 5
    assert asked == ["slow.example"]
