"""What every way of discovery has in common: it looks until it is told to end, and tells what it sees."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Protocol

from swarmlet.discovery.sighting import Sighting

Tell = Callable[[Sighting], None]


class Way(Protocol):
    """One way to find a cluster.

    ``name`` is for people. ``trouble`` says why nothing can come of it here, while or after it looks; empty
    when it simply looks. ``idle`` says that there is nothing to look at. ``ignored`` counts what came and was
    of no use, by reason.
    """

    name: str
    trouble: str
    idle: bool
    ignored: Counter[str]

    async def look(self, tell: Tell) -> None:
        """Look, and tell what is seen, until cancelled; return early when nothing more can come.

        Raises nothing for what the network or a stranger does.
        """
        ...
