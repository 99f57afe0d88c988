"""An agent that joins again and again in one process, for ``warm.py``.

Reads tokens from standard input, one a line; joins a new device with each, by the agent's own entry point;
writes the seconds until it accepts work, one a line.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time

from swarmlet import _native
from swarmlet.agent.app import run_agent
from swarmlet.config.keys import Config
from swarmlet.join.steps import READY, Silent
from tests.integration.harness import free_port


class _Watch(Silent):
    """Notes when the last step is done and ends the agent then, as a signal would."""

    def __init__(self) -> None:
        self.ready_at = 0.0

    def step(self, number: int, label: str, text: str, *, elapsed_s: float | None = None) -> None:
        """Take a step."""
        if number == READY:
            self.ready_at = time.perf_counter()
            os.kill(os.getpid(), signal.SIGTERM)


def main(directory: str) -> None:
    """Join with every token of standard input."""
    for number, line in enumerate(sys.stdin):
        watch, token = _Watch(), _native.Token.parse(line.strip())
        config = Config(data_dir=f"{directory}/{number}", node_name=f"warm-{number}", api_port=free_port())
        began = time.perf_counter()
        asyncio.run(run_agent(config, lambda token=token: token, steps=watch))  # type: ignore[misc]
        print(watch.ready_at - began, flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
