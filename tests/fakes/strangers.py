"""Servers that are not a coordinator, and clients that are not a node: each speaks to one connection."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


class Stranger:
    """A server on loopback; ``received`` is what it was told by then."""

    def __init__(self, listener: socket.socket) -> None:
        host, port = listener.getsockname()[:2]
        self.address = f"{host}:{port}"
        self.received = b""
        self.failure: Exception | None = None


Behaviour = Callable[[socket.socket, Stranger], None]


@contextmanager
def stranger(behave: Behaviour) -> Iterator[Stranger]:
    """Serve one connection with ``behave`` in a thread that ends with the block."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(10)
        server = Stranger(listener)

        def serve() -> None:
            with suppress(OSError):
                peer, _ = listener.accept()
                with peer:
                    peer.settimeout(10)
                    behave(peer, server)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield server
        finally:
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            thread.join(15)
            assert not thread.is_alive()


def says(text: bytes) -> Behaviour:
    """A server that speaks first, then listens to the end."""

    def behave(peer: socket.socket, server: Stranger) -> None:
        if text:
            peer.sendall(text)
        drain(peer, server)

    return behave


def answers(text: bytes) -> Behaviour:
    """A server that answers the first bytes, then hangs up."""

    def behave(peer: socket.socket, server: Stranger) -> None:
        server.received += peer.recv(65536)
        peer.sendall(text)

    return behave


def drain(peer: socket.socket, server: Stranger) -> None:
    """Read to the end."""
    with suppress(OSError):
        while chunk := peer.recv(65536):
            server.received += chunk


def tls_server(pem: bytes, directory: Path, behave: Behaviour = drain, **options: object) -> Behaviour:
    """A TLS server of another make, with this key and chain, that does ``behave`` inside TLS."""
    file = directory / "server.pem"
    file.write_bytes(pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    for name, value in options.items():
        if name == "alpn":
            context.set_alpn_protocols(value)
        else:
            setattr(context, name, value)

    def shake_hands(peer: socket.socket, server: Stranger) -> None:
        try:
            with context.wrap_socket(peer, server_side=True) as wrapped:
                behave(wrapped, server)
        except (OSError, ssl.SSLError) as cause:
            server.failure = cause

    return shake_hands


def tls_client(**options: object) -> ssl.SSLContext:
    """A TLS client of another make that trusts anyone."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    for name, value in options.items():
        if name == "alpn":
            context.set_alpn_protocols(value)
        else:
            setattr(context, name, value)
    return context


def dial(address: str) -> socket.socket:
    """Connect a plain socket to ``ip:port``."""
    host, _, port = address.rpartition(":")
    made = socket.create_connection((host.strip("[]"), int(port)), timeout=10)
    made.settimeout(10)
    return made
