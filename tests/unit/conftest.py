"""Lets unit tests be coroutines: each has an event loop of its own, in debug mode."""

from __future__ import annotations

import asyncio
import inspect

import pytest

#: Seconds a test may take; below the suite's own timeout, so that the loop is closed in order.
TIMEOUT_S = 45


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    names = pyfuncitem._fixtureinfo.argnames
    given = {name: pyfuncitem.funcargs[name] for name in names}

    async def run() -> None:
        async with asyncio.timeout(TIMEOUT_S):
            await pyfuncitem.obj(**given)

    asyncio.run(run())
    return True
