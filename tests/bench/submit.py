"""From submitting a process workload to seeing it run, against Dask's submit to result, in the same run."""

from __future__ import annotations

import json
import statistics
import subprocess
import time
import venv
from collections.abc import Iterator
from pathlib import Path

from swarmlet.cli.admin import Admin, part
from swarmlet.model.requests import SubmitRequest
from swarmlet.model.views import WorkloadView
from swarmlet.model.workload import Kind
from tests.bench import cluster
from tests.bench.measure import Figure, Plan, quantile, spread

_BAR_MS = 50.0
_PEER = "dask submit to result"
_DEADLINE_S = 15.0
_PAUSE_S = 0.001


def figures(plan: Plan) -> Iterator[Figure]:
    """Measure ours, then the peer in an environment of its own that is thrown away."""
    times = _ours(plan, plan.pick(50, 15))
    middle = statistics.median(times) * 1000
    figure = Figure(
        "submit to running, process workload, p50",
        middle,
        "ms",
        _PEER,
        bar=f"{_BAR_MS:g} ms",
        met=middle <= _BAR_MS,
        note=f"{spread(times, 'ms', 1000)}, p95 {quantile(times, 0.95) * 1000:.1f} ms; over the admin "
        "socket, recorded durably, a new sandboxed process each, seen as running by asking each millisecond",
    )
    if plan.quick:
        figure.note += "; the peer was not run in a quick run"
        yield figure
        return
    try:
        theirs = _dask(plan.directory / "dask", 200)
    except (OSError, subprocess.SubprocessError, ValueError) as why:
        figure.note += f"; Dask could not be installed or run: {str(why)[:200]}"
        yield figure
        return
    figure.peer_value = statistics.median(theirs) * 1000
    figure.ratio = middle / figure.peer_value
    figure.note += (
        f"; the peer: {spread(theirs, 'ms', 1000)}, a function call in a warm worker, nothing on disk"
    )
    yield figure


def _ours(plan: Plan, runs: int) -> list[float]:
    world = plan.world("submit")
    try:
        world.start_coordinator()
        world.device("worker", token=cluster.token(world))
        world.wait_state("worker", "ready")
        admin = cluster.admin(world)
        _submit(admin, "first")
        return [_submit(admin, f"work-{number}") for number in range(runs)]
    finally:
        world.end()


def _submit(admin: Admin, name: str) -> float:
    """Submit one workload; return the seconds until it was seen to run. It is stopped afterwards."""
    wishes = SubmitRequest(kind=Kind.PROCESS, name=name, command=("sleep", "600"), stop_grace_s=0)
    began = time.perf_counter()
    seen = admin.change(WorkloadView, "POST", "/v1/workloads", wishes)
    while not seen.running:
        if time.perf_counter() - began > _DEADLINE_S:
            raise RuntimeError(f"{name} did not run: {seen.state} {seen.reason}")
        time.sleep(_PAUSE_S)
        seen = admin.get(WorkloadView, f"/v1/workloads/{part(seen.workload_id)}")
    took = time.perf_counter() - began
    admin.change(WorkloadView, "POST", f"/v1/workloads/{part(seen.workload_id)}/stop")
    return took


def _dask(directory: Path, runs: int) -> list[float]:
    """Install Dask beside everything else and run it."""
    venv.create(directory, with_pip=True)
    python = str(directory / "bin" / "python")
    install = [
        python,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "dask",
        "distributed",
    ]
    subprocess.run(install, check=True, capture_output=True, timeout=120)
    script = Path(__file__).with_name("dask_peer.py")
    done = subprocess.run(
        [python, "-I", str(script), str(runs)], capture_output=True, text=True, timeout=60, check=True
    )
    times = json.loads(done.stdout.splitlines()[-1])
    return [float(one) for one in times["seconds"]]
