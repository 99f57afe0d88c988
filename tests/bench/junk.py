"""What a flood of junk costs the thread that keeps heartbeats: how long it takes to hear a question.

The same flood at a socket that nobody reads tells how much of it is the machine's, which sends the flood too.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import socket
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests.bench.measure import Figure, Plan, quantile
from tests.fakes import meshes

_BAR = 2.0


def figures(plan: Plan) -> Iterator[Figure]:
    """Ask an engine in quiet, under a flood at somebody else, and under a flood at itself."""
    questions = plan.pick(5000, 500)
    with tempfile.TemporaryDirectory() as directory, meshes.circle(Path(directory)) as made:
        every = [made.hub, *(made.member() for _ in range(4))]
        made.until(lambda: all(len(one.mesh.members()) == 5 for one in every), "all seeing all")
        member = made.members[0]
        quiet = _delays(made, member, questions)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as nobody:
            nobody.bind(("127.0.0.1", 0))
            with _flood(nobody.getsockname()):
                beside = _delays(made, member, questions)
        host, port = member.address.rsplit(":", 1)
        before, began = member.count("gossip_dropped"), time.perf_counter()
        with _flood((host, int(port))):
            under = _delays(made, member, questions)
        dropped = (member.count("gossip_dropped") - before) / (time.perf_counter() - began)
        whole = all(len(one.mesh.members()) == 5 for one in every)
    ratio = quantile(under, 0.99) / quantile(beside, 0.99)
    yield Figure(
        "a question to the native thread under a flood of junk, 99 %",
        quantile(under, 0.99) * 1e6,
        "us",
        peer="the same flood at a socket nobody reads",
        peer_value=quantile(beside, 0.99) * 1e6,
        ratio=ratio,
        bar=f"{_BAR:g}x",
        met=ratio <= _BAR and whole,
        note=f"{dropped:.0f} datagrams a second read and dropped; without any flood "
        f"{quantile(quiet, 0.99) * 1e6:.0f} us; medians {quantile(under, 0.5) * 1e6:.0f}, "
        f"{quantile(beside, 0.5) * 1e6:.0f} and {quantile(quiet, 0.5) * 1e6:.0f} us; "
        "the sender takes a core of its own",
    )


def _delays(made: meshes.Circle, member: meshes.Gossiper, questions: int) -> list[float]:
    """Return how long questions took, in seconds, one every two milliseconds."""
    times = []
    for number in range(questions):
        began = time.perf_counter()
        member.mesh.members()
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
    packet = b"\x01" + bytes(range(199))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
        while True:
            out.sendto(packet, where)
