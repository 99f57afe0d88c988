"""SHA-256 without OpenSSL. Pure.

``hashlib`` loads OpenSSL where Python was built with it: 4 MB of the agent's memory for a hash or two. The
interpreter's own implementation gives the same bytes; ``random`` of the standard library takes the same way.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def _builtin_sha256() -> Callable[[bytes], Any]:
    try:
        from _sha2 import sha256  # type: ignore[import-not-found,unused-ignore]  # noqa: PLC0415 - from 3.12 on
    except ImportError:
        try:
            from _sha256 import sha256  # type: ignore[import-not-found,unused-ignore]  # noqa: PLC0415 - 3.11
        except ImportError:
            from hashlib import sha256  # noqa: PLC0415 - an interpreter without its own
    found: Callable[[bytes], Any] = sha256
    return found


_sha256 = _builtin_sha256()


def sha256_hex(data: bytes) -> str:
    """Return the SHA-256 (FIPS 180-4) of ``data`` as 64 small hexadecimal digits."""
    digest: str = _sha256(data).hexdigest()
    return digest
