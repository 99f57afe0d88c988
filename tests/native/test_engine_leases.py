"""Heartbeats and leases: the engine keeps them, Python hears of changes only."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
import uuid
from multiprocessing.connection import Connection

import pytest

from swarmlet import _native
from swarmlet.link.events import Frame, Health, Lease
from swarmlet.model.health import Reading
from tests.fakes.ends import End, Pair, end, pair, until
from tests.fakes.pki import Authority

HELLO = b"\x81\xa1t\xa5leave"


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


def beats(both: Pair) -> int:
    return both.server.engine.stats()["heartbeats_in"]


def test_an_admitted_node_sends_heartbeats_and_python_hears_of_the_change_only(authority: Authority) -> None:
    with pair(authority) as both:
        _, theirs, leaf = both.member(heartbeat_ms=20)
        until(lambda: beats(both) >= 20)
        both.server.poll()
        both.client.poll()
        assert both.server.told == [Lease(theirs, leaf.uid, "joined", 0), Health(theirs, leaf.uid, 0)]
        assert both.client.told == []


def test_the_round_trip_of_heartbeats_is_counted_by_the_node_alone(authority: Authority) -> None:
    with pair(authority) as both:
        both.member(heartbeat_ms=20)
        mine = until(lambda: (now := both.client.engine.stats())["heartbeats_acked"] >= 20 and now)
        assert mine["heartbeats_acked"] <= mine["heartbeats_out"]
        assert 0 < mine["heartbeats_acked_us"] / mine["heartbeats_acked"] < 1e6
        assert both.server.engine.stats()["heartbeats_acked"] == 0


def test_the_lease_of_the_node_counts_from_sending_and_is_told_once(authority: Authority) -> None:
    with pair(authority) as both:
        number, _, _ = both.member(heartbeat_ms=20)
        until(lambda: beats(both) >= 10)
        both.client.poll()
        assert [event for event in both.client.told if isinstance(event, Lease)] == []
        assert number == 1


def test_readings_are_kept_natively_and_asked_for(authority: Authority) -> None:
    reading = Reading(1, 7, 500, 4512, 1 << 33, 1 << 34, 5, 6, 7)
    with pair(authority) as both:
        both.client.engine.set_reading(reading)
        _, theirs, leaf = both.member(heartbeat_ms=20)
        assert both.server.wait(Health).health == 1
        found = until(lambda: both.server.engine.readings([leaf.uid])[0])
        assert found is not None
        assert Reading(*found[1]) == reading
        assert found[0] < 5000
        assert both.server.engine.readings([b"\0" * 16, leaf.uid])[0] is None
        both.client.engine.set_reading(reading._replace(health=2))
        assert both.server.wait(Health) == Health(theirs, leaf.uid, 2)


def test_the_first_reading_is_told_at_once_and_later_ones_with_the_next_heartbeat(
    authority: Authority,
) -> None:
    with pair(authority) as both:
        _, _, leaf = both.member(heartbeat_ms=30_000, lease_ms=90_000)
        until(lambda: beats(both) == 1)
        both.client.engine.set_reading(Reading(memory_used=77))
        until(lambda: beats(both) == 2)
        found = both.server.engine.readings([leaf.uid])[0]
        assert found is not None
        assert Reading(*found[1]).memory_used == 77
        both.client.engine.set_reading(Reading(memory_used=78))
        both.client.poll(0.2)
        assert beats(both) == 2


def test_a_reading_out_of_range_is_moved_into_it(authority: Authority) -> None:
    with pair(authority) as both:
        both.client.engine.set_reading([-1, 1 << 80, 5000, -(1 << 40), -5, 1, 2, 3, 4])
        _, _, leaf = both.member(heartbeat_ms=20)
        found = until(lambda: both.server.engine.readings([leaf.uid])[0])
        assert found is not None
        assert found[1] == (0, 65535, 1000, -32768, 0, 1, 2, 3, 4)
        with pytest.raises(ValueError, match="9 fields"):
            both.client.engine.set_reading([1])


def test_a_node_that_falls_silent_is_suspect_then_lost_and_back_when_it_returns(authority: Authority) -> None:
    with pair(authority) as both:
        _, theirs, leaf = both.member(heartbeat_ms=50, lease_ms=400)
        both.server.lease("joined")
        both.client.engine.stop()
        assert both.server.closed(conn=theirs).reason in {"closed", "reset"}
        assert both.server.lease("suspect").uid == leaf.uid
        lost = both.server.lease("lost")
        assert (lost.uid, lost.conn) == (leaf.uid, 0)
        assert 400 <= lost.age_ms < 5000
        with end() as again:
            conn = again.engine.connect(both.address, authority.client_tls(leaf))
            again.opened(conn=conn)
            theirs = both.server.opened().conn
            both.server.engine.admit(theirs, leaf.uid, 50, 400)
            back = both.server.lease("back")
            assert (back.uid, back.conn) == (leaf.uid, theirs)


def test_a_node_that_stays_connected_and_says_nothing_is_lost_too(authority: Authority) -> None:
    """A member that holds its socket and sends no heartbeat."""
    leaf = authority.node()
    with pair(authority) as both:
        number, theirs = both.open(leaf)
        # The node's engine is told nothing, so it never begins: another uid's lease is not its own.
        both.server.engine.expect(leaf.uid, 300)
        assert both.server.lease("lost").uid == leaf.uid
        both.client.engine.send(number, _native.KIND_CONTROL, 0, HELLO)
        both.server.frame(conn=theirs)


def test_the_nodes_lease_lapses_before_the_coordinator_gives_it_up(authority: Authority) -> None:
    """N4: two thirds of the lease after the sending of the last acknowledged heartbeat."""
    with pair(authority) as both:
        number, _, leaf = both.member(heartbeat_ms=50, lease_ms=900)
        both.server.lease("joined")
        both.server.engine.stop()
        assert both.client.closed(conn=number).reason in {"closed", "reset"}
        lapsed = both.client.lease("lapsed")
        assert (lapsed.conn, lapsed.uid) == (0, b"")
        assert 600 <= lapsed.age_ms < 900
        assert leaf.uid != b""


def test_a_reconnect_in_time_keeps_the_lease_without_a_word(authority: Authority) -> None:
    with pair(authority) as both:
        number, theirs, leaf = both.member(heartbeat_ms=30, lease_ms=3000)
        both.client.engine.close(number)
        both.server.closed(conn=theirs)
        number, theirs = both.open(leaf)
        both.server.engine.admit(theirs, leaf.uid, 30, 3000)
        before = beats(both)
        until(lambda: beats(both) >= before + 5)
        both.client.poll()
        assert [event for event in both.client.told if isinstance(event, Lease)] == []


def test_a_node_that_comes_back_closes_its_older_connection(authority: Authority) -> None:
    with pair(authority) as both:
        number, theirs, leaf = both.member()
        newer, newer_theirs = both.open(leaf)
        both.server.engine.admit(newer_theirs, leaf.uid, 50, 600)
        closed = both.server.closed(conn=theirs)
        assert closed.reason == "superseded"
        both.client.closed(conn=number)
        before = beats(both)
        until(lambda: beats(both) >= before + 3)
        both.server.poll()
        states = [event.state for event in both.server.told if isinstance(event, Lease)]
        assert states == ["joined"], "the node was never away"
        assert both.server.engine.stats()["superseded"] == 1
        assert newer != number


def test_a_connection_cannot_speak_for_another_node(authority: Authority) -> None:
    """C3: whatever Python asks for."""
    with pair(authority) as both:
        _, theirs = both.open(authority.node())
        both.server.engine.admit(theirs, uuid.uuid4().bytes, 50, 600)
        assert both.server.closed(conn=theirs).reason == "protocol"
        _, stranger = both.open()
        both.server.engine.admit(stranger, uuid.uuid4().bytes, 50, 600)
        assert both.server.closed(conn=stranger).reason == "protocol"
        assert not [event for event in both.server.told if isinstance(event, Lease)]


def test_new_intervals_take_effect_at_once(authority: Authority) -> None:
    with pair(authority) as both:
        _, theirs, leaf = both.member(heartbeat_ms=5000, lease_ms=15000)
        assert beats(both) == 1
        both.server.engine.admit(theirs, leaf.uid, 20, 600)
        until(lambda: beats(both) >= 5)


def test_a_forgotten_node_is_not_missed(authority: Authority) -> None:
    with pair(authority) as both:
        number, theirs, leaf = both.member(heartbeat_ms=50, lease_ms=300)
        both.server.lease("joined")
        both.server.engine.forget(leaf.uid)
        both.client.engine.close(number)
        both.server.closed(conn=theirs)
        time.sleep(0.5)
        both.server.poll()
        assert not [event for event in both.server.told if isinstance(event, Lease)]
        assert both.server.engine.readings([leaf.uid]) == [None]


def test_intervals_that_make_no_sense_are_refused(authority: Authority) -> None:
    with end() as server:
        for heartbeat, lease in ((0, 100), (100, 100), (5, 100)):
            with pytest.raises(_native.NativeError) as refused:
                server.engine.admit(1, b"\0" * 16, heartbeat, lease)
            assert refused.value.args[0] == "lease-intervals"
        with pytest.raises(ValueError, match="16 bytes"):
            server.engine.admit(1, b"\0" * 15, 100, 300)


def test_heartbeats_go_on_while_a_large_message_is_stuck(authority: Authority) -> None:
    """Data that the coordinator's Python does not take must not cost the node its lease."""
    chunk = b"x" * 60000
    with pair(authority, server={"event_capacity": 4}) as both:
        number, theirs, leaf = both.member(heartbeat_ms=30, lease_ms=600)
        both.server.lease("joined")
        sent = 0
        while both.server.engine.stats()["stalls"] == 0:
            sent += both.client.engine.send(number, _native.KIND_DATA, 1, chunk)
        # The queue of the coordinator is full and stays so for longer than the lease.
        time.sleep(1.0)
        both.client.poll()
        taken = 0
        while taken < sent:
            assert both.server.frame(conn=theirs).payload == chunk
            taken += 1
        assert not [event for event in both.server.told if getattr(event, "state", "") == "lost"]
        assert both.server.engine.readings([leaf.uid])[0] is not None


