"""Opening the database file: looked at before it is touched, made whole or not at all, migrated in one step.

This file knows SQLite's files and settings; it knows no table beyond what a check needs, and no command.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from swarmlet.coordinator.store import schema
from swarmlet.errors import SwarmletError, error

#: Larger files have only their state tables checked at open; the log's hash chain has its own check.
_WHOLE_CHECK_BYTES: Final = 512 * 1024 * 1024

#: How long a statement waits for another process that reads the file (a backup, a person's shell).
_BUSY_S: Final = 5.0

#: A disk with less room may fail a file that is mapped into memory, which is told as an input/output error.
_NEEDED_BYTES: Final = 64 * 1024

_DISK_FULL: Final = frozenset({sqlite3.SQLITE_FULL})
_DAMAGED: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_UNWRITABLE: Final = frozenset(
    {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_PERM}
)


def translate(failure: Exception, path: Path) -> SwarmletError:
    """Return the catalogue's error for a failure of SQLite, or of reading a row it gave."""
    code = getattr(failure, "sqlite_errorcode", None)
    primary = None if code is None else code & 0xFF
    if is_full(failure, path):
        return full(path)
    if primary in _UNWRITABLE:
        return error("SWL-301", path=str(path.parent), detail=str(failure))
    # The module's own complaint about text that is not UTF-8 is an OperationalError without a code.
    unreadable = isinstance(failure, ValueError | TypeError) or (
        isinstance(failure, sqlite3.OperationalError) and primary is None
    )
    if primary in _DAMAGED or unreadable:
        return error("SWL-602", path=str(path), detail=str(failure))
    return error("SWL-799", detail=f"the cluster database: {failure}")


def full(path: Path) -> SwarmletError:
    """Return the refusal of what finds no room on the disk."""
    return error("SWL-302", path=str(path.parent))


def is_full(failure: Exception, path: Path) -> bool:
    """Say whether a failure is for want of room, which SQLite does not always say by that name."""
    primary = (getattr(failure, "sqlite_errorcode", None) or 0) & 0xFF
    if primary != sqlite3.SQLITE_IOERR:
        return primary in _DISK_FULL
    try:
        room = os.statvfs(path.parent)
    except OSError:
        return False
    return room.f_bavail * room.f_frsize < _NEEDED_BYTES


@contextlib.contextmanager
def translated(path: Path) -> Iterator[None]:
    """Turn failures of SQLite inside the block into errors of the catalogue."""
    try:
        yield
    except (sqlite3.Error, ValueError, TypeError) as failure:
        raise translate(failure, path) from failure
    except OSError as failure:
        raise error("SWL-301", path=str(path.parent), detail=failure.strerror or str(failure)) from failure


def open_writer(path: Path) -> sqlite3.Connection:
    """Open ``path`` for writing, after making or checking it.

    Args:
        path: The database file; its directory exists.

    Returns:
        A connection in autocommit mode that may be used from one other thread.

    Raises:
        StateError: ``SWL-602`` when the file is damaged or not ours (it was not changed then), ``SWL-609``
            when a newer version wrote it, ``SWL-301`` and ``SWL-302`` as usual.
    """
    with translated(path):
        if path.exists():
            _inspect(path)
        else:
            _create(path)
        db = _connect(f"{path.absolute().as_uri()}?mode=rw")
        try:
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = FULL")
            db.execute("PRAGMA foreign_keys = ON")
            migrate(db)
        except BaseException:
            db.close()
            raise
        return db


def open_reader(path: Path) -> sqlite3.Connection:
    """Open ``path`` for reading only; sees every commit that was acknowledged before a statement began."""
    with translated(path):
        return _connect(f"{path.absolute().as_uri()}?mode=ro")


def _connect(uri: str) -> sqlite3.Connection:
    db = sqlite3.connect(
        uri, uri=True, timeout=_BUSY_S, isolation_level=None, check_same_thread=False, cached_statements=256
    )
    db.execute("PRAGMA trusted_schema = OFF")
    db.execute("PRAGMA cell_size_check = ON")
    return db


def _create(path: Path) -> None:
    """Make the file beside its place and move it there: a file that exists is always a whole one."""
    draft = path.with_name(path.name + ".new")
    for leftover in (draft, *(draft.with_name(draft.name + end) for end in ("-wal", "-shm", "-journal"))):
        leftover.unlink(missing_ok=True)
    os.close(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
    db = _connect(f"{draft.absolute().as_uri()}?mode=rw")
    try:
        db.execute(f"PRAGMA application_id = {schema.APPLICATION_ID}")
        migrate(db)
    finally:
        db.close()
    draft.rename(path)
    _sync_directory(path.parent)


def _sync_directory(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _inspect(path: Path) -> None:
    """Check the file without being able to change it."""
    if path.stat().st_size == 0:
        raise error("SWL-602", path=str(path), detail="the file is empty")
    db = _connect(f"{path.absolute().as_uri()}?mode=ro")
    try:
        version = int(db.execute("PRAGMA user_version").fetchone()[0])
        ours = db.execute("PRAGMA application_id").fetchone()[0] == schema.APPLICATION_ID
        if not ours or version < 1:
            raise error("SWL-602", path=str(path), detail="it is not a cluster database")
        if version > schema.VERSION:
            raise error("SWL-609", path=str(path), theirs=str(version), ours=str(schema.VERSION))
        problem = _quick_check(db, path)
    finally:
        db.close()
    if problem:
        raise error("SWL-602", path=str(path), detail=problem)


def _quick_check(db: sqlite3.Connection, path: Path) -> str:
    """Return the first thing wrong with the structure of the file, or an empty string."""
    if path.stat().st_size <= _WHOLE_CHECK_BYTES:
        checks: tuple[str, ...] = ("PRAGMA quick_check(1)",)
    else:
        checks = tuple(f"PRAGMA quick_check({table})" for table in schema.STATE_TABLES)
    for check in checks:
        finding = str(db.execute(check).fetchone()[0])
        if finding != "ok":
            return finding.replace("\n", "; ")
    return ""


def migrate(db: sqlite3.Connection) -> None:
    """Bring the tables to this version, each step in one transaction."""
    version = int(db.execute("PRAGMA user_version").fetchone()[0])
    for number in range(version, schema.VERSION):
        db.execute("BEGIN IMMEDIATE")
        try:
            for statement in schema.MIGRATIONS[number]:
                db.execute(statement)
            db.execute(f"PRAGMA user_version = {number + 1}")
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise
