"""``stratoswarm up`` that is killed: nothing of it stays, and ``down`` and the next ``up`` find what does."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from swarmlet.cli.up_record import Entry, Record
from tests.integration.harness import World, eventually

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    try:
        yield made
    finally:
        for entry in entries(made):
            if entry.alive:
                os.kill(entry.pid, signal.SIGKILL)
        made.end()


def entries(world: World) -> list[Entry]:
    return Record(str(world.cluster_dir))._read()


def up(world: World) -> tuple[str, dict[str, Entry]]:
    done = world.stratoswarm("up", "--detach", "--bind", "127.0.0.1", "--port", "0")
    assert done.returncode == 0, done.stderr
    found = {entry.name: entry for entry in entries(world)}
    assert set(found) == {"up", "coordinator", "node"}
    assert all(entry.alive for entry in found.values())
    return done.stderr, found


def test_a_killed_up_takes_its_coordinator_and_node_with_it(world: World) -> None:
    _, kept = up(world)
    os.kill(kept["up"].pid, signal.SIGKILL)
    eventually(lambda: not any(entry.alive for entry in kept.values()), "everything ending")
    said, again = up(world)
    assert "was ended first" not in said
    assert world.wait_state(world.view("nodes", "ls")["items"][0]["name"], "ready")
    assert world.stratoswarm("down").returncode == 0
    assert not any(entry.alive for entry in again.values())


def test_what_outlives_a_killed_up_is_ended_by_the_next_up_and_by_down(world: World) -> None:
    for next_one in ("up", "down"):
        _, kept = up(world)
        # Stopped, it does not notice that it is to end: the hardest case, and the record alone finds it.
        os.kill(kept["coordinator"].pid, signal.SIGSTOP)
        os.kill(kept["up"].pid, signal.SIGKILL)
        eventually(lambda kept=kept: not kept["node"].alive, "the node ending")
        assert kept["coordinator"].alive
        if next_one == "up":
            said, _ = up(world)
            assert "its coordinator (process" in said
        assert world.stratoswarm("down").returncode == 0
        assert not kept["coordinator"].alive
        assert world.stratoswarm("down").returncode == 3  # nothing is up any more


def test_a_node_that_was_started_again_is_in_the_record(world: World) -> None:
    _, kept = up(world)
    os.kill(kept["node"].pid, signal.SIGKILL)
    eventually(
        lambda: any(entry.name == "node" and entry.pid != kept["node"].pid for entry in entries(world)),
        "the new node being written down",
    )
    assert world.stratoswarm("down").returncode == 0


def test_a_local_node_that_is_refused_is_told_with_its_words_and_what_to_do(world: World) -> None:
    up(world)
    name = world.view("nodes", "ls")["items"][0]["name"]
    world.stratoswarm_ok("nodes", "rm", name)
    world.stratoswarm_ok("down")
    done = world.stratoswarm("up", "--detach", "--bind", "127.0.0.1", "--port", "0")
    assert done.returncode == 0
    assert "error SWL-" in done.stderr
    assert "the local node ended with exit code 4 and is left alone" in done.stderr
    assert "next: mend what the node says above" in done.stderr
    world.stratoswarm_ok("down")


def test_keys_without_their_database_found_no_second_cluster(world: World) -> None:
    up(world)
    world.stratoswarm_ok("down")
    for path in world.cluster_dir.glob("cluster.db*"):
        path.unlink()
    for words in (("up",), ("up", "--detach"), ("cluster", "init"), ("cluster", "start")):
        done = world.stratoswarm(*words)
        assert (done.returncode, "error SWL-615" in done.stderr) == (1, True)
        assert "backup" in done.stderr
        assert f"mv {world.cluster_dir} {world.cluster_dir}.old" in done.stderr
    assert not (world.cluster_dir / "cluster.db").exists()