def test_many_members_keep_their_leases_through_one_engine_each_way(authority: Authority) -> None:
    """100 in place of 10,000; the load generator does the rest."""
    with pair(authority) as both:
        leaves = [authority.node() for _ in range(100)]
        for leaf in leaves:
            both.dial(leaf)
        for _ in leaves:
            opened = both.server.opened()
            assert opened.peer is not None
            both.server.engine.admit(opened.conn, opened.peer.uid, 100, 3000)
        for _ in leaves:
            both.client.lease("held")
        until(lambda: beats(both) >= 1000)
        both.server.poll()
        states = {event.state for event in both.server.told if isinstance(event, Lease)}
        assert states == {"joined"}
        assert not [event for event in both.server.told if isinstance(event, Frame)]


def test_a_coordinator_that_was_paused_reads_before_it_judges(authority: Authority) -> None:
    """Whoever sent heartbeats during the pause was never silent (SIGSTOP, a busy machine)."""
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    leaves = [authority.node() for _ in range(30)]
    child = context.Process(target=_coordinate, args=(theirs, authority, len(leaves)))
    child.start()
    try:
        address = ours.recv()
        with end() as client:
            for leaf in leaves:
                client.engine.connect(address, authority.client_tls(leaf))
            for _ in leaves:
                client.lease("held")
            assert child.pid is not None
            os.kill(child.pid, signal.SIGSTOP)
            for _ in leaves:
                client.lease("lapsed")
            time.sleep(0.5)
            os.kill(child.pid, signal.SIGCONT)
            for _ in leaves:
                client.lease("held")
            ours.send("done")
            assert ours.recv() == ["joined"] * len(leaves)
    finally:
        child.kill()
        child.join(10)


def _coordinate(pipe: Connection, authority: Authority, nodes: int) -> None:
    server = End()
    _, address = server.engine.listen("127.0.0.1:0", authority.server_tls(), max_per_address=64)
    pipe.send(address)
    for _ in range(nodes):
        opened = server.opened()
        assert opened.peer is not None
        server.engine.admit(opened.conn, opened.peer.uid, 50, 900)
    pipe.recv()
    server.poll()
    pipe.send([event.state for event in server.told if isinstance(event, Lease)])
    pipe.close()
    os._exit(0)
