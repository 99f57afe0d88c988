"""T11, C1 and A6 by real processes: where a token, its seed or a node's key could show, and does not.

The search is for what would be of use to a thief: the seed in a token's text, its bytes, and the node's
private key, each in the clothes that logs, files and memory dumps give them.
"""

from __future__ import annotations

import base64
import os
import shutil
import signal
import subprocess
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.integration.harness import BIN, World, eventually, free_port
from tests.integration.hostile import STRANGER, as_stranger, seen_off

pytestmark = pytest.mark.timeout(60)
root_only = pytest.mark.skipif(os.geteuid() != 0, reason="becoming another user needs root")
#: What precedes the 32 bytes of an Ed25519 private key (RFC 8410, section 7).
PKCS8_ED25519 = bytes.fromhex("302e020100300506032b657004220420")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with seen_off(World(tmp_path_factory.mktemp("secrets"))) as made:
        made.start_coordinator("--log-level", "debug")
        yield made


def clothes(secret: bytes) -> list[bytes]:
    """Return 32 secret bytes as they might show up somewhere."""
    plain = [secret, secret.hex().encode(), secret.hex().upper().encode(), repr(secret)[2:-1].encode()]
    # In a longer text base64 begins at any of three places, and its ends depend on what stands beside.
    encodings = (base64.b64encode, base64.urlsafe_b64encode)
    return plain + [encode(bytes(shift) + secret)[4:-6] for shift in range(3) for encode in encodings]


def seed_of(token: str) -> bytes:
    body = token.removeprefix("swarm_join_")[:-6]
    return base64.urlsafe_b64decode(body + "=" * (-len(body) % 4))[-32:]


def keys_in(directory: Path) -> list[bytes]:
    """Return the private keys in the identity of a device."""
    found = []
    for slot in (directory / "identity").iterdir():
        content = slot.read_bytes()
        at = content.find(PKCS8_ED25519[8:])
        if at >= 0:
            found.append(content[at + 8 : at + 40])
    return found


def get(port: int, path: str) -> bytes:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
        return bytes(answer.read())


def files(directory: Path) -> dict[str, bytes]:
    return {str(file): file.read_bytes() for file in directory.rglob("*") if file.is_file()}


def test_t11_c1_a6_a_canary_token_and_a_nodes_key_show_nowhere(cluster: World, tmp_path: Path) -> None:
    token = cluster.token("--allow", "gpu")
    port, metrics = free_port(), free_port()
    agent = cluster.device(
        "pi", "--log-level", "debug", token=token, SWARM_API_PORT=str(port), SWARM_METRICS_PORT=str(metrics)
    )
    cluster.wait_state("pi", "ready")
    cluster.stratoswarm_ok(
        "run", "--name", "peek", "--constraint", "name==pi", "--", "sh", "-c", "env; sleep 600"
    )
    eventually(
        lambda: b"SWARM_" in cluster.stratoswarm_ok("logs", "peek").encode(), "the workload's own view"
    )
    place = cluster.directory / "pi"
    (key,) = keys_in(place)
    needles = [token.encode()[-60:-8], *clothes(seed_of(token)), *clothes(key)]
    assert cluster.coordinator is not None
    backup = tmp_path / "backup"
    shutil.copytree(cluster.cluster_dir, backup, ignore=shutil.ignore_patterns("*.sock"))
    sinks = {
        "the agent's debug log": agent.output.encode(),
        "the coordinator's debug log": cluster.coordinator.output.encode(),
        "audit": cluster.stratoswarm_ok("audit", "-o", "json", "--limit", "1000").encode(),
        "tokens": cluster.stratoswarm_ok("cluster", "token", "ls", "-o", "json").encode(),
        "nodes": cluster.stratoswarm_ok("nodes", "ls", "--all", "-o", "json").encode(),
        "status": cluster.swarmlet("status", "--data-dir", str(place), "-o", "json").stdout.encode(),
        "identity": cluster.swarmlet(
            "identity", "show", "--data-dir", str(place), "-o", "pem"
        ).stdout.encode(),
        "config": cluster.swarmlet("config", "show", "--origin", "--data-dir", str(place)).stdout.encode(),
        "the workload's output": cluster.stratoswarm_ok("logs", "peek").encode(),
        "/metrics": get(port, "/metrics"),
        "9090": get(metrics, "/metrics"),
        "/cluster/status": get(port, "/cluster/status"),
        "/health": get(port, "/health"),
        **files(backup),
        **{name: content for name, content in files(place).items() if "/identity/" not in name},
        **memory_of_processes(cluster),
    }
    assert all(sinks[name] for name in sinks if not name.startswith("/")), "every sink says something"
    leaks = {name for name, content in sinks.items() for needle in needles if needle in content}
    assert leaks == set()
    # The needles are what they should be.
    assert needles[0] in (cluster.directory / "pi.token").read_bytes()
    assert any(needle in content for content in files(place / "identity").values() for needle in clothes(key))


