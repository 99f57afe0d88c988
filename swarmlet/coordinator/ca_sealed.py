"""What of the certificate authority is kept, as text, and the rules for the key that seals it. Pure.

The encryption itself is ``ca.py``'s; this is the form of what it writes and reads.
"""

from __future__ import annotations

import base64
import dataclasses
from typing import Final

#: Length of the key that seals the CA's keys.
KEK_BYTES: Final = 32

BEGIN: Final = "-----BEGIN SWARMLET SEALED KEY-----\n"
END: Final = "-----END SWARMLET SEALED KEY-----\n"


class SealError(ValueError):
    """A sealed key does not open: the key file is another one, or the sealed text was changed."""


@dataclasses.dataclass(frozen=True, slots=True)
class Sealed:
    """What is kept on disk, as PEM. ``root_key`` may be taken away; it is needed every second month.

    Attributes:
        root: The root's certificate.
        root_key: The root's key, sealed; ``None`` when it is kept elsewhere.
        intermediate: The signing intermediate's certificate, earlier ones, then its sealed key: one text, so
            that certificate and key change together.
    """

    root: str
    root_key: str | None
    intermediate: str


def checked(kek: bytes) -> bytes:
    """Return ``kek``; refuse one that protects nothing.

    A missing key must never come to mean an empty one (GHSA-cxm9-4m6p-24mc).

    Raises:
        SealError: It is empty, all zero, or of the wrong length.
    """
    if len(kek) != KEK_BYTES or not any(kek):
        raise SealError("the sealing key is empty or of the wrong length")
    return kek


def armour(closed: bytes) -> str:
    """Return sealed bytes as text, in the manner of PEM (RFC 7468)."""
    return f"{BEGIN}{base64.b64encode(closed).decode()}\n{END}"


def armoured(text: str) -> bytes:
    """Return the sealed bytes in ``text``.

    Raises:
        ValueError: There are none, or they are damaged.
    """
    _, begin, rest = text.partition(BEGIN)
    body, end, _ = rest.partition(END)
    if not begin or not end:
        raise ValueError("there is no sealed key in it")
    return base64.b64decode(body.strip(), validate=True)
