"""Signatures through the binding: strict, and of one mind with another library on good ones (T2)."""

from __future__ import annotations

import threading

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from swarmlet import _native as native
from tests.vectors import ed25519, read

Item = tuple[bytes, bytes, bytes]


def vectors() -> dict[str, tuple[Item, bool, bool]]:
    found = read("signatures.txt")
    names = [name.removesuffix(".verdicts") for name in found if name.endswith(".verdicts")]
    parts = ("key", "message", "signature")
    return {
        name: (
            (found[f"{name}.{parts[0]}"], found[f"{name}.{parts[1]}"], found[f"{name}.{parts[2]}"]),
            bool(found[f"{name}.verdicts"][0]),
            bool(found[f"{name}.verdicts"][1]),
        )
        for name in names
    }


VECTORS = vectors()


def sign(seed: bytes, message: bytes) -> Item:
    key = Ed25519PrivateKey.from_private_bytes(seed)
    return key.public_key().public_bytes_raw(), message, key.sign(message)


def other_library_takes(item: Item) -> bool:
    key, message, signature = item
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


@pytest.mark.parametrize("name", sorted(VECTORS))
def test_t2_every_vector_gets_its_verdicts(name: str) -> None:
    item, one, batch = VECTORS[name]
    assert native.verify(*item) is one
    assert native.verify_batch([item]) is batch
    good = VECTORS["good-0"][0]
    assert native.verify_batch([good, item, good]) is batch


def test_t2_the_vectors_would_fool_a_careless_verifier() -> None:
    """Each small-order forgery satisfies S B = R + k A times 8: only the checks on points refuse it."""
    fooled = 0
    for name, ((key, message, signature), _, _) in VECTORS.items():
        if not name.startswith("small-order"):
            continue
        points = []
        for encoded in (signature[:32], key):
            number = int.from_bytes(encoded, "little")
            y = (number & (1 << 255) - 1) % ed25519.P
            x = ed25519.x_of(y, number >> 255) or 0
            points.append((x, y))
        k = ed25519.challenge(signature[:32], key, message)
        left = ed25519.multiply(8 * int.from_bytes(signature[32:], "little"), ed25519.BASE)
        right = ed25519.multiply(8, ed25519.add(points[0], ed25519.multiply(k, points[1])))
        assert left == right, name
        fooled += 1
    assert fooled >= 24


@given(st.binary(min_size=32, max_size=32), st.binary(max_size=500))
def test_t2_good_signatures_are_good_to_both_libraries(seed: bytes, message: bytes) -> None:
    item = sign(seed, message)
    assert other_library_takes(item)
    assert native.verify(*item)
    assert native.verify_batch([item])
    assert ed25519.sign(seed, message) == (item[0], item[2])


@given(st.binary(min_size=32, max_size=32), st.binary(min_size=1, max_size=50), st.data())
def test_t2_a_flipped_bit_is_refused_by_both_libraries(
    seed: bytes, message: bytes, data: st.DataObject
) -> None:
    item = list(sign(seed, message))
    part = data.draw(st.integers(0, 2))
    bit = data.draw(st.integers(0, len(item[part]) * 8 - 1))
    damaged = bytearray(item[part])
    damaged[bit // 8] ^= 1 << bit % 8
    item[part] = bytes(damaged)
    bad = (item[0], item[1], item[2])
    assert not other_library_takes(bad)
    assert not native.verify(*bad)
    assert not native.verify_batch([bad])
    assert not native.verify_batch([sign(seed, message), bad])


@given(st.binary(max_size=40), st.binary(max_size=10), st.binary(max_size=70))
def test_lengths_that_cannot_be_are_refused_without_an_exception(
    key: bytes, message: bytes, signature: bytes
) -> None:
    assert native.verify(key, message, signature) is False
    assert native.verify_batch([(key, message, signature)]) is False
    assert native.verify_claims(signature, key) is False


@pytest.mark.parametrize("signers", [1, 7, 200])
def test_t2_one_bad_member_spoils_a_batch_wherever_it_is(signers: int) -> None:
    items = [sign(bytes([number % signers]) * 32, b"statement %d" % number) for number in range(200)]
    assert native.verify_batch(items)
    for at in (0, 99, 199):
        key, message, signature = items[at]
        assert not native.verify_batch([*items[:at], (key, message + b"!", signature), *items[at + 1 :]])


def test_an_empty_batch_holds() -> None:
    assert native.verify_batch([]) is True


def test_other_threads_run_while_a_batch_is_verified() -> None:
    items = [sign(bytes([number % 250]) * 32, b"%d" % number) for number in range(1000)] * 5
    ticks = 0
    seen: list[int] = []

    def work() -> None:
        before = ticks
        assert native.verify_batch(items)
        seen.append(ticks - before)

    thread = threading.Thread(target=work)
    thread.start()
    while thread.is_alive():
        ticks += 1
    thread.join()
    assert seen[0] > 0
