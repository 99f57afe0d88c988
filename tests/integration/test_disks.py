"""Disks that are full, read-only, missing, forbidden or damaged, by real processes (N1, A6, A8).

Whatever is wrong: an error of the catalogue with its next step, nothing lost, and no token spent for nothing.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.harness import BIN, World, eventually, free_port
from tests.integration.hostile import (
    STRANGER,
    as_stranger,
    ask,
    fill,
    no_traceback,
    refused,
    remount,
    seen_off,
    small_disk,
    spoil,
)

pytestmark = pytest.mark.timeout(90)
root_only = pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root")


# ---- a device's disk


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with seen_off(World(tmp_path_factory.mktemp("disks"))) as made:
        made.start_coordinator()
        yield made


@pytest.fixture
def token(cluster: World, tmp_path: Path) -> Path:
    file = tmp_path / "token"
    file.write_text(cluster.token())
    file.chmod(0o600)
    return file


def join(cluster: World, token: Path, place: Path, *words: str) -> subprocess.CompletedProcess[str]:
    name = f"d{place.stat().st_ino if place.exists() else place.name}"
    return cluster.swarmlet(
        "join", "--once", "--token-file", str(token), "--data-dir", str(place), "--node-name", name, *words
    )


def uses(cluster: World) -> int:
    """Return how often the newest token was used."""
    return int(ask(cluster, "/v1/tokens")["items"][0]["uses"])


@pytest.mark.parametrize("command", [["status"], ["health"], ["leave"], ["identity", "show"]], ids=" ".join)
def test_looking_at_a_directory_that_is_not_there_makes_none(
    cluster: World, tmp_path: Path, command: list[str]
) -> None:
    refused(cluster.swarmlet(*command, "--data-dir", str(tmp_path / "none")), "SWL-307", 1)
    assert not (tmp_path / "none").exists()


def test_a_missing_directory_is_made_and_closed_to_others(
    cluster: World, tmp_path: Path, token: Path
) -> None:
    place = tmp_path / "not" / "there" / "yet"
    done = join(cluster, token, place)
    assert done.returncode == 0, done.stderr
    assert place.stat().st_mode & 0o077 == 0
    assert all(file.stat().st_mode & 0o077 == 0 for file in place.rglob("*"))


def a_file(place: Path) -> None:
    place.write_text("")


def below_a_file(place: Path) -> None:
    place.parent.rmdir()
    place.parent.write_text("")


def a_file_for_the_identity(place: Path) -> None:
    place.mkdir()
    (place / "identity").write_text("")


def a_directory_for_the_lock(place: Path) -> None:
    (place / "agent.lock").mkdir(parents=True)


@pytest.mark.parametrize("odd", [a_file, below_a_file, a_file_for_the_identity, a_directory_for_the_lock])
def test_a_directory_that_is_none_is_told_and_no_token_spent(
    cluster: World, tmp_path: Path, token: Path, odd: Callable[[Path], None]
) -> None:
    place = tmp_path / "parent" / "place"
    place.parent.mkdir()
    odd(place)
    refused(join(cluster, token, place), "SWL-301", 1)
    assert uses(cluster) == 0


@root_only
def test_a_full_or_read_only_disk_is_told_before_the_token_is_spent_and_a_member_needs_no_room(
    cluster: World, tmp_path: Path, token: Path
) -> None:
    with small_disk(tmp_path / "disk", "256k") as disk:
        remount(disk, "ro")
        assert "read-only file system" in refused(join(cluster, token, disk), "SWL-301", 1)
        assert "read-only file system" in refused(join(cluster, token, disk / "sub"), "SWL-301", 1)
        remount(disk, "rw")
        filler = fill(disk)
        refused(join(cluster, token, disk), "SWL-302", 1)
        assert not (disk / "identity").exists()
        assert uses(cluster) == 0
        filler.unlink()
        assert join(cluster, token, disk).returncode == 0
        assert uses(cluster) == 1
        fill(disk)
        full = comes_back(cluster, disk)
        assert "Traceback" not in full
        remount(disk, "ro")
        comes_back(cluster, disk)
        # Leaving must remove what is on the disk: that cannot be, and is said; once it can, it is done.
        said = refused(cluster.swarmlet("leave", "--data-dir", str(disk)), "SWL-310", 1)
        assert "the cluster was told that this node leaves" in said
        assert "read-only file system" in said
        remount(disk, "rw")
        assert cluster.swarmlet("leave", "--data-dir", str(disk)).returncode == 0
        assert not list((disk / "identity").glob("*"))


def comes_back(cluster: World, disk: Path) -> str:
    """Start the agent of a member, wait until it is ready, end it; return what it said."""
    agent = cluster.device("small", "--data-dir", str(disk))
    begun = len(agent.output)
    eventually(lambda: "accepting work" in agent.output[begun:], "accepting work")
    assert agent.stop() == 0
    return agent.output[begun:]


@root_only
def test_a_directory_of_somebody_else_is_told(cluster: World, tmp_path: Path, token: Path) -> None:
    token.chmod(0o644)
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o755)
    for place in (locked, locked / "new" / "er"):
        words = ["join", "--once", "--token-file", str(token), "--data-dir", str(place)]
        done = subprocess.run(
            as_stranger([str(BIN / "swarmlet"), *words]),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        if place is locked:
            assert f"chown -R {STRANGER}:{STRANGER} {locked}" in refused(done, "SWL-311", 1)
        else:
            assert "permission denied" in refused(done, "SWL-301", 1)
    # An identity of another user's is not used, though this user could read it.
    assert join(cluster, token, tmp_path / "theirs").returncode == 0
    for file in (tmp_path / "theirs").rglob("*"):
        os.chown(file, STRANGER, STRANGER)
    refused(cluster.swarmlet("run", "--data-dir", str(tmp_path / "theirs")), "SWL-303", 1)


def test_one_damaged_copy_of_the_identity_costs_nothing_and_two_are_told(
    cluster: World, tmp_path: Path, token: Path
) -> None:
    place = tmp_path / "pi"
    assert join(cluster, token, place).returncode == 0
    slots = place / "identity"
    shutil.copy(slots / "a", slots / "b")
    spoil(slots / "a")
    assert cluster.swarmlet("join", "--once", "--data-dir", str(place)).returncode == 0
    spoil(slots / "b", 3)
    damaged = {file: file.read_bytes() for file in slots.iterdir()}
    for command in (
        ["run"],
        ["join", "--once", "--token-file", str(token)],
        ["status"],
        ["leave"],
        ["identity", "show"],
    ):
        refused(cluster.swarmlet(*command, "--data-dir", str(place)), "SWL-300", 1)
    # Giving it up takes a token that works: until then the damaged files are kept, as the error says.
    refused(cluster.swarmlet("join", "--once", "--reset-identity", "--data-dir", str(place)), "SWL-112", 2)
    refused(join(cluster, token, place, "--reset-identity"), "SWL-106", 4)
    assert {file: file.read_bytes() for file in slots.iterdir()} == damaged
    token.write_text(cluster.token())
    done = join(cluster, token, place, "--reset-identity")
    assert done.returncode == 0, done.stderr
    assert cluster.swarmlet("identity", "show", "--data-dir", str(place)).returncode == 0
    assert cluster.swarmlet("join", "--once", "--data-dir", str(place)).returncode == 0


def test_a_damaged_journal_is_told_and_the_cluster_sends_the_work_again(cluster: World) -> None:
    agent = cluster.device("forgetful", token=cluster.token())
    cluster.wait_state("forgetful", "ready")
    cluster.stratoswarm_ok("run", "--name", "kept", "--constraint", "name==forgetful", "--", "sleep", "600")
    (before,) = ask(cluster, "/v1/workloads/kept")["assignments"]
    assert agent.stop() == 0
    journal = cluster.directory / "forgetful" / "journal"
    for slot in "ab":
        (journal / slot).write_bytes(b"\0" * 1000)
    begun = len(agent.output)
    port = free_port()
    agent = cluster.device("forgetful", SWARM_API_PORT=str(port))
    eventually(lambda: "accepting work" in agent.output[begun:], "coming back")
    assert "SWL-309" in agent.output[begun:]
    eventually(lambda: ask(cluster, "/v1/workloads/kept")["running"] == 1, "the work running again")
    (after,) = ask(cluster, "/v1/workloads/kept")["assignments"]
    assert (after["assignment_id"], after["epoch"]) == (before["assignment_id"], before["epoch"])
    assert sorted(file.name for file in journal.iterdir() if "damaged" in file.name) == [
        "a.damaged",
        "b.damaged",
    ]
    cluster.stratoswarm_ok("stop", "kept")


# ---- the coordinator's disk


@pytest.fixture(scope="module")
def founded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cluster that was founded and never started."""
    place = tmp_path_factory.mktemp("founded") / "cluster"
    words = [str(BIN / "stratoswarm"), "cluster", "init", "--data-dir", str(place)]
    subprocess.run(words, check=True, capture_output=True, timeout=60)
    return place


