"""What strangers may do before they prove themselves, and what nobody may do (D1, D3)."""

from __future__ import annotations

import resource
import socket
import struct
import time
import uuid
from collections import deque
from contextlib import suppress
from pathlib import Path
from random import Random

import pytest

from swarmlet import _native
from tests.fakes.ends import End, Pair, end, pair, until
from tests.fakes.pki import CLIENT, SERVER, Authority
from tests.fakes.strangers import Stranger, dial, drain, stranger, tls_client, tls_server

HELLO = b"\x81\xa1t\xa5leave"

#: Silent connections (D1), and as many of them at once as this process may have open.
SLOWLORIS = 10_000
AT_ONCE = min(SLOWLORIS, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2)


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


def frame(kind: int, payload: bytes, *, length: int | None = None, flags: int = 0, stream: int = 0) -> bytes:
    return struct.pack(">IBBH", len(payload) if length is None else length, kind, flags, stream) + payload


def raw_peer(address: str) -> socket.socket:
    """A TLS client that joins in without our engine, to send frames ours would not."""
    return tls_client(alpn=["swarmlet/1"]).wrap_socket(dial(address))


def closed_after(both: Pair, *chunks: bytes) -> tuple[str, str]:
    """Send bytes inside TLS; return how the coordinator ended the connection."""
    with raw_peer(both.address) as peer:
        conn = both.server.opened().conn
        for chunk in chunks:
            peer.sendall(chunk)
        closed = both.server.closed(conn=conn)
        return closed.reason, closed.detail


@pytest.mark.parametrize(
    ("bad", "word"),
    [
        (frame(1, b"", length=65537), "65537"),
        (frame(1, b"", length=0xFFFFFFFF), "4294967295"),
        (frame(9, b"\x80"), "kind 9"),
        (frame(1, b"\x80", flags=1), "flags"),
        (frame(1, b"\x80", stream=3), "stream 3"),
        (frame(4, b"\0" * 8), "Lease"),
        (frame(3, b"\0" * 4), "HeartbeatAck"),
        (frame(2, b"\0" * 52), "before admission"),
        (frame(16, b"x", stream=1), "before admission"),
        (frame(17, b"\0\0\0\1", stream=1), "before admission"),
        (frame(1, b"\x91" * 40 + b"\xc0"), ""),  # nested too deeply
        (frame(1, b"\xdd\xff\xff\xff\xff"), ""),  # promises four thousand million items
        (frame(1, b""), ""),
    ],
)
def test_a_frame_that_breaks_a_rule_ends_the_connection(authority: Authority, bad: bytes, word: str) -> None:
    with pair(authority) as both:
        reason, detail = closed_after(both, bad)
        assert reason == "protocol"
        assert word in detail
        assert both.server.engine.stats()["protocol_errors"] == 1


def test_a_frame_sent_byte_by_byte_arrives_whole(authority: Authority) -> None:
    with pair(authority) as both, raw_peer(both.address) as peer:
        conn = both.server.opened().conn
        for byte in frame(1, HELLO):
            peer.sendall(bytes([byte]))
        assert both.server.frame(conn=conn).payload == HELLO


def test_the_largest_frame_goes_through_and_one_byte_more_cannot_be_sent(authority: Authority) -> None:
    largest = b"\xc5" + struct.pack(">H", 65533) + b"x" * 65533
    assert len(largest) == _native.MAX_PAYLOAD
    with pair(authority) as both:
        number, theirs = both.open()
        assert both.client.engine.send(number, _native.KIND_CONTROL, 0, largest)
        assert both.server.frame(conn=theirs).payload == largest
        with pytest.raises(_native.NativeError) as refused:
            both.client.engine.send(number, _native.KIND_CONTROL, 0, largest + b"x")
        assert refused.value.args[0] == "frame-too-large"


def test_a_frame_that_was_cut_is_not_told(authority: Authority) -> None:
    with pair(authority) as both:
        with raw_peer(both.address) as peer:
            conn = both.server.opened().conn
            peer.sendall(frame(1, HELLO)[:-1])
        assert both.server.closed(conn=conn).reason in {"closed", "reset"}
        assert both.server.told == []


