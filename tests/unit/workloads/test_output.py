"""Output rings: bounded, raw, and honest about what was dropped."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from swarmlet.workloads.output import STDERR, STDOUT, Chunk, Outputs, Ring


def everything(ring: Ring, offset: int = 0, limit: int = 1 << 30) -> list[Chunk]:
    chunks = []
    while (chunk := ring.read(offset, limit)) is not None:
        chunks.append(chunk)
        offset = chunk.offset + len(chunk.data)
    return chunks


async def collect(ring: Ring, *, tail: int | None = None, follow: bool = False) -> bytes:
    return b"".join([chunk.data async for chunk in ring.follow(tail=tail, follow=follow)])


def test_bytes_are_kept_raw_with_their_stream() -> None:
    ring = Ring()
    ring.append(STDOUT, b"one\xff\x00")
    ring.append(STDERR, b"two\n")
    ring.append(STDERR, b"three")
    assert everything(ring) == [Chunk(0, STDOUT, b"one\xff\x00", 0), Chunk(5, STDERR, b"two\nthree", 0)]


def test_a_reader_knows_how_much_it_missed() -> None:
    ring = Ring(max_bytes=4096)
    ring.append(STDOUT, bytes(100_000))
    first = ring.read(0)
    assert first is not None
    assert first.missed == ring.start > 90_000
    assert ring.size <= 4096


def test_lines_are_bounded_too() -> None:
    ring = Ring(max_lines=100)
    for _ in range(10_000):
        ring.append(STDOUT, b"x" * 60 + b"\n")
    kept = b"".join(chunk.data for chunk in everything(ring, ring.start))
    assert 0 < kept.count(b"\n") <= 100


def test_many_small_alternating_writes_stay_within_the_bound() -> None:
    ring = Ring(max_bytes=8192)
    for n in range(5000):
        ring.append(STDOUT if n % 2 else STDERR, b"a")
    assert ring.size <= 8192


@given(st.lists(st.tuples(st.sampled_from([STDOUT, STDERR]), st.binary(max_size=300)), max_size=60))
def test_what_is_kept_is_the_end_of_what_was_written(writes: list[tuple[int, bytes]]) -> None:
    ring = Ring(max_bytes=2048)
    for stream, data in writes:
        ring.append(stream, data)
    written = b"".join(data for _, data in writes)
    chunks = everything(ring, ring.start, limit=37)
    kept = b"".join(chunk.data for chunk in chunks)
    assert kept == written[ring.start :]
    assert ring.end == len(written)
    assert ring.size <= 2048 + 64
    assert all(chunk.missed == 0 and 0 < len(chunk.data) <= 37 for chunk in chunks)


@given(st.lists(st.sampled_from([b"a\n", b"bb\n", b"\n", b"c"]), max_size=40), st.integers(0, 12))
def test_a_tail_is_the_last_lines(parts: list[bytes], wanted: int) -> None:
    ring = Ring(max_bytes=64 * 1024)
    for part in parts:
        ring.append(STDOUT, part)
    text = b"".join(parts)
    lines = text.splitlines(keepends=True)
    expected = b"".join(lines[-wanted:]) if wanted else b""
    assert text[ring.tail(wanted) :] == expected


def test_without_follow_a_reader_ends_at_what_is_there() -> None:
    ring = Ring()
    ring.append(STDOUT, b"1\n2\n3\n")
    assert asyncio.run(collect(ring, tail=2)) == b"2\n3\n"
    assert asyncio.run(collect(ring)) == b"1\n2\n3\n"
    assert asyncio.run(collect(Ring())) == b""


def test_a_follower_gets_what_comes_until_the_ring_is_closed() -> None:
    async def scene() -> bytes:
        ring = Ring()
        ring.append(STDOUT, b"before ")
        reader = asyncio.create_task(collect(ring, follow=True))
        for part in (b"during ", b"and "):
            await asyncio.sleep(0)
            ring.append(STDERR, part)
        ring.append(STDOUT, b"after")
        ring.close()
        return await asyncio.wait_for(reader, 5)

    assert asyncio.run(scene()) == b"before during and after"


def test_a_slow_follower_costs_nothing_and_is_told() -> None:
    async def scene() -> tuple[int, int]:
        ring = Ring(max_bytes=4096)
        reader = ring.follow(tail=None, follow=True)
        ring.append(STDOUT, b"x" * 100)
        first = await anext(reader)
        ring.append(STDOUT, b"y" * 50_000)
        second = await anext(reader)
        await reader.aclose()
        return first.missed, second.missed

    first, second = asyncio.run(scene())
    assert first == 0
    assert second > 40_000


def test_a_follower_that_goes_away_leaves_nothing_behind() -> None:
    async def scene() -> int:
        ring = Ring()
        reader = asyncio.create_task(collect(ring, follow=True))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        reader.cancel()
        await asyncio.gather(reader, return_exceptions=True)
        return len(ring._waiters)

    assert asyncio.run(scene()) == 0


def test_output_of_the_ended_is_kept_while_there_is_room() -> None:
    outputs = Outputs(ended_bytes=10_000)
    for n in range(5):
        outputs.open(f"w{n}").append(STDOUT, bytes(4000))
        outputs.end(f"w{n}")
    assert outputs.find("w0") is None
    last = outputs.find("w4")
    assert last is not None
    assert last.closed
    again = outputs.open("w4")
    assert again is last
    assert not again.closed
