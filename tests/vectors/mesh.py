"""Golden vectors of gossip, written from ``docs/protocol.md``, *Gossip*."""

from __future__ import annotations

import hashlib
import struct
import uuid

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

CLUSTER = bytes(range(16))
SENDER = uuid.UUID("00112233-4455-6677-8899-aabbccddeeff").bytes
RECEIVER = uuid.UUID("ffeeddcc-bbaa-4988-9776-655443322110").bytes
BOOTS = {SENDER: b"sendboot", RECEIVER: b"recvboot"}
EPOCH = 257
EPOCH_KEY = hashlib.sha256(b"epoch").digest()
NOW_MS = 1_800_000_000_000
COORDINATOR = hashlib.sha256(b"coordinator's key for the mesh").digest()
SIGNING = hashlib.sha256(b"sender's signing key").digest()
RAW = (serialization.Encoding.Raw, serialization.PublicFormat.Raw)

PING, ACK, PING_REQ, NACK, DOUBT = range(1, 6)
INTRODUCTION, RECORD, ACCUSATION, VERDICT, EVENT, CREDENTIAL = range(16, 22)


def exchange(name: bytes) -> X25519PrivateKey:
    """Return a member's X25519 key."""
    return X25519PrivateKey.from_private_bytes(hashlib.sha256(name + b" exchange").digest())


def message(kind: int, body: bytes) -> bytes:
    """Return a message as it is in a packet."""
    return struct.pack(">BH", kind, len(body)) + body


def signed(seed: bytes, kind: int, body: bytes) -> bytes:
    """Return a statement with its signature."""
    said = b"swarmlet/mesh/statement/v1\0" + CLUSTER + bytes([kind]) + body
    return body + Ed25519PrivateKey.from_private_bytes(seed).sign(said)


def statements() -> dict[str, bytes]:
    """Return one of each kind."""
    signing = Ed25519PrivateKey.from_private_bytes(SIGNING).public_key().public_bytes(*RAW)
    public = exchange(SENDER).public_key().public_bytes(*RAW)
    keys = b"\1" + SENDER + public + signing + struct.pack(">QQ", NOW_MS - 1000, NOW_MS + 86_400_000)
    said = SENDER + struct.pack(">Q", NOW_MS) + BOOTS[SENDER]
    addr = b"\4" + bytes([192, 168, 1, 7]) + struct.pack(">H", 7946)
    addr6 = b"\6" + bytes.fromhex("fd000000000000000000000000000001") + struct.pack(">H", 7947)
    accused = SENDER + RECEIVER + struct.pack(">QQ", NOW_MS - 5, NOW_MS)
    verdicts = {
        name: bytes([word]) + RECEIVER + struct.pack(">QQ", NOW_MS, until)
        for name, word, until in (("down", 1, 0), ("removed", 2, NOW_MS + 1), ("revoked", 3, NOW_MS + 2))
    }
    event = SENDER + struct.pack(">QQ", NOW_MS + 1, NOW_MS + 2) + b"deployed"
    return {
        "credential": signed(COORDINATOR, CREDENTIAL, keys),
        "record": signed(SIGNING, RECORD, said + b"\0\0" + addr + b"\4meta"),
        "record.left": signed(SIGNING, RECORD, said + b"\1\1" + addr6 + b"\0"),
        "accusation": signed(SIGNING, ACCUSATION, accused),
        **{f"verdict.{name}": signed(COORDINATOR, VERDICT, body) for name, body in verdicts.items()},
        "event": signed(SIGNING, EVENT, event),
    }


def packet(sequence: int, messages: bytes) -> bytes:
    """Return a packet from the sender to the receiver."""
    secret = exchange(SENDER).exchange(exchange(RECEIVER).public_key())
    info = b"swarmlet/mesh/packet/v1\0" + CLUSTER + struct.pack(">Q", EPOCH)
    info += SENDER + RECEIVER + BOOTS[SENDER] + BOOTS[RECEIVER]
    key = HKDF(hashes.SHA256(), 32, EPOCH_KEY, info).derive(secret)
    header = bytes([1, EPOCH & 0xFF]) + SENDER + BOOTS[SENDER] + struct.pack(">Q", sequence)
    nonce = bytes(4) + struct.pack(">Q", sequence)
    return header + ChaCha20Poly1305(key).encrypt(nonce, struct.pack(">Q", NOW_MS) + messages, header)


def mesh() -> dict[str, bytes]:
    """Return all vectors of gossip."""
    made = {"cluster": CLUSTER, "epoch.key": EPOCH_KEY}
    for name, uid in (("sender", SENDER), ("receiver", RECEIVER)):
        key = exchange(uid)
        made[f"{name}.uid"] = uid
        made[f"{name}.boot"] = BOOTS[uid]
        made[f"{name}.exchange.secret"] = key.private_bytes(
            serialization.Encoding.Raw, serialization.PrivateFormat.Raw, serialization.NoEncryption()
        )
        made[f"{name}.exchange.public"] = key.public_key().public_bytes(*RAW)
    made["sender.signing.seed"] = SIGNING
    made["coordinator.key"] = (
        Ed25519PrivateKey.from_private_bytes(COORDINATOR).public_key().public_bytes(*RAW)
    )
    said = statements()
    made |= said
    messages = (
        message(PING, struct.pack(">IQ", 0x01020304, 0x0506070809101112))
        + message(DOUBT, struct.pack(">Q", NOW_MS))
        + message(99, b"of a later version")
        + message(INTRODUCTION, said["credential"] + said["record"])
        + message(ACCUSATION, said["accusation"])
    )
    made["packet.messages"] = messages
    made["packet.first"] = packet(0, messages)
    made["packet.second"] = packet(1, messages)
    return made