@pytest.fixture
def copy(founded: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(founded, tmp_path / "cluster"))


def start(place: Path, *before: str) -> subprocess.CompletedProcess[str]:
    words = [
        str(BIN / "stratoswarm"),
        "cluster",
        "start",
        "--data-dir",
        str(place),
        "--bind",
        "127.0.0.1",
        "--port",
        "0",
    ]
    return subprocess.run([*before, *words], capture_output=True, text=True, timeout=30, check=False)


def contents(place: Path) -> dict[str, bytes]:
    return {
        str(file): file.read_bytes() for file in place.rglob("*") if file.is_file() and file.suffix != ".lock"
    }


def gone(name: str) -> Callable[[Path], None]:
    return lambda place: (place / name).unlink()


def empty(name: str) -> Callable[[Path], object]:
    return lambda place: (place / name).write_bytes(b"")


def another(name: str) -> Callable[[Path], None]:
    return lambda place: spoil(place / name, 5)


def opened(name: str) -> Callable[[Path], None]:
    return lambda place: (place / name).chmod(0o644)


@pytest.mark.parametrize(
    ("harm", "code", "word"),
    [
        pytest.param(gone("secrets/kek"), "SWL-603", "secrets/kek", id="no key file"),
        pytest.param(empty("secrets/kek"), "SWL-603", "secrets/kek", id="empty key file"),
        pytest.param(another("secrets/kek"), "SWL-603", "secrets/kek", id="another key file"),
        pytest.param(opened("secrets/kek"), "SWL-610", "secrets/kek", id="key file open to others"),
        pytest.param(gone("token.key"), "SWL-612", "token.key", id="no token key"),
        pytest.param(another("token.key"), "SWL-611", "token.key", id="damaged token key"),
        pytest.param(gone("ca/intermediate.pem"), "SWL-612", "ca/intermediate.pem", id="no intermediate"),
        pytest.param(gone("ca/root.crt"), "SWL-612", "ca/root.crt", id="no root"),
        pytest.param(gone("cluster.db"), "SWL-615", "cluster.db", id="no database"),
        pytest.param(empty("cluster.db"), "SWL-602", "cluster.db", id="empty database"),
        pytest.param(shutil.rmtree, "SWL-601", "cluster", id="no directory"),
    ],
)
def test_a_coordinator_without_what_it_needs_does_not_start_and_changes_nothing(
    copy: Path, harm: Callable[[Path], object], code: str, word: str
) -> None:
    harm(copy)
    before = contents(copy)
    assert word in refused(start(copy), code, 1)
    assert contents(copy) == before


