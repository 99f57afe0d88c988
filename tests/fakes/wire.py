"""The native engine as the coordinator's connections see it, without sockets or time."""

from __future__ import annotations

import struct

from swarmlet import _native
from swarmlet.link.messages import AnyMessage, decode


class Wire:
    """Keeps what is said on each connection; a connection can be made full."""

    def __init__(self) -> None:
        self.said: dict[int, list[AnyMessage]] = {}
        self.credit: dict[int, list[tuple[int, int]]] = {}
        self.closed: dict[int, str] = {}
        self.admitted: list[tuple[int, bytes]] = []
        self.forgotten: list[bytes] = []
        self.denied: list[bytes] = []
        self.full: set[int] = set()
        self.log: list[tuple[str, object]] = []

    def send(self, conn: int, kind: int, stream: int, payload: bytes) -> bool:
        assert len(payload) <= _native.MAX_PAYLOAD
        if conn in self.full or conn in self.closed:
            return False
        if kind == _native.KIND_CONTROL:
            message = decode(payload)
            self.said.setdefault(conn, []).append(message)
            self.log.append(("say", message))
        else:
            assert kind == _native.KIND_CREDIT
            self.credit.setdefault(conn, []).append((stream, struct.unpack(">I", payload)[0]))
        return True

    def close(self, conn: int, reason: str = "closed") -> None:
        self.closed.setdefault(conn, reason)
        self.log.append(("close", conn))

    def admit(self, conn: int, node: bytes, heartbeat_ms: int, lease_ms: int) -> None:
        self.admitted.append((conn, node))
        self.log.append(("admit", conn))

    def forget(self, node: bytes) -> None:
        self.forgotten.append(node)

    def readings(self, nodes):
        return [(10, (0, 1, 120, 4000, 1, 2, 3, 4, 5)) if node[-1] % 2 else None for node in nodes]

    def deny(self, serials) -> int:
        self.denied += serials
        self.log.append(("deny", list(serials)))
        return 0

    def forgive(self, serials) -> int:
        self.denied = [serial for serial in self.denied if serial not in serials]
        return len(serials)
