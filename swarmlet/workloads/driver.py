"""What the supervisor asks of a way to run things, and what every way is given. Nothing here runs."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from typing import NamedTuple, Protocol

from swarmlet.model.workload import Assignment, Resources
from swarmlet.workloads.endings import Exit
from swarmlet.workloads.limits import Limits
from swarmlet.workloads.output import Ring

#: Failures that may pass by themselves: an engine that starts late, a full disk, no process slot.
PASSING: frozenset[str] = frozenset({"SWL-301", "SWL-302", "SWL-503", "SWL-508"})

#: Failures of :meth:`Driver.prepare` that say nothing of the workload: what this node lends is used up.
WAITING: frozenset[str] = frozenset({"SWL-506"})

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}\Z")


class Node(NamedTuple):
    """Whose workloads these are; several agents may share one machine and one engine."""

    cluster_id: str
    node_uid: str
    name: str


class Settings(NamedTuple):
    """What a supervisor is made with. ``data_dir`` holds ``journal/`` and ``work/``, which are its own.

    ``engine`` is the unix socket of the container engine, ``auto`` or ``off``. ``hidden`` are files elsewhere
    that are the agent's alone, such as its join token's.
    """

    data_dir: str
    node: Node
    limits: Limits = Limits()
    engine: str = "auto"
    hidden: tuple[str, ...] = ()


class Job(NamedTuple):
    """One attempt to run an assignment. ``bounds`` are its limits after what the node lends."""

    assignment: Assignment
    bounds: Resources


class Run(Protocol):
    """Something that runs."""

    @property
    def note(self) -> str:
        """What is not as asked, as a sentence; empty when all is."""
        ...

    async def wait(self) -> Exit:
        """Return how it ended, once its output was read."""
        ...

    async def terminate(self) -> None:
        """Ask all of it to end; never raises, it may be gone."""
        ...

    async def kill(self) -> None:
        """End all of it; never raises, it may be gone."""
        ...


class Driver(Protocol):
    """A way to run things."""

    async def begin(self) -> None:
        """End what must not outlive an earlier agent; never raises."""
        ...

    async def prepare(self, job: Job) -> None:
        """Make ready what the job needs; may be cancelled.

        Raises:
            SwarmletError: It cannot be made ready.
        """
        ...

    async def start(self, job: Job, ring: Ring) -> Run:
        """Start it, with its output going to ``ring``.

        Raises:
            SwarmletError: It cannot be started; nothing of it runs.
        """
        ...

    async def adopt(self, job: Job, ring: Ring) -> Run | None:
        """Return what runs of the job from before this agent, or just ended; ``None`` when nothing does.

        Raises:
            SwarmletError: Nobody can tell now.
        """
        ...

    async def clean(self, assignment: Assignment) -> None:
        """Free what nobody will look at once it ended; never raises."""
        ...

    async def remove(self, assignment: Assignment) -> None:
        """Leave nothing of it; never raises."""
        ...

    async def sweep(self, keep: Callable[[], Collection[Assignment]]) -> None:
        """Remove what belongs to this node and to none of ``keep``, asked once it is known; never raises."""
        ...

    def trouble(self) -> str | None:
        """Return a sentence when something needs a look."""
        ...

    async def close(self) -> None:
        """Let go of everything; what runs on without this agent is left running."""
        ...


def is_safe_name(assignment_id: str) -> bool:
    """Say whether an assignment's id can be a directory's name and a label's value."""
    return _NAME.match(assignment_id) is not None and ".." not in assignment_id


def variables(assignment: Assignment, node: Node) -> dict[str, str]:
    """Return the variables every workload is given besides its own."""
    return {
        "SWARM_ASSIGNMENT_ID": assignment.assignment_id,
        "SWARM_EPOCH": str(assignment.epoch),
        "SWARM_NODE_NAME": node.name,
    }


def bad_environment(env: dict[str, str]) -> str | None:
    """Return what makes ``env`` no environment, or ``None``."""
    for name, value in env.items():
        if not name or "=" in name or "\0" in name:
            return f"{name!r} cannot name an environment variable"
        if "\0" in value:
            return f"the value of the environment variable {name} holds a NUL character"
    return None
