"""What else no workload may look into: directories of coordinators on this machine, and files of the agent.

They hold the cluster's keys and join tokens. An agent that is not root runs its workloads as its own user,
who may own a coordinator too.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from swarmlet.model import places

#: Where a coordinator keeps its files unless it was told otherwise; ``~`` is the user's home.
USUAL = ("/var/lib/stratoswarm", "/data", "~/.local/state/stratoswarm")


def coordinator_above(data_dir: str) -> Path | None:
    """Return the directory around ``data_dir`` when it is a coordinator's, as ``stratoswarm up`` has it."""
    above = Path(os.path.abspath(data_dir)).parent  # noqa: PTH100 - links stay as they were given
    return above if (above / places.DATABASE).exists() else None


def files_of(paths: Iterable[str]) -> tuple[str, ...]:
    """Return those of ``paths`` that are files now, as absolute paths; a pipe holds nothing to be read twice.

    Looked for at each start: such a file may be written, and removed, while the agent runs.
    """
    return tuple(os.path.abspath(one) for one in paths if os.path.isfile(one))  # noqa: PTH100, PTH113


def coordinators(data_dir: str) -> tuple[str, ...]:
    """Return the directories of coordinators that are known to be here, as far as they can be seen."""
    above = coordinator_above(data_dir)
    usual = (Path(os.path.expanduser(place)) for place in USUAL)  # noqa: PTH111 - never raises
    found = {str(one) for one in usual if os.access(one / places.DATABASE, os.F_OK)}
    return tuple(sorted(found | ({str(above)} if above is not None else set())))
