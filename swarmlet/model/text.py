"""Text of others, fit to be shown. Pure."""

from __future__ import annotations


def printable(text: str, most: int | None = None) -> str:
    """Return text without control characters, so that a name from the wire cannot drive a terminal.

    Args:
        text: Anything.
        most: Characters to be shown; dots stand for the rest.
    """
    if most is not None and len(text) > most:
        return printable(text[: most - 3]) + "..."
    return "".join(character if character.isprintable() else "?" for character in text)
