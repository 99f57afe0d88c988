"""Keeps the datagrams that pass a switch, and sends them again, byte for byte with their first senders.

``python -m tests.integration.replay keep FILE SECONDS``, and ``replay FILE TIMES``, where the switch is.
The ports of the switch are asked by name: a frame is kept as it came in and sent out of all the other ports.
"""

from __future__ import annotations

import contextlib
import select
import socket
import struct
import sys
import time
from pathlib import Path

_ALL = 3  # ETH_P_ALL, linux/if_ether.h
_UDP_OVER_IPV4 = b"\x08\x00"
_OUTGOING = 4  # PACKET_OUTGOING, linux/if_packet.h


def ports() -> list[socket.socket]:
    """Return a raw socket on each port of the switch."""
    made = []
    for _, name in socket.if_nameindex():
        if name.startswith("v"):
            one = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ALL))
            one.bind((name, _ALL))
            made.append(one)
    return made


def unsummed(frame: bytes) -> bytes:
    """Return a frame without its UDP checksum, which a virtual cable leaves to hardware (RFC 768)."""
    at = 14 + (frame[14] & 15) * 4 + 6
    return frame[:at] + b"\0\0" + frame[at + 2 :]


def keep(file: Path, seconds: float) -> None:
    """Write every UDP datagram that comes in at a port, with the number of that port."""
    open_ports = ports()
    until = time.monotonic() + seconds
    with file.open("wb") as out:
        while (left := until - time.monotonic()) > 0:
            for one in select.select(open_ports, [], [], left)[0]:
                frame, about = one.recvfrom(2048)
                if about[2] == _OUTGOING or frame[12:14] != _UDP_OVER_IPV4 or frame[23] != socket.IPPROTO_UDP:
                    continue
                out.write(struct.pack("!BH", open_ports.index(one), len(frame)) + unsummed(frame))


def replay(file: Path, times: int) -> int:
    """Send what was kept out of every port but its own, again and again; return how often."""
    open_ports, kept, rest = ports(), [], file.read_bytes()
    while rest:
        port, length = struct.unpack("!BH", rest[:3])
        kept.append((port, rest[3 : 3 + length]))
        rest = rest[3 + length :]
    sent = 0
    for _ in range(times):
        for port, frame in kept:
            for number, one in enumerate(open_ports):
                if number != port:
                    with contextlib.suppress(OSError):
                        one.send(frame)
                        sent += 1
        time.sleep(0.05)
    return sent


if __name__ == "__main__":
    what, place, number = sys.argv[1:]
    if what == "keep":
        keep(Path(place), float(number))
    else:
        print(replay(Path(place), int(number)))
