"""Makes the golden vectors: ``python -m tests.vectors.make``. Uses nothing of the product.

What is in ``docs/protocol.md`` is written here a second time, from the document, so that document, product
and vectors can only agree when all three are right.
"""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import ipaddress
import struct
import uuid
import zlib
from collections.abc import Callable

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.x509.oid import NameOID

from tests.vectors import HERE, ed25519, mesh

CLUSTER = bytes(range(16))
NODE = uuid.UUID("00112233-4455-6677-8899-aabbccddeeff")
COORDINATOR_SEED = b"coordinator's token signing key!"
TOKEN_SEED = b"the one-use key of this token ok"
CSR = b"stands for a certification request"
EXPORTER = bytes(range(100, 132))

Vectors = dict[str, bytes]


def frame(kind: int, stream: int, payload: bytes) -> bytes:
    return struct.pack(">IBBH", len(payload), kind, 0, stream) + payload


def frames() -> Vectors:
    seq = 0x01020304
    memory = (0x0708090A0B0C0D0E, 0x1112131415161718)
    rest = (0x2122232425262728, 0x3132333435363738, 0x4142434445464748)
    payloads = {
        "control": (1, 0, msgspec.msgpack.encode({"t": "leave"})),
        "heartbeat": (
            2,
            0,
            struct.pack(">IBxHHhQQQQQ", seq, 1, 0x0203, 0x0304, -0x0506, *memory, *rest),
        ),
        "heartbeat-ack": (3, 0, struct.pack(">I", seq)),
        "lease": (4, 0, struct.pack(">II", 5000, 15000)),
        "data": (16, 0x0102, b"one line of output\n"),
        "credit": (17, 0x0102, struct.pack(">I", 65536)),
    }
    made: Vectors = {}
    for name, (kind, stream, payload) in payloads.items():
        made[f"{name}.payload"] = payload
        made[f"{name}.frame"] = frame(kind, stream, payload)
    return made


def public(seed: bytes) -> bytes:
    key = Ed25519PrivateKey.from_private_bytes(seed).public_key()
    return key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)


def sign(seed: bytes, message: bytes) -> bytes:
    return Ed25519PrivateKey.from_private_bytes(seed).sign(message)


def claims() -> list[object]:
    return [
        1,
        CLUSTER,
        "home lab",
        bytes(range(16, 32)),
        hashlib.sha256(public(COORDINATOR_SEED)).digest()[:8],
        1_722_500_000,
        1_722_503_600,
        [hashlib.sha256(b"root").digest(), hashlib.sha256(b"next root").digest()],
        ["192.168.1.100:7946", "[fd00::1]:7946", "cluster.example:443"],
        300,
        ["192.168.0.0/16", "fd00::/8"],
        ["edge", "iot"],
        ["docker"],
        "pi-*",
        public(TOKEN_SEED),
    ]


def token_text(signed: bytes, seed: bytes) -> str:
    def code(data: bytes) -> str:
        return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

    text = "swarm_join_" + code(struct.pack(">BH", 1, len(signed) - 64) + signed + seed)
    return text + code(struct.pack(">I", zlib.crc32(text.encode())))


def tokens() -> Vectors:
    encoded = msgspec.msgpack.encode(claims())
    signed = encoded + sign(COORDINATOR_SEED, b"swarmlet/join/v1\0" + encoded)
    jti = bytes(range(16, 32))
    digests = hashlib.sha256(signed).digest() + hashlib.sha256(CSR).digest()
    return {
        "coordinator.seed": COORDINATOR_SEED,
        "coordinator.key": public(COORDINATOR_SEED),
        "token.seed": TOKEN_SEED,
        "token.claims": encoded,
        "token.signed": signed,
        "token.text": token_text(signed, TOKEN_SEED).encode(),
        "proof.csr": CSR,
        "proof.exporter": EXPORTER,
        "proof.signature": sign(TOKEN_SEED, b"swarmlet/join-proof/v1\0" + jti + digests + EXPORTER),
    }