def test_garbage_on_the_port_is_counted_and_told_to_nobody(authority: Authority) -> None:
    with pair(authority) as both:
        junk = (b"GET / HTTP/1.1\r\n\r\n", b"SSH-2.0-x\r\n", b"\x16\x03\x01\xff\xff" + b"\0" * 99)
        for number, text in enumerate(junk):
            with dial(both.address) as peer:
                peer.sendall(text)
                while peer.recv(4096):
                    pass
            until(lambda wanted=number + 1: both.server.engine.stats()["refused_handshake"] == wanted)
        assert both.server.poll() == []
        until(lambda: both.server.engine.stats()["connections"] == 0)


def test_who_is_silent_is_closed_after_the_handshake_time(authority: Authority) -> None:
    with pair(authority, handshake_ms=100) as both, dial(both.address) as peer:
        assert peer.recv(1) == b""
        assert both.server.engine.stats()["refused_slow"] == 1


def test_who_opens_and_says_nothing_is_closed_after_the_same_time(authority: Authority) -> None:
    with pair(authority, handshake_ms=100) as both:
        number, theirs = both.open()
        assert both.server.closed(conn=theirs).reason == "timed-out"
        assert both.client.closed(conn=number).reason == "closed"


def test_who_is_never_admitted_is_closed_whatever_it_says(authority: Authority) -> None:
    with pair(authority, unproven_ms=300) as both:
        number, theirs = both.open()
        both.client.engine.send(number, _native.KIND_CONTROL, 0, HELLO)
        both.server.frame(conn=theirs)
        assert both.server.closed(conn=theirs).reason == "timed-out"
        _, kept, _ = both.member()
        time.sleep(0.5)
        both.server.poll()
        assert not [event for event in both.server.told if getattr(event, "reason", "")]
        assert both.server.engine.send(kept, _native.KIND_CONTROL, 0, HELLO)


def test_a_handshake_that_drips_is_closed_in_time(authority: Authority) -> None:
    with pair(authority, handshake_ms=100) as both, dial(both.address) as peer:
        hello = b"\x16\x03\x01\x02\x00" + b"\x01" + b"\0" * 200
        for byte in hello[:3]:
            peer.sendall(bytes([byte]))
        assert peer.recv(1) == b""


def test_an_unadmitted_peer_may_send_64_kib_in_all(authority: Authority) -> None:
    half = b"\xc5" + struct.pack(">H", 32000) + b"x" * 32000
    with pair(authority) as both:
        reason, detail = closed_after(both, frame(1, half), frame(1, half), frame(1, half))
        assert (reason, detail) == ("protocol", "more was sent than an unadmitted peer may send")
        assert len(both.server.told) == 2


def test_an_admitted_peer_may_send_more(authority: Authority) -> None:
    half = b"\xc5" + struct.pack(">H", 32000) + b"x" * 32000
    with pair(authority) as both:
        number, theirs, _ = both.member()
        for _ in range(4):
            assert both.client.engine.send(number, _native.KIND_CONTROL, 0, half)
            both.server.frame(conn=theirs)
        assert both.client.engine.send(number, _native.KIND_DATA, 7, b"line\n")
        assert both.server.frame(conn=theirs, kind=_native.KIND_DATA).stream == 7


def test_past_the_cap_the_rest_waits_and_gets_in_when_one_leaves(authority: Authority) -> None:
    with pair(authority, max_unproven=4) as both:
        first = [both.open() for _ in range(4)]
        waiting = both.dial()
        both.client.poll(0.2)
        assert both.server.poll() == []
        assert both.server.engine.stats()["accepted"] == 4
        both.client.engine.close(first[0][0])
        both.client.opened(conn=waiting)


def test_an_admitted_node_leaves_its_place_to_the_next(authority: Authority) -> None:
    with pair(authority, max_unproven=1) as both:
        for _ in range(5):
            both.member()
        assert both.server.engine.stats()["connections"] == 5
        assert both.server.engine.stats()["unproven"] == 0


