"""The mesh of real nodes on loopback, against as many agents of ``serf`` in the same run."""

from __future__ import annotations

import contextlib
import re
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from tests.bench import cluster, processes, serf
from tests.bench.measure import Figure, Plan, spread
from tests.bench.processes import MB, Meter
from tests.bench.watch import Watch
from tests.fakes import meshes
from tests.integration.harness import Running, World

_PATTERNS = {
    "began": re.compile(rb'"message":"(gossiping)"'),
    "joined": re.compile(rb'the mesh tells: joined".*"about": ?"([^"]+)"'),
    "lost": re.compile(rb'the mesh tells: unreachable".*"about": ?"([^"]+)"'),
    "event": re.compile(rb'the mesh tells: event".*"text": ?"([^"]+)"'),
}
_START_BAR = 0.25
_EVENT_BAR = 0.25
_CRASH_BAR = 0.4
_TOGETHER_BAR = 1.5
_PEER = "serf"
_DEADLINE_S = 180.0
_DAY_S = 86_400


class _Herd(NamedTuple):
    """Nodes of one kind: their processes by name, what the logs call each, and how an event is sent."""

    processes: Mapping[str, subprocess.Popen[bytes]]
    watch: Watch
    called: Callable[[str], str]
    tell: Callable[[str], None]


class _Times(NamedTuple):
    """What was measured, in seconds.

    ``together`` is from the start of all processes, and from when the last one began to gossip.
    """

    together: tuple[float, float] | None
    events: list[float]
    crashes: list[float]
    memory: float
    cpu: float


def figures(plan: Plan) -> Iterator[Figure]:
    """Run one herd after the other, so that each has the machine for itself."""
    count = plan.pick(50, 8)
    ours = _ours(plan, count)
    theirs: _Times | None = None
    why = ""
    try:
        theirs = _theirs(plan, count)
    except serf.UnavailableError as unavailable:
        why = f"; the peer could not be run: {unavailable}"
    yield from _compared(count, ours, theirs, why)
    yield _joint_start(plan)
    yield _idle(plan)


def _ours(plan: Plan, count: int) -> _Times:
    world = plan.world("gossip")
    try:
        world.start_coordinator()
        token = cluster.token(world, uses=2 * count)
        names = [f"node-{number}" for number in range(count)]
        began = time.perf_counter()
        agents = {name: _device(world, name, token) for name in names}
        watch = Watch({name: agent.log for name, agent in agents.items()}, _PATTERNS)
        with contextlib.closing(watch):
            # Each hears of the others and of the coordinator.
            together = _together(watch, began, names, count)
            uids = {item["name"]: item["node_uid"] for item in world.view("nodes", "ls")["items"]}
            herd = _Herd(
                {name: agent.process for name, agent in agents.items()},
                watch,
                uids.__getitem__,
                lambda text: _said(world.stratoswarm_ok("events", "--send", text)),
            )
            return _measure(plan, herd, together)
    finally:
        world.end()


def _device(world: World, name: str, token: str) -> Running:
    return world.device(name, token=token, SWARM_LOG_LEVEL="debug", SWARM_LOG_FORMAT="json")


def _theirs(plan: Plan, count: int) -> _Times:
    began = time.perf_counter()
    with serf.agents(plan.directory / "serf", count) as agents:
        names = list(agents.processes)
        # Each names itself too.
        together = _together(agents.watch, began, names, count)
        return _measure(plan, _Herd(agents.processes, agents.watch, str, agents.tell), together)


def _said(_output: str) -> None:
    """Take no interest in what a command said."""


def _together(watch: Watch, began: float, names: list[str], each: int) -> tuple[float, float] | None:
    """Return how long it took until each named ``each`` members, in both ways of :class:`_Times`."""

    def times(wanted: str) -> list[float]:
        every = [found.values() for (kind, _), found in watch.seen.items() if kind == wanted]
        return [time for found in every for time in found]

    if not watch.until(lambda: len(times("joined")) >= each * len(names), _DEADLINE_S):
        return None
    seen = max(times("joined"))
    return seen - began, seen - max(times("began"))


def _measure(plan: Plan, herd: _Herd, together: tuple[float, float] | None) -> _Times:
    # Certificates, profiles and the news of the start are done with.
    time.sleep(plan.pick(20, 3))
    memory = statistics.median(processes.resident(one.pid) / MB for one in herd.processes.values())
    meters = [Meter(one.pid) for one in herd.processes.values()]
    time.sleep(plan.pick(20, 3))
    cpu = statistics.mean(used / passed for passed, used in (meter.read() for meter in meters))
    events = [_event(herd, f"event-{number}") for number in range(plan.pick(8, 2))]
    crashes = [_crash(herd, name) for name in list(herd.processes)[1 : plan.pick(10, 2)]]
    return _Times(together, [one for one in events if one], [one for one in crashes if one], memory, cpu)


def _event(herd: _Herd, text: str) -> float | None:
    """Return from the first node that heard an event to the last."""
    herd.tell(text)
    heard = herd.watch.seen["event", text]
    if not herd.watch.until(lambda: len(heard) == len(herd.processes), 30):
        return None
    time.sleep(0.5)
    return max(heard.values()) - min(heard.values())


