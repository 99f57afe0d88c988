"""Long answers of the container engine (events, output) read on the event loop, without a thread for each.

The control calls go through the ``docker`` package, which blocks; a thread for every running container would
be too much for a small board. Here a request is sent over the engine's unix socket as HTTP/1.0 (RFC 1945), so
that the answer is plain bytes until the engine closes. Nothing here knows what the bytes mean.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from swarmlet.workloads.output import STDERR, STDOUT

#: The longest head of an answer, and the longest line of one, in bytes.
LIMIT = 256 * 1024
#: Seconds for connecting and for the head of the answer.
HEAD_S = 15.0
#: Output is read in parts of at most this many bytes, whatever length a frame claims.
_PART = 32 * 1024


class EngineStreamError(Exception):
    """The engine did not answer, or not with a stream; the text says what it said."""


@contextlib.asynccontextmanager
async def open_stream(path: str, target: str, method: str = "GET") -> AsyncIterator[asyncio.StreamReader]:
    """Ask the engine behind the unix socket ``path`` for ``target``; give the body to read, until its end.

    Raises:
        EngineStreamError: No answer within the deadline, or a status other than 200.
    """
    try:
        async with asyncio.timeout(HEAD_S):
            reader, writer = await asyncio.open_unix_connection(path, limit=LIMIT)
    except OSError as failure:
        raise EngineStreamError(str(failure)) from failure
    try:
        async with asyncio.timeout(HEAD_S):
            length = "Content-Length: 0\r\n" if method == "POST" else ""
            writer.write(f"{method} {target} HTTP/1.0\r\nHost: engine\r\n{length}\r\n".encode("ascii"))
            await writer.drain()
            await _read_head(reader)
        yield reader
    except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as failure:
        raise EngineStreamError(str(failure) or type(failure).__name__) from failure
    finally:
        writer.close()


async def _read_head(reader: asyncio.StreamReader) -> None:
    head = await reader.readuntil(b"\r\n\r\n")
    status = head.split(b"\r\n", 1)[0].split(b" ")
    if len(status) < 2 or status[1] != b"200":
        said = (await reader.read(500)).decode("utf-8", "replace").strip()
        raise EngineStreamError(f"{status[1].decode('ascii', 'replace') if len(status) > 1 else '?'} {said}")


async def read_output(reader: asyncio.StreamReader) -> AsyncIterator[tuple[int, bytes]]:
    """Yield ``(stream, bytes)`` from the engine's multiplexed output until it ends.

    Each frame is stream (1 byte), three zero bytes, length (4 bytes, big endian), then that many bytes
    (Engine API, "Attach to a container", stream format).
    """
    while True:
        try:
            header = await reader.readexactly(8)
        except asyncio.IncompleteReadError:
            return
        stream = STDERR if header[0] == 2 else STDOUT
        left = int.from_bytes(header[4:], "big")
        while left:
            part = await reader.read(min(left, _PART))
            if not part:
                return
            left -= len(part)
            yield stream, part
