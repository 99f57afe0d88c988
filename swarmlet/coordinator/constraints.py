"""The grammar of placement constraints: ``KEY==VALUE`` and ``KEY!=VALUE``. Pure text work.

``name``, ``id``, ``arch``, ``class`` and ``device`` speak of the node itself; any other key is a label, and
``label.KEY`` is a label even when its key is one of those words. Values are compared without regard to case;
architectures have one name each (``amd64`` is ``x86_64``, ``aarch64`` is ``arm64``).
"""

from __future__ import annotations

import re
from typing import NamedTuple

from swarmlet.model.records import NodeRecord

_FORM = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9_./-]{0,62})\s*(==|!=)\s*(.{0,253}?)\s*\Z")
_LABEL = "label."
_ARCHITECTURES = {
    "amd64": "x86_64",
    "x64": "x86_64",
    "aarch64": "arm64",
    "armv7l": "armv7",
    "armhf": "armv7",
}


class Constraint(NamedTuple):
    """One condition a node must meet. ``text`` is as it was written."""

    text: str
    key: str
    equal: bool
    value: str


def parse_constraint(text: str) -> Constraint:
    """Read one constraint.

    Raises:
        ValueError: The text is none; the message says what would be.
    """
    match = _FORM.match(text)
    if match is None:
        raise ValueError(f"{text[:80]!r} is not KEY==VALUE or KEY!=VALUE")
    key, operator, value = match.groups()
    if key == _LABEL:
        raise ValueError(f"{text[:80]!r} names no label")
    return Constraint(text.strip(), key, operator == "==", value)


def architecture(name: str) -> str:
    """Return the one name of an architecture."""
    lowered = name.lower()
    return _ARCHITECTURES.get(lowered, lowered)


def value_of(node: NodeRecord, key: str) -> str | None:
    """Return what ``key`` is on ``node``; ``None`` when it has no such label or the fact is not known."""
    if key.startswith(_LABEL):
        return node.labels.get(key.removeprefix(_LABEL))
    own = {
        "name": node.name,
        "id": node.node_uid,
        "arch": node.profile.hardware.architecture,
        "class": node.profile.classification.node_class,
        "device": node.profile.hardware.device_type,
    }
    return own[key] if key in own else node.labels.get(key)


def explain(constraint: Constraint, node: NodeRecord) -> str | None:
    """Return why ``node`` does not meet ``constraint``, or ``None`` when it does."""
    found = value_of(node, constraint.key)
    same = found is not None and _same(constraint.key, found, constraint.value)
    if same == constraint.equal:
        return None
    if found is None:
        return f"{constraint.text}: it has no {constraint.key}"
    return f"{constraint.text}: its {constraint.key} is {found}"


def _same(key: str, found: str, wanted: str) -> bool:
    if key == "arch":
        return architecture(found) == architecture(wanted)
    return found.lower() == wanted.lower()
