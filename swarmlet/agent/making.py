"""Makes the parts that more than one way of starting needs. Holds no rule."""

from __future__ import annotations

import asyncio
import random

from swarmlet.agent.node import Node, Self
from swarmlet.clock import Clock, ClusterTime, boot_id
from swarmlet.config.keys import Config
from swarmlet.hardware.probe import probe
from swarmlet.workloads.driver import Node as Whose
from swarmlet.workloads.limits import Limits
from swarmlet.workloads.supervisor import Settings, Supervisor


async def look(config: Config, clock: Clock) -> Self:
    """Look at this device: what it is, which boot this is; nobody has told the time yet."""

    def profile() -> Self:
        found = probe(node_name=config.node_name, data_dir=config.data_dir, docker_host=config.docker_host)
        return Self(found, boot_id() or f"unknown-{random.getrandbits(64):016x}", clock, ClusterTime(clock))

    return await asyncio.to_thread(profile)


def supervisor(config: Config, node: Node, clock: Clock) -> Supervisor:
    """Make the workloads of ``node``; nothing runs before it is started."""
    memory = node.credentials.memory
    whose = Whose(memory.settings.cluster_id, memory.node_uid, memory.name)
    limits = Limits.from_mapping(config.limits())
    hidden = (config.auth_token_file,) if config.auth_token_file else ()
    settings = Settings(config.data_dir, whose, limits, config.docker_host, hidden)
    return Supervisor(settings, now_ms=node.now_ms, clock=clock)
