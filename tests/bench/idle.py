"""What a joined agent costs while it has nothing to do: memory, network, disk; and with one container."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import docker.errors

from tests.bench import cluster, processes
from tests.bench.measure import Figure, Plan
from tests.bench.processes import MB
from tests.fakes.images import built_image
from tests.integration.harness import Running, World, eventually
from tests.integration.namespaces import Host, Network

_MEMORY_BAR_MB = 50.0
_NETWORK_BAR_MB = 5.0
_DAY_S = 86_400


class _Use(NamedTuple):
    """What one agent used over a stretch: bytes of its TLS connection, of its packets, written to disk."""

    seconds: float
    link: int
    packets: int | None
    disk: int
    cpu_s: float


def figures(plan: Plan) -> Iterator[Figure]:
    """Measure one real agent: right after it joined, after a while, over a while, with a container."""
    with contextlib.ExitStack() as stack:
        world = plan.world("idle")
        hosts = _hosts(stack)
        stack.callback(world.end)
        here = {"host": hosts[0], "bind": hosts[0].address} if hosts else {}
        world.start_coordinator(**here)  # type: ignore[arg-type]
        token = cluster.token(world, allow=("docker",))
        agent = world.device("idler", token=token, host=hosts[1] if hosts else None)
        eventually(lambda: "[6/6]" in agent.output, "the agent accepting work")
        fresh = processes.resident(agent.process.pid) / MB
        settle_s = plan.pick(30, 5)
        time.sleep(settle_s)
        yield _memory(
            f"memory of an idle joined agent, after {settle_s} s", agent, f"{fresh:.1f} MB when it joined"
        )
        yield from _used(_use(world, agent, hosts, plan.pick(12, 2)))
        if not plan.quick:
            yield from _container(plan, world, agent)
    yield from _without_gossip(plan)


def _without_gossip(plan: Plan) -> Iterator[Figure]:
    """Measure the packets of the link alone, as the design counts them: gossip is counted beside it."""
    with contextlib.ExitStack() as stack:
        world = plan.world("link")
        hosts = _hosts(stack)
        if not hosts:
            return
        stack.callback(world.end)
        world.start_coordinator("--gossip-ms", "off", host=hosts[0], bind=hosts[0].address)
        agent = world.device("linked", token=cluster.token(world), host=hosts[1])
        eventually(lambda: "[6/6]" in agent.output, "the agent accepting work")
        time.sleep(plan.pick(10, 2))
        use = _use(world, agent, hosts, plan.pick(12, 2))
        if use.packets is not None:
            yield _packets_of("idle network use a day, whole packets", use.packets, use, barred=True)


def _hosts(stack: contextlib.ExitStack) -> list[Host]:
    """Return two hosts of a network of their own, or none where that needs more rights."""
    if os.geteuid() != 0:
        return []
    net = stack.enter_context(Network())
    return [net.host("c"), net.host("n")]


def _memory(what: str, agent: Running, note: str) -> Figure:
    used = processes.resident(agent.process.pid) / MB
    note = f"{note}; CPython on this machine's C library"
    return Figure(what, used, "MB RSS", bar=f"{_MEMORY_BAR_MB:g} MB", met=used <= _MEMORY_BAR_MB, note=note)


def _use(world: World, agent: Running, hosts: list[Host], heartbeats: int) -> _Use:
    """Count from just after a heartbeat to just after another one: no part of one counts as a whole."""
    pid = agent.process.pid
    _pass(world, 1)
    before, meter = _counters(world, pid, hosts), processes.Meter(pid)
    _pass(world, heartbeats)
    after, (passed, cpu) = _counters(world, pid, hosts), meter.read()
    link, packets, disk = (late - early for late, early in zip(after, before, strict=True))
    return _Use(passed, link, packets if hosts else None, disk, cpu)


def _pass(world: World, heartbeats: int) -> None:
    """Wait until so many heartbeats more were exchanged, and acknowledged by TCP too."""
    wanted = cluster.view(world).stats["heartbeats_in"] + heartbeats
    eventually(lambda: cluster.view(world).stats["heartbeats_in"] >= wanted, "heartbeats", 10.0 * heartbeats)
    time.sleep(0.3)


def _counters(world: World, pid: int, hosts: list[Host]) -> tuple[int, int, int]:
    stats = cluster.view(world).stats
    return stats["bytes_in"] + stats["bytes_out"], _packets(pid) if hosts else 0, processes.written(pid)


def _packets(pid: int) -> int:
    """Return the bytes of all IP packets that a process' network namespace received and sent so far."""
    lines = Path(f"/proc/{pid}/net/netstat").read_text().splitlines()
    names, values = (line.split() for line in lines if line.startswith("IpExt:"))
    counters = dict(zip(names, values, strict=True))
    return int(counters["InOctets"]) + int(counters["OutOctets"])


def _used(use: _Use) -> Iterator[Figure]:
    how = f"counted over {use.seconds:.0f} s and extrapolated to a day"
    link = use.link / use.seconds * _DAY_S / MB
    yield Figure(
        "idle network use a day, the link",
        link,
        "MB",
        bar=f"{_NETWORK_BAR_MB:g} MB",
        met=link <= _NETWORK_BAR_MB,
        note=f"bytes of the TLS connection, both ways; {how}",
    )
    if use.packets is not None:
        yield _packets_of("idle network use a day, with gossip each second", use.packets, use, barred=False)
    yield Figure(
        "idle disk writes of the agent",
        float(use.disk),
        "bytes",
        bar="0 bytes",
        met=use.disk == 0,
        note=f"over {use.seconds:.0f} s; {use.cpu_s / use.seconds:.2%} of a core meanwhile",
    )


def _packets_of(what: str, packets: int, use: _Use, *, barred: bool) -> Figure:
    day = packets / use.seconds * _DAY_S / MB
    beside = (
        "without gossip" if barred else "the link and gossip, both ways; the coordinator is the only peer"
    )
    note = (
        f"{beside}; with IP headers and TCP's bare acknowledgements, as a data plan counts them: every packet"
        f" of a network of the agent's own; counted over {use.seconds:.0f} s and extrapolated to a day"
    )
    if not barred:
        return Figure(what, day, "MB", note=note)
    return Figure(what, day, "MB", bar=f"{_NETWORK_BAR_MB:g} MB", met=day <= _NETWORK_BAR_MB, note=note)


def _container(plan: Plan, world: World, agent: Running) -> Iterator[Figure]:
    what = "memory of the agent with one container workload"
    try:
        with built_image(plan.directory, 'CMD ["sleep", "600"]') as image:
            world.stratoswarm_ok("run", "--name", "container", image)
            eventually(lambda: world.view("inspect", "container")["running"] == 1, "the container running")
            time.sleep(5)
            yield _memory(what, agent, "5 s after the container ran")
            world.stratoswarm_ok("stop", "container")
    except (docker.errors.DockerException, AssertionError) as why:
        note = f"not measured: no container could be run here ({str(why)[:200]})"
        yield Figure(what, None, "MB RSS", bar=f"{_MEMORY_BAR_MB:g} MB", note=note)
