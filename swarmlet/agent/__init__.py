"""The agent on a device: it joins the stages together, keeps one connection and ends in order.

Everything it needs of a stage goes through a Protocol in ``ports.py``; rules live in ``session.py`` and
``reconnect.py``, which touch nothing.

Importing it loads asyncio without OpenSSL. TLS is the native link's, so the agent never uses Python's, and
asyncio is content without it; the library would take five megabytes of a small device's memory. Whoever
imports ``ssl`` later gets it.
"""

import sys as _sys

if "asyncio" not in _sys.modules and "ssl" not in _sys.modules:
    # None makes ``import ssl`` fail as if it were not installed (importlib, "sys.modules").
    _sys.modules["ssl"] = None  # type: ignore[assignment]
    try:
        import asyncio as _asyncio  # noqa: F401
    finally:
        del _sys.modules["ssl"]
