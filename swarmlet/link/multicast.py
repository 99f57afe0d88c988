"""Loads what speaks multicast DNS, for who looks and who is looked for."""

from __future__ import annotations

import logging


def load() -> None:
    """Import the library, which takes a fifth of a second: not on an event loop.

    Raises:
        ImportError: It is not installed.
    """
    import zeroconf.asyncio  # noqa: F401, PLC0415 - only while discovering or announcing

    # What strangers send is not worth a line each.
    logging.getLogger("zeroconf").setLevel(logging.CRITICAL)
