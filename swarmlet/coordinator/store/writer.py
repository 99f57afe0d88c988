"""The one thread that writes: takes what is queued, applies it in one transaction, commits once, answers all.

Group commit: commands that arrive while the disk syncs wait together and share the next sync, so a thousand
joins cost a few hundred syncs, and a single one waits for nobody. Each command has its own savepoint: a
refused one leaves nothing, and its neighbours do not notice. An answer is given only after the commit that
holds it (N1).

On a full disk only urgent work is done, from the room of the reserve (``reserve.py``).
"""

from __future__ import annotations

import asyncio
import collections
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple

from swarmlet.clock import Clock
from swarmlet.coordinator.store.connection import full, is_full, translate
from swarmlet.coordinator.store.reserve import Reserve
from swarmlet.errors import SwarmletError, error

#: Most commands of one transaction: bounds how long the first of them waits.
MAX_BATCH: Final = 128

#: Seconds between looks at a disk that was full, while nobody wants anything of it.
LOOK_FOR_ROOM_S: Final = 5.0


class Waiting(NamedTuple):
    """One piece of work and who waits for its outcome.

    ``answered`` is called on ``loop`` when the work is over, whether or not anyone still waits for it.
    ``urgent`` work may use the reserve.
    """

    work: Callable[[sqlite3.Connection], object]
    answer: asyncio.Future[Any]
    loop: asyncio.AbstractEventLoop
    answered: Callable[[], None]
    urgent: bool = False


class _Done(NamedTuple):
    """An outcome that is on disk."""

    value: object


_Outcome = _Done | SwarmletError


