"""The peer of a warm join: two private Docker engines in two network namespaces, everything of them removed.

Each engine has directories, a socket and a process of its own; none touches the machine's engine, bridges or
packet filter. Needs root and an installed ``dockerd``.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import docker
import docker.errors

from tests.integration.namespaces import Host, Network

_START_S = 30.0
_PORT = 2377


class UnavailableError(Exception):
    """The peer cannot be run on this machine; the text says why."""


def join_times(directory: Path, rounds: int) -> list[float]:
    """Return how long ``POST /swarm/join`` took to answer, for a worker that joins ``rounds`` times.

    Raises:
        UnavailableError: Why it cannot be measured here.
    """
    if os.geteuid() != 0:
        raise UnavailableError("network namespaces and a private dockerd need root")
    if shutil.which("dockerd") is None:
        raise UnavailableError("dockerd is not installed")
    try:
        with Network() as net, contextlib.ExitStack() as stack:
            hosts = [net.host("a"), net.host("b")]
            manager, worker = [stack.enter_context(_engine(directory, host)) for host in hosts]
            return _rounds(manager, worker, hosts, rounds)
    except (OSError, subprocess.SubprocessError, docker.errors.DockerException) as failure:
        raise UnavailableError(f"two private engines could not be run: {failure}") from failure


def _rounds(
    manager: docker.DockerClient, worker: docker.DockerClient, hosts: list[Host], rounds: int
) -> list[float]:
    here, there = (host.address for host in hosts)
    manager.swarm.init(advertise_addr=here, listen_addr=f"{here}:{_PORT}")
    token = manager.swarm.attrs["JoinTokens"]["Worker"]
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        worker.swarm.join(
            remote_addrs=[f"{here}:{_PORT}"],
            join_token=token,
            advertise_addr=there,
            listen_addr=f"{there}:{_PORT}",
        )
        times.append(time.perf_counter() - began)
        worker.swarm.leave(force=True)
    return times


@contextlib.contextmanager
def _engine(directory: Path, host: Host) -> Iterator[docker.DockerClient]:
    """Run an engine on a host; end it by its process id."""
    place = directory / host.namespace
    place.mkdir(parents=True)
    # The machine's own daemon.json must not speak for this one.
    (place / "daemon.json").write_text("{}")
    words = [
        "nsenter", f"--net=/run/netns/{host.namespace}", "dockerd",
        "--config-file", str(place / "daemon.json"), "--data-root", str(place / "data"),
        "--exec-root", str(place / "exec"), "--pidfile", str(place / "pid"),
        "--host", f"unix://{place}/engine.sock", "--bridge=none", "--iptables=false", "--ip-forward=false",
    ]  # fmt: skip
    with (place / "log").open("wb") as log:
        process = subprocess.Popen(words, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    try:
        with contextlib.closing(_client(process, place)) as client:
            yield client
    finally:
        process.terminate()
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _client(process: subprocess.Popen[bytes], place: Path) -> docker.DockerClient:
    until = time.monotonic() + _START_S
    while process.poll() is None and time.monotonic() < until:
        with contextlib.suppress(docker.errors.DockerException):
            client = docker.DockerClient(base_url=f"unix://{place}/engine.sock", timeout=60)
            client.ping()
            return client
        time.sleep(0.1)
    last = (place / "log").read_text(errors="replace").strip().splitlines()[-1:]
    raise UnavailableError(f"dockerd did not start: {' '.join(last)[:200]}")