def test_one_address_cannot_take_all_places(authority: Authority) -> None:
    with pair(authority, max_per_address=3) as both:
        for _ in range(3):
            both.open()
        closed = both.client.closed(conn=both.dial())
        assert closed.reason == "reset"
        assert both.server.engine.stats()["refused_address"] == 1
        both.client.opened(conn=both.dial(source="127.0.0.9"))


def test_a_thousand_joins_at_once_all_get_in_through_a_narrow_door(authority: Authority) -> None:
    """The excess waits in the backlog; scaled to 500 from ten addresses."""
    with pair(authority, max_unproven=32, max_per_address=32) as both:
        conns = [both.dial(source=f"127.0.1.{number % 250 + 1}", timeout_ms=30000) for number in range(500)]
        waiting = set(conns)
        while waiting:
            opened = both.client.opened()
            waiting.discard(opened.conn)
            both.client.engine.close(opened.conn)
        assert both.server.engine.stats()["refused_address"] == 0


@pytest.mark.parametrize("hello", [b"", b"\x16\x03\x01\x02\x00\x01"])
def test_slowloris_leaves_members_and_memory_alone(authority: Authority, hello: bytes) -> None:
    """D1: ten thousand silent and half-spoken connections."""
    with pair(authority, max_unproven=64, max_per_address=32, handshake_ms=400) as both:
        number, theirs, leaf = both.member(heartbeat_ms=500, lease_ms=5000)
        before = both.server.engine.readings([leaf.uid])[0]
        assert before is not None
        peers: deque[socket.socket] = deque()
        for _ in range(SLOWLORIS):
            peer = dial(both.address)
            peer.sendall(hello)
            peers.append(peer)
            if len(peers) > AT_ONCE:
                peers.popleft().close()
        stats = both.server.engine.stats
        until(lambda: stats()["refused_address"] >= SLOWLORIS // 4, "refusals")
        assert stats()["unproven"] <= 32
        both.client.engine.send(number, _native.KIND_CONTROL, 0, HELLO)
        both.server.frame(conn=theirs)
        until(lambda: stats()["unproven"] == 0, "the silent ones are gone")
        for peer in peers:
            peer.close()
        assert not [event for event in both.server.told if getattr(event, "state", "") in {"suspect", "lost"}]
        both.client.opened(conn=both.dial())


def test_connect_send_and_reset_is_never_told(authority: Authority) -> None:
    """No byte counts before the handshake ended; 20,000 in place of 100,000."""
    with pair(authority) as both:
        for _ in range(20_000):
            peer = dial(both.address)
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            peer.sendall(frame(1, HELLO))
            peer.close()
        until(lambda: both.server.engine.stats()["connections"] == 0)
        assert both.server.poll() == []


def test_a_goodbye_in_the_middle_of_the_handshake_ends_it_in_time(authority: Authority) -> None:
    with pair(authority, handshake_ms=300) as both, dial(both.address) as peer:
        peer.sendall(b"\x15\x03\x03\x00\x02\x01\x00")
        assert peer.recv(4096) == b""
        until(lambda: both.server.engine.stats()["connections"] == 0)


@pytest.mark.parametrize(
    ("bad", "word"),
    [
        (frame(2, b"\0" * 52), "Heartbeat"),
        (frame(4, b"\0\0\0\x32\0\0\1\0"), "without identity"),
        (frame(3, b"\0" * 4), "without a heartbeat"),
        (frame(200, b""), "kind 200"),
        (frame(1, b"\xc1"), ""),
    ],
)
def test_a_coordinator_that_breaks_a_rule_is_left(
    authority: Authority, tmp_path: Path, bad: bytes, word: str
) -> None:
    pem = authority.pem(f"swarmlet://{authority.cluster_id}/coordinator", [SERVER])

    def behave(peer: socket.socket, server: Stranger) -> None:
        peer.sendall(bad)
        drain(peer, server)

    with stranger(tls_server(pem, tmp_path, behave, alpn=["swarmlet/1"])) as server, end() as client:
        conn = client.engine.connect(server.address, authority.client_tls())
        client.opened(conn=conn)
        closed = client.closed(conn=conn)
        assert closed.reason == "protocol"
        assert word in closed.detail


def test_a_coordinator_that_hangs_up_without_a_goodbye_is_told_as_a_reset(
    authority: Authority, tmp_path: Path
) -> None:
    pem = authority.pem(f"swarmlet://{authority.cluster_id}/coordinator", [SERVER])

    def behave(peer: socket.socket, _: Stranger) -> None:
        peer.sendall(frame(1, HELLO) + frame(1, HELLO)[:5])
        peer.shutdown(socket.SHUT_RDWR)

    with stranger(tls_server(pem, tmp_path, behave, alpn=["swarmlet/1"])) as server, end() as client:
        conn = client.engine.connect(server.address, authority.client_tls())
        assert client.frame(conn=conn).payload == HELLO
        assert client.closed(conn=conn).reason == "reset"


def test_a_revoked_node_that_does_not_read_is_cut_all_the_same(authority: Authority, tmp_path: Path) -> None:
    """C7: within the second that what is queued may take."""
    uid = uuid.uuid4()
    file = tmp_path / "node.pem"
    file.write_bytes(authority.pem(f"swarmlet://{authority.cluster_id}/node/{uid}", [CLIENT]))
    context = tls_client(alpn=["swarmlet/1"])
    context.load_cert_chain(file)
    with pair(authority) as both, context.wrap_socket(dial(both.address)):
        opened = both.server.opened()
        assert opened.peer is not None
        both.server.engine.admit(opened.conn, uid.bytes, 1000, 3000)
        while both.server.engine.send(opened.conn, _native.KIND_DATA, 1, b"x" * 60000):
            pass
        begun = time.monotonic()
        assert both.server.engine.deny([opened.peer.serial]) == 1
        assert both.server.closed(conn=opened.conn).reason == "revoked"
        assert time.monotonic() - begun < 5


def test_random_bytes_end_nothing_but_their_own_connection(authority: Authority, seed: int) -> None:
    """100 blobs outside TLS and 100 inside, some of them almost right."""
    random = Random(seed)
    with pair(authority) as both:
        number, theirs, _ = both.member()
        for turn in range(200):
            good = frame(1, HELLO) if turn % 3 else b""
            blob = good + random.randbytes(random.randrange(1, 3000))
            with suppress(OSError), raw_peer(both.address) if turn % 2 else dial(both.address) as peer:
                peer.sendall(blob)
        until(lambda: both.server.engine.stats()["connections"] == 1)
        both.client.engine.send(number, _native.KIND_CONTROL, 0, HELLO)
        both.server.frame(conn=theirs)


def test_a_listener_survives_having_no_descriptor_left(authority: Authority) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with pair(authority) as both:
        peers = [socket.socket() for _ in range(8)]
        highest = max(peer.fileno() for peer in peers)
        resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 1, hard))
        try:
            host, port = both.address.split(":")
            for peer in peers:
                peer.connect((host, int(port)))
            until(lambda: both.server.engine.stats()["accepted"] == 0)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        until(lambda: both.server.engine.stats()["accepted"] == 8)
        for peer in peers:
            peer.close()


def test_an_engine_that_cannot_have_descriptors_says_so() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with socket.socket() as last:
        resource.setrlimit(resource.RLIMIT_NOFILE, (last.fileno(), hard))
        try:
            with pytest.raises(_native.NativeError) as refused:
                _native.Engine()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert refused.value.args[0] == "engine-start"


def test_two_engines_do_not_share_numbers_or_fates(authority: Authority) -> None:
    with end() as one, end() as two:
        one.engine.stop()
        _, address = two.engine.listen("127.0.0.1:0", authority.server_tls())
        with end() as client:
            client.opened(conn=client.engine.connect(address, authority.client_tls()))
            assert isinstance(one, End)
