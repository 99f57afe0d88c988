"""Directories of coordinators on this machine, which no workload may look into: they hold the cluster's keys.

An agent that is not root runs its workloads as its own user, who may own a coordinator too.
"""

from __future__ import annotations

import os
from pathlib import Path

from swarmlet.model import places

#: Where a coordinator keeps its files unless it was told otherwise; ``~`` is the user's home.
USUAL = ("/var/lib/stratoswarm", "/data", "~/.local/state/stratoswarm")


def coordinator_above(data_dir: str) -> Path | None:
    """Return the directory around ``data_dir`` when it is a coordinator's, as ``stratoswarm up`` has it."""
    above = Path(os.path.abspath(data_dir)).parent  # noqa: PTH100 - links stay as they were given
    return above if (above / places.DATABASE).exists() else None


def coordinators(data_dir: str) -> tuple[str, ...]:
    """Return the directories of coordinators that are known to be here, as far as they can be seen."""
    above = coordinator_above(data_dir)
    usual = (Path(os.path.expanduser(place)) for place in USUAL)  # noqa: PTH111 - never raises
    found = {str(one) for one in usual if os.access(one / places.DATABASE, os.F_OK)}
    return tuple(sorted(found | ({str(above)} if above is not None else set())))