def memory_of_processes(cluster: World) -> dict[str, bytes]:
    """Return command line and environment of every process of this world, workloads included."""
    found = {}
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and str(cluster.directory).encode() in (
                entry / "environ"
            ).read_bytes() + (entry / "cmdline").read_bytes() + os.fsencode((entry / "cwd").readlink()):
                found[f"/proc/{entry.name}/cmdline"] = (entry / "cmdline").read_bytes()
                found[f"/proc/{entry.name}/environ"] = (entry / "environ").read_bytes()
        except OSError:
            continue
    assert len(found) >= 6, "coordinator, agent and workload"
    return found


@pytest.mark.parametrize("way", ["file", "dash", "stdin", "variable"])
def test_t11_a_token_comes_by_file_by_standard_input_and_by_the_variable_that_names_a_file(
    cluster: World, tmp_path: Path, way: str
) -> None:
    token = cluster.token()
    file = tmp_path / "token"
    file.write_text(token + "\n")
    file.chmod(0o600)
    words = {
        "file": ["--token-file", str(file)],
        "dash": ["--token", "-"],
        "stdin": ["--token-file", "-"],
    }.get(way, [])
    env = {"SWARM_AUTH_TOKEN_FILE": str(file)} if way == "variable" else {}
    command = [
        str(BIN / "swarmlet"),
        "join",
        "--once",
        "--data-dir",
        str(tmp_path / "d"),
        "--node-name",
        way,
        *words,
    ]
    with file.open("rb") as source:
        done = subprocess.run(
            command,
            stdin=source if way in {"dash", "stdin"} else subprocess.DEVNULL,
            env={**os.environ, **env},
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    # Where the tests run in a container, their directories are no volumes, and that is said.
    warned = [line for line in done.stderr.splitlines() if line.startswith("warning:")]
    assert [line for line in warned if "identity will be lost" not in line] == []
    assert token[-60:-8] not in done.stdout + done.stderr


def test_t11_a_token_on_the_command_line_works_and_warns(cluster: World, tmp_path: Path) -> None:
    token = cluster.token()
    done = cluster.swarmlet(
        "join", "--once", "--token", token, "--data-dir", str(tmp_path), SWARM_NODE_NAME="argv"
    )
    assert done.returncode == 0, done.stderr
    assert "warning: other users of this machine can read a token on the command line" in done.stderr
    assert token[-60:-8] not in done.stdout + done.stderr


@pytest.mark.parametrize("mode", [0o640, 0o644, 0o444])
def test_t11_a_token_file_that_others_can_read_warns(cluster: World, tmp_path: Path, mode: int) -> None:
    file = tmp_path / "token"
    file.write_text(cluster.token())
    file.chmod(mode)
    done = cluster.swarmlet(
        "join",
        "--once",
        "--token-file",
        str(file),
        "--data-dir",
        str(tmp_path / "d"),
        SWARM_NODE_NAME=f"m{mode:o}",
    )
    assert done.returncode == 0, done.stderr
    assert "warning" in done.stderr
    assert str(file) in done.stderr


def test_t11_there_is_no_variable_for_a_token(cluster: World, tmp_path: Path) -> None:
    token = cluster.token()
    for name in ("SWARM_TOKEN", "SWARM_AUTH_TOKEN", "SWARM_JOIN_TOKEN"):
        done = cluster.swarmlet("join", "--once", "--data-dir", str(tmp_path / "d"), **{name: token})
        assert done.returncode == 2
        assert token[-60:-8] not in done.stdout + done.stderr


# ---- core files and other users


def started(
    directory: Path, name: str, words: list[str], said: str, before: Sequence[str] = ()
) -> subprocess.Popen[bytes]:
    """Start a program where it may write a core file; return it once it said a word."""
    place = directory / f"{name}-cwd"
    place.mkdir()
    place.chmod(0o777)
    log = directory / f"{name}.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [*before, "sh", "-c", 'ulimit -c unlimited; exec "$@"', "sh", *words],
            cwd=place,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
        )
    eventually(lambda: said in log.read_text(errors="replace"), f"{name} saying {said!r}")
    return process


