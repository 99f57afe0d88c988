"""What the agent needs of its stages, declared by the agent, which is their consumer.

A stage fits a Protocol here by shape and never imports this file; ``app.py`` is where both meet. Nothing in
this file runs.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from typing import Protocol

from swarmlet.link.messages import Desired
from swarmlet.model.workload import Observation


class Workloads(Protocol):
    """The supervisor of everything this node runs (``swarmlet/workloads``).

    It owns the journal, the processes and the containers; it knows nothing of connections. All methods are
    called on the event loop and none blocks it: what must be on disk is awaited.

    It is made with: the data directory (``journal/`` and ``work/`` are its own), the limits of the config, a
    ``now_ms: Callable[[], int]`` for ``Observation.since_ms`` and the :class:`~swarmlet.clock.Clock`.
    """

    @property
    def generation(self) -> int:
        """The newest desired state that was applied and journalled; 0 before any."""
        ...

    @property
    def active(self) -> int:
        """How many replicas are preparing, running or stopping right now."""
        ...

    def subscribe(self, changed: Callable[[], None]) -> None:
        """Call ``changed`` on the event loop after every new observation; it returns at once."""
        ...

    async def start(self) -> None:
        """Read the journal and begin reconciling from it: before any network, for ever without one (N7).

        Returns when the journal was read and reconciling runs; it does not wait for a workload to be up.
        A journal with both slots damaged is kept aside and reported by :meth:`trouble`, never raised.
        """
        ...

    async def apply(self, desired: Desired) -> bool:
        """Journal ``desired`` and reconcile towards it; return after it is on disk.

        Returns:
            False when ``desired`` is a change whose ``base`` is not :attr:`generation`; nothing happened and
            the caller asks for a snapshot. A snapshot (``full``) always applies, also with a lower
            generation (a coordinator restored from a backup).
        """
        ...

    def observations(self) -> tuple[Observation, ...]:
        """The last observation of every assignment in the journal: what a ``Hello`` carries."""
        ...

    def unacknowledged(self) -> tuple[Observation, ...]:
        """Observations the coordinator has not confirmed, oldest first; kept until :meth:`acknowledge`."""
        ...

    async def acknowledge(self, taken: tuple[tuple[str, int, int], ...]) -> None:
        """Forget observations up to these ``(assignment_id, epoch, sequence)``: they are durable there."""
        ...

    def lease(self, *, held: bool) -> None:
        """Tell whether this node holds its lease; when not, ``on_partition: stop`` replicas end (N5)."""
        ...

    def logs(self, assignment_id: str, *, follow: bool, tail: int | None) -> AsyncGenerator[bytes, None]:
        """Yield the output of an assignment in chunks of at most 32 KiB.

        ``tail`` is the number of last lines to begin with (``None``: all that is kept). Without ``follow`` it
        ends at what is there now, with it when the replica ended. Closing the iterator frees its place.

        Raises:
            SwarmletError: ``SWL-504`` on the first step when the assignment is not here.
        """
        ...

    def trouble(self) -> str | None:
        """A sentence for ``/health`` when something needs a look (damaged journal, engine missing)."""
        ...

    async def stop_all(self, reason: str) -> None:
        """End every replica, containers too, and empty the journal: this node was removed or leaves."""
        ...

    async def close(self) -> None:
        """The agent ends: stop process replicas within their grace (at most 8 s), leave containers running.

        The journal keeps them, so that the next start runs them again (and adopts the containers).
        """
        ...
