"""The mesh of real processes: who sees whom, how soon, and what changes nothing (G1 to G6)."""

from __future__ import annotations

import json
import random
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from swarmlet.report import local
from tests.integration.harness import BIN, World, eventually
from tests.integration.hostile import no_traceback

pytestmark = pytest.mark.timeout(150)

NAMES = ("ada", "bea", "cyd", "dan", "eve")


@pytest.fixture
def town(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    made.start_coordinator()
    try:
        for name in NAMES:
            made.device(name, token=made.token())
        for name in NAMES:
            made.wait_state(name, "ready")
        yield made
        no_traceback(made)
    finally:
        made.end()


def gossip(world: World, name: str) -> dict[str, Any]:
    """Return how a node stands in the mesh, by its own word."""
    answer = local.ask(str(world.directory / name), local.Command("status"), 10)
    assert isinstance(answer, dict)
    found: dict[str, Any] = answer["gossip"]
    return found


def peers(world: World, name: str) -> dict[str, Any]:
    """Return what the coordinator's mesh knows of a node."""
    return (world.node(name) or {}).get("mesh") or {}


def all_see_all(world: World, names: tuple[str, ...] = NAMES) -> None:
    def seen() -> bool:
        return all(gossip(world, name)["alive"] == len(names) + 1 for name in names)

    eventually(seen, "every node seeing every other and the coordinator", 60)


def events(world: World) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = world.view("events", "--limit", "500")["items"]
    return found


def test_all_see_all_and_a_crash_is_known_before_the_lease_lapses(town: World) -> None:
    all_see_all(town)
    assert {one["what"] for one in events(town) if one["source"] == "gossip"} >= {"joined"}
    crashed = next(one for one in town.running if one.log.name == "eve.log")
    crashed.kill()

    def known() -> bool:
        told = [one for one in events(town) if one["node"] == "eve"]
        return any(one["what"] == "unreachable" and one["source"] == "gossip" for one in told)

    eventually(known, "the crash known by gossip")
    assert (town.node("eve") or {})["state"] == "suspect", "its lease has not lapsed yet"
    for name in NAMES[:-1]:
        eventually(lambda name=name: gossip(town, name)["alive"] == len(NAMES), f"the crash known to {name}")
    # Gossip is advice: the lease alone decides, and it follows.
    town.wait_state("eve", "down")


def test_a_restarted_node_is_seen_again_and_one_that_stops_says_goodbye(town: World) -> None:
    all_see_all(town)
    agent = next(one for one in town.running if one.log.name == "eve.log")
    assert agent.stop() == 0
    eventually(lambda: peers(town, "eve").get("state") == "left", "its goodbye")
    town.device("eve")
    eventually(lambda: peers(town, "eve").get("state") == "alive", "its return")
    all_see_all(town)


def test_g4_what_a_removed_node_says_changes_nothing_from_the_next_epoch_on(town: World) -> None:
    all_see_all(town)
    uid = (town.node("eve") or {})["node_uid"]
    town.stratoswarm_ok("nodes", "rm", "eve")
    rest = NAMES[:-1]
    for name in rest:
        eventually(lambda name=name: gossip(town, name)["members"] == len(rest) + 1, f"{name} without it")
    time.sleep(3)
    all_see_all(town, rest)
    late = [one for one in events(town) if one["node"] in {uid, "eve"} and one["source"] == "gossip"]
    assert late[-1]["what"] != "back"


def junk(count: int) -> list[bytes]:
    """Make datagrams of every telling length, half of them with the version of a packet in front."""
    rng = random.Random(7)
    made = []
    for number in range(count):
        one = bytearray(rng.randbytes(rng.choice((0, 1, 33, 34, 58, 200, 1200, 1201, 1400))))
        if one and number % 2:
            one[0] = 1
        made.append(bytes(one))
    return made


def dropped(world: World, name: str) -> float:
    """Return how many datagrams a node's metrics say that it dropped."""
    status = local.ask(str(world.directory / name), local.Command("status"), 10)
    assert isinstance(status, dict)
    with socket.create_connection(("127.0.0.1", status["api_port"]), 5) as one:
        one.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        text = b"".join(iter(lambda: one.recv(65536), b"")).decode()
    line = next(row for row in text.splitlines() if row.startswith("swarmlet_gossip_dropped_total "))
    return float(line.split()[1])


def test_g6_a_million_junk_datagrams_are_counted_and_change_nothing(town: World) -> None:
    all_see_all(town)
    where = gossip(town, "ada")["address"]
    host, port = where.rsplit(":", 1)
    some = junk(1000)
    begun = [one for one in events(town) if one["source"] == "gossip"]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
        for _ in range(1000):
            for one in some:
                out.sendto(one, (host, int(port)))

    # What the kernel could not keep for it was never there.
    eventually(lambda: dropped(town, "ada") > 100_000, "junk being counted")
    all_see_all(town)
    after = [one for one in events(town) if one["source"] == "gossip"]
    assert [one for one in after[len(begun) :] if one["what"] in {"unreachable", "joined"}] == []
    assert (town.node("ada") or {})["state"] == "ready"


def test_an_event_reaches_every_member_once(town: World) -> None:
    all_see_all(town)
    place = ["--data-dir", str(town.cluster_dir)]
    follower = town.start([str(BIN / "stratoswarm"), "events", "-f", "-o", "json", *place], "follower.log")
    eventually(lambda: "joined" in follower.output, "the first events shown")
    town.stratoswarm_ok("events", "--send", "water the tomatoes")

    def heard() -> bool:
        logs = [one.output for one in town.running if one.log.stem in NAMES]
        return len(logs) == len(NAMES) and all("water the tomatoes" in log for log in logs)

    eventually(heard, "the event in every log")
    assert all(one.output.count("water the tomatoes") == 1 for one in town.running if one.log.stem in NAMES)
    eventually(lambda: "water the tomatoes" in follower.output, "the event shown to who follows")
    shown = [json.loads(line) for line in follower.output.splitlines()]
    assert sum(one["detail"] == "water the tomatoes" for one in shown) == 1
    follower.stop()
    refused = town.stratoswarm("events", "--send", "x" * 600)
    assert refused.returncode != 0
    assert "512" in refused.stderr


def test_round_trips_are_shown_and_strangers_told(town: World) -> None:
    all_see_all(town)

    def measured() -> bool:
        return (town.view("nodes", "rtt", "ada", "bea")["rtt_ms"] or 0) > 0

    eventually(measured, "a round trip from ada to bea", 60)
    assert peers(town, "ada")["rtt_ms"] is not None or peers(town, "ada")["state"] == "alive"
    assert "SWL-605" in town.stratoswarm("nodes", "rtt", "ada", "nobody").stderr


def test_the_mesh_goes_on_while_the_coordinator_is_away_and_when_it_is_back(town: World) -> None:
    all_see_all(town)
    assert town.coordinator is not None
    town.coordinator.kill()
    victim = next(one for one in town.running if one.log.name == "eve.log")
    victim.kill()
    for name in NAMES[:-1]:
        # The coordinator and the crashed one.
        eventually(
            lambda name=name: gossip(town, name)["alive"] == len(NAMES) - 1, f"both known to {name}", 60
        )
    town.start_coordinator()
    for name in NAMES[:-1]:
        town.wait_state(name, "ready", 60)
        eventually(lambda name=name: gossip(town, name)["alive"] == len(NAMES), f"{name} seeing it again", 60)


def test_without_gossip_everything_else_works(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.start_coordinator("--gossip-ms", "off")
    try:
        world.device("ada", token=world.token())
        world.wait_state("ada", "ready")
        assert peers(world, "ada") == {}
        assert gossip(world, "ada")["trouble"]
        refused = world.stratoswarm("events", "--send", "hello")
        assert refused.returncode != 0
        assert "SWL-617" in refused.stderr
        no_traceback(world)
    finally:
        world.end()
