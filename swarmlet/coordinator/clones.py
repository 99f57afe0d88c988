"""Tells when two devices speak with one identity: a copied memory card, a copied volume (C5). Pure.

A device that loses its connection comes back and takes the place of its old one: that is usual. Two devices
take each other's place by turns. What gives them away: a boot that is over never comes back, so a boot id
that returns after another one is of a second device. Two agents of one boot (a copied volume on one host)
only take turns faster than any network does.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import Final

#: Boots that are remembered of a node.
_BOOTS: Final = 8
#: So many living connections of a node replaced by another within so many seconds are no accident.
_TURNS: Final = 3
_WITHIN_S: Final = 600.0
#: Seconds that a suspicion lasts after its last sign, and after which it is recorded again.
LASTS_S: Final = 3600.0
#: Nodes that are watched; those heard of longest ago are forgotten first.
_NODES: Final = 20_000


class _History:
    __slots__ = ("boots", "recorded", "suspected", "turns")

    def __init__(self) -> None:
        self.boots: deque[str] = deque(maxlen=_BOOTS)
        self.turns: deque[float] = deque(maxlen=_TURNS)
        self.suspected: tuple[float, str] | None = None
        self.recorded: float | None = None


class Clones:
    """Watches greetings. Seconds are on the boot clock."""

    def __init__(self) -> None:
        self._nodes: OrderedDict[str, _History] = OrderedDict()

    def greeted(self, node_uid: str, boot_id: str, *, replaced: bool, now: float) -> str | None:
        """Take a greeting.

        Args:
            node_uid: Who it says it is.
            boot_id: Since which boot it speaks.
            replaced: Whether it took the place of a connection that was well, other than to renew.
            now: When.

        Returns:
            What is to be recorded: a new suspicion, or one that was recorded long ago.
        """
        history = self._nodes.setdefault(node_uid, _History())
        self._nodes.move_to_end(node_uid)
        if len(self._nodes) > _NODES:
            self._nodes.popitem(last=False)
        why = _sign(history, boot_id, replaced=replaced, now=now)
        if why is None:
            return None
        history.suspected = (now, why)
        if history.recorded is not None and now - history.recorded < LASTS_S:
            return None
        history.recorded = now
        return why

    def suspicion(self, node_uid: str, now: float) -> str | None:
        """Return why two devices seem to speak as this node, if there was a sign of it lately."""
        history = self._nodes.get(node_uid)
        if history is None or history.suspected is None or now - history.suspected[0] > LASTS_S:
            return None
        return history.suspected[1]

    def suspected(self, now: float) -> dict[str, str]:
        """Return every node that is under suspicion, and why."""
        found = ((node_uid, self.suspicion(node_uid, now)) for node_uid in self._nodes)
        return {node_uid: why for node_uid, why in found if why is not None}


def _sign(history: _History, boot_id: str, *, replaced: bool, now: float) -> str | None:
    """Note one greeting; return what gives two devices away, if it does."""
    before = history.boots[-1] if history.boots else boot_id
    returned = boot_id != before and boot_id in history.boots
    if boot_id in history.boots:
        history.boots.remove(boot_id)
    history.boots.append(boot_id)
    if returned:
        return f"boot {boot_id[:8]} speaks again after boot {before[:8]}, so there are two devices"
    if not replaced:
        return None
    history.turns.append(now)
    if len(history.turns) == _TURNS and now - history.turns[0] <= _WITHIN_S:
        return f"its connection was replaced by another {_TURNS} times in {_WITHIN_S / 60:.0f} minutes"
    return None
