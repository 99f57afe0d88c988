"""Every kind of bad invitation: refused with its code, nothing changed, nothing sent to strangers."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

import pytest

from tests.integration.harness import World, free_port


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory):
    made = World(tmp_path_factory.mktemp("bad-tokens"))
    made.start_coordinator()
    try:
        yield made
    finally:
        made.end()
        print(made.running[0].output[-4000:])


def join(cluster: World, tmp_path: Path, token: str, *words: str, **env: str):
    """Try to join once and return what happened; the data directory must stay without an identity."""
    file = tmp_path / "token"
    file.write_text(token)
    file.chmod(0o600)
    place = tmp_path / "data"
    done = cluster.swarmlet(
        "join", "--once", "--token-file", str(file), "--data-dir", str(place), *words, timeout_s=50, **env
    )
    assert "Traceback" not in done.stderr
    assert not list(place.glob("identity/*")) or done.returncode == 0
    return done


def test_a_good_token_joins(cluster: World, tmp_path: Path) -> None:
    done = join(cluster, tmp_path, cluster.token(), SWARM_NODE_NAME="good")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (lambda text: "", "SWL-1"),
        (lambda text: "hello", "SWL-101"),
        (lambda text: text[:-9], "SWL-102"),
        (lambda text: text[:40] + ("A" if text[40] != "A" else "B") + text[41:], "SWL-102"),
    ],
    ids=["empty", "not a token", "truncated", "altered"],
)
def test_a_damaged_token_is_refused_without_a_word_to_the_network(
    cluster: World, tmp_path: Path, spoil: object, code: str
) -> None:
    done = join(cluster, tmp_path, spoil(cluster.token()))  # type: ignore[operator]
    assert done.returncode in {2, 4}
    assert code in done.stderr
    assert "next:" in done.stderr


def test_a_revoked_token_is_named(cluster: World, tmp_path: Path) -> None:
    token = cluster.token()
    jti = cluster.view("cluster", "token", "ls")["items"][0]["jti"]
    cluster.stratoswarm_ok("cluster", "token", "revoke", jti[:10])
    done = join(cluster, tmp_path, token)
    assert done.returncode == 4
    assert "SWL-105" in done.stderr


def test_a_used_up_token_is_named(cluster: World, tmp_path: Path) -> None:
    token = cluster.token()
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    assert join(cluster, tmp_path / "one", token, SWARM_NODE_NAME="first").returncode == 0
    done = join(cluster, tmp_path / "two", token, SWARM_NODE_NAME="second")
    assert done.returncode == 4
    assert "SWL-106" in done.stderr


def test_a_token_for_another_network_is_named(cluster: World, tmp_path: Path) -> None:
    done = join(cluster, tmp_path, cluster.token("--cidr", "10.1.0.0/16"))
    assert done.returncode == 4
    assert "SWL-107" in done.stderr
    assert "127.0.0.1" in done.stderr


def test_a_token_for_another_name_is_named(cluster: World, tmp_path: Path) -> None:
    done = join(cluster, tmp_path, cluster.token("--name", "garden-*"), SWARM_NODE_NAME="kitchen")
    assert done.returncode == 4
    assert "SWL-109" in done.stderr


def test_a_token_of_another_cluster_is_refused_before_anything_is_sent(
    cluster: World, tmp_path: Path
) -> None:
    other = World(tmp_path / "other")
    other.directory.mkdir()
    other.start_coordinator()
    try:
        done = join(cluster, tmp_path, other.token(), "--cluster", f"127.0.0.1:{cluster.port}")
    finally:
        other.end()
    # The token's own addresses are tried after the given one, so the join may succeed there: never here.
    assert not any(node["name"] == "stranger" for node in cluster.view("nodes", "ls")["items"])
    assert done.returncode in {0, 4}


def serve(answer: bytes) -> tuple[int, list[bytes]]:
    """Start a server that is none of ours for one connection; return its port and what it was sent."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(4)
    listener.settimeout(30)
    got: list[bytes] = []

    def run() -> None:
        try:
            conn, _ = listener.accept()
        except OSError:
            return
        conn.settimeout(8)
        try:
            if answer:
                conn.sendall(answer)
            while chunk := conn.recv(4096):
                got.append(chunk)
        except OSError:
            pass
        finally:
            conn.close()
            listener.close()

    threading.Thread(target=run, daemon=True).start()
    return listener.getsockname()[1], got


@pytest.mark.parametrize(
    ("answer", "word"),
    [
        (b"SSH-2.0-OpenSSH_9.6\r\n", "SSH"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "HTTP"),
        (b"", ""),
        (bytes(range(256)), ""),
    ],
    ids=["ssh", "http", "silence", "garbage"],
)
def test_what_is_no_coordinator_is_told_apart(
    cluster: World, tmp_path: Path, answer: bytes, word: str
) -> None:
    port, _ = serve(answer)
    token = cluster.token("--endpoint", f"127.0.0.1:{port}")
    done = join(cluster, tmp_path, token)
    assert done.returncode in {3, 7}, done.stderr
    assert "SWL-201" in done.stderr or "SWL-2" in done.stderr
    assert word in done.stderr


def test_nothing_listening_is_unreachable(cluster: World, tmp_path: Path) -> None:
    done = join(cluster, tmp_path, cluster.token("--endpoint", f"127.0.0.1:{free_port()}"))
    assert done.returncode == 3
    assert "SWL-200" in done.stderr


def test_a_token_file_others_can_write_is_refused(cluster: World, tmp_path: Path) -> None:
    file = tmp_path / "loose"
    file.write_text(cluster.token())
    file.chmod(0o666)
    done = cluster.swarmlet("join", "--once", "--token-file", str(file), "--data-dir", str(tmp_path / "d"))
    assert done.returncode == 4
    assert "SWL-113" in done.stderr


def test_no_token_at_all_says_how_to_get_one(cluster: World, tmp_path: Path) -> None:
    done = cluster.swarmlet("join", "--once", "--data-dir", str(tmp_path / "d"))
    assert done.returncode == 2
    assert "SWL-112" in done.stderr
