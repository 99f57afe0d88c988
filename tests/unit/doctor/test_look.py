"""What the doctor sees of a real device, a real port and real settings."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest


def doctor(*words: str, **environ: str) -> tuple[int, dict[str, dict[str, str]], str]:
    """Run the program and return its exit code, its findings by check, and what it said."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("SWARM_")}
    done = subprocess.run(
        [sys.executable, "-m", "swarmlet.cli.node", "doctor", "-o", "json", *words],
        env=clean | environ, capture_output=True, text=True, timeout=50, check=False,
    )  # fmt: skip
    report = json.loads(done.stdout)
    assert report["apiVersion"] == "swarmlet/v1"
    return done.returncode, {one["check"]: one for one in report["findings"]}, done.stderr


def test_a_device_without_anything_is_looked_at(tmp_path: Path) -> None:
    code, found, said = doctor(SWARM_DATA_DIR=str(tmp_path / "none"), SWARM_API_PORT=str(_free_port()))
    assert code == 0, found
    assert found["cluster"]["state"] == "unknown"
    # Where the tests themselves run in a container, their temporary directory is on no volume.
    assert found["data directory"]["found"].endswith(("is made when joining", "lost with this container"))
    assert "nothing was changed" in said
    assert not (tmp_path / "none").exists()


def test_everything_that_is_broken_is_found_at_once(tmp_path: Path) -> None:
    (tmp_path / "identity").mkdir()
    (tmp_path / "identity" / "a").write_bytes(b"garbage")
    (tmp_path / "identity" / "b").write_bytes(b"garbage")
    with socket.socket() as taken, socket.socket() as silent:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        silent.bind(("127.0.0.1", 0))  # bound and not listening: refused
        code, found, _ = doctor(
            f"--cluster=127.0.0.1:{silent.getsockname()[1]}",
            SWARM_DATA_DIR=str(tmp_path),
            SWARM_API_PORT=str(taken.getsockname()[1]),
            SWARM_MAX_MEMORY_MB="lots",
        )
        port = found[f"port {taken.getsockname()[1]}"]
    assert code == 8
    assert port["state"] == "failed"
    assert f"(process {os.getpid()})" in port["found"]
    assert found["settings"]["state"] == "failed"
    assert "SWARM_MAX_MEMORY_MB=lots" in found["settings"]["found"]
    assert found["identity"]["state"] == "failed"
    assert found["connection"]["state"] == "failed"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to mount")
def test_a_read_only_data_directory_is_found(tmp_path: Path) -> None:
    script = (
        f"mount -t tmpfs -o ro none {tmp_path} && exec {sys.executable} -m swarmlet.cli.node doctor -o json"
        f" --data-dir {tmp_path} --api-port {_free_port()}"
    )
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script], capture_output=True, text=True, timeout=50, check=False
    )
    [found] = [one for one in json.loads(done.stdout)["findings"] if one["check"] == "data directory"]
    assert (done.returncode, found["state"]) == (8, "failed")
    assert "read-only" in found["found"]


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
