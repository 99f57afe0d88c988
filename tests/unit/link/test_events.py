"""Every tuple of the engine has a value, and every slot a name."""

from __future__ import annotations

import dataclasses

import pytest

from swarmlet import _native
from swarmlet.link import events


@pytest.mark.parametrize(
    ("item", "event"),
    [
        (
            (_native.EVENT_OPENED, 7, "127.0.0.1:9", b"e" * 32, None, 2),
            events.Opened(7, "127.0.0.1:9", b"e" * 32, None, 2),
        ),
        (
            (_native.EVENT_OPENED, 7, "[::1]:9", b"e" * 32, ("node", b"u" * 16, b"s", 5, True), 0),
            events.Opened(7, "[::1]:9", b"e" * 32, events.Peer("node", b"u" * 16, b"s", 5, expired=True), 0),
        ),
        ((_native.EVENT_FRAME, 7, 1, 0, b"\x80", None), events.Frame(7, 1, 0, b"\x80")),
        ((_native.EVENT_CLOSED, 7, "reset", "gone", None, None), events.Closed(7, "reset", "gone")),
        ((_native.EVENT_DRAINED, 7, None, None, None, None), events.Drained(7)),
        ((_native.EVENT_LEASE, 0, b"u" * 16, "lost", 15000, None), events.Lease(0, b"u" * 16, "lost", 15000)),
        ((_native.EVENT_HEALTH, 7, b"u" * 16, 2, None, None), events.Health(7, b"u" * 16, 2)),
    ],
)
def test_a_tuple_becomes_the_value_it_stands_for(item: _native.EventTuple, event: events.Event) -> None:
    assert events.decode(item) == event


def test_events_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        events.Drained(1).conn = 2  # type: ignore[misc]


def test_every_kind_of_the_engine_is_known() -> None:
    kinds = {value for name, value in vars(_native).items() if name.startswith("EVENT_")}
    assert kinds == set(events._MAKERS)
