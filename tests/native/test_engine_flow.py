"""Order, back-pressure and ends: nothing that was accepted is lost, nothing grows without bound."""

from __future__ import annotations

import gc
import select
import threading
import time
from pathlib import Path

import pytest

from swarmlet import _native
from swarmlet.link.events import Closed, Drained, Event, Frame, Opened
from tests.fakes.ends import end, pair, until
from tests.fakes.pki import Authority

HELLO = b"\x81\xa1t\xa5leave"


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


def number_of(index: int) -> bytes:
    return b"\xce" + index.to_bytes(4, "big")


def entries(directory: str) -> int:
    return sum(1 for _ in Path(directory).iterdir())


def test_frames_arrive_in_order_both_ways_at_once(authority: Authority) -> None:
    with pair(authority) as both:
        number, theirs, _ = both.member()
        for index in range(2000):
            assert both.client.engine.send(number, _native.KIND_CONTROL, 0, number_of(index))
            assert both.server.engine.send(theirs, _native.KIND_CONTROL, 0, number_of(index))
        for index in range(2000):
            assert both.server.frame(conn=theirs).payload == number_of(index)
            assert both.client.frame(conn=number).payload == number_of(index)


def test_a_tiny_event_queue_loses_nothing(authority: Authority) -> None:
    with pair(authority, server={"event_capacity": 2}) as both:
        pairs = [both.open() for _ in range(3)]
        for index in range(500):
            for number, _ in pairs:
                until(
                    lambda number=number, index=index: both.client.engine.send(
                        number, _native.KIND_CONTROL, 0, number_of(index)
                    )
                )
        for number, _ in pairs:
            both.client.engine.close(number)
        got: dict[int, list[bytes]] = {theirs: [] for _, theirs in pairs}
        ended: set[int] = set()
        while len(ended) < len(pairs):
            for event in both.server.poll(5.0, limit=1):
                if isinstance(event, Frame):
                    assert event.conn not in ended, "nothing follows the end"
                    got[event.conn].append(event.payload)
                elif isinstance(event, Closed):
                    ended.add(event.conn)
        assert all(found == [number_of(index) for index in range(500)] for found in got.values())


def test_opened_comes_before_frames_even_when_there_was_no_room(authority: Authority) -> None:
    with pair(authority, server={"event_capacity": 1}) as both:
        numbers = [both.dial() for _ in range(20)]
        for number in numbers:
            both.client.opened(conn=number)
            both.client.engine.send(number, _native.KIND_CONTROL, 0, HELLO)
        told: list[Event] = []
        while len(told) < 40:
            told += both.server.poll(5.0, limit=1)
        first: dict[int, type] = {}
        for event in told:
            first.setdefault(event.conn, type(event))
        assert len(first) == 20
        assert set(first.values()) == {Opened}


def test_strangers_that_come_and_go_while_python_is_stuck_leave_nothing(authority: Authority) -> None:
    with pair(authority, server={"event_capacity": 1}) as both:
        both.open()
        both.server.engine.stats()
        both.dial()
        for _ in range(50):
            number = both.dial()
            both.client.opened(conn=number)
            both.client.engine.close(number)
            both.client.closed(conn=number)
        until(lambda: both.server.engine.stats()["connections"] == 2)
        while both.server.poll(0.2):
            pass
        opened = [event for event in both.server.told if isinstance(event, Opened)]
        closed = [event for event in both.server.told if isinstance(event, Closed)]
        assert len(opened) <= 3
        assert len(closed) <= len(opened)


def test_a_full_connection_says_no_and_then_that_it_has_room(authority: Authority) -> None:
    chunk = b"x" * 60000
    with pair(authority, server={"event_capacity": 1}) as both:
        number, theirs, _ = both.member()
        sent = 0
        while both.client.engine.send(number, _native.KIND_DATA, 1, chunk):
            sent += 1
        assert not any(event for event in both.client.told if not hasattr(event, "state"))
        got = 0
        while got < sent:
            both.server.frame(conn=theirs)
            got += 1
        both.client.wait(Drained, conn=number)
        assert both.client.engine.send(number, _native.KIND_DATA, 1, chunk)
        both.server.frame(conn=theirs)


def test_what_was_sent_before_a_close_arrives_before_the_end(authority: Authority) -> None:
    with pair(authority) as both:
        for _ in range(50):
            number, theirs = both.open()
            for index in range(20):
                both.server.engine.send(theirs, _native.KIND_CONTROL, 0, number_of(index))
            both.server.engine.close(theirs, "refused")
            # The other side talks at the same time: closing must not reset what it has not read.
            both.client.engine.send(number, _native.KIND_CONTROL, 0, HELLO)
            for index in range(20):
                assert both.client.frame(conn=number).payload == number_of(index)
            assert both.client.closed(conn=number).reason == "closed"
            assert both.server.closed(conn=theirs).reason == "refused"


