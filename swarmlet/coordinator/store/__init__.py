"""Durable state: commands in, snapshots and a log out. Nothing outside this package writes state.

``api.py`` is the interface; open the embedded one with ``await SqliteStore.open(path, clock)`` from
``store/sqlite.py``.
"""
