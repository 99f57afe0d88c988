"""The pool of sightings: each address once, and no source more than its share."""

from __future__ import annotations

from swarmlet.discovery.sighting import (
    BROADCAST,
    DIRECT,
    DNS,
    MDNS,
    MOST_OF_SOURCE,
    MOST_OF_WAY,
    Pool,
    Sighting,
)

KEY, OTHER = "ab" * 32, "cd" * 32


def test_an_address_is_new_once_and_every_way_to_it_is_remembered():
    pool = Pool()
    assert pool.add(Sighting("10.0.0.1:1", MDNS, "a"))
    assert not pool.add(Sighting("10.0.0.1:1", MDNS, "b"))
    assert not pool.add(Sighting("10.0.0.1:1", BROADCAST, "10.0.0.1"))
    assert [one.way for one in pool.of("10.0.0.1:1")] == [MDNS, BROADCAST]
    assert pool.addresses() == ("10.0.0.1:1",)
    assert pool.of("10.0.0.2:1") == ()


def test_one_source_gets_no_more_than_its_share():
    pool = Pool()
    added = [pool.add(Sighting(f"10.0.0.{n}:1", BROADCAST, "10.0.0.9")) for n in range(100)]
    assert sum(added) == MOST_OF_SOURCE
    assert pool.too_many[BROADCAST] == 100 - MOST_OF_SOURCE
    assert pool.add(Sighting("10.0.1.1:1", BROADCAST, "10.0.0.8"))


def test_a_flood_by_one_way_leaves_room_for_the_others():
    pool = Pool()
    for n in range(5000):
        pool.add(Sighting(f"10.{n // 250}.{n % 250}.1:1", MDNS, f"rogue {n}"))
    assert len(pool.addresses()) == MOST_OF_WAY
    assert pool.add(Sighting("10.200.0.1:1", BROADCAST, "10.200.0.1"))
    assert pool.add(Sighting("co.example:1", DNS, "example"))


def test_the_order_of_trying_goes_by_how_likely_it_is_and_excludes_nobody():
    pool = Pool((KEY,))
    ranks = [
        pool.rank(one)
        for one in (
            Sighting("a:1", DIRECT),
            Sighting("b:1", BROADCAST, key=KEY),
            Sighting("c:1", DNS),
            Sighting("d:1", MDNS, key=OTHER),
        )
    ]
    assert ranks == sorted(ranks)
    assert len(set(ranks)) == 4
    anything = Pool()
    assert anything.rank(Sighting("b:1", MDNS, key=KEY)) == anything.rank(Sighting("c:1", DNS))
