"""The key of a join under way (T5): on disk before it is sent, the same for a token until a verdict."""

from __future__ import annotations

import stat
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from swarmlet._native import Identity, IdentityStore, NativeError
from tests.fakes.pki import Authority

TOKEN, OTHER = bytes(range(16)), bytes(16)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "identity"


def key_of(place: Path, token: bytes = TOKEN) -> bytes:
    """What another process would be given."""
    return IdentityStore(str(place)).joining(token).public_key


def test_t5_a_later_process_asks_with_the_same_key_by_the_same_token(place: Path) -> None:
    first = key_of(place)
    assert key_of(place) == first
    assert key_of(place, OTHER) != first
    assert key_of(place) != first, "one token at a time"


def test_it_is_closed_to_others_and_so_is_its_directory(place: Path) -> None:
    key_of(place)
    assert stat.S_IMODE((place / "joining").stat().st_mode) == 0o600
    assert stat.S_IMODE(place.stat().st_mode) == 0o700
    assert [entry.name for entry in place.iterdir()] == ["joining"]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620])
def test_one_that_others_may_have_seen_or_changed_is_replaced(place: Path, mode: int) -> None:
    first = key_of(place)
    (place / "joining").chmod(mode)
    assert key_of(place) != first
    assert stat.S_IMODE((place / "joining").stat().st_mode) == 0o600


def test_a_damaged_one_is_replaced(place: Path) -> None:
    key_of(place)
    whole = (place / "joining").read_bytes()
    other_byte = bytearray(whole)
    other_byte[60] ^= 1
    for damaged in (b"", whole[:-1], whole + b"\0", bytes(len(whole)), bytes(other_byte)):
        (place / "joining").write_bytes(damaged)
        fresh = key_of(place)
        assert key_of(place) == fresh


def test_what_a_crash_left_half_written_is_no_obstacle(place: Path) -> None:
    place.mkdir(mode=0o700)
    (place / "joining.new").write_bytes(b"half")
    assert key_of(place) == key_of(place)
    assert [entry.name for entry in place.iterdir()] == ["joining"]


def test_a_saved_identity_ends_it(place: Path) -> None:
    store = IdentityStore(str(place))
    store.joining(TOKEN)
    leaf = Authority().node(uuid.uuid4())
    store.save(Identity.create(leaf.key, leaf.chain, b""))
    assert [entry.name for entry in place.iterdir()] == ["a"]


@pytest.mark.parametrize("end", [IdentityStore.forget_joining, IdentityStore.wipe])
def test_a_forgotten_one_is_overwritten_and_leaves_no_directory(
    place: Path, end: Callable[[IdentityStore], None]
) -> None:
    store = IdentityStore(str(place))
    first = store.joining(TOKEN).public_key
    kept = place.parent / "second name"
    kept.hardlink_to(place / "joining")
    length = kept.stat().st_size
    (place / "joining.new").write_bytes(b"left by a crash")
    end(store)
    assert not place.exists()
    assert kept.read_bytes() == bytes(length)
    end(store)
    assert store.joining(TOKEN).public_key != first


def test_forgetting_it_leaves_a_member_its_identity(place: Path) -> None:
    store = IdentityStore(str(place))
    leaf = Authority().node(uuid.uuid4())
    store.save(Identity.create(leaf.key, leaf.chain, b"meta"))
    store.joining(TOKEN)
    store.forget_joining()
    loaded = store.load()
    assert loaded is not None
    assert loaded.meta == b"meta"


def test_where_it_cannot_be_written_nothing_is_asked(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(NativeError) as failure:
        IdentityStore(str(tmp_path / "file" / "identity")).joining(TOKEN)
    assert failure.value.args[0] == "identity-unwritable"


@pytest.mark.parametrize("length", [0, 15, 17])
def test_an_id_that_is_none_is_refused(place: Path, length: int) -> None:
    with pytest.raises((ValueError, TypeError)):
        IdentityStore(str(place)).joining(bytes(length))
