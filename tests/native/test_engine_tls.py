"""Who is let in, who is let go: TLS of the engine, from both ends (T3, C3, C7, C9)."""

from __future__ import annotations

import socket
import ssl
import uuid
from contextlib import suppress
from pathlib import Path

import pytest

from swarmlet import _native
from tests.fakes.ends import end, pair, until
from tests.fakes.pki import CLIENT, DAY, HOUR, SERVER, Authority, Leaf, now, now_ms
from tests.fakes.strangers import answers, dial, says, stranger, tls_client, tls_server

HELLO = b"\x81\xa1t\xa5leave"


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


def closed_by(address: str, tls: _native.ClientTls, **options: int) -> tuple[str, str]:
    """Return reason and detail of a connection that must not open."""
    with end() as client:
        conn = client.engine.connect(address, tls, **options)
        closed = client.closed(conn=conn)
        assert not any(hasattr(event, "exporter") for event in client.told)
        return closed.reason, closed.detail


def test_both_ends_of_a_handshake_have_the_same_exporter_and_every_connection_another(
    authority: Authority,
) -> None:
    with pair(authority) as both:
        seen = set()
        for _ in range(3):
            number = both.dial()
            ours, theirs = both.client.opened(conn=number), both.server.opened()
            assert ours.exporter == theirs.exporter
            assert len(ours.exporter) == 32
            seen.add(ours.exporter)
        assert len(seen) == 3


def test_a_coordinator_is_known_by_its_pin_and_a_joining_node_by_nothing(authority: Authority) -> None:
    with pair(authority) as both:
        number = both.dial()
        ours, theirs = both.client.opened(conn=number), both.server.opened()
        assert ours.peer is not None
        assert (ours.peer.role, ours.peer.uid, ours.listener) == ("coordinator", b"", 0)
        assert ours.address == both.address
        assert (theirs.peer, theirs.listener) == (None, both.listener)


def test_a_member_is_known_by_its_certificate(authority: Authority) -> None:
    leaf = authority.node()
    with pair(authority) as both:
        both.dial(leaf)
        peer = both.server.opened().peer
        assert peer == ("node", leaf.uid, leaf.serial, leaf.not_after_ms, False)


def test_an_impostor_with_its_own_authority_gets_no_application_byte_and_no_certificate(
    authority: Authority, tmp_path: Path
) -> None:
    """T3: the token, the profile and the certificate stay here."""
    impostor = Authority(cluster_id=authority.cluster_id)
    pem = impostor.pem(f"swarmlet://{authority.cluster_id}/coordinator", [SERVER, CLIENT])
    greedy = tls_server(pem, tmp_path, alpn=["swarmlet/1"], verify_mode=ssl.CERT_OPTIONAL)
    with stranger(greedy) as server, end() as client:
        conn = client.engine.connect(server.address, authority.client_tls(authority.node()))
        client.engine.send(conn, _native.KIND_CONTROL, 0, HELLO)
        closed = client.closed(conn=conn)
    found = f"SHA256:{impostor.pin.hex()}"
    assert closed.reason == "pin-mismatch"
    assert closed.detail == f"found={found} expected=SHA256:{authority.pin.hex()}"
    assert server.received == b""
    assert server.failure is not None, "the impostor's handshake must not have succeeded"


def test_without_a_pin_there_is_no_connection(authority: Authority) -> None:
    with pytest.raises(_native.NativeError) as refused:
        _native.ClientTls([], None, authority.cluster_id, None)
    assert refused.value.args[0] == "pins-missing"


def test_a_node_certificate_is_refused_as_a_server(authority: Authority) -> None:
    """C3, even one that names the use of a server."""
    uri = f"swarmlet://{authority.cluster_id}/node/{uuid.uuid4()}"
    for leaf in (authority.node(), authority.leaf(uri, usages=[SERVER, CLIENT])):
        with end() as server:
            _, address = server.engine.listen("127.0.0.1:0", authority.server_tls(leaf))
            assert closed_by(address, authority.client_tls())[0] == "certificate-role"


def test_a_coordinator_of_another_cluster_under_the_same_root_is_refused(authority: Authority) -> None:
    other = "00" * 16
    leaf = authority.leaf(f"swarmlet://{other}/coordinator", usages=[SERVER])
    with end() as server:
        _, address = server.engine.listen("127.0.0.1:0", authority.server_tls(leaf))
        reason, detail = closed_by(address, authority.client_tls())
        assert (reason, detail) == ("certificate-role", "it is a coordinator of another cluster")
        anyone = _native.ClientTls([authority.pin], None, "", None)
        with end() as client:
            client.opened(conn=client.engine.connect(address, anyone))


