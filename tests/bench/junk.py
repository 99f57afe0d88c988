"""What a flood of junk at its gossip costs a node: how long heartbeats take, and questions to their thread.

The same flood at a socket that nobody reads tells how much of it is the machine's, which sends the flood too.
A real one comes from another machine, so the sender here runs only when nobody else wants its core.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from tests.bench.measure import Figure, Plan, quantile
from tests.fakes import meshes
from tests.fakes.ends import pair

_BAR = 2.0
_HEARTBEAT_MS = 10
_LEASE_MS = 2000


class _Trial(NamedTuple):
    """Seconds that something took, each time: without a flood, with one beside it, with one at it."""

    quiet: list[float]
    beside: list[float]
    under: list[float]

    def figure(self, what: str, note: str, *, whole: bool) -> Figure:
        ratio = quantile(self.under, 0.99) / quantile(self.beside, 0.99)
        middle = [quantile(one, 0.5) * 1e6 for one in (self.under, self.beside, self.quiet)]
        return Figure(
            f"{what} under a flood of junk, 99 %",
            quantile(self.under, 0.99) * 1e6,
            "us",
            peer="the same flood at a socket nobody reads",
            peer_value=quantile(self.beside, 0.99) * 1e6,
            ratio=ratio,
            bar=f"{_BAR:g}x",
            met=ratio <= _BAR and whole,
            note=f"{note}; without any flood {quantile(self.quiet, 0.99) * 1e6:.0f} us; medians "
            f"{middle[0]:.0f}, {middle[1]:.0f} and {middle[2]:.0f} us",
        )


def figures(plan: Plan) -> Iterator[Figure]:
    """Measure a node in quiet, under a flood at somebody else, and under a flood at itself."""
    with (
        tempfile.TemporaryDirectory() as directory,
        meshes.circle(Path(directory)) as made,
        pair() as link,
    ):
        every = [made.hub, *(made.member() for _ in range(4))]
        made.until(lambda: all(len(one.mesh.members()) == 5 for one in every), "all seeing all")
        node = made.members[0]
        # From here on the node is a member by its link too, on the thread that gossips.
        link.client.engine = node.engine
        link.member(heartbeat_ms=_HEARTBEAT_MS, lease_ms=_LEASE_MS)
        dropped = _Rate(node)
        beats = _trial(node, dropped, lambda: _rounds(made, node, plan.pick(2000, 200)))
        questions = _trial(node, dropped, lambda: _delays(made, node, plan.pick(5000, 500)))
        whole = all(len(one.mesh.members()) == 5 for one in every)
    note = f"{dropped.most:.0f} datagrams a second read and dropped"
    yield beats.figure("a heartbeat's round trip", f"one in {_HEARTBEAT_MS} ms; {note}", whole=whole)
    yield questions.figure("a question to the native thread", note, whole=whole)


class _Rate:
    """How many datagrams a second a node dropped, at most."""

    def __init__(self, node: meshes.Gossiper) -> None:
        self._node = node
        self.most = 0.0

    @contextlib.contextmanager
    def counted(self) -> Iterator[None]:
        before, began = self._node.count("gossip_dropped"), time.perf_counter()
        yield
        passed = time.perf_counter() - began
        self.most = max(self.most, (self._node.count("gossip_dropped") - before) / passed)


def _trial(node: meshes.Gossiper, dropped: _Rate, measure: Callable[[], list[float]]) -> _Trial:
    quiet = measure()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as nobody:
        nobody.bind(("127.0.0.1", 0))
        with _flood(nobody.getsockname()):
            beside = measure()
    host, port = node.address.rsplit(":", 1)
    with _flood((host, int(port))), dropped.counted():
        under = measure()
    return _Trial(quiet, beside, under)


def _rounds(made: meshes.Circle, node: meshes.Gossiper, wanted: int) -> list[float]:
    """Return the round trips of heartbeats, as the node's own engine counts them, in seconds."""
    times: list[float] = []
    count, total = node.count("heartbeats_acked"), node.count("heartbeats_acked_us")
    while len(times) < wanted:
        time.sleep(_HEARTBEAT_MS / 4000)
        stats = node.engine.stats()
        more = stats["heartbeats_acked"] - count
        if more == 1:
            times.append((stats["heartbeats_acked_us"] - total) / 1e6)
        if more:
            count, total = stats["heartbeats_acked"], stats["heartbeats_acked_us"]
            made.pump()
    return times


def _delays(made: meshes.Circle, node: meshes.Gossiper, wanted: int) -> list[float]:
    """Return how long questions took, in seconds, one every two milliseconds."""
    times = []
    for number in range(wanted):
        began = time.perf_counter()
        node.mesh.members()
        times.append(time.perf_counter() - began)
        time.sleep(0.002)
        if number % 50 == 0:
            made.pump()
    return times


@contextlib.contextmanager
def _flood(where: tuple[str, int]) -> Iterator[None]:
    sender = multiprocessing.get_context("fork").Process(target=_send, args=(where,), daemon=True)
    sender.start()
    time.sleep(0.2)
    try:
        yield
    finally:
        sender.kill()
        sender.join(10)


def _send(where: tuple[str, int]) -> None:
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    packet = b"\x01" + bytes(range(199))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
        while True:
            out.sendto(packet, where)