class Signatures:
    """Collects cases: key, message, signature, and its verdicts alone and in a batch (01 holds)."""

    def __init__(self) -> None:
        self.made: Vectors = {}

    def add(self, name: str, key: bytes, message: bytes, signature: bytes, *, one: bool, batch: bool) -> None:
        self.made[f"{name}.key"] = key
        self.made[f"{name}.message"] = message
        self.made[f"{name}.signature"] = signature
        self.made[f"{name}.verdicts"] = bytes([one, batch])

    def refuse(self, name: str, key: bytes, message: bytes, signature: bytes) -> None:
        self.add(name, key, message, signature, one=False, batch=False)


def negated(point: bytes) -> bytes:
    """Return the encoding with the other sign."""
    return point[:31] + bytes([point[31] ^ 0x80])


def encodings(point: ed25519.Point) -> list[bytes]:
    """Return every encoding of a point that a careless decoder takes: canonical, y + p, x = 0 with a sign."""
    x, y = point
    spellings = [spelled for spelled in (y, y + ed25519.P) if spelled < 2**255]
    signs = (0, 1) if x == 0 else (x & 1,)
    return [(spelled | sign << 255).to_bytes(32, "little") for spelled in spellings for sign in signs]


def find_message(key: bytes, r: bytes) -> bytes:
    """Return a message whose challenge is a multiple of 8, which lets a small-order key vanish."""
    messages = (b"message %d" % number for number in range(10_000))
    return next(message for message in messages if ed25519.challenge(r, key, message) % 8 == 0)


def add_small_order(cases: Signatures) -> None:
    """Forgeries that need no private key: each would hold under verification without small-order checks."""
    base_r = ed25519.encode(ed25519.multiply(7, ed25519.BASE))
    for order, point in enumerate(ed25519.small_order()):
        for form, key in enumerate(encodings(point)):
            message = find_message(key, base_r)
            forged = base_r + (7).to_bytes(32, "little")
            cases.refuse(f"small-order-key-{order}-{form}", key, message, forged)
            r = ed25519.encode(ed25519.IDENTITY)
            message = find_message(key, r)
            cases.refuse(f"small-order-both-{order}-{form}", key, message, r + bytes(32))
        for form, r in enumerate(encodings(point)):
            key = public(TOKEN_SEED)
            scalar, _ = ed25519.secret(TOKEN_SEED)
            s = ed25519.challenge(r, key, b"small R") * scalar % ed25519.L
            cases.refuse(f"small-order-r-{order}-{form}", key, b"small R", r + s.to_bytes(32, "little"))


def add_twisted(cases: Signatures) -> None:
    """Components of small order on top of proper points: strict refuses them, a batch by design does not."""
    twist = next(p for p in ed25519.small_order() if ed25519.multiply(4, p) != ed25519.IDENTITY)
    for remainder, one in ((0, True), (1, False)):
        for number in range(10_000):
            message = b"twisted key %d" % number
            key, signature = ed25519.sign(TOKEN_SEED, message, key_twist=twist)
            if ed25519.challenge(signature[:32], key, message) % 8 == remainder:
                cases.add(f"twisted-key-{int(one)}", key, message, signature, one=one, batch=True)
                break
    key, signature = ed25519.sign(TOKEN_SEED, b"twisted R", r_twist=twist)
    cases.add("twisted-r", key, b"twisted R", signature, one=False, batch=True)


