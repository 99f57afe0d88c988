"""Real processes: a coordinator and devices, started as a user starts them, ended by their process id."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from tests.integration.namespaces import Host

T = TypeVar("T")
BIN = Path(sys.executable).parent
DEADLINE_S = 30.0


def eventually(check: Callable[[], T], what: str, deadline_s: float = DEADLINE_S) -> T:
    """Return ``check()`` once it is truthy; fail with its last value after the deadline."""
    until = time.monotonic() + deadline_s
    while True:
        value = check()
        if value:
            return value
        if time.monotonic() > until:
            raise AssertionError(f"{what} did not happen in {deadline_s:g} s; last seen: {value!r}")
        time.sleep(0.05)


class Running:
    """A process with its output in files."""

    def __init__(self, words: Sequence[str], log: Path, env: Mapping[str, str], host: Host | None) -> None:
        self.log = log
        command = list(words) if host is None else host.command(words)
        with log.open("ab") as out:
            self.process = subprocess.Popen(
                command, stdout=out, stderr=out, stdin=subprocess.DEVNULL, env={**os.environ, **env}
            )

    @property
    def output(self) -> str:
        """Everything it wrote so far."""
        return self.log.read_text(errors="replace")

    def kill(self) -> None:
        """End it as a power cut would."""
        self.process.kill()
        self.process.wait(timeout=10)

    def stop(self, timeout_s: float = 15) -> int:
        """Ask it to end and return its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=timeout_s)


class World:
    """A coordinator, its devices and everything they started; all of it ends with the test."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.cluster_dir = directory / "cluster"
        self.running: list[Running] = []
        self.coordinator: Running | None = None
        self.port = 0

    def start(self, words: Sequence[str], log: str, host: Host | None = None, **env: str) -> Running:
        """Start a process of this world."""
        started = Running(words, self.directory / log, {"NO_COLOR": "1", **env}, host)
        self.running.append(started)
        return started

    def start_coordinator(self, *words: str, host: Host | None = None, bind: str = "127.0.0.1") -> None:
        """Start (or start again) the coordinator and wait until it answers."""
        if not (self.cluster_dir / "cluster.db").exists():
            self.stratoswarm_ok("cluster", "init", "--data-dir", str(self.cluster_dir), admin=False)
        if not self.port:
            self.port = free_port()
        self.coordinator = self.start(
            [
                str(BIN / "stratoswarm"), "cluster", "start", "--data-dir", str(self.cluster_dir),
                "--bind", bind, "--port", str(self.port), "--advertise", f"{bind}:{self.port}", *words,
            ],
            "coordinator.log",
            host,
        )  # fmt: skip
        coordinator = self.coordinator

        def answers() -> bool:
            if coordinator.process.poll() is not None:
                raise AssertionError(f"the coordinator ended:\n{coordinator.output}")
            return self.stratoswarm("cluster", "status", "-o", "json").returncode == 0

        eventually(answers, "the coordinator answering")

    def stratoswarm(
        self, *words: str, admin: bool = True, timeout_s: float = 60
    ) -> subprocess.CompletedProcess[str]:
        """Run an administrator's command to its end."""
        place = ["--data-dir", str(self.cluster_dir)] if admin else []
        before, dashes, after = _split(words)
        return subprocess.run(
            [str(BIN / "stratoswarm"), *before, *place, *dashes, *after],
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )

    def stratoswarm_ok(self, *words: str, admin: bool = True) -> str:
        """Run an administrator's command that must work; return its standard output."""
        done = self.stratoswarm(*words, admin=admin)
        assert done.returncode == 0, f"{words} gave {done.returncode}:\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def view(self, *words: str) -> Any:
        """Return a command's JSON."""
        return json.loads(self.stratoswarm_ok(*words, "-o", "json"))

    def token(self, *words: str) -> str:
        """Mint a token and return its text."""
        return self.stratoswarm_ok("cluster", "create-join-token", "-q", *words).strip()

    def swarmlet(self, *words: str, timeout_s: float = 60, **env: str) -> subprocess.CompletedProcess[str]:
        """Run a device's command to its end."""
        return subprocess.run(
            [str(BIN / "swarmlet"), *words],
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
            env={**os.environ, "NO_COLOR": "1", **env},
        )

    def device(
        self, name: str, *words: str, token: str | None = None, host: Host | None = None, **env: str
    ) -> Running:
        """Start an agent in its own data directory, named ``name``."""
        file = self.directory / f"{name}.token"
        if token is not None:
            file.write_text(token)
            file.chmod(0o600)
        started = ["join", "--token-file", str(file)] if token is not None else ["run"]
        return self.start(
            [str(BIN / "swarmlet"), *started, "--data-dir", str(self.directory / name), *words],
            f"{name}.log",
            host,
            **{"SWARM_NODE_NAME": name, "SWARM_API_PORT": str(free_port()), **env},
        )

    def node(self, name: str) -> dict[str, Any] | None:
        """Return a node's view, or ``None``."""
        items = self.view("nodes", "ls", "--all")["items"]
        return next((item for item in items if item["name"] == name), None)

    def wait_state(self, name: str, state: str, deadline_s: float = DEADLINE_S) -> dict[str, Any]:
        """Wait until a node is in a state."""

        def reached() -> dict[str, Any] | None:
            node = self.node(name)
            return node if node is not None and node["state"] == state else None

        return eventually(reached, f"{name} being {state}", deadline_s)

    def end(self) -> None:
        """End every process this world started, newest first."""
        for one in reversed(self.running):
            if one.process.poll() is None:
                one.process.send_signal(signal.SIGTERM)
        for one in reversed(self.running):
            try:
                one.process.wait(timeout=12)
            except subprocess.TimeoutExpired:
                one.kill()


def _split(words: Sequence[str]) -> tuple[list[str], list[str], list[str]]:
    if "--" not in words:
        return list(words), [], []
    at = list(words).index("--")
    return list(words[:at]), ["--"], list(words[at + 1 :])


#: A program that leaves eight orphans behind and then ignores that it is asked to end.
ORPHANS = """
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
for _ in range(8):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            time.sleep(0.2)
        os._exit(0)
for _ in range(8):
    os.wait()
print("all are on their own", flush=True)
time.sleep(600)
"""


def children(pid: int) -> list[str]:
    """Return the state of every process whose parent this is, whichever of its threads that was."""
    states = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, parent = stat.read_text().rpartition(")")[2].split()[:2]
            if parent == str(pid):
                states.append(state)
    return states


def free_port() -> int:
    """Return a TCP port of loopback that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
