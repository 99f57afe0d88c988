"""Pairing without a token: the short code that both ends show, and what it is made of. Pure.

A device without a token and a coordinator that never met agree on six characters that a person compares
(short authentication strings: Vaudenay, CRYPTO 2005; ZRTP, RFC 6189, section 4.4). The device commits to
its random value before it sees the coordinator's, so that whoever stands between the two has one guess in
2^30 for each exchange: it cannot try values until two codes are equal.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Final, NamedTuple

import msgspec

#: Bytes of each side's random value, and of a commitment.
RANDOM: Final = 32
#: The most characters of a device's description.
MOST_HARDWARE: Final = 120

_COMMIT: Final = b"swarmlet/pair-commit/v1\0"
_CODE: Final = b"swarmlet/pair-code/v1\0"
#: Crockford's base 32: no letter that is read as a digit or as another letter.
_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_SYMBOLS: Final = 6
_READ: Final = str.maketrans("OIL", "011", "- ")

_encoder = msgspec.msgpack.Encoder()


class Transcript(NamedTuple):
    """Everything that both ends must have seen alike for their codes to be the same.

    Attributes:
        cluster_id: 32 hex digits.
        key: SHA-256 of the cluster's public key, 32 bytes: the device's pin, the coordinator's own.
        public_key: Public half of the key that the device's token will be made for, 32 bytes.
        name: The node name the device asks for.
        node_class: The class it found itself to be.
        hardware: What it says it is, for people.
        exporter: TLS exporter of the connection, 32 bytes.
        theirs: The device's random value.
        ours: The coordinator's random value.
    """

    cluster_id: str
    key: bytes
    public_key: bytes
    name: str
    node_class: str
    hardware: str
    exporter: bytes
    theirs: bytes
    ours: bytes


def commitment(value: bytes) -> bytes:
    """Return what a device sends before it may see the coordinator's random value."""
    return hashlib.sha256(_COMMIT + value).digest()


def opens(value: bytes, committed: bytes) -> bool:
    """Say whether ``value`` is what was committed to."""
    return len(value) == RANDOM and hmac.compare_digest(commitment(value), committed)


def code_of(seen: Transcript) -> str:
    """Return the code, as ``7KD-2QF``: 30 bits of a hash over everything."""
    digest = hashlib.sha256(_CODE + _encoder.encode(tuple(seen))).digest()
    number = int.from_bytes(digest[:4], "big") >> 2
    symbols = "".join(_ALPHABET[number >> shift & 31] for shift in range(25, -1, -5))
    return f"{symbols[:3]}-{symbols[3:]}"


def read_code(text: str) -> str | None:
    """Return a code as :func:`code_of` writes it, from what somebody typed; ``None`` when it is none."""
    plain = text.strip().upper().translate(_READ)
    if len(plain) != _SYMBOLS or not set(plain) <= set(_ALPHABET):
        return None
    return f"{plain[:3]}-{plain[3:]}"
