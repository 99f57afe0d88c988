"""Ed25519 verification against ``cryptography`` on the same machine, in the same run."""

from __future__ import annotations

from collections.abc import Iterator

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from swarmlet._native import verify, verify_batch
from tests.bench.measure import Figure, Plan, paired

Triple = tuple[bytes, bytes, bytes]


def figures(plan: Plan) -> Iterator[Figure]:
    """Measure single and batch verification."""
    one_signer = _signed(256, signers=1)
    many = _signed(64, signers=64)
    peers = [(Ed25519PublicKey.from_public_bytes(key), message, sig) for key, message, sig in one_signer]

    def peer() -> int:
        for key, message, signature in peers:
            key.verify(signature, message)
        return len(peers)

    def single() -> int:
        assert all(verify(*triple) for triple in one_signer)
        return len(one_signer)

    def batch(items: list[Triple]) -> int:
        assert verify_batch(items)
        return len(items)

    for what, work, bar in (
        ("Ed25519 verify, single", single, 2.2),
        ("Ed25519 verify, batch of 64 signers", lambda: batch(many), 4.0),
        ("Ed25519 verify, batch of 256 of one signer", lambda: batch(one_signer), 9.0),
    ):
        ours, theirs, ratio = paired(work, peer, rounds=plan.pick(5, 2))
        yield Figure(what, ours, "1/s", "cryptography", theirs, ratio, f"{bar}x", ratio >= bar)


def _signed(count: int, *, signers: int) -> list[Triple]:
    keys = [Ed25519PrivateKey.generate() for _ in range(signers)]
    publics = [key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw) for key in keys]
    messages = [f"statement {number}".encode() * 8 for number in range(count)]
    return [
        (publics[number % signers], message, keys[number % signers].sign(message))
        for number, message in enumerate(messages)
    ]
