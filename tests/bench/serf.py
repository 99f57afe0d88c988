"""The peer of the mesh: agents of ``serf`` on loopback, with its LAN profile and its encryption."""

from __future__ import annotations

import base64
import contextlib
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.bench.watch import Watch
from tests.integration.harness import free_port

PATTERNS = {
    "began": re.compile(rb"Serf agent (starting)"),
    "joined": re.compile(rb"EventMemberJoin: (\S+) "),
    "lost": re.compile(rb"EventMemberFailed: (\S+) "),
    "event": re.compile(rb"Received event: user-event: (\S+)"),
}


class UnavailableError(Exception):
    """The peer cannot be run on this machine; the text says why."""


class Agents(NamedTuple):
    """Running agents by name, and where the first of them takes commands."""

    processes: dict[str, subprocess.Popen[bytes]]
    watch: Watch
    rpc: str

    def tell(self, name: str) -> None:
        """Tell everybody an event."""
        words = ["serf", "event", f"-rpc-addr={self.rpc}", "-coalesce=false", name]
        subprocess.run(words, check=True, capture_output=True, timeout=30)


@contextlib.contextmanager
def agents(directory: Path, count: int) -> Iterator[Agents]:
    """Run agents; end them by their process ids.

    Raises:
        UnavailableError: serf is not installed.
    """
    if shutil.which("serf") is None:
        raise UnavailableError("serf is not installed (apt-get install serf)")
    directory.mkdir(parents=True)
    names = [f"serf-{number}" for number in range(count)]
    logs = {name: directory / f"{name}.log" for name in names}
    binds = [f"127.0.0.1:{free_port()}" for _ in names]
    rpcs = [f"127.0.0.1:{free_port()}" for _ in names]
    key = base64.b64encode(os.urandom(32)).decode()
    processes: dict[str, subprocess.Popen[bytes]] = {}
    try:
        for name, bind, rpc in zip(names, binds, rpcs, strict=True):
            words = [
                "serf", "agent", f"-node={name}", f"-bind={bind}", f"-rpc-addr={rpc}", "-profile=lan",
                f"-encrypt={key}", "-log-level=info",
            ]  # fmt: skip
            if bind != binds[0]:
                words += [f"-retry-join={binds[0]}", "-retry-interval=1s"]
            with logs[name].open("wb") as log:
                processes[name] = subprocess.Popen(words, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        watch = Watch(logs, PATTERNS)
        try:
            yield Agents(processes, watch, rpcs[0])
        finally:
            watch.close()
    finally:
        for process in processes.values():
            process.kill()
        for process in processes.values():
            process.wait(timeout=30)
