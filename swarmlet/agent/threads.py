"""Calls that may hang, off the event loop and in threads that no exit waits for."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


async def detached(call: Callable[[], T]) -> T:
    """Return what ``call`` returns; cancelling leaves it to end by itself.

    For what waits on a person or on a file system of unknown manners. Anything else belongs into
    :func:`asyncio.to_thread`, whose threads are few and reused.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, failure: BaseException | None) -> None:
        if future.done():
            return
        if failure is not None:
            future.set_exception(failure)
        else:
            future.set_result(result)  # type: ignore[arg-type]

    def work() -> None:
        result, failure = None, None
        try:
            result = call()
        except BaseException as fault:  # noqa: BLE001 - it goes to whoever waits
            failure = fault
        with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile
            loop.call_soon_threadsafe(settle, result, failure)

    threading.Thread(target=work, name="detached", daemon=True).start()
    return await future