@pytest.mark.parametrize(
    "uri",
    [None, "swarmlet://{id}/admin", "https://{id}/coordinator", "swarmlet://{ID}/coordinator"],
)
def test_a_server_without_the_right_name_is_refused(authority: Authority, uri: str | None) -> None:
    name = uri and uri.format(id=authority.cluster_id, ID=authority.cluster_id.upper())
    leaf = authority.leaf(name, usages=[SERVER])
    with end() as server:
        _, address = server.engine.listen("127.0.0.1:0", authority.server_tls(leaf))
        assert closed_by(address, authority.client_tls())[0] == "certificate-role"


def test_a_first_join_judges_no_dates_and_a_member_judges_expiry_by_cluster_time(
    authority: Authority,
) -> None:
    old = authority.coordinator(not_before=now() - 9 * DAY, not_after=now() - 8 * DAY)
    with end() as server, end() as client:
        _, address = server.engine.listen("127.0.0.1:0", authority.server_tls(old))
        client.opened(conn=client.engine.connect(address, authority.client_tls()))
        then = now_ms() - int(8.5 * 86_400_000)
        client.opened(conn=client.engine.connect(address, authority.client_tls(at_ms=then)))
        reason, detail = closed_by(address, authority.client_tls(at_ms=now_ms()))
        assert (reason, detail) == ("certificate-invalid", "a certificate of its chain has expired")
        # The coordinator's clock was behind when this node last heard of it, and has been set since (C10).
        client.opened(conn=client.engine.connect(address, authority.client_tls(at_ms=0)))


def test_an_expired_client_certificate_is_let_in_and_flagged(authority: Authority) -> None:
    leaf = authority.node(not_before=now() - 3 * DAY, not_after=now() - HOUR)
    with pair(authority) as both:
        both.open(authority.node())
        both.dial(leaf)
        peer = both.server.opened().peer
        assert peer is not None
        assert (peer.uid, peer.expired) == (leaf.uid, True)


def test_a_client_certificate_from_the_future_is_let_in_since_only_our_authority_makes_one(
    authority: Authority,
) -> None:
    """The coordinator's clock was set back; members that it issued certificates to before stay members."""
    leaf = authority.node(not_before=now() + 3 * DAY, not_after=now() + 4 * DAY)
    with pair(authority) as both:
        both.open(authority.node())
        both.dial(leaf)
        peer = both.server.opened().peer
        assert peer is not None
        assert (peer.uid, peer.expired) == (leaf.uid, False)


@pytest.mark.parametrize("flaw", ["other authority", "other cluster", "server", "coordinator"])
def test_a_client_certificate_that_does_not_hold_is_refused(authority: Authority, flaw: str) -> None:
    cluster = authority.cluster_id
    leaves: dict[str, Leaf] = {
        "other authority": Authority(cluster_id=cluster).node(),
        "other cluster": authority.leaf(f"swarmlet://{'00' * 16}/node/{uuid.uuid4()}", usages=[CLIENT]),
        "server": authority.leaf(f"swarmlet://{cluster}/node/{uuid.uuid4()}", usages=[SERVER]),
        "coordinator": authority.coordinator(),
    }
    with pair(authority) as both:
        conn = both.dial(leaves[flaw])
        closed = both.client.closed(conn=conn)
        assert closed.reason == "certificate-refused", closed
        until(lambda: both.server.engine.stats()["refused_certificate"] == 1)
        assert both.server.poll() == [], "nobody is told of a stranger"


def test_a_denied_serial_is_refused_in_the_handshake_and_a_live_one_is_cut(authority: Authority) -> None:
    """C7."""
    with pair(authority) as both:
        kept, cut = authority.node(), authority.node()
        kept_conn, _ = both.open(kept)
        conn, theirs = both.open(cut)
        both.server.engine.send(theirs, _native.KIND_CONTROL, 0, HELLO)
        assert both.server.engine.deny([b"\0" + cut.serial]) == 1
        assert both.server.closed(conn=theirs).reason == "revoked"
        assert both.client.frame(conn=conn).payload == HELLO, "what was said before is not lost"
        assert both.client.closed(conn=conn).reason == "closed"
        again = both.client.closed(conn=both.dial(cut))
        assert (again.reason, again.detail) == ("certificate-refused", "it was revoked")
        both.client.engine.send(kept_conn, _native.KIND_CONTROL, 0, HELLO)
        both.server.frame()
        assert both.server.engine.deny([cut.serial]) == 0


