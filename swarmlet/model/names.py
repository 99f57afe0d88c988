"""Node names: one lower-case DNS label (RFC 1123, section 2.1). Pure text work."""

from __future__ import annotations

import re

#: The longest DNS label, in characters (RFC 1035, section 2.3.4).
MAX_NAME = 63

_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\Z")
_NOT_ALLOWED = re.compile(r"[^a-z0-9]+")


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


#: A label's key, and its value: what can be written in a constraint without quoting.
LABEL_KEY = r"^[A-Za-z0-9]([A-Za-z0-9._/-]{0,61}[A-Za-z0-9])?\Z"
LABEL_VALUE = r"^[A-Za-z0-9._:/@+-]{0,253}\Z"
