"""Unique node names: the asked one, or the asked one with the lowest free number from 2 (``pi``, ``pi-2``).

The rule is applied inside the transaction that admits the node, so two devices of one name both get in at
once. A name is held until its node is removed. ``suffix`` remembers for each name the number below which
all are held; without it a thousand devices called ``raspberrypi`` would cost half a million look-ups.
"""

from __future__ import annotations

import sqlite3

from swarmlet.model.names import number_in, with_number


def choose(db: sqlite3.Connection, asked: str) -> str:
    """Return the name a newcomer that asked for ``asked`` gets."""
    if not _held(db, asked):
        return asked
    row = db.execute("SELECT next FROM suffix WHERE base = ?", (asked,)).fetchone()
    number = 2 if row is None else int(row[0])
    while _held(db, with_number(asked, number)):
        number += 1
    db.execute(
        "INSERT INTO suffix (base, next) VALUES (?, ?) ON CONFLICT (base) DO UPDATE SET next = excluded.next",
        (asked, number + 1),
    )
    return with_number(asked, number)


def release(db: sqlite3.Connection, name: str) -> None:
    """Let the number in a freed name be given again."""
    numbered = number_in(name)
    if numbered is not None:
        db.execute("UPDATE suffix SET next = min(next, ?) WHERE base = ?", (numbered[1], numbered[0]))


def _held(db: sqlite3.Connection, name: str) -> bool:
    return db.execute("SELECT 1 FROM node WHERE name_key = ?", (name,)).fetchone() is not None