def test_a_serial_that_is_forgiven_is_refused_no_more(authority: Authority) -> None:
    leaf = authority.node()
    with pair(authority) as both:
        both.server.engine.deny([leaf.serial])
        assert both.client.closed(conn=both.dial(leaf)).reason == "certificate-refused"
        assert both.server.engine.forgive([b"\0" + leaf.serial, b"\1"]) == 1
        both.open(leaf)


def test_a_chain_of_twenty_certificates_is_refused_by_both_ends(authority: Authority) -> None:
    """C9."""
    bomb = authority.leaf(f"swarmlet://{authority.cluster_id}/coordinator", usages=[SERVER], depth=17)
    assert len(bomb.chain) == 19
    with end() as server:
        _, address = server.engine.listen("127.0.0.1:0", authority.server_tls(bomb))
        reason, detail = closed_by(address, authority.client_tls())
        assert reason == "certificate-invalid"
        assert "20 certificates" in detail
    uri = f"swarmlet://{authority.cluster_id}/node/{uuid.uuid4()}"
    with pair(authority) as both:
        conn = both.dial(authority.leaf(uri, usages=[CLIENT], depth=4))
        assert both.client.closed(conn=conn).reason == "certificate-refused"


def test_a_certificate_over_8_kib_is_not_even_loaded(authority: Authority) -> None:
    uri = f"swarmlet://{authority.cluster_id}/coordinator"
    with pytest.raises(_native.NativeError) as refused:
        authority.server_tls(authority.leaf(uri, usages=[SERVER], padding=9000))
    assert refused.value.args[0] == "certificate-damaged"


def test_a_huge_certificate_shown_by_a_server_is_refused(authority: Authority, tmp_path: Path) -> None:
    pem = authority.pem("x:" + "y" * 9000, [SERVER])
    with stranger(tls_server(pem, tmp_path, alpn=["swarmlet/1"])) as server:
        reason, detail = closed_by(server.address, authority.client_tls())
    assert reason == "certificate-invalid"
    assert "8192" in detail


def test_tls_1_2_is_refused_from_either_side(authority: Authority, tmp_path: Path) -> None:
    with end() as server:
        _, address = server.engine.listen("127.0.0.1:0", authority.server_tls())
        old = tls_client(maximum_version=ssl.TLSVersion.TLSv1_2, alpn=["swarmlet/1"])
        with dial(address) as plain, pytest.raises(ssl.SSLError, match="PROTOCOL_VERSION"):
            old.wrap_socket(plain)
    pem = authority.pem(f"swarmlet://{authority.cluster_id}/coordinator", [SERVER])
    only_old = tls_server(pem, tmp_path, alpn=["swarmlet/1"], maximum_version=ssl.TLSVersion.TLSv1_2)
    with stranger(only_old) as other:
        reason, detail = closed_by(other.address, authority.client_tls())
    assert (reason, detail) == ("not-swarmlet", "it speaks TLS but not the swarmlet protocol")


def test_no_session_can_be_resumed(authority: Authority) -> None:
    """C9: a revoked certificate could come back by a ticket."""
    with end() as server:
        _, address = server.engine.listen("127.0.0.1:0", authority.server_tls())
        with dial(address) as plain, tls_client(alpn=["swarmlet/1"]).wrap_socket(plain) as wrapped:
            server.opened()
            wrapped.settimeout(0.2)
            with pytest.raises(TimeoutError):
                wrapped.recv(1)
            assert wrapped.version() == "TLSv1.3"
            assert wrapped.session is None or not wrapped.session.has_ticket


def test_a_client_that_does_not_name_the_protocol_is_refused(authority: Authority) -> None:
    with end() as server:
        _, address = server.engine.listen("127.0.0.1:0", authority.server_tls())
        with dial(address) as plain, pytest.raises(ssl.SSLError, match=r"(?i)no.application.protocol"):
            tls_client(alpn=["http/1.1"]).wrap_socket(plain)
        with dial(address) as plain, tls_client().wrap_socket(plain) as wrapped, suppress(OSError):
            assert wrapped.recv(1) == b""
        until(lambda: server.engine.stats()["refused_handshake"] == 2)
        assert server.poll() == []


@pytest.mark.parametrize(
    ("behave", "detail"),
    [
        (says(b"SSH-2.0-OpenSSH_9.6\r\n"), "it speaks SSH"),
        (answers(b"HTTP/1.1 400 Bad Request\r\n\r\n"), "it speaks HTTP"),
        (answers(b"<html></html>"), "it speaks HTTP"),
        (says(b"220 mail.example ESMTP\r\n"), "it speaks SMTP or FTP"),
        (says(b"\x00\xff\x00\xff" * 64), "it speaks neither TLS nor anything else known here"),
    ],
)
def test_a_peer_that_is_no_coordinator_is_called_what_it_is(
    authority: Authority, behave, detail: str
) -> None:
    with stranger(behave) as server:
        found = closed_by(server.address, authority.client_tls(), timeout_ms=300)
    assert found == ("not-swarmlet", detail)


