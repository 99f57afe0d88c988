"""Sends text as it comes: until it ends, its reader goes away or the coordinator stops."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator

from aiohttp import web

from swarmlet.errors import SwarmletError


async def stream(
    request: web.Request, chunks: AsyncGenerator[bytes, None], stopping: asyncio.Event
) -> web.StreamResponse:
    """Answer with ``chunks``.

    A failure before the first chunk is an error like any other; one after it can only be a last line.

    Raises:
        SwarmletError: As ``chunks`` does before its first chunk.
    """
    response = web.StreamResponse()
    response.content_type = "text/plain"
    response.charset = "utf-8"
    response.enable_chunked_encoding()
    async with contextlib.aclosing(chunks), contextlib.aclosing(_until(chunks, stopping)) as coming:
        try:
            async for chunk in coming:
                if not response.prepared:
                    await response.prepare(request)
                await response.write(chunk)
        except SwarmletError as failure:
            if not response.prepared:
                raise
            await response.write(f"\nerror {failure.code}: {failure.what}\n".encode())
        if not response.prepared:
            await response.prepare(request)
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
