"""Sends text as it comes: until it ends, its reader goes away or the coordinator stops.

The text is a workload's own, so nothing of ours may be mistaken for it: a failure follows a mark that the
workload cannot know, and when the coordinator stops the answer is left unfinished instead of ended.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncGenerator

from aiohttp import web

from swarmlet.coordinator.api import answers
from swarmlet.errors import SwarmletError

#: The response header that says what stands before a failure at the end of the text.
MARK = "Failure-Mark"


async def stream(
    request: web.Request, chunks: AsyncGenerator[bytes, None], stopping: asyncio.Event
) -> web.StreamResponse:
    """Answer with ``chunks``.

    A failure before the first chunk is an error like any other; one after it comes behind the mark.

    Raises:
        SwarmletError: As ``chunks`` does before its first chunk.
    """
    response = web.StreamResponse()
    response.content_type = "text/plain"
    response.charset = "utf-8"
    response.enable_chunked_encoding()
    mark = secrets.token_hex(16)
    response.headers[MARK] = mark
    async with contextlib.aclosing(chunks), contextlib.aclosing(_until(chunks, stopping)) as coming:
        try:
            async for chunk in coming:
                if not response.prepared:
                    await response.prepare(request)
                await response.write(chunk)
        except SwarmletError as failure:
            if not response.prepared:
                raise
            await response.write(mark.encode() + answers.body_of(failure))
        if not response.prepared:
            await response.prepare(request)
        if stopping.is_set() and request.transport is not None:
            request.transport.close()  # without the last chunk: there may be more to read from the next one
        else:
            await response.write_eof()
    return response


async def _until(chunks: AsyncGenerator[bytes, None], stopping: asyncio.Event) -> AsyncGenerator[bytes, None]:
    """Yield ``chunks`` until ``stopping`` is set."""
    stopped = asyncio.ensure_future(stopping.wait())
    coming: asyncio.Future[bytes | None] | None = None
    try:
        while True:
            coming = asyncio.ensure_future(anext(chunks, None))
            await asyncio.wait([coming, stopped], return_when=asyncio.FIRST_COMPLETED)
            chunk = coming.result() if coming.done() else None
            if chunk is None:
                return
            yield chunk
    finally:
        for task in (stopped, coming):
            if task is not None and not task.done():
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