def test_a_peer_that_says_nothing_is_told_apart_from_a_stranger(authority: Authority) -> None:
    """It may be a coordinator whose listener has no room at the moment (D1): it can be tried again."""
    with stranger(says(b"")) as server:
        found = closed_by(server.address, authority.client_tls(), timeout_ms=300)
    assert found == ("silent", "it said nothing for 0.3 s")


def test_a_web_server_is_no_impostor(authority: Authority, tmp_path: Path) -> None:
    pem = Authority().pem("https://example.org", [SERVER])
    with stranger(tls_server(pem, tmp_path)) as server:
        found = closed_by(server.address, authority.client_tls())
    assert found == ("not-swarmlet", "it speaks TLS but not the swarmlet protocol")


def test_what_cannot_be_reached_says_why(authority: Authority) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        address = f"127.0.0.1:{gone.getsockname()[1]}"
    assert closed_by(address, authority.client_tls()) == ("connection-refused", "nothing listens there")
    # Nothing can be sent from an address that is not this machine's.
    with end() as client:
        conn = client.engine.connect(address, authority.client_tls(), source="203.0.113.7")
        assert client.closed(conn=conn).reason == "unreachable"
    with end() as client, pytest.raises(_native.NativeError) as refused:
        client.engine.connect("localhost:1", authority.client_tls())
    assert refused.value.args[0] == "address-unavailable"


def test_a_full_backlog_times_out(authority: Authority) -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        address = f"127.0.0.1:{full.getsockname()[1]}"
        with dial(address), end() as client:
            # The first one fills the backlog of one; the next is not answered.
            conns = [client.engine.connect(address, authority.client_tls(), timeout_ms=300) for _ in range(3)]
            reasons = {client.closed(conn=conn).reason for conn in conns}
            assert "timed-out" in reasons
            assert reasons <= {"timed-out", "silent"}


def test_a_new_certificate_is_used_for_the_next_handshake_only(authority: Authority) -> None:
    with pair(authority) as both:
        conn, _ = both.open()
        renewed = authority.coordinator()
        both.server.engine.set_tls(both.listener, authority.server_tls(renewed))
        number = both.dial()
        peer = both.client.opened(conn=number).peer
        assert peer is not None
        assert peer.serial == renewed.serial
        assert both.client.engine.send(conn, _native.KIND_CONTROL, 0, HELLO)
        both.server.frame()


def test_a_key_that_is_not_the_certificates_is_refused(authority: Authority) -> None:
    leaf = authority.coordinator()
    other = _native.KeyPair.generate()
    with pytest.raises(_native.NativeError) as refused:
        _native.ServerTls(other, leaf.chain, authority.root, authority.cluster_id)
    assert refused.value.args[0] == "identity-mismatch"
    with pytest.raises(_native.NativeError) as refused:
        _native.ServerTls(leaf.key, leaf.chain, authority.root, "no hex")
    assert refused.value.args[0] == "cluster-id"


def test_the_server_also_listens_on_ipv6_and_twice(authority: Authority) -> None:
    with end() as server, end() as client:
        first, one = server.engine.listen("127.0.0.1:0", authority.server_tls())
        second, two = server.engine.listen("[::1]:0", authority.server_tls())
        assert first != second
        for listener, address in ((first, one), (second, two)):
            client.opened(conn=client.engine.connect(address, authority.client_tls()))
            assert server.opened().listener == listener


def test_a_v4_peer_of_a_v6_listener_is_seen_at_its_v4_address(authority: Authority) -> None:
    """T7."""
    with end() as server, end() as client:
        _, address = server.engine.listen("[::]:0", authority.server_tls())
        port = address.rpartition(":")[2]
        tls = authority.client_tls()
        client.engine.connect(f"127.0.0.1:{port}", tls, source="127.9.8.7")
        assert server.opened().address.startswith("127.9.8.7:")


def test_a_taken_port_and_a_bad_address_are_named(authority: Authority) -> None:
    with pair(authority) as both:
        kinds = {
            both.address: "port-in-use",
            "203.0.113.7:0": "address-unavailable",
            "x": "address-unavailable",
        }
        for address, kind in kinds.items():
            with pytest.raises(_native.NativeError) as refused:
                both.server.engine.listen(address, authority.server_tls())
            assert refused.value.args[0] == kind
