"""The one thread that writes: takes what is queued, applies it in one transaction, commits once, answers all.

Group commit: commands that arrive while the disk syncs wait together and share the next sync, so a thousand
joins cost a few hundred syncs, and a single one waits for nobody. Each command has its own savepoint: a
refused one leaves nothing, and its neighbours do not notice. An answer is given only after the commit that
holds it (N1).
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
from swarmlet.coordinator.store.connection import translate
from swarmlet.errors import SwarmletError, error

#: Most commands of one transaction: bounds how long the first of them waits.
MAX_BATCH: Final = 128


class Waiting(NamedTuple):
    """One piece of work and who waits for its outcome.

    ``answered`` is called on ``loop`` when the work is over, whether or not anyone still waits for it.
    """

    work: Callable[[sqlite3.Connection], object]
    answer: asyncio.Future[Any]
    loop: asyncio.AbstractEventLoop
    answered: Callable[[], None]


class _Done(NamedTuple):
    """An outcome that is on disk."""

    value: object


_Outcome = _Done | SwarmletError


class Writer:
    """Owner of the writing connection. Started by its constructor, ended by :meth:`stop`."""

    def __init__(self, db: sqlite3.Connection, path: Path, clock: Clock) -> None:
        self._db = db
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
        """Return counters since start."""
        return dict(self._stats)

    def stop(self) -> None:
        """Apply what is queued, end the thread and close the connection; blocks, idempotent."""
        with self._wake:
            self._stopping = True
            self._wake.notify()
        self._thread.join()

    def _run(self) -> None:
        while batch := self._take():
            outcomes = self._commit(batch)
            _answer(batch, outcomes)
        # The last connection to close folds the write-ahead log into the file.
        self._db.close()

    def _take(self) -> list[Waiting]:
        """Return everything that waits, at least one; nothing once stopped and empty."""
        with self._wake:
            while not self._queue and not self._stopping:
                self._wake.wait()
            return [self._queue.popleft() for _ in range(min(len(self._queue), MAX_BATCH))]

    def _commit(self, batch: list[Waiting]) -> list[_Outcome]:
        began = self._clock.boot()
        try:
            self._db.execute("BEGIN IMMEDIATE")
            outcomes = [self._one(waiting.work) for waiting in batch]
            self._db.execute("COMMIT")
        except sqlite3.Error as failure:
            self._stats["failed_commits"] += 1
            self._rollback()
            # One exception each: a raised exception collects the traceback of whoever awaits it.
            return [translate(failure, self._path) for _ in batch]
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
