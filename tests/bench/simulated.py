"""The mesh beside foca, another implementation of SWIM, in one simulated network with the same seeds.

``native/core/benches/mesh`` measures; times are of the simulation, costs are of this machine's processor.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.bench.measure import Figure, Plan

_ROOT = Path(__file__).resolve().parents[2]
_DEADLINE_S = 600.0
_PEER = "foca"


class _Bar(NamedTuple):
    """What a ratio to the peer has to be: at most, or at least, so much."""

    ratio: float
    at_least: bool

    def holds(self, ours: float, theirs: float) -> bool:
        return ours >= self.ratio * theirs if self.at_least else ours <= self.ratio * theirs


_BARS = {
    "alarms about healthy members while others pause": _Bar(0.02, at_least=False),
    "gossip packets a CPU second, 10000 members, nothing new": _Bar(10.0, at_least=True),
    "gossip packets a CPU second, 10000 members, all new": _Bar(10.0, at_least=True),
}
_NOTES = {
    "alarms": "60 members for 200 s, of whom half pause for 0.5 to 30 s; 1 and 10 % loss, 5 runs each",
    "gossip packets": "a ping with 4 statements, taken and answered; without encryption on both sides",
    "an event": "simulated for 10 s after each",
    "memory": "state of the mesh alone",
}


def figures(plan: Plan) -> Iterator[Figure]:
    """Run the simulation and pass on what it tells."""
    chosen = "memory,storm,events,pauses,crash,cost"
    sizes = plan.pick(1000, 100)
    done = subprocess.run(
        [
            "cargo",
            "bench",
            "--quiet",
            "--locked",
            "-p",
            "swarmlet-core",
            "--bench",
            "mesh",
            "--",
            "100",
            str(sizes),
        ],
        cwd=_ROOT,
        env={**os.environ, "SWARMLET_BENCH": chosen, "SWARMLET_FIGURES": "1"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=_DEADLINE_S,
    )
    seed = done.stdout.split("SWARMLET_SEED=", 1)[1].split()[0]
    for line in dict.fromkeys(done.stdout.splitlines()):
        if line.startswith("figure\t"):
            _, what, unit, ours, theirs = line.split("\t")
            yield _figure(what, unit, ours, theirs, seed)


def _figure(what: str, unit: str, ours: str, theirs: str, seed: str) -> Figure:
    bar = _BARS.get(what)
    mine, peers = _number(ours), _number(theirs)
    note = next((note for begin, note in _NOTES.items() if what.startswith(begin)), "")
    if mine is None or (peers is None and theirs):
        raise ValueError(f"{what}: {ours!r} and {theirs!r} are no figures")
    if peers is None and not what.startswith("memory"):
        note = f"{_PEER}: never; {note}".rstrip("; ")
    return Figure(
        what,
        mine,
        unit,
        peer=_PEER if peers is not None else "",
        peer_value=peers,
        ratio=mine / peers if peers else None,
        bar=f"{bar.ratio:g}x" if bar else "",
        met=bar.holds(mine, peers) if bar and peers is not None else None,
        note=f"simulated, seed {seed}" + (f"; {note}" if note else ""),
    )


def _number(text: str) -> float | None:
    return float(text) if text else None
