"""``swarmlet join`` as a user types it: from the start of the process to accepting work, over loopback."""

from __future__ import annotations

import os
import statistics
import subprocess
import time
from collections.abc import Iterator

from tests.bench import cluster
from tests.bench.measure import Figure, Plan, spread
from tests.integration.harness import BIN, World, free_port

_BAR_S = 1.0


def figures(plan: Plan) -> Iterator[Figure]:
    """Measure both ways of joining, a new device each time, in turn."""
    runs = plan.pick(11, 3)
    world = plan.world("cold")
    try:
        world.start_coordinator()
        pairs = [(_join(world, f"stays-{n}"), _join(world, f"once-{n}", "--once")) for n in range(runs)]
    finally:
        world.end()
    ready, once = ([pair[place] for pair in pairs] for place in (0, 1))
    middle = statistics.median(ready)
    yield Figure(
        "swarmlet join, process start to accepting work",
        middle,
        "s",
        bar=f"{_BAR_S:g} s",
        met=middle <= _BAR_S,
        note=f"median; {spread(ready, 'ms', 1000)}; interpreter start, hardware profile, two TLS "
        "handshakes and every sync to disk on both sides included",
    )
    yield Figure(
        "swarmlet join --once, process start to its last step",
        statistics.median(once),
        "s",
        note=f"median; {spread(once, 'ms', 1000)}",
    )


def _join(world: World, name: str, *words: str) -> float:
    """Join a new device; return the seconds from its process' start to its sixth step."""
    token = world.directory / f"{name}.token"
    token.write_text(cluster.token(world))
    token.chmod(0o600)
    command = [str(BIN / "swarmlet"), "join", "--token-file", str(token), *words]
    command += ["--data-dir", str(world.directory / name), "--node-name", name]
    env = {**os.environ, "NO_COLOR": "1", "SWARM_API_PORT": str(free_port())}
    began = time.perf_counter()
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
        env=env,
    ) as process:
        assert process.stdout is not None
        said = []
        for line in process.stdout:
            said.append(line)
            if line.startswith("[6/6]"):
                took = time.perf_counter() - began
                process.terminate()
                process.communicate(timeout=20)
                return took
    raise RuntimeError(f"{name} did not join: {''.join(said)[-600:]}")
