"""Runs a coordinator with other heartbeat intervals than it ships with, as ``heartbeats.py`` asks.

Arguments: directory, port, heartbeat interval and lease in milliseconds. Everything else is the product's own
start, and the cluster must have been founded.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

import uvloop

from swarmlet.clock import SystemClock
from swarmlet.coordinator.listening import Wish
from swarmlet.coordinator.members import Terms
from swarmlet.coordinator.service import CoordinatorConfig, serve


async def _run(directory: str, port: str, heartbeat_ms: str, lease_ms: str) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    wish = Wish("127.0.0.1", int(port), asked=True, second=None, advertise=(f"127.0.0.1:{port}",))
    terms = Terms(int(heartbeat_ms), int(lease_ms))
    await serve(CoordinatorConfig(Path(directory).resolve(), wish, terms), SystemClock(), stop)


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_run(*sys.argv[1:5]))
