"""Bodies of anti-entropy in pieces that fit into control frames. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from swarmlet._native import MAX_BODY
from swarmlet.link.messages import MeshBody

#: The longest piece of a body (``docs/protocol.md``, *Anti-entropy*): half a frame.
_PIECE: Final = 32 * 1024


def pieces(body: bytes) -> Iterator[MeshBody]:
    """Yield the pieces of a body, in order."""
    for start in range(0, max(len(body), 1), _PIECE):
        yield MeshBody(body[start : start + _PIECE], more=start + _PIECE < len(body))


class Assembly:
    """Puts the pieces of one connection together; what is too long is dropped whole."""

    def __init__(self) -> None:
        self._held = bytearray()
        self._spoilt = False

    def take(self, piece: MeshBody) -> bytes | None:
        """Return the body that a piece completes, or ``None``."""
        self._spoilt |= len(self._held) + len(piece.data) > MAX_BODY
        if self._spoilt:
            self._held.clear()
        else:
            self._held += piece.data
        if piece.more:
            return None
        body, spoilt = bytes(self._held), self._spoilt
        self._held.clear()
        self._spoilt = False
        return None if spoilt else body
