"""Ed25519 by the book (RFC 8032), slow and plain, for making signatures that a library would not make.

Points are pairs of affine coordinates on the twisted Edwards curve -x^2 + y^2 = 1 + d x^2 y^2.
"""

from __future__ import annotations

import hashlib

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P
ROOT_OF_MINUS_ONE = pow(2, (P - 1) // 4, P)

Point = tuple[int, int]
IDENTITY: Point = (0, 1)


def add(one: Point, other: Point) -> Point:
    """Return the sum of two points."""
    (x1, y1), (x2, y2) = one, other
    product = D * x1 * x2 * y1 * y2
    x = (x1 * y2 + x2 * y1) * pow(1 + product, -1, P)
    y = (y1 * y2 + x1 * x2) * pow(1 - product, -1, P)
    return x % P, y % P


def multiply(scalar: int, point: Point) -> Point:
    """Return ``scalar`` times ``point``."""
    total = IDENTITY
    while scalar:
        if scalar & 1:
            total = add(total, point)
        point = add(point, point)
        scalar >>= 1
    return total


def x_of(y: int, odd: int) -> int | None:
    """Return the x with this y and this lowest bit, where there is one (section 5.1.3)."""
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * ROOT_OF_MINUS_ONE % P
    if (x * x - square) % P or (x == 0 and odd):
        return None
    return x if x & 1 == odd else P - x


def encode(point: Point) -> bytes:
    """Return the one canonical encoding of a point."""
    return (point[1] | (point[0] & 1) << 255).to_bytes(32, "little")


def _base() -> Point:
    y = 4 * pow(5, -1, P) % P
    x = x_of(y, 0)
    assert x is not None
    return x, y


BASE = _base()


def small_order() -> list[Point]:
    """Return the eight points whose order divides 8."""
    y = 2
    while (x := x_of(y, 0)) is None or multiply(4, candidate := multiply(L, (x, y))) == IDENTITY:
        y += 1
    return [multiply(times, candidate) for times in range(8)]


def challenge(r: bytes, key: bytes, message: bytes) -> int:
    """Return k, the hash of a signature's parts as a scalar."""
    return int.from_bytes(hashlib.sha512(r + key + message).digest(), "little") % L


def secret(seed: bytes) -> tuple[int, bytes]:
    """Return the secret scalar and the prefix of a seed (section 5.1.5)."""
    digest = hashlib.sha512(seed).digest()
    scalar = int.from_bytes(digest[:32], "little") & ((1 << 254) - 8) | (1 << 254)
    return scalar, digest[32:]


def nonce(seed: bytes, message: bytes) -> int:
    """Return r of a signature (section 5.1.6)."""
    return int.from_bytes(hashlib.sha512(secret(seed)[1] + message).digest(), "little") % L


def sign(
    seed: bytes, message: bytes, *, key_twist: Point = IDENTITY, r_twist: Point = IDENTITY
) -> tuple[bytes, bytes]:
    """Return key and signature; a twist adds a point of small order to the key or to R.

    Without twists this is section 5.1.6. With them it is what only the owner of the seed can make.
    """
    scalar, _ = secret(seed)
    key = encode(add(multiply(scalar, BASE), key_twist))
    r = nonce(seed, message)
    r_bytes = encode(add(multiply(r, BASE), r_twist))
    s = (r + challenge(r_bytes, key, message) * scalar) % L
    return key, r_bytes + s.to_bytes(32, "little")