def signatures() -> Vectors:
    cases = Signatures()
    for number, message in enumerate((b"", b"a", bytes(1000))):
        key, signature = ed25519.sign(TOKEN_SEED, message)
        cases.add(f"good-{number}", key, message, signature, one=True, batch=True)
        s = int.from_bytes(signature[32:], "little")
        for times in range(1, (2**256 - s) // ed25519.L, 5):
            high = (s + times * ed25519.L).to_bytes(32, "little")
            cases.refuse(f"high-s-{number}-{times}", key, message, signature[:32] + high)
        cases.refuse(f"other-message-{number}", key, message + b"!", signature)
        cases.refuse(
            f"negated-r-{number}",
            key,
            message,
            signature[:31] + bytes([signature[31] ^ 0x80]) + signature[32:],
        )
        cases.refuse(f"negated-key-{number}", key[:31] + bytes([key[31] ^ 0x80]), message, signature)
        cases.refuse(f"zero-s-{number}", key, message, signature[:32] + bytes(32))
        cases.refuse(f"short-{number}", key, message, signature[:63])
        cases.refuse(f"long-{number}", key, message, signature + b"\0")
        cases.refuse(f"short-key-{number}", key[:31], message, signature)
        cases.refuse(f"empty-{number}", b"", message, b"")
    add_small_order(cases)
    add_twisted(cases)
    for low in range(19):  # y from p to 2^255 - 1, whether there is such a point or not
        key = (ed25519.P + low).to_bytes(32, "little")
        cases.refuse(f"unreduced-key-{low}", key, b"a", cases.made["good-1.signature"])
    return cases.made


class Certificates:
    """Collects certificates, each signed by itself, with what a reader must find in them."""

    start = dt.datetime(2024, 2, 29, 23, 59, 58, tzinfo=dt.UTC)

    def __init__(self) -> None:
        self.made: Vectors = {}

    def add(self, name: str, serial: int, uris: list[str], *, days: int = 1, is_ca: bool = False) -> None:
        key = Ed25519PrivateKey.from_private_bytes(hashlib.sha256(name.encode()).digest())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        end = self.start + dt.timedelta(days=days)
        builder = (
            x509.CertificateBuilder(subject, subject, key.public_key(), serial)
            .not_valid_before(self.start)
            .not_valid_after(end)
            .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
        )
        if uris:
            here = x509.IPAddress(ipaddress.ip_address("::1"))
            own = [x509.UniformResourceIdentifier(uri) for uri in uris]
            names = x509.SubjectAlternativeName([x509.DNSName("a.example"), here, *own])
            builder = builder.add_extension(names, critical=False)
        spki = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        self.made |= {
            f"{name}.der": builder.sign(key, None).public_bytes(serialization.Encoding.DER),
            f"{name}.serial": serial.to_bytes(20, "big").lstrip(b"\0"),
            f"{name}.not_before_ms": struct.pack(">q", int(self.start.timestamp()) * 1000),
            f"{name}.not_after_ms": struct.pack(">q", int(end.timestamp()) * 1000),
            f"{name}.spki": key.public_key().public_bytes(*spki),
            f"{name}.is_ca": bytes([is_ca]),
            f"{name}.uris": "\n".join(uris).encode(),
        }


def certificates() -> Vectors:
    node = f"swarmlet://{CLUSTER.hex()}/node/{NODE}"
    coordinator = f"swarmlet://{CLUSTER.hex()}/coordinator"
    found = Certificates()
    found.add("root", 0x7F, [], days=36525, is_ca=True)
    found.add("node", 0xFF << 120 | 5, [node])
    found.add("coordinator", 0x01 << 120, [coordinator])
    found.add("two-roles", 0x80, [coordinator, node])
    found.add("other-uri", (1 << 159) - 1, ["https://example.org/", node])
    return found.made


def discovery() -> Vectors:
    number = bytes(range(200, 216))
    pairs = (
        "txtvers=1",
        f"id={CLUSTER.hex()}",
        f"key={hashlib.sha256(b'root').hexdigest()}",
        "port=7946",
        "at1=192.168.1.100:7946",
        "at2=[fd00::1]:7946",
        "proto=1",
        "name=Haus am See",
    )
    strings = b"".join(bytes([len(pair)]) + pair.encode() for pair in pairs)
    ask, tell = b"SWLD\x01\x01\0\0" + number, b"SWLD\x01\x02" + struct.pack(">H", len(strings)) + number
    return {
        "question.any": ask + bytes(488),
        "question.one": ask + CLUSTER + bytes(472),
        "answer": tell + strings,
    }


FILES: dict[str, Callable[[], Vectors]] = {
    "frames.txt": frames,
    "tokens.txt": tokens,
    "signatures.txt": signatures,
    "certificates.txt": certificates,
    "discovery.txt": discovery,
    "mesh.txt": mesh.mesh,
}


def render(vectors: Vectors) -> str:
    return "".join(f"{name} = {value.hex()}".rstrip() + "\n" for name, value in vectors.items())


if __name__ == "__main__":
    for file, make in FILES.items():
        (HERE / file).write_text("# Written by tests/vectors/make.py.\n" + render(make()), encoding="ascii")
