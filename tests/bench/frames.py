"""Frames decoded per core against a length-prefixed msgspec loop, the obvious way without a native half."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import msgspec

from swarmlet._native import KIND_CONTROL, FrameDecoder, encode_frame
from tests.bench.measure import Figure, Plan, paired

_CHUNK = 65536


class Beat(msgspec.Struct):
    """A heartbeat as the peer would carry it."""

    seq: int
    cpu: int
    memory: int
    generation: int


def figures(plan: Plan) -> Iterator[Figure]:
    """Measure both decoders over the same messages in the same chunks."""
    bodies = [msgspec.msgpack.encode(Beat(n, n % 1000, n * 4096, 7)) for n in range(20_000)]
    ours_stream = b"".join(encode_frame(KIND_CONTROL, 0, body) for body in bodies)
    peer_stream = b"".join(struct.pack(">I", len(body)) + body for body in bodies)
    decoder = msgspec.msgpack.Decoder(Beat)

    def ours() -> int:
        frames = FrameDecoder()
        count = 0
        for at in range(0, len(ours_stream), _CHUNK):
            count += len(frames.feed(ours_stream[at : at + _CHUNK]))
        assert count == len(bodies)
        return count

    def peer() -> int:
        buffer = bytearray()
        count = 0
        for at in range(0, len(peer_stream), _CHUNK):
            buffer += peer_stream[at : at + _CHUNK]
            offset = 0
            while len(buffer) - offset >= 4:
                (length,) = struct.unpack_from(">I", buffer, offset)
                if len(buffer) - offset - 4 < length:
                    break
                decoder.decode(memoryview(buffer)[offset + 4 : offset + 4 + length])
                offset += 4 + length
                count += 1
            del buffer[:offset]
        assert count == len(bodies)
        return count

    mine, theirs, ratio = paired(ours, peer, rounds=plan.pick(5, 2))
    yield Figure(
        "frames decoded, payloads handed to Python",
        mine,
        "1/s",
        "msgspec loop",
        theirs,
        ratio,
        "5x",
        ratio >= 5,
    )