def test_a_large_queue_leaves_before_the_connection_ends(authority: Authority) -> None:
    chunk = b"x" * 50000
    with pair(authority) as both:
        number, theirs, _ = both.member()
        for _ in range(5):
            assert both.server.engine.send(theirs, _native.KIND_DATA, 1, chunk)
        both.server.engine.close(theirs)
        assert not both.server.engine.send(theirs, _native.KIND_DATA, 1, chunk)
        for _ in range(5):
            both.client.frame(conn=number)
        both.client.closed(conn=number)


def test_frames_may_be_queued_before_the_handshake_is_done(authority: Authority) -> None:
    with pair(authority) as both:
        number = both.dial()
        assert both.client.engine.send(number, _native.KIND_CONTROL, 0, HELLO)
        assert both.server.frame().payload == HELLO


def test_closing_what_is_not_there_or_not_open_yet_is_harmless(authority: Authority) -> None:
    with pair(authority) as both:
        number = both.dial()
        both.client.engine.close(number, "changed my mind")
        assert both.client.closed(conn=number).reason == "changed my mind"
        both.client.engine.close(number)
        both.client.engine.close(12345)
        assert not both.client.engine.send(12345, _native.KIND_CONTROL, 0, HELLO)
        assert both.client.poll() == []


def test_numbers_are_never_used_again(authority: Authority) -> None:
    with pair(authority) as both:
        seen = set()
        for _ in range(20):
            number, theirs = both.open()
            both.client.engine.close(number)
            both.server.closed(conn=theirs)
            seen.add((number, theirs))
        assert len({one for one, _ in seen}) == len({other for _, other in seen}) == 20


def test_the_descriptor_is_readable_exactly_while_events_wait(authority: Authority) -> None:
    with pair(authority) as both:
        fd = both.server.engine.event_fd

        def readable() -> bool:
            return bool(select.select([fd], [], [], 0)[0])

        assert not readable()
        both.dial()
        both.dial()
        until(lambda: both.server.engine.stats()["handshakes"] == 2)
        assert readable()
        both.server.poll(limit=1)
        assert readable(), "one more waits"
        both.server.poll(limit=1)
        assert not readable()


def test_stop_under_load_tells_every_end_and_is_quick(authority: Authority) -> None:
    with pair(authority) as both:
        opened = [both.member()[:2] for _ in range(50)]
        for number, theirs in opened:
            for _ in range(4):
                both.client.engine.send(number, _native.KIND_DATA, 1, b"x" * 60000)
                both.server.engine.send(theirs, _native.KIND_DATA, 1, b"x" * 60000)
        pending = [both.dial() for _ in range(50)]
        begun = time.monotonic()
        both.client.engine.stop()
        assert time.monotonic() - begun < 5
        ends = {number: 0 for number, _ in opened} | dict.fromkeys(pending, 0)
        while both.client.poll(0):
            pass
        for event in both.client.told:
            if isinstance(event, Closed):
                ends[event.conn] += 1
        assert set(ends.values()) == {1}


def test_a_stopped_engine_answers_and_does_nothing(authority: Authority) -> None:
    with pair(authority) as both:
        both.client.engine.stop()
        both.client.engine.stop()
        assert both.client.engine.poll() == []
        assert not both.client.engine.send(1, _native.KIND_CONTROL, 0, HELLO)
        both.client.engine.close(1)
        assert both.client.engine.deny([b"\1"]) == 0
        with pytest.raises(_native.NativeError) as refused:
            both.dial()
        assert refused.value.args[0] == "engine-stopped"


def test_an_engine_that_is_dropped_takes_its_thread_and_descriptors_along(authority: Authority) -> None:
    gc.collect()
    before = (entries("/proc/self/task"), entries("/proc/self/fd"))
    engine = _native.Engine()
    engine.listen("127.0.0.1:0", authority.server_tls())
    assert entries("/proc/self/task") == before[0] + 1
    del engine
    gc.collect()
    assert (entries("/proc/self/task"), entries("/proc/self/fd")) == before


def test_any_thread_may_call(authority: Authority) -> None:
    with pair(authority) as both:
        number, theirs, _ = both.member()

        def speak(start: int) -> None:
            for index in range(start, start + 500):
                until(
                    lambda index=index: both.client.engine.send(
                        number, _native.KIND_CONTROL, 0, number_of(index)
                    )
                )

        threads = [threading.Thread(target=speak, args=(block * 500,)) for block in range(4)]
        for thread in threads:
            thread.start()
        got = [both.server.frame(conn=theirs).payload for _ in range(2000)]
        for thread in threads:
            thread.join()
        assert sorted(got) == [number_of(index) for index in range(2000)]


def test_connections_leave_nothing_behind(authority: Authority) -> None:
    with pair(authority) as both, end() as other:
        before = entries("/proc/self/fd")
        for _ in range(30):
            number, theirs = both.open()
            both.client.engine.close(number)
            both.server.closed(conn=theirs)
        until(lambda: both.server.engine.stats()["connections"] == 0)
        until(lambda: both.client.engine.stats()["connections"] == 0)
        assert both.server.engine.stats()["unproven"] == 0
        until(lambda: entries("/proc/self/fd") == before)
        assert other.poll() == []
