"""Both ends of the link in one process, driven by hand: poll until what a test waits for is there."""

from __future__ import annotations

import select
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from swarmlet import _native
from swarmlet.link.events import Closed, Event, Frame, Lease, Opened, decode
from tests.fakes.pki import Authority, Leaf

T = TypeVar("T")

#: Seconds until a test gives up on something that is never slow.
PATIENCE = 15.0


def until(condition: Callable[[], T], what: str = "the condition", patience: float = PATIENCE) -> T:
    """Return what ``condition`` returns once it is true; for conditions no descriptor tells of."""
    deadline = time.monotonic() + patience
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not come true in {patience} s")
        time.sleep(0.002)


class End:
    """One engine and everything it ever told."""

    def __init__(self, **options: Any) -> None:
        self.engine = _native.Engine(**options)
        self.told: list[Event] = []

    def poll(self, seconds: float = 0.0, limit: int = 1024) -> list[Event]:
        """Return the events that wait, waiting up to ``seconds`` for the first."""
        if not select.select([self.engine.event_fd], [], [], seconds)[0]:
            return []
        news = [decode(item) for item in self.engine.poll(limit)]
        self.told += news
        return news

    def wait(self, wanted: type[T], /, patience: float = PATIENCE, **slots: object) -> T:
        """Return the first event of type ``wanted`` that was not asked for yet and has these attributes."""
        deadline = time.monotonic() + patience
        while True:
            for index, event in enumerate(self.told):
                if isinstance(event, wanted) and all(
                    getattr(event, name) == value for name, value in slots.items()
                ):
                    del self.told[index]
                    return event
            left = deadline - time.monotonic()
            if left <= 0:
                raise AssertionError(f"no {wanted.__name__} {slots} among {self.told}")
            self.poll(left)

    def opened(self, **slots: object) -> Opened:
        return self.wait(Opened, **slots)

    def frame(self, **slots: object) -> Frame:
        return self.wait(Frame, **slots)

    def closed(self, **slots: object) -> Closed:
        return self.wait(Closed, **slots)

    def lease(self, state: str, **slots: object) -> Lease:
        return self.wait(Lease, state=state, **slots)


@contextmanager
def end(**options: Any) -> Iterator[End]:
    """An engine that is stopped at the end of the block."""
    made = End(**options)
    try:
        yield made
    finally:
        made.engine.stop()


class Pair:
    """A coordinator's engine that listens and a node's engine that dials it."""

    def __init__(self, server: End, client: End, authority: Authority, **limits: Any) -> None:
        self.server = server
        self.client = client
        self.authority = authority
        self.listener, self.address = server.engine.listen(
            "127.0.0.1:0", authority.server_tls(), **{"max_per_address": 4096, "max_unproven": 4096, **limits}
        )

    def dial(self, leaf: Leaf | None = None, **options: Any) -> int:
        """Begin a connection; with ``leaf`` as that node."""
        return self.client.engine.connect(self.address, self.authority.client_tls(leaf), **options)

    def open(self, leaf: Leaf | None = None) -> tuple[int, int]:
        """Return ``(client's number, server's number)`` of a connection whose handshake is done."""
        number = self.dial(leaf)
        exporter = self.client.opened(conn=number).exporter
        return number, self.server.opened(exporter=exporter).conn

    def member(
        self, leaf: Leaf | None = None, heartbeat_ms: int = 50, lease_ms: int = 600
    ) -> tuple[int, int, Leaf]:
        """Return the numbers of an admitted connection that holds its lease, and its leaf."""
        leaf = leaf or self.authority.node()
        number, theirs = self.open(leaf)
        self.server.engine.admit(theirs, leaf.uid, heartbeat_ms, lease_ms)
        self.client.lease("held", conn=number)
        return number, theirs, leaf


@contextmanager
def pair(
    authority: Authority | None = None, *, server: dict[str, Any] | None = None, **limits: Any
) -> Iterator[Pair]:
    """Two engines on loopback."""
    with end(**(server or {})) as left, end() as right:
        yield Pair(left, right, authority or Authority(), **limits)
