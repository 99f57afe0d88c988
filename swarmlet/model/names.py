"""Node names: one lower-case DNS label (RFC 1123, section 2.1). Pure text work."""

from __future__ import annotations

import re

#: The longest DNS label, in characters (RFC 1035, section 2.3.4).
MAX_NAME = 63

_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\Z")
_NOT_ALLOWED = re.compile(r"[^a-z0-9]+")
_NUMBERED = re.compile(r"(.+)-([1-9][0-9]{0,8})\Z")


def is_node_name(text: str) -> bool:
    """Say whether ``text`` can name a node as it stands."""
    return _NAME.match(text) is not None


def to_node_name(text: str) -> str | None:
    """Return the nearest valid node name, or ``None`` when nothing of ``text`` can be kept.

    Runs of anything that is not a letter or a digit become one hyphen: ``Anna's MacBook.local`` is
    ``anna-s-macbook-local``.
    """
    name = _NOT_ALLOWED.sub("-", text.lower()).strip("-")[:MAX_NAME].rstrip("-")
    return name or None


def with_number(asked: str, number: int) -> str:
    """Return ``asked`` with a number, cut so that it stays one DNS label."""
    suffix = f"-{number}"
    return asked[: MAX_NAME - len(suffix)].rstrip("-") + suffix


def number_in(name: str) -> tuple[str, int] | None:
    """Return what stands before the number of a name that has one from 2, and the number; else ``None``."""
    found = _NUMBERED.match(name)
    return (found[1], int(found[2])) if found and int(found[2]) >= 2 else None


def numbered_from(name: str, asked: str) -> bool:
    """Say whether ``name`` is what a node gets that asks for ``asked`` where that is taken."""
    found = number_in(name)
    return found is not None and with_number(asked, found[1]) == name


#: A label's key, and its value: what can be written in a constraint without quoting.
LABEL_KEY = r"^[A-Za-z0-9]([A-Za-z0-9._/-]{0,61}[A-Za-z0-9])?\Z"
LABEL_VALUE = r"^[A-Za-z0-9._:/@+-]{0,253}\Z"
