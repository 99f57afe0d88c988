"""What happened to nodes lately, from their leases and from the mesh, in the order it was heard. Pure.

Kept in memory and bounded: the log has what was decided, this is for whoever looks on.
"""

from __future__ import annotations

from collections import deque
from typing import Final, NamedTuple

#: How many are kept.
MOST: Final = 1000


class Happening(NamedTuple):
    """One thing that happened.

    Attributes:
        sequence: Its number; grows over restarts of the coordinator too.
        at_ms: Unix milliseconds by the coordinator's clock.
        source: ``lease``, which decides, or ``gossip``, which advises.
        what: A stable word.
        node_uid: About whom.
        detail: Why, or the text of a user's event.
    """

    sequence: int
    at_ms: int
    source: str
    what: str
    node_uid: str
    detail: str


class Happenings:
    """The newest :data:`MOST` of them.

    Args:
        first: Unix milliseconds: where numbers begin, so that those after a restart are greater.
    """

    def __init__(self, first: int) -> None:
        self._kept: deque[Happening] = deque(maxlen=MOST)
        self._last = first

    def add(self, at_ms: int, source: str, what: str, node_uid: str, detail: str = "") -> None:
        """Take one."""
        self._last += 1
        self._kept.append(Happening(self._last, at_ms, source, what, node_uid, detail))

    def after(self, sequence: int, most: int) -> tuple[Happening, ...]:
        """Return those after number ``sequence``, oldest first, the newest ``most`` of them."""
        found = [one for one in self._kept if one.sequence > sequence]
        return tuple(found[-most:])
