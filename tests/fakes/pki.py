"""A small certificate authority of the cluster's shape: Ed25519 root, intermediate, leaves with a URI role.

It issues whatever a test asks for, wrong things included; the product's own is ``coordinator/ca.py``.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import secrets
import uuid
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from swarmlet import _native

DAY = dt.timedelta(days=1)
HOUR = dt.timedelta(hours=1)
SERVER = ExtendedKeyUsageOID.SERVER_AUTH
CLIENT = ExtendedKeyUsageOID.CLIENT_AUTH


def now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


def now_ms() -> int:
    return int(now().timestamp() * 1000)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _serial() -> int:
    # Top bit clear and top byte not zero: 16 bytes in every form.
    return secrets.randbits(120) | (1 << 121)


@dataclass(frozen=True)
class Leaf:
    """A key and its chain (DER, leaf first), as the engine takes them."""

    key: _native.KeyPair
    chain: list[bytes]
    serial: bytes
    not_after_ms: int
    uid: bytes = b""

    @property
    def identity(self) -> _native.Identity:
        return _native.Identity.create(self.key, self.chain, b"")


@dataclass
class Authority:
    """One cluster's root and intermediate."""

    cluster_id: str = field(default_factory=lambda: secrets.token_hex(16))

    def __post_init__(self) -> None:
        self._root_key = Ed25519PrivateKey.generate()
        self._key = Ed25519PrivateKey.generate()
        root = self._certificate(
            _name("root"), _name("root"), self._root_key.public_key(), self._root_key, is_ca=True
        )
        inter = self._certificate(
            _name("root"), _name("intermediate"), self._key.public_key(), self._root_key, is_ca=True
        )
        self.root = root.public_bytes(Encoding.DER)
        self.intermediate = inter.public_bytes(Encoding.DER)

    @property
    def pin(self) -> bytes:
        """SHA-256 of the root's SubjectPublicKeyInfo."""
        spki = self._root_key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return hashlib.sha256(spki).digest()

    def coordinator(self, **options: object) -> Leaf:
        return self.leaf(f"swarmlet://{self.cluster_id}/coordinator", usages=[SERVER, CLIENT], **options)

    def node(self, uid: uuid.UUID | None = None, **options: object) -> Leaf:
        uid = uid or uuid.uuid4()
        uri = f"swarmlet://{self.cluster_id}/node/{uid}"
        return self.leaf(uri, usages=[CLIENT], uid=uid.bytes, **options)

    def leaf(
        self,
        uri: str | None,
        *,
        usages: list[x509.ObjectIdentifier],
        uid: bytes = b"",
        not_before: dt.datetime | None = None,
        not_after: dt.datetime | None = None,
        padding: int = 0,
        depth: int = 0,
    ) -> Leaf:
        """Issue a leaf.

        Args:
            uri: Its URI name; ``None`` leaves it out.
            usages: Extended key usages; empty leaves them out.
            uid: The node it is for.
            not_before: One hour ago by default.
            not_after: One day from now by default.
            padding: Bytes of a further name, to make it large.
            depth: Further intermediates between this authority's and the leaf.
        """
        key = _native.KeyPair.generate()
        public_key = Ed25519PublicKey.from_public_bytes(key.public_key)
        issuer, issuer_key, extra = self._descend(depth)
        certificate = self._certificate(
            issuer,
            _name("leaf"),
            public_key,
            issuer_key,
            uris=[text for text in (uri, "x:" + "y" * padding if padding else None) if text],
            usages=usages,
            not_before=not_before,
            not_after=not_after,
        )
        return Leaf(
            key,
            [certificate.public_bytes(Encoding.DER), *extra, self.intermediate],
            certificate.serial_number.to_bytes(16, "big"),
            int(certificate.not_valid_after_utc.timestamp() * 1000),
            uid,
        )

    def pem(self, uri: str, usages: list[x509.ObjectIdentifier]) -> bytes:
        """Return key and chain of a leaf as PEM, for programs that are not ours."""
        key = Ed25519PrivateKey.generate()
        made = self._certificate(
            _name("intermediate"), _name("leaf"), key.public_key(), self._key, uris=[uri], usages=usages
        )
        above = [x509.load_der_x509_certificate(der) for der in (self.intermediate, self.root)]
        parts = [key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())]
        return b"".join(parts + [one.public_bytes(Encoding.PEM) for one in (made, *above)])

    def server_tls(self, leaf: Leaf | None = None) -> _native.ServerTls:
        """Return what a coordinator of this cluster listens with."""
        leaf = leaf or self.coordinator()
        return _native.ServerTls(leaf.key, leaf.chain, self.root, self.cluster_id)

    def client_tls(self, leaf: Leaf | None = None, *, at_ms: int | None = None) -> _native.ClientTls:
        """Return what a node of this cluster dials with; without ``leaf`` one that wants to join."""
        return _native.ClientTls([self.pin], leaf and leaf.identity, self.cluster_id, at_ms)

    def _descend(self, depth: int) -> tuple[x509.Name, Ed25519PrivateKey, list[bytes]]:
        issuer, key, chain = _name("intermediate"), self._key, []
        for level in range(depth):
            below = Ed25519PrivateKey.generate()
            subject = _name(f"level {level}")
            made = self._certificate(issuer, subject, below.public_key(), key, is_ca=True)
            issuer, key = subject, below
            chain.insert(0, made.public_bytes(Encoding.DER))
        return issuer, key, chain

    @staticmethod
    def _certificate(
        issuer: x509.Name,
        subject: x509.Name,
        public_key: Ed25519PublicKey,
        key: Ed25519PrivateKey,
        *,
        is_ca: bool = False,
        uris: list[str] | None = None,
        usages: list[x509.ObjectIdentifier] | None = None,
        not_before: dt.datetime | None = None,
        not_after: dt.datetime | None = None,
    ) -> x509.Certificate:
        builder = (
            x509.CertificateBuilder()
            .issuer_name(issuer)
            .subject_name(subject)
            .public_key(public_key)
            .serial_number(_serial())
            .not_valid_before(not_before or now() - (30 * DAY if is_ca else HOUR))
            .not_valid_after(not_after or now() + (90 * DAY if is_ca else DAY))
            .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
        )
        if uris:
            names = [x509.UniformResourceIdentifier(uri) for uri in uris]
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        if usages:
            builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        return builder.sign(key, None)
