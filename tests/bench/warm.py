"""Joining when everything is loaded already, against ``docker swarm join`` in the same run."""

from __future__ import annotations

import statistics
import subprocess
import sys
from collections.abc import Iterator

from tests.bench import cluster
from tests.bench.docker_swarm import UnavailableError, join_times
from tests.bench.measure import Figure, Plan, spread

_BAR = 1.0
_PEER = "docker swarm join"


def figures(plan: Plan) -> Iterator[Figure]:
    """Measure both; the peer's engines have their part of the run for themselves."""
    ours = _ours(plan, plan.pick(15, 7))
    middle = statistics.median(ours)
    figure = Figure(
        "join on a warm process",
        middle * 1000,
        "ms",
        _PEER,
        bar=f"{_BAR:g}x",
        note=f"medians; ours: {spread(ours, 'ms', 1000)}, the whole agent from its start to accepting "
        "work: profile, ports, join, identity synced to disk, second connection, first desired state",
    )
    try:
        theirs = join_times(plan.directory / "docker", plan.pick(5, 2))
    except UnavailableError as why:
        figure.note += f"; the peer could not be run: {why}"
        yield figure
        return
    figure.peer_value = statistics.median(theirs) * 1000
    figure.ratio = middle * 1000 / figure.peer_value
    figure.met = figure.ratio <= _BAR
    figure.note += f"; the peer: {spread(theirs, 'ms', 1000)}, the engine's own answer to POST /swarm/join"
    yield figure


def _ours(plan: Plan, runs: int) -> list[float]:
    """Have one process join many devices; the first one loads the modules and does not count."""
    world = plan.world("warm")
    try:
        world.start_coordinator()
        tokens = "".join(f"{cluster.token(world)}\n" for _ in range(runs + 1))
        done = subprocess.run(
            [sys.executable, "-m", "tests.bench.warm_agent", str(world.directory / "devices")],
            input=tokens,
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )
    finally:
        world.end()
    return [float(line) for line in done.stdout.split()][1:]
