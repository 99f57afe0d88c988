"""A coordinator may hold as many connections as the system allows, not as many as is usual."""

from __future__ import annotations

import subprocess
import sys


def test_the_soft_limit_of_open_files_is_raised_to_the_hard_one() -> None:
    program = (
        "import resource as r; from swarmlet.coordinator.descriptors import take_all;"
        "r.setrlimit(r.RLIMIT_NOFILE, (64, 128)); print(take_all(), *r.getrlimit(r.RLIMIT_NOFILE))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["128", "128", "128"]