@pytest.mark.parametrize("words", [["up"], ["up", "--detach"], ["up", "--detach", "--quiet"]], ids=" ".join)
def test_bringing_such_a_cluster_up_fails_in_the_same_words(copy: Path, words: list[str]) -> None:
    (copy / "secrets" / "kek").unlink()
    asked = [str(BIN / "stratoswarm"), *words, "--data-dir", str(copy), "--bind", "127.0.0.1", "--port", "0"]
    done = subprocess.run(asked, capture_output=True, text=True, timeout=60, check=False)
    refused(done, "SWL-603", 1)
    assert not (copy / "up.pid").exists()


def test_a_damaged_page_of_the_database_is_told_and_left_as_it_is(copy: Path, seed: int) -> None:
    database = copy / "cluster.db"
    raw = bytearray(database.read_bytes())
    size = 4096
    page = random.Random(seed).randrange(1, len(raw) // size)
    raw[page * size : (page + 1) * size] = random.Random(seed).randbytes(size)
    database.write_bytes(raw)
    refused(start(copy), "SWL-602", 1)
    assert database.read_bytes() == bytes(raw)


@root_only
def test_a_cluster_of_somebody_else_is_told(copy: Path) -> None:
    said = refused(start(copy, *as_stranger([])), "SWL-301", 1)
    assert "ermission denied" in said


@root_only
def test_n1_and_n9_a_coordinator_whose_disk_fills_up_can_revoke_and_goes_on_when_there_is_room(
    tmp_path: Path,
) -> None:
    world = World(tmp_path)
    try:
        with small_disk(world.cluster_dir, "12m") as disk:
            fill_up_and_recover(world, disk)
            no_traceback(world)
            world.end()
    finally:
        world.end()
        for one in world.running:
            print(f"---- {one.log.name}\n{one.output[-4000:]}")


def fill_up_and_recover(world: World, disk: Path) -> None:
    world.start_coordinator()
    world.device("pi", token=world.token())
    stolen = world.device("stolen", token=world.token())
    gone = world.device("gone", token=world.token())
    for name in ("pi", "stolen", "gone"):
        world.wait_state(name, "ready")
    spare = world.directory / "spare"
    spare.write_text(world.token())
    spare.chmod(0o600)
    acknowledged = {one["jti"] for one in ask(world, "/v1/tokens")["items"]}
    filler = fill(disk)
    for command in (
        ["cluster", "create-join-token", "-q"],
        ["run", "--name", "x", "-d", "--", "sleep", "600"],
        ["nodes", "label", "pi", "zone=garden"],
    ):
        refused(world.stratoswarm(*command), "SWL-302", 1)
    # Whom the cluster refuses and which nodes are there is recorded all the same, from the reserve (N9).
    world.stratoswarm_ok("nodes", "rm", "stolen")
    eventually(lambda: "SWL-207" in stolen.output, "the removed node being told")
    world.stratoswarm_ok("cluster", "token", "revoke", acknowledged_first(world))
    gone.kill()
    world.wait_state("gone", "down")
    listed = world.stratoswarm("nodes", "ls")
    assert "is full" in listed.stderr
    assert "stolen" not in listed.stdout
    assert "is full" in world.stratoswarm("cluster", "status").stderr
    refused(world.stratoswarm("nodes", "label", "pi", "zone=garden"), "SWL-302", 1)
    # What needs no writing goes on: the node is well, lists are shown.
    assert world.wait_state("pi", "ready")["state"] == "ready"
    # A device that asks meanwhile waits, and neither it nor its token is the worse for it.
    newcomer = world.start(
        [
            str(BIN / "swarmlet"),
            "join",
            "--once",
            "--token-file",
            str(spare),
            "--data-dir",
            str(world.directory / "n"),
        ],
        "newcomer.log",
        SWARM_NODE_NAME="newcomer",
    )
    eventually(lambda: "asking again" in newcomer.output, "the newcomer being told to wait")
    assert world.coordinator is not None
    world.coordinator.kill()
    world.start_coordinator()  # also with no byte free
    assert {one["jti"] for one in ask(world, "/v1/tokens")["items"]} == acknowledged
    assert (world.node("stolen") or {})["state"] == "revoked"
    filler.unlink()
    assert newcomer.process.wait(timeout=30) == 0, newcomer.output
    world.wait_state("pi", "ready")
    assert (world.node("pi") or {})["labels"] == {}
    assert "is full" not in world.stratoswarm("nodes", "ls").stderr
    assert acknowledged < {one["jti"] for one in minted(world)}
    assert world.stratoswarm("audit").returncode == 0


def acknowledged_first(world: World) -> str:
    """Return the id of a token that is not the newest."""
    return str(ask(world, "/v1/tokens")["items"][-1]["jti"])


def minted(world: World) -> list[dict[str, object]]:
    world.token()
    return list(ask(world, "/v1/tokens")["items"])
