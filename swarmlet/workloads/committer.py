"""Writes the journal when something must survive, once for a burst, and releases what waited for it in order.

It holds no rule: what must wait is marked by the machine. A write that fails is tried again, and what waits
goes on waiting.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Hashable

from swarmlet.errors import SwarmletError
from swarmlet.workloads.journal import Journal, JournalState

#: Seconds between two tries to write to a disk that is full or gone.
RETRY_S = 5.0


class Committer:
    """One writer of one journal."""

    def __init__(
        self,
        journal: Journal,
        state: Callable[[], JournalState],
        saved: Callable[[JournalState], None],
    ) -> None:
        """Write what ``state`` returns at the moment of writing; tell ``saved`` what is on disk."""
        self._journal = journal
        self._state = state
        self._saved = saved
        self._asked = asyncio.Event()
        self._waiting: deque[tuple[Hashable, Callable[[], None]]] = deque()
        self._queued: set[Hashable] = set()
        self._in_flight: set[Hashable] = set()
        self._flushes: list[asyncio.Future[None]] = []
        self._retry: asyncio.TimerHandle | None = None
        self.trouble: SwarmletError | None = None

    def request(self) -> None:
        """Have the state written soon; nobody waits for it."""
        self._asked.set()

    def after(self, key: Hashable, release: Callable[[], None], *, write: bool) -> None:
        """Run ``release`` once the state is on disk (``write``), behind all that waits for ``key``."""
        if not write and key not in self._in_flight and key not in self._queued:
            release()
            return
        self._waiting.append((key, release))
        self._queued.add(key)
        self._asked.set()

    async def flush(self) -> None:
        """Return once the state as it is now is on disk.

        Raises:
            SwarmletError: It could not be written; it will be tried again.
        """
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._flushes.append(done)
        self._asked.set()
        await done

    async def run(self) -> None:
        """Write whenever asked, for ever."""
        while True:
            await self._asked.wait()
            # Everything that happens in this turn of the loop shares one write.
            await asyncio.sleep(0)
            self._asked.clear()
            await self._write()

    async def _write(self) -> None:
        batch, self._waiting = self._waiting, deque()
        flushes, self._flushes = self._flushes, []
        self._in_flight, self._queued = self._queued, set()
        state = self._state()
        try:
            await asyncio.to_thread(self._journal.save, state)
        except SwarmletError as failure:
            self._failed(failure, batch, flushes)
            return
        self.trouble = None
        self._saved(state)
        for _, release in batch:
            release()
        self._in_flight = set()
        for flush in flushes:
            if not flush.done():
                flush.set_result(None)

    def _failed(
        self,
        failure: SwarmletError,
        batch: deque[tuple[Hashable, Callable[[], None]]],
        flushes: list[asyncio.Future[None]],
    ) -> None:
        self.trouble = failure
        self._waiting = batch + self._waiting
        self._queued |= self._in_flight
        self._in_flight = set()
        for flush in flushes:
            if not flush.done():
                flush.set_exception(failure)
        if self._retry is not None:
            self._retry.cancel()
        self._retry = asyncio.get_running_loop().call_later(RETRY_S, self._asked.set)
