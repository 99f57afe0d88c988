"""Discovery by DNS: records of strangers, name servers that hang, domains that have none."""

from __future__ import annotations

import asyncio
import threading

import pytest

from swarmlet.discovery.dns_txt import MOST_DOMAINS, MOST_RECORDS, Answer, Dns
from swarmlet.discovery.sighting import DNS


def look(way, patience_s=5.0):
    seen = []

    async def run():
        async with asyncio.timeout(patience_s):
            await way.look(seen.append)

    asyncio.run(run())
    return seen


def test_the_addresses_of_a_domain_are_told():
    asked = []

    def ask(name):
        asked.append(name)
        return Answer(((b"txtvers=1", b"at1=co.example.com:443", b"key=" + b"ab" * 32), (b"v=spf1 -all",)))

    way = Dns(("example.com.",), ask)
    (one,) = look(way)
    assert asked == ["_stratoswarm.example.com"]
    assert (one.address, one.way, one.key) == ("co.example.com:443", DNS, "ab" * 32)
    assert way.ignored == {"a record that names no address": 1}
    assert way.trouble == ""


def test_every_domain_is_asked_and_no_more_than_a_few():
    asked = []

    def ask(name):
        asked.append(name)
        return Answer(why=f"{name} has no TXT record")

    way = Dns(tuple(f"d{n}.example" for n in range(50)), ask)
    assert look(way) == []
    assert len(asked) == MOST_DOMAINS
    assert "_stratoswarm.d0.example has no TXT record" in way.trouble


def test_a_poisoned_answer_is_bounded():
    records = tuple((b"txtvers=1", f"at1=10.0.{n // 256}.{n % 256}:1".encode()) for n in range(5000))
    way = Dns(("example.com",), lambda _name: Answer(records))
    assert len(look(way)) == MOST_RECORDS


def test_a_hanging_name_server_holds_up_nothing():
    release = threading.Event()

    def hang(_name):
        release.wait(30)
        return Answer()

    with pytest.raises(TimeoutError):
        look(Dns(("example.com",), hang), patience_s=0.1)
    release.set()


def test_without_a_domain_there_is_nothing_to_ask():
    way = Dns((), lambda _name: Answer())
    assert look(way) == []
    assert way.idle
    assert "--domain" in way.trouble
