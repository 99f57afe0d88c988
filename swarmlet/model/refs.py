"""How people name things: by name, by id, or by a prefix that fits only one. Pure text work."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from swarmlet.errors import error
from swarmlet.model.text import printable

#: How many candidates an ambiguous reference lists.
_SHOWN = 5
#: How much of a reference an error repeats.
_REPEATED = 80


class Named(NamedTuple):
    """A thing that can be referred to.

    ``current`` ones go before those of the past with the same name, and of those the one with the highest
    ``since`` goes before the others.
    """

    identifier: str
    name: str
    current: bool = True
    since: int = 0


def matches(reference: str, things: Iterable[Named]) -> list[Named]:
    """Return what ``reference`` may mean: an exact id, else an exact name, else every prefix match.

    Things of the past are only meant when nothing current is; a name then means the newest that had it.
    """
    if not reference:
        return []
    everything = list(things)
    lowered = reference.lower()
    exact = [thing for thing in everything if thing.identifier == reference]
    named = [thing for thing in everything if thing.name == reference]
    begun = [
        thing
        for thing in everything
        if thing.identifier.startswith(lowered) or thing.name.startswith(reference)
    ]
    found = exact or named or begun
    return [thing for thing in found if thing.current] or _newest(found, reference)


def _newest(things: list[Named], reference: str) -> list[Named]:
    """Leave out those whose name a newer one had too; all that were meant by their id stay."""
    newest: dict[str, Named] = {}
    for thing in things:
        other = newest.get(thing.name)
        if other is None or thing.since >= other.since:
            newest[thing.name] = thing
    return [
        thing
        for thing in things
        if newest[thing.name] is thing or thing.identifier.startswith(reference.lower())
    ]


def resolve(reference: str, things: Iterable[Named], absent: str) -> str:
    """Return the id of the one thing meant.

    Args:
        reference: What a person wrote.
        things: Everything it could mean.
        absent: The catalogue code to raise when it means nothing, such as ``SWL-605``.

    Raises:
        SwarmletError: ``absent``, or ``SWL-606`` when several things fit.
    """
    found = matches(reference, things)
    if not found:
        raise error(absent, name=_sayable(reference))
    if len(found) > 1:
        shown = [f"{thing.name} ({thing.identifier[:12]})" for thing in found[:_SHOWN]]
        more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
        raise error("SWL-606", name=_sayable(reference), matches=", ".join(shown) + more)
    return found[0].identifier


def _sayable(reference: str) -> str:
    """Return a reference as an error may repeat it: short, and without control characters."""
    plain = printable(reference)
    return plain if len(plain) <= _REPEATED else f"{plain[:_REPEATED]}..."