class Writer:
    """Owner of the writing connection. Started by its constructor, ended by :meth:`stop`."""

    def __init__(self, db: sqlite3.Connection, path: Path, clock: Clock, reserve: Reserve) -> None:
        self._db = db
        self._reserve = reserve
        self._path = path
        self._clock = clock
        self._queue: collections.deque[Waiting] = collections.deque()
        self._wake = threading.Condition()
        self._stopping = False
        self._stats = dict.fromkeys(
            ("commands", "refused", "commits", "failed_commits", "largest_batch", "slowest_commit_us"), 0
        )
        self._thread = threading.Thread(target=self._run, name="store-writer", daemon=True)
        self._thread.start()

    def put(self, waiting: Waiting) -> None:
        """Queue one command; the caller bounds how many are under way."""
        with self._wake:
            if self._stopping:
                raise error("SWL-799", detail="the cluster database is closed")
            self._queue.append(waiting)
            self._wake.notify()

    def stats(self) -> dict[str, int]:
        """Return counters since start, and what the reserve holds now, in bytes."""
        return {**self._stats, "reserve_bytes": self._reserve.held}

    @property
    def short_of_room(self) -> bool:
        """Whether the disk was full and the reserve is not whole again."""
        return not self._reserve.whole

    def stop(self) -> None:
        """Apply what is queued, end the thread and close the connection; blocks, idempotent."""
        with self._wake:
            self._stopping = True
            self._wake.notify()
        self._thread.join()

    def _run(self) -> None:
        while True:
            batch = self._take()
            if batch:
                _answer(batch, self._done(batch))
            elif self._stopping:
                break
            else:
                self._reserve.fill()
        # The last connection to close folds the write-ahead log into the file.
        self._db.close()

    def _take(self) -> list[Waiting]:
        """Return everything that waits; nothing once stopped and empty, or to look for room."""
        patience = None if self._reserve.whole else LOOK_FOR_ROOM_S
        with self._wake:
            self._wake.wait_for(lambda: self._queue or self._stopping, patience)
            return [self._queue.popleft() for _ in range(min(len(self._queue), MAX_BATCH))]

    def _done(self, batch: list[Waiting]) -> list[_Outcome]:
        """Do what can be done of a batch with the room there is."""
        if self._reserve.fill():
            failure = self._try(batch)
            if isinstance(failure, list):
                return failure
            if not is_full(failure, self._path):
                # One exception each: a raised exception collects the traceback of whoever awaits it.
                return [translate(failure, self._path) for _ in batch]
        done = iter(self._urgently([waiting for waiting in batch if waiting.urgent]))
        return [next(done) if waiting.urgent else full(self._path) for waiting in batch]

    def _urgently(self, urgent: list[Waiting]) -> list[_Outcome]:
        """Do what must be done, giving up as much of the reserve as that takes."""
        while urgent:
            tried = self._try(urgent)
            if isinstance(tried, list):
                self._fold()
                return tried
            if not is_full(tried, self._path) or not self._reserve.release():
                return [translate(tried, self._path) for _ in urgent]
        return []

    def _fold(self) -> None:
        """Fold the write-ahead log into the file, so that what is urgent next needs hardly any room."""
        try:
            self._db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        except sqlite3.Error:
            self._reserve.release()

    def _try(self, batch: list[Waiting]) -> list[_Outcome] | sqlite3.Error:
        """Do a batch in one transaction; return what became of it, or why none of it is on disk."""
        began = self._clock.boot()
        try:
            self._db.execute("BEGIN IMMEDIATE")
            outcomes = [self._one(waiting.work) for waiting in batch]
            self._db.execute("COMMIT")
        except sqlite3.Error as failure:
            self._stats["failed_commits"] += 1
            self._rollback()
            return failure
        self._count(outcomes, self._clock.boot() - began)
        return outcomes

    def _one(self, work: Callable[[sqlite3.Connection], object]) -> _Outcome:
        """Do one piece of work in its savepoint; only a failure of the database itself is raised."""
        self._db.execute("SAVEPOINT work")
        try:
            outcome: _Outcome = _Done(work(self._db))
        except SwarmletError as refusal:
            outcome = refusal
        except sqlite3.IntegrityError as broken:
            outcome = error("SWL-799", detail=f"a law of the state would be broken: {broken}")
        except sqlite3.Error:
            raise
        except Exception as bug:  # noqa: BLE001 - a bug in one piece of work must not end the writer of all
            outcome = error("SWL-799", detail=f"{type(bug).__name__}: {bug}")
            outcome.__cause__ = bug
        if not isinstance(outcome, _Done):
            self._db.execute("ROLLBACK TO work")
        self._db.execute("RELEASE work")
        return outcome

    def _rollback(self) -> None:
        # SQLite has already rolled back by itself after some failures (a full disk is one).
        if self._db.in_transaction:
            try:
                self._db.execute("ROLLBACK")
            except sqlite3.Error:
                self._stats["failed_commits"] += 1

    def _count(self, outcomes: list[_Outcome], took_s: float) -> None:
        stats = self._stats
        stats["commits"] += 1
        stats["commands"] += len(outcomes)
        stats["refused"] += sum(not isinstance(outcome, _Done) for outcome in outcomes)
        stats["largest_batch"] = max(stats["largest_batch"], len(outcomes))
        stats["slowest_commit_us"] = max(stats["slowest_commit_us"], int(took_s * 1e6))


def _answer(batch: list[Waiting], outcomes: list[_Outcome]) -> None:
    """Hand every outcome to the loop that waits for it, one wake-up a loop."""
    by_loop: dict[asyncio.AbstractEventLoop, list[tuple[Waiting, _Outcome]]] = {}
    for waiting, outcome in zip(batch, outcomes, strict=True):
        by_loop.setdefault(waiting.loop, []).append((waiting, outcome))
    for loop, answers in by_loop.items():
        try:
            loop.call_soon_threadsafe(_deliver, answers)
        except RuntimeError:
            # The loop is closed: whoever asked is gone. What was committed stays committed.
            continue


def _deliver(answers: list[tuple[Waiting, _Outcome]]) -> None:
    for waiting, outcome in answers:
        waiting.answered()
        if waiting.answer.done():
            continue
        if isinstance(outcome, _Done):
            waiting.answer.set_result(outcome.value)
        else:
            waiting.answer.set_exception(outcome)
