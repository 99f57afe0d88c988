"""The output of one replica: a ring in memory, so that no card wears out and no log fills a disk.

Bytes are kept raw, each with the stream it came from and its offset since the beginning, so that a follower
always knows how much it missed. A follower has no queue: it holds an offset and reads when it is ready, so a
slow one costs nothing. Nothing here touches a disk or a socket. One event loop; not for threads.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncGenerator
from typing import NamedTuple

STDOUT = 1
STDERR = 2

#: Bytes kept of each replica; the price of a noisy one.
RING_BYTES = 256 * 1024
#: Lines kept of each replica.
RING_LINES = 10_000
#: Output of ended replicas kept together, in bytes; the one that ended first goes first.
ENDED_BYTES = 2 * 1024 * 1024
#: The largest chunk a follower is given, in bytes.
CHUNK_BYTES = 32 * 1024
#: Bytes a second that are read of one replica's output; far above any log, far below a flood.
READ_RATE = 4.0 * 1024 * 1024
#: Bytes that may be read at once beyond that.
READ_BURST = 512.0 * 1024
#: Pieces are filled up to this many bytes, so that many small writes do not become many objects.
_PIECE_BYTES = 4096
#: What a piece costs besides its bytes, counted against the ring.
_PIECE_COST = 64


class Chunk(NamedTuple):
    """Output from ``offset`` on; ``missed`` bytes before it were dropped before the reader came."""

    offset: int
    stream: int
    data: bytes
    missed: int


class _Piece:
    __slots__ = ("data", "lines", "offset", "stream")

    def __init__(self, offset: int, stream: int) -> None:
        self.offset = offset
        self.stream = stream
        self.data = bytearray()
        self.lines = 0

    @property
    def end(self) -> int:
        return self.offset + len(self.data)


class Ring:
    """The last output of one replica, over all its restarts."""

    def __init__(self, max_bytes: int = RING_BYTES, max_lines: int = RING_LINES) -> None:
        """Keep at most about ``max_bytes`` bytes and ``max_lines`` lines."""
        self._max_bytes = max_bytes
        self._max_lines = max_lines
        self._piece_bytes = max(1, min(_PIECE_BYTES, max_bytes // 16))
        self._pieces: deque[_Piece] = deque()
        self._cost = 0
        self._lines = 0
        self._waiters: set[asyncio.Future[None]] = set()
        self.end = 0
        self.closed = False

    @property
    def start(self) -> int:
        """Offset of the oldest byte kept."""
        return self._pieces[0].offset if self._pieces else self.end

    @property
    def size(self) -> int:
        """What the ring costs, in bytes."""
        return self._cost

    def append(self, stream: int, data: bytes | memoryview) -> None:
        """Add ``data`` of ``stream``, dropping the oldest output when there is too much."""
        view = memoryview(data)
        while view:
            piece = self._piece_for(stream)
            part = bytes(view[: self._piece_bytes - len(piece.data)])
            view = view[len(part) :]
            lines = part.count(b"\n")
            piece.data += part
            piece.lines += lines
            self._lines += lines
            self._cost += len(part)
            self.end += len(part)
            self._evict()
        self._wake()

    def close(self) -> None:
        """No more will come: followers end once they have read what is there."""
        self.closed = True
        self._wake()

    def reopen(self) -> None:
        """The replica starts again after all."""
        self.closed = False

    async def grown(self) -> None:
        """Return once there is more output, or no more will come."""
        await self._changed()

    def tail(self, lines: int | None) -> int:
        """Return the offset at which the last ``lines`` lines begin (``None``: all that is kept)."""
        if lines is None:
            return self.start
        if lines <= 0:
            return self.end
        wanted = lines
        for piece in reversed(self._pieces):
            at = len(piece.data)
            while (at := piece.data.rfind(b"\n", 0, at)) >= 0:
                # The newline that ends the output begins no further line.
                if piece.offset + at + 1 == self.end:
                    continue
                wanted -= 1
                if wanted == 0:
                    return piece.offset + at + 1
        return self.start

    def read(self, offset: int, limit: int = CHUNK_BYTES) -> Chunk | None:
        """Return up to ``limit`` bytes of one stream from ``offset`` on; ``None`` when none are there yet."""
        if offset >= self.end or not self._pieces:
            return None
        begin = max(offset, self.start)
        found = bytearray()
        stream = 0
        for piece in self._pieces:
            if piece.end <= begin:
                continue
            if found and piece.stream != stream:
                break
            stream = piece.stream
            found += piece.data[max(0, begin - piece.offset) :][: limit - len(found)]
            if len(found) >= limit:
                break
        return Chunk(begin, stream, bytes(found), begin - offset)

    async def follow(self, *, tail: int | None, follow: bool) -> AsyncGenerator[Chunk, None]:
        """Yield output from the last ``tail`` lines on, to what is there now or (``follow``) to the end."""
        cursor = self.tail(tail)
        last = None if follow else self.end
        while True:
            limit = CHUNK_BYTES if last is None else min(CHUNK_BYTES, last - cursor)
            chunk = self.read(cursor, limit) if limit > 0 else None
            if chunk is not None:
                cursor = chunk.offset + len(chunk.data)
                yield chunk
            elif self.closed or last is not None:
                return
            else:
                await self._changed()

    def _piece_for(self, stream: int) -> _Piece:
        if self._pieces:
            last = self._pieces[-1]
            if last.stream == stream and len(last.data) < self._piece_bytes:
                return last
        piece = _Piece(self.end, stream)
        self._pieces.append(piece)
        self._cost += _PIECE_COST
        return piece

    def _evict(self) -> None:
        while len(self._pieces) > 1 and (self._cost > self._max_bytes or self._lines > self._max_lines):
            gone = self._pieces.popleft()
            self._cost -= len(gone.data) + _PIECE_COST
            self._lines -= gone.lines

    def _wake(self) -> None:
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)
        self._waiters.clear()

    async def _changed(self) -> None:
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.add(waiter)
        try:
            await waiter
        finally:
            self._waiters.discard(waiter)


class Pace:
    """How fast output is read: who prints without end waits for the agent, not the agent for him."""

    def __init__(self, rate: float = READ_RATE, burst: float = READ_BURST) -> None:
        """Allow ``rate`` bytes a second on average, ``burst`` bytes at once."""
        self._rate = rate
        self._burst = burst
        self._debt = 0.0
        self._at = 0.0

    def spend(self, size: int, now: float) -> float:
        """Count ``size`` bytes read at ``now`` (seconds); return how long to pause before the next read."""
        self._debt = max(0.0, self._debt - (now - self._at) * self._rate) + size
        self._at = now
        return max(0.0, (self._debt - self._burst) / self._rate)


class Outputs:
    """The rings of all replicas by assignment; those of ended ones are kept while there is room."""

    def __init__(self, ended_bytes: int = ENDED_BYTES) -> None:
        """Keep at most ``ended_bytes`` of output of ended replicas."""
        self._ended_bytes = ended_bytes
        self._rings: dict[str, Ring] = {}
        self._ended: OrderedDict[str, Ring] = OrderedDict()

    def open(self, assignment_id: str) -> Ring:
        """Return the ring of an assignment that is about to run, made when there is none."""
        ring = self._rings.get(assignment_id) or self._ended.pop(assignment_id, None) or Ring()
        ring.reopen()
        self._rings[assignment_id] = ring
        return ring

    def find(self, assignment_id: str) -> Ring | None:
        """Return the ring of an assignment, or ``None`` when nothing of it is kept."""
        return self._rings.get(assignment_id) or self._ended.get(assignment_id)

    def end(self, assignment_id: str) -> None:
        """The assignment is over: keep its output while there is room."""
        ring = self._rings.pop(assignment_id, None)
        if ring is None:
            return
        ring.close()
        self._ended[assignment_id] = ring
        while len(self._ended) > 1 and sum(one.size for one in self._ended.values()) > self._ended_bytes:
            self._ended.popitem(last=False)
