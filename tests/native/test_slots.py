"""The two-slot file: whatever crash or bad sector damages, a whole slot is found or the damage is told."""

from __future__ import annotations

import hashlib
import os
import random
import struct
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from swarmlet._native import NativeError, SlotFile

MAGIC = b"TESTSLOT"
HEADER = 8 + 2 + 8 + 4
CHECKSUM = 32


def store(directory: Path) -> SlotFile:
    return SlotFile(str(directory), MAGIC)


def slot(generation: int, payload: bytes, *, version: int = 1, magic: bytes = MAGIC) -> bytes:
    """What a slot looks like, written a second time by hand."""
    body = magic + struct.pack(">HQI", version, generation, len(payload)) + payload
    return body + hashlib.sha256(body).digest()


def kind_of(failure: pytest.ExceptionInfo[NativeError]) -> str:
    kind: str = failure.value.args[0]
    return kind


# ---- what is on disk


def test_saves_alternate_between_two_files_with_the_bytes_of_the_format(tmp_path: Path) -> None:
    slots = store(tmp_path / "s")
    assert slots.load() is None
    assert slots.save(b"one") == 1
    assert slots.save(b"two") == 2
    assert (tmp_path / "s" / "a").read_bytes() == slot(1, b"one")
    assert (tmp_path / "s" / "b").read_bytes() == slot(2, b"two")
    assert slots.save(b"three") == 3
    assert (tmp_path / "s" / "a").read_bytes() == slot(3, b"three")
    assert slots.load() == (3, b"three")
    assert sorted(entry.name for entry in (tmp_path / "s").iterdir()) == ["a", "b"]


def test_files_and_directory_are_closed_to_others(tmp_path: Path) -> None:
    slots = store(tmp_path / "deep" / "er" / "s")
    slots.save(b"x")
    slots.save(b"x")
    directory = tmp_path / "deep" / "er" / "s"
    assert directory.stat().st_mode & 0o777 == 0o700
    assert {entry.stat().st_mode & 0o777 for entry in directory.iterdir()} == {0o600}


@pytest.mark.parametrize("size", [0, 1, 63, 64, 65, 100_000, 1_000_000])
def test_payloads_of_any_size_come_back(tmp_path: Path, size: int) -> None:
    payload = random.Random(size).randbytes(size)
    assert store(tmp_path).save(payload) == 1
    assert store(tmp_path).load() == (1, payload)


def test_a_payload_beyond_the_limit_is_refused_and_nothing_changes(tmp_path: Path) -> None:
    slots = store(tmp_path)
    slots.save(b"small")
    with pytest.raises(NativeError) as failure:
        slots.save(bytes(16 * 1024 * 1024 + 1))
    assert kind_of(failure) == "slots-unwritable"
    assert slots.load() == (1, b"small")


def test_magic_must_have_eight_bytes(tmp_path: Path) -> None:
    for magic in (b"", b"1234567", b"123456789"):
        with pytest.raises(ValueError, match="8 bytes"):
            SlotFile(str(tmp_path), magic)


# ---- damage


def _damages(content: bytes, seed: int) -> Iterator[tuple[str, bytes]]:
    """Every byte with a flipped bit, every shorter length, and some noise."""
    for at in range(len(content)):
        flipped = bytearray(content)
        flipped[at] ^= 1 << (at % 8)
        yield f"bit flipped in byte {at}", bytes(flipped)
        yield f"cut to {at} bytes", content[:at]
    chance = random.Random(seed)
    yield "one byte more", content + b"\0"
    yield "twice", content + content
    for length in (0, 1, HEADER, len(content), 5000):
        yield f"{length} bytes of noise", chance.randbytes(length)
        yield f"{length} zeros", bytes(length)


