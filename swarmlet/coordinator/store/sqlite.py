"""The embedded store: one SQLite file in WAL mode, one writing thread, a few reading ones.

A shell: it opens, queues, waits and closes. What a command does is ``apply.py``'s, what a read returns is
``queries.py``'s, how SQLite is set up is ``connection.py``'s. The interface and its laws are in ``api.py``.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import functools
import sqlite3
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Concatenate, Final, ParamSpec, Self, TypeVar

from swarmlet.clock import Clock
from swarmlet.coordinator.audit import AuditRecord, AuditVerdict, Head
from swarmlet.coordinator.store import queries
from swarmlet.coordinator.store.api import AdmissionFacts, Desired, Result, Snapshot, Touched
from swarmlet.coordinator.store.apply import apply, prune
from swarmlet.coordinator.store.commands import URGENT, AnyCommand
from swarmlet.coordinator.store.connection import open_reader, open_writer, translated
from swarmlet.coordinator.store.reserve import Reserve
from swarmlet.coordinator.store.writer import Waiting, Writer
from swarmlet.errors import SwarmletError, error
from swarmlet.model.membership import NodeState
from swarmlet.model.places import RESERVE as RESERVE_FILE
from swarmlet.model.records import AssignmentRecord, ClusterRecord, NodeRecord, TokenRecord, WorkloadRecord

_P = ParamSpec("_P")
_T = TypeVar("_T")

#: Most commands under way at once; further callers wait their turn.
CAPACITY: Final = 4096

#: Longest wait for a command, in seconds. A disk that takes longer is broken or gone.
WAIT_S: Final = 30.0

_READERS: Final = 2


class SqliteStore:
    """The :class:`~swarmlet.coordinator.store.api.Store` of one coordinator. Made by :meth:`open`."""

    def __init__(self, path: Path, writer: Writer, *, wait_s: float) -> None:
        self._path = path
        self._writer = writer
        self._wait_s = wait_s
        self._slots = asyncio.Semaphore(CAPACITY)
        self._closed = False
        self._local = threading.local()
        self._open_readers: list[sqlite3.Connection] = []
        self._readers = concurrent.futures.ThreadPoolExecutor(_READERS, "store-reader")

    @classmethod
    async def open(cls, path: Path, clock: Clock, *, wait_s: float = WAIT_S, reserve: int = 0) -> Self:
        """Open the database at ``path``, or make one when there is no file.

        Only one process may have it open for writing; whoever starts a coordinator sees to that with a lock.

        Args:
            path: The file; its directory exists.
            clock: For the commit times in :meth:`stats`.
            wait_s: Longest wait for a command, in seconds.
            reserve: Bytes to keep free beside the file for what must be recorded on a full disk (N9).

        Raises:
            StateError: ``SWL-602`` damaged (and unchanged), ``SWL-609`` of a newer version, ``SWL-301``
                unwritable, ``SWL-302`` disk full.
        """
        kept = Reserve(path.with_name(RESERVE_FILE), clock, reserve)
        db = await asyncio.to_thread(_open, path, kept)
        return cls(path, Writer(db, path, clock, kept), wait_s=wait_s)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self.close()

    async def apply(self, command: AnyCommand, late: Callable[[Result], None] | None = None) -> Result:
        """Apply one command durably; see the interface."""
        work = functools.partial(apply, command=command)
        return await self._write(work, late, urgent=isinstance(command, URGENT))

    async def cluster(self) -> ClusterRecord | None:
        """Return the cluster, or ``None`` before it was founded."""
        return await self._read(queries.cluster)

    async def snapshot(self) -> Snapshot:
        """Return everything of one moment."""
        return await self._read(queries.snapshot)

    async def touched(self, result: Result) -> Touched:
        """Return the rows that a result names."""
        return await self._read(queries.touched, result)

    async def nodes(self, *, removed: bool = False) -> tuple[NodeRecord, ...]:
        """Return all nodes by join time."""
        return await self._read(queries.nodes, removed=removed)

    async def node(self, node_uid: str) -> NodeRecord | None:
        """Return one node, removed or not."""
        return await self._read(queries.node, node_uid)

    async def nodes_by_fingerprint(self, fingerprint: str) -> tuple[NodeRecord, ...]:
        """Return the nodes of one hardware fingerprint, newest first."""
        return await self._read(queries.nodes_by_fingerprint, fingerprint)

    async def nodes_in_state(self, state: NodeState) -> tuple[NodeRecord, ...]:
        """Return the nodes in one state by join time."""
        return await self._read(queries.nodes_in_state, state)

    async def tokens(self) -> tuple[TokenRecord, ...]:
        """Return all tokens, newest first."""
        return await self._read(queries.tokens)

    async def token(self, jti: str) -> TokenRecord | None:
        """Return one token."""
        return await self._read(queries.token, jti)

    async def admission_facts(self, jti: str, csr_key: str, fingerprint: str | None) -> AdmissionFacts:
        """Return what bears on one join."""
        return await self._read(queries.admission_facts, jti, csr_key, fingerprint)

    async def workloads(self) -> tuple[WorkloadRecord, ...]:
        """Return all workloads, newest first."""
        return await self._read(queries.workloads)

    async def workload(self, workload_id: str) -> WorkloadRecord | None:
        """Return one workload."""
        return await self._read(queries.workload, workload_id)

    async def assignments(
        self, *, node_uid: str | None = None, workload_id: str | None = None, live: bool = False
    ) -> tuple[AssignmentRecord, ...]:
        """Return assignments by workload, replica and epoch."""
        return await self._read(queries.assignments, node_uid=node_uid, workload_id=workload_id, live=live)

    async def desired(self, node_uid: str) -> Desired | None:
        """Return what a node is asked to run, and its generation."""
        return await self._read(queries.desired, node_uid)

    async def generation(self, node_uid: str) -> int:
        """Return a node's desired generation."""
        return await self._read(queries.generation, node_uid)

    async def epoch(self, workload_id: str, replica: int) -> int:
        """Return the highest epoch ever given to a replica."""
        return await self._read(queries.epoch, workload_id, replica)

    async def denied_serials(self) -> tuple[str, ...]:
        """Return every serial that is to be refused."""
        return await self._read(queries.denied_serials)

    async def audit(
        self, *, before: int | None = None, limit: int = 100, everything: bool = False
    ) -> tuple[AuditRecord, ...]:
        """Return audit records, newest first."""
        return await self._read(queries.audit, before=before, limit=limit, everything=everything)

    async def verify_audit(self, trusted: Iterable[Head] = ()) -> AuditVerdict:
        """Check the whole chain."""
        return await self._read(queries.verify_audit, tuple(trusted))

    async def head(self) -> Head:
        """Return the newest record's number and hash."""
        return await self._read(queries.head)

    async def prune(self, before_ms: int) -> int:
        """Drop the payloads of frequent records older than ``before_ms``."""
        dropped = 0
        while part := await self._write(functools.partial(prune, before_ms=before_ms)):
            dropped += part
        return dropped

    def stats(self) -> dict[str, int]:
        """Return counters since start."""
        return self._writer.stats()

    @property
    def short_of_room(self) -> bool:
        """Whether the disk is full, so that only what is urgent is recorded."""
        return self._writer.short_of_room

    async def close(self) -> None:
        """Finish what was taken, then close; idempotent."""
        if self._closed:
            return
        self._closed = True
        await asyncio.to_thread(self._shut)

    # ---- threads

    async def _write(
        self,
        work: Callable[[sqlite3.Connection], _T],
        late: Callable[[_T], None] | None = None,
        *,
        urgent: bool = False,
    ) -> _T:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[_T] = loop.create_future()
        try:
            async with asyncio.timeout(self._wait_s):
                await self._slots.acquire()
                # The slot is given back when the work is over, not when somebody stops waiting for it: a disk
                # that hangs must not let the queue grow.
                self._writer.put(Waiting(work, answer, loop, self._slots.release, urgent))
                # What is queued is done, whoever stops waiting for it.
                return await asyncio.shield(answer)
        except TimeoutError as timeout:
            waited = "writing to the cluster database"
            raise error("SWL-205", what_waited=waited, seconds=f"{self._wait_s:g}") from timeout
        finally:
            if not answer.done():
                answer.add_done_callback(functools.partial(_told_late, late))

    async def _read(
        self, query: Callable[Concatenate[sqlite3.Connection, _P], _T], *args: _P.args, **kwargs: _P.kwargs
    ) -> _T:
        if self._closed:
            raise error("SWL-799", detail="the cluster database is closed")

        def run() -> _T:
            with translated(self._path):
                db = self._reader()
                db.execute("BEGIN")  # one moment for all statements of the query
                try:
                    return query(db, *args, **kwargs)
                finally:
                    db.execute("ROLLBACK")

        return await asyncio.get_running_loop().run_in_executor(self._readers, run)

    def _reader(self) -> sqlite3.Connection:
        """Return this thread's connection; one that could not be opened is tried again by the next read."""
        found: sqlite3.Connection | None = getattr(self._local, "db", None)
        if found is None:
            found = self._local.db = open_reader(self._path)
            self._open_readers.append(found)
        return found

    def _shut(self) -> None:
        self._readers.shutdown(wait=True)
        for db in self._open_readers:
            db.close()
        self._writer.stop()


def _open(path: Path, reserve: Reserve) -> sqlite3.Connection:
    """Open the file; the few bytes that takes come from the reserve when the disk is full."""
    while True:
        try:
            db = open_writer(path)
        except SwarmletError as failure:
            if failure.code != "SWL-302" or not reserve.release():
                raise
            continue
        reserve.fill()
        return db


def _told_late(late: Callable[[_T], None] | None, answer: asyncio.Future[_T]) -> None:
    """Hand on an outcome that nobody waited for; a refusal changed nothing."""
    if late is not None and not answer.cancelled() and answer.exception() is None:
        late(answer.result())