def dumps_core(process: subprocess.Popen[bytes]) -> bool:
    """End a process by a signal that dumps core; say whether it did."""
    process.send_signal(signal.SIGABRT)
    ended = os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    process.wait(timeout=10)
    assert process.returncode == -signal.SIGABRT
    return ended is not None and ended.si_code == os.CLD_DUMPED


def test_t11_no_program_of_ours_leaves_a_core_file(cluster: World, tmp_path: Path) -> None:
    if not dumps_core(started(tmp_path, "control", ["sh", "-c", "echo here; sleep 60 & wait"], "here")):
        pytest.skip("this machine writes no core files at all")
    file = tmp_path / "token"
    file.write_text(cluster.token())
    file.chmod(0o600)
    agent = [str(BIN / "swarmlet"), "join", "--token-file", str(file), "--data-dir", str(tmp_path / "d")]
    agent += ["--node-name", "core", "--api-port", "0"]
    assert not dumps_core(started(tmp_path, "agent", agent, "accepting work"))
    place = str(tmp_path / "c")
    cluster.stratoswarm_ok("cluster", "init", "--data-dir", place, admin=False)
    coordinator = [str(BIN / "stratoswarm"), "cluster", "start", "--data-dir", place]
    coordinator += ["--bind", "127.0.0.1", "--port", "0"]
    assert not dumps_core(started(tmp_path, "coordinator", coordinator, "the coordinator is ready"))
    assert [file.parent.name for file in tmp_path.rglob("core*") if file.is_file()] in ([], ["control-cwd"])


@root_only
def test_t11_another_program_of_the_same_user_cannot_look_into_a_running_agent(
    cluster: World, tmp_path: Path
) -> None:
    """Root can read everything, so the agent runs as a plain user here, and so does the one that looks."""
    for directory in (tmp_path, *tmp_path.parents[:1]):
        directory.chmod(0o755)
    file, place = tmp_path / "token", tmp_path / "d"
    file.write_text(cluster.token())
    file.chmod(0o600)
    place.mkdir(mode=0o700)
    for mine in (file, place):
        os.chown(mine, STRANGER, STRANGER)
    agent = [str(BIN / "swarmlet"), "join", "--token-file", str(file), "--data-dir", str(place)]
    agent += ["--node-name", "plain", "--api-port", "0"]
    looked_at = [
        started(tmp_path, "control", ["sleep", "60"], "", as_stranger([])),
        started(tmp_path, "agent", agent, "accepting work", as_stranger([])),
    ]
    try:
        control, agent_pid = (one.pid for one in looked_at)
        eventually(
            lambda: Path(f"/proc/{control}/environ").stat().st_uid == STRANGER,
            "the control being a stranger's",
        )
        assert Path(f"/proc/{agent_pid}/environ").stat().st_uid == 0, (
            "an undumpable process belongs to root alone"
        )
        for name in ("environ", "maps", "mem"):
            can, cannot = (
                subprocess.run(
                    as_stranger(["head", "-c", "1", f"/proc/{pid}/{name}"]),
                    capture_output=True,
                    env={**os.environ, "LC_ALL": "C"},
                    check=False,
                ).stderr
                for pid in (control, agent_pid)
            )
            assert b"Permission denied" in cannot, f"/proc/PID/{name} of the agent is open"
            assert b"Permission denied" not in can, "the one who looks could look into another process"
    finally:
        for one in looked_at:
            one.kill()
            one.wait(timeout=10)