@pytest.mark.parametrize("name", ["a", "b"])
def test_any_damage_to_one_slot_leaves_the_other(tmp_path: Path, name: str, seed: int) -> None:
    slots = store(tmp_path)
    slots.save(b"first payload")
    slots.save(b"second payload")
    other = {"a": (2, b"second payload"), "b": (1, b"first payload")}[name]
    path = tmp_path / name
    whole = path.read_bytes()
    for what, content in _damages(whole, seed):
        path.write_bytes(content)
        assert slots.load() == other, what
        assert slots.damaged() == [str(path)], what
    # The damaged slot is the one written next, and the generation goes on from the whole one.
    assert slots.save(b"mended") == other[0] + 1
    assert path.read_bytes() == slot(other[0] + 1, b"mended")
    assert slots.damaged() == []


def test_any_damage_to_both_slots_is_told_and_both_are_kept(tmp_path: Path, seed: int) -> None:
    slots = store(tmp_path)
    slots.save(b"first payload")
    slots.save(b"other payload")
    paths = [tmp_path / "a", tmp_path / "b"]
    damaged = [list(_damages(path.read_bytes(), seed)) for path in paths]
    for (what, first), (_, second) in zip(*damaged, strict=True):
        for path, content in zip(paths, (first, second), strict=True):
            path.write_bytes(content)
        with pytest.raises(NativeError) as failure:
            slots.load()
        assert kind_of(failure) == "slots-damaged", what
        assert all(str(path) in failure.value.args[1] for path in paths)
        assert [path.read_bytes() for path in paths] == [first, second]
        assert slots.damaged() == [str(path) for path in paths]


def test_a_save_over_two_damaged_slots_keeps_them_beside_the_new_one(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"damaged a")
    (tmp_path / "b").write_bytes(b"damaged b")
    slots = store(tmp_path)
    assert slots.save(b"new") == 1
    assert slots.load() == (1, b"new")
    assert (tmp_path / "a.damaged").read_bytes() == b"damaged a"
    assert (tmp_path / "b.damaged").read_bytes() == b"damaged b"


def test_a_slot_of_another_content_or_a_later_format_is_not_taken_for_ours(tmp_path: Path) -> None:
    for content in (slot(9, b"x", magic=b"OTHERONE"), slot(9, b"x", version=2)):
        (tmp_path / "a").write_bytes(content)
        with pytest.raises(NativeError) as failure:
            store(tmp_path).load()
        assert kind_of(failure) == "slots-damaged"


def test_the_newest_slot_wins_in_either_file(tmp_path: Path) -> None:
    for first, second, expected in (
        (7, 3, (7, b"7")),
        (3, 7, (7, b"7")),
        (2**64 - 1, 1, (2**64 - 1, str(2**64 - 1).encode())),
    ):
        (tmp_path / "a").write_bytes(slot(first, str(first).encode()))
        (tmp_path / "b").write_bytes(slot(second, str(second).encode()))
        assert store(tmp_path).load() == expected


def test_what_is_no_file_in_a_slots_place_neither_blocks_nor_leads_elsewhere(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_bytes(slot(99, b"planted"))
    directory = tmp_path / "s"
    slots = store(directory)
    slots.save(b"one")
    slots.save(b"two")
    (directory / "b").unlink()
    (directory / "b").symlink_to(elsewhere)
    assert slots.load() == (1, b"one")
    (directory / "b").unlink()
    os.mkfifo(directory / "b")
    assert slots.load() == (1, b"one")
    assert slots.save(b"three") == 2
    assert slots.load() == (2, b"three")
    assert elsewhere.read_bytes() == slot(99, b"planted")


def test_what_a_crash_left_of_a_save_is_in_nobodys_way(tmp_path: Path) -> None:
    slots = store(tmp_path)
    slots.save(b"one")
    for name in ("a.new", "b.new"):
        (tmp_path / name).write_bytes(b"half a slo")
    assert slots.load() == (1, b"one")
    assert (slots.save(b"two"), slots.save(b"three")) == (2, 3)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["a", "b"]


def test_saves_from_many_threads_are_one_after_another(tmp_path: Path) -> None:
    slots = store(tmp_path)
    given: list[int] = []

    def work() -> None:
        given.extend(slots.save(os.urandom(100)) for _ in range(25))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(given) == list(range(1, 201))
    loaded = slots.load()
    assert loaded is not None
    assert loaded[0] == 200
