"""A database for each test of the application functions."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fakes.history import Bench, init


@pytest.fixture
def bench() -> Iterator[Bench]:
    """A founded cluster without nodes."""
    made = Bench()
    made.do(init())
    try:
        yield made
    finally:
        made.close()