def _crash(herd: _Herd, name: str) -> float | None:
    """Return from kill -9 of a node until all others said that it is gone."""
    gone = herd.watch.seen["lost", herd.called(name)]
    left = {other for other, one in herd.processes.items() if other != name and one.poll() is None}
    began = time.perf_counter()
    herd.processes[name].kill()
    herd.processes[name].wait(timeout=10)
    if not herd.watch.until(lambda: left <= set(gone), 90):
        return None
    return max(gone[other] for other in left) - began


def _compared(count: int, ours: _Times, theirs: _Times | None, why: str) -> Iterator[Figure]:
    peer = theirs or _Times(None, [], [], 0.0, 0.0)
    whole = " and ".join(f"{one.together[0]:.1f} s" for one in (ours, peer) if one.together is not None)
    note = (
        "from when the last one began to gossip until each had named every other, by their logs, looked "
        f"at each 10 ms; from the start of the processes, of which ours first join with a token: {whole}{why}"
    )
    first, second = (None if one.together is None else one.together[1] for one in (ours, peer))
    what = f"{count} nodes started at once: all see all"
    yield _barred(_figure(what, first, second, "s", note), _START_BAR)
    what = f"an event to all of {count}"
    note = f"{_both(ours.events, peer.events)}; from the first that heard it to the last"
    yield _barred(_figure(what, _middle(ours.events), _middle(peer.events), "s", note), _EVENT_BAR)
    what = f"a crash known to all of {count}"
    note = f"{_both(ours.crashes, peer.crashes)}; from kill -9; both probe once a second"
    yield _barred(_figure(what, _middle(ours.crashes), _middle(peer.crashes), "s", note), _CRASH_BAR)
    scope = "median; ours is the whole agent, the peer's does membership alone"
    yield _figure("memory of a member", ours.memory, peer.memory or None, "MB RSS", scope)
    cpu, other = ours.cpu * 100, peer.cpu * 100 or None
    yield _figure(f"processor of a quiet member of {count}", cpu, other, "% of a core", "mean of all")


def _barred(figure: Figure, bar: float) -> Figure:
    """Hold a figure to a ratio to the peer's, at most."""
    figure.bar = f"{bar:g}x"
    figure.met = None if figure.ratio is None else figure.ratio <= bar
    return figure


def _figure(what: str, ours: float | None, theirs: float | None, unit: str, note: str) -> Figure:
    ratio = ours / theirs if ours is not None and theirs else None
    return Figure(what, ours, unit, _PEER if theirs else "", theirs, ratio, note=note)


def _middle(values: list[float]) -> float | None:
    return statistics.median(values) if values else None


def _both(ours: list[float], theirs: list[float]) -> str:
    """Say how many values there were on both sides, and between what."""
    said = [spread(values, "s") if values else "none" for values in (ours, theirs)]
    return f"medians; ours: {said[0]}; the peer: {said[1]}"


def _idle(plan: Plan) -> Figure:
    """Return what a quiet member sends and receives a day by gossip."""
    with tempfile.TemporaryDirectory() as directory, meshes.circle(Path(directory), probe_ms=1000) as made:
        every = [made.hub, *(made.member() for _ in range(9))]
        made.until(lambda: all(len(one.mesh.members()) == 10 for one in every), "all seeing all")
        _pumped(made, plan.pick(10, 2))
        before, began = [one.engine.stats() for one in every], time.perf_counter()
        _pumped(made, plan.pick(40, 4))
        passed, after = time.perf_counter() - began, [one.engine.stats() for one in every]

    def total(name: str) -> int:
        return sum(late[name] - early[name] for late, early in zip(after, before, strict=True))

    packets = total("gossip_out") + total("gossip_in")
    # What one sends another receives.
    size = 2 * total("gossip_bytes_out") + 28 * packets
    return Figure(
        "gossip of a quiet member a day, one probe a second",
        size / 10 / passed * _DAY_S / MB,
        "MB",
        note=f"10 members over {passed:.0f} s, {packets / 10 / passed:.1f} packets a second both ways, "
        "with IP and UDP headers; in inverse proportion to the interval, at any size of the cluster",
    )


def _joint_start(plan: Plan) -> Figure:
    """Return how long members on real sockets take to see each other when they start together."""
    count, runs = plan.pick(100, 20), plan.pick(20, 2)
    times = [_one_start(count) for _ in range(runs)]
    worst = max(times)
    return Figure(
        f"{count} members started together, until all see all, worst of {runs} runs",
        worst,
        "s",
        bar=f"{_TOGETHER_BAR:g} s in each run",
        met=worst <= _TOGETHER_BAR,
        note="their engines with sockets of their own in one process, one probe a second; from the first "
        f"one's start; median {statistics.median(times):.2f} s, "
        f"{sum(one <= _TOGETHER_BAR for one in times)} of {runs} runs within the bar. "
        "The agents' own start is left out: their processes share the cores",
    )


def _one_start(count: int) -> float:
    with tempfile.TemporaryDirectory() as directory, meshes.circle(Path(directory), probe_ms=1000) as made:
        began = time.perf_counter()
        waiting: list[meshes.Gossiper] = [made.hub, *(made.member() for _ in range(count))]

        def all_see_all() -> bool:
            while waiting and len(waiting[-1].mesh.members()) == count + 1:
                waiting.pop()
            return not waiting

        made.until(all_see_all, "all seeing all")
        return time.perf_counter() - began


def _pumped(made: meshes.Circle, seconds: float) -> None:
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        made.pump()
        time.sleep(0.05)
