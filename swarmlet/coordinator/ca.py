"""The certificate authority: root, intermediate, leaves, sealed keys. The owner of ``cryptography``.

Ed25519 throughout. The root (ten years) signs intermediates and nothing else and may be kept offline; the
intermediate (90 days) signs leaves (24 hours). There is one door for leaves, :meth:`Authority.issue`, and
it takes only what :func:`check_csr` made: of a certification request nothing but its public key is used,
after its own signature was verified (C2). Everything else is a template.

No file, no clock: time is an argument, randomness a constructor's. ``ca_files.py`` reads and writes. The
CA's keys are the one kind of private key that lives in Python (DESIGN 9); they never leave this file
unsealed.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
import hashlib
from collections.abc import Callable
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidTag, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, SignatureAlgorithmOID

from swarmlet import _native
from swarmlet.coordinator.ca_sealed import BEGIN, Sealed, SealError, armour, armoured, checked
from swarmlet.errors import error
from swarmlet.tokens.durations import instant

#: The longest certification request that is parsed (C2).
MAX_CSR: Final = 4096

DAY_MS: Final = 86_400_000
ROOT_MS: Final = 3650 * DAY_MS
INTERMEDIATE_MS: Final = 90 * DAY_MS
LEAF_MS: Final = DAY_MS
#: Certificates begin an hour early, for clocks that are a little behind (C4).
EARLY_MS: Final = 3_600_000
#: An intermediate is renewed once it has less than this left, when the root's key is there.
RENEW_INTERMEDIATE_MS: Final = 30 * DAY_MS

_SEAL_DOMAIN: Final = b"swarmlet/ca-key/v1\0"
_NONCE: Final = 12

Random = Callable[[int], bytes]


class Role(enum.Enum):
    """What a leaf may be: each has its extended key usages."""

    NODE = (ExtendedKeyUsageOID.CLIENT_AUTH,)
    COORDINATOR = (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH)


class BadCsrError(ValueError):
    """A certification request that is not honoured; the message says why."""


@dataclasses.dataclass(frozen=True, slots=True)
class CheckedCsr:
    """A public key whose holder signed its request. Only :func:`check_csr` makes one."""

    public_key: bytes

    @property
    def key_digest(self) -> str:
        """Hex SHA-256 of the public key: how the ledger knows a device that asks again."""
        return hashlib.sha256(self.public_key).hexdigest()


@dataclasses.dataclass(frozen=True, slots=True)
class Issued:
    """A fresh leaf. ``chain`` is DER, leaf first, root last; ``serial`` is hex, 32 digits."""

    leaf: bytes
    chain: tuple[bytes, ...]
    serial: str
    not_after_ms: int


def check_csr(csr: bytes) -> CheckedCsr:
    """Take the public key out of a certification request (RFC 2986), and nothing else.

    Args:
        csr: DER, from a stranger.

    Returns:
        The key; names, extensions and attributes of the request are not even parsed.

    Raises:
        BadCsrError: Too long, no request, not Ed25519, or not signed by its own key (strictly: no small-order
            key, no second form of a signature).
    """
    if len(csr) > MAX_CSR:
        raise BadCsrError(f"the request has {len(csr)} bytes, at most {MAX_CSR} are read")
    try:
        parsed = x509.load_der_x509_csr(csr)
        # Before the key is touched: building a 16,384-bit RSA key is work a stranger should not order.
        ed25519 = parsed.signature_algorithm_oid == SignatureAlgorithmOID.ED25519
        key = parsed.public_key() if ed25519 else None
        signed, signature = parsed.tbs_certrequest_bytes, parsed.signature
    except (ValueError, TypeError, UnsupportedAlgorithm, x509.InvalidVersion) as failure:
        raise BadCsrError("the request cannot be read") from failure
    if not isinstance(key, Ed25519PublicKey):
        raise BadCsrError("the request is not for an Ed25519 key, signed with it")
    raw = key.public_bytes_raw()
    if not _native.verify(raw, signed, signature):
        raise BadCsrError("the request is not signed by its own key")
    return CheckedCsr(raw)


def spki_pin(certificate: bytes) -> bytes:
    """Return SHA-256 of the SubjectPublicKeyInfo of a DER certificate: what a token pins."""
    key = x509.load_der_x509_certificate(certificate).public_key()
    return hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).digest()


class Authority:
    """The intermediate that signs, with the certificates above it. Made by :func:`found` or :func:`restore`.

    Args:
        root: The root's certificate.
        intermediates: The signing one first; earlier ones complete the chains of leaves they signed.
        key: The signing intermediate's key.
        random: Source of random bytes.
    """

    def __init__(
        self,
        root: x509.Certificate,
        intermediates: tuple[x509.Certificate, ...],
        key: Ed25519PrivateKey,
        random: Random,
    ) -> None:
        self._key = key
        self._random = random
        self._issuer = intermediates[0]
        self._until_ms = _ms(intermediates[0].not_valid_after_utc)
        self._authority_key = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(
            x509.SubjectKeyIdentifier.from_public_key(intermediates[0].public_key())
        )
        self._usages = {role: x509.ExtendedKeyUsage(role.value) for role in Role}
        self._above = {_key_id(one): one.public_bytes(Encoding.DER) for one in intermediates}
        self.root = root.public_bytes(Encoding.DER)
        self.intermediate = intermediates[0].public_bytes(Encoding.DER)
        self.cluster_id = _cluster_id(root)
        self.pin = spki_pin(self.root)

    @property
    def until_ms(self) -> int:
        """When the signing intermediate expires, Unix milliseconds; no leaf outlives it."""
        return self._until_ms

    def should_renew(self, now_ms: int) -> bool:
        """Say whether the intermediate is near its end, so that the root should sign a new one."""
        return self._until_ms - now_ms < RENEW_INTERMEDIATE_MS

    def issue(self, csr: CheckedCsr, role: Role, node_uid: str, now_ms: int) -> Issued:
        """Sign a leaf: the only place where one comes from.

        Args:
            csr: Whose key it is for.
            role: ``NODE`` or ``COORDINATOR``.
            node_uid: UUID text the coordinator chose; empty for a coordinator.
            now_ms: Unix milliseconds by the coordinator's clock.

        Returns:
            The certificate: valid from an hour ago for 24 hours, never longer than the intermediate.

        Raises:
            StateError: ``SWL-613``, the intermediate has expired.
        """
        if now_ms >= self._until_ms:
            raise error("SWL-613", at=instant(self._until_ms // 1000), path="ca/root.key")
        path = f"node/{node_uid}" if role is Role.NODE else "coordinator"
        serial = _serial(self._random)
        not_after_ms = min(now_ms + LEAF_MS, self._until_ms) // 1000 * 1000
        certificate = (
            x509.CertificateBuilder()
            .subject_name(_name(node_uid or "coordinator", self.cluster_id))
            .issuer_name(self._issuer.subject)
            .public_key(Ed25519PublicKey.from_public_bytes(csr.public_key))
            .serial_number(serial)
            .not_valid_before(_moment(now_ms - EARLY_MS))
            .not_valid_after(_moment(not_after_ms))
            .add_extension(_IS_LEAF, critical=True)
            .add_extension(_SIGNS_HANDSHAKES, critical=True)
            .add_extension(self._usages[role], critical=False)
            .add_extension(_uri(f"swarmlet://{self.cluster_id}/{path}"), critical=False)
            .add_extension(self._authority_key, critical=False)
            .sign(self._key, None)
        )
        leaf = certificate.public_bytes(Encoding.DER)
        chain = (leaf, self.intermediate, self.root)
        return Issued(leaf, chain, f"{serial:032x}", not_after_ms)

    def complete(self, leaf: bytes) -> tuple[bytes, ...]:
        """Return the chain of a leaf that was signed earlier, under whichever intermediate signed it."""
        found = x509.load_der_x509_certificate(leaf)
        named = found.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
        return (leaf, self._above.get(named.key_identifier or b"", self.intermediate), self.root)


# ---- founding, restoring, renewing


def found(cluster_id: str, kek: bytes, now_ms: int, random: Random) -> Sealed:
    """Make a root and its first intermediate.

    Args:
        cluster_id: 32 hex digits.
        kek: :data:`KEK_BYTES` random bytes that seal both keys.
        now_ms: Unix milliseconds.
        random: Source of random bytes for serial numbers and nonces.
    """
    key = Ed25519PrivateKey.generate()
    name = _name("root", cluster_id)
    root = (
        _authority_builder(key.public_key(), name, name, now_ms, now_ms + ROOT_MS, random)
        .add_extension(x509.BasicConstraints(ca=True, path_length=1), critical=True)
        .sign(key, None)
    )
    intermediate = _sign_intermediate(root, key, (), kek, now_ms, random)
    return Sealed(_pem(root), _seal(kek, "root", key, random), intermediate)


def restore(sealed: Sealed, kek: bytes, random: Random) -> Authority:
    """Return the authority in ``sealed``, with its signing key opened. The root's key stays sealed.

    Raises:
        SealError: ``kek`` is not the key it was sealed with.
        ValueError: A text is damaged.
    """
    root = x509.load_pem_x509_certificate(sealed.root.encode())
    certificates, sealed_key = _split(sealed.intermediate)
    key = _unseal(kek, "intermediate", certificates[0], sealed_key)
    return Authority(root, certificates, key, random)


def renew(sealed: Sealed, kek: bytes, now_ms: int, random: Random) -> Sealed:
    """Return ``sealed`` with a new intermediate that the root signed; the two newest old ones stay listed.

    Raises:
        SealError: ``kek`` is not the key the root's was sealed with, or the root's key is not there.
        ValueError: A text is damaged.
    """
    if sealed.root_key is None:
        raise SealError("the root's key is not there")
    root = x509.load_pem_x509_certificate(sealed.root.encode())
    key = _unseal(kek, "root", root, armoured(sealed.root_key))
    earlier, _ = _split(sealed.intermediate)
    return dataclasses.replace(
        sealed, intermediate=_sign_intermediate(root, key, earlier[:2], kek, now_ms, random)
    )


def _sign_intermediate(  # noqa: PLR0913, PLR0917 - what it is made of
    root: x509.Certificate,
    root_key: Ed25519PrivateKey,
    earlier: tuple[x509.Certificate, ...],
    kek: bytes,
    now_ms: int,
    random: Random,
) -> str:
    key = Ed25519PrivateKey.generate()
    name = _name("intermediate", _cluster_id(root))
    until_ms = min(now_ms + INTERMEDIATE_MS, _ms(root.not_valid_after_utc))
    certificate = (
        _authority_builder(key.public_key(), name, root.subject, now_ms, until_ms, random)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_identifier_of(root), critical=False)
        .sign(root_key, None)
    )
    return "".join(map(_pem, (certificate, *earlier))) + _seal(kek, "intermediate", key, random)


def _authority_builder(  # noqa: PLR0913, PLR0917 - what a certificate is made of
    key: Ed25519PublicKey, subject: x509.Name, issuer: x509.Name, now_ms: int, until_ms: int, random: Random
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(_serial(random))
        .not_valid_before(_moment(now_ms - EARLY_MS))
        .not_valid_after(_moment(until_ms))
        .add_extension(_SIGNS_CERTIFICATES, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


# ---- parts of certificates


def _usage(*, handshakes: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=handshakes,
        key_cert_sign=not handshakes,
        crl_sign=not handshakes,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


_IS_LEAF: Final = x509.BasicConstraints(ca=False, path_length=None)
_SIGNS_HANDSHAKES: Final = _usage(handshakes=True)
_SIGNS_CERTIFICATES: Final = _usage(handshakes=False)


def _name(common_name: str, cluster_id: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, cluster_id),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )


def _cluster_id(certificate: x509.Certificate) -> str:
    found = certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
    if len(found) != 1:
        raise ValueError("the root does not name its cluster")
    return str(found[0].value)


def _uri(text: str) -> x509.SubjectAlternativeName:
    return x509.SubjectAlternativeName([x509.UniformResourceIdentifier(text)])


def _identifier_of(issuer: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    identifier = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier)


def _key_id(certificate: x509.Certificate) -> bytes:
    return certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest


def _serial(random: Random) -> int:
    """Return a random serial number of 16 bytes in every form: the top bits are 01, 126 are random (C2)."""
    return int.from_bytes(random(16), "big") >> 2 | 1 << 126


def _moment(unix_ms: int) -> dt.datetime:
    return dt.datetime.fromtimestamp(unix_ms // 1000, dt.UTC)


def _ms(moment: dt.datetime) -> int:
    return int(moment.timestamp() * 1000)


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(Encoding.PEM).decode()


# ---- sealing


def _seal(kek: bytes, label: str, key: Ed25519PrivateKey, random: Random) -> str:
    """Return ``key`` encrypted under ``kek`` (AES-256-GCM), bound to its label and its public half.

    The key file is 32 random bytes, so no derivation that makes guessing slow is needed.
    """
    nonce = random(_NONCE)
    bound = _bound(label, key.public_key())
    closed = nonce + AESGCM(checked(kek)).encrypt(nonce, key.private_bytes_raw(), bound)
    return armour(closed)


def _unseal(kek: bytes, label: str, certificate: x509.Certificate, closed: bytes) -> Ed25519PrivateKey:
    public_key = certificate.public_key()
    if not isinstance(public_key, Ed25519PublicKey) or len(closed) <= _NONCE:
        raise ValueError("the certificate or its sealed key is not of this authority")
    try:
        raw = AESGCM(checked(kek)).decrypt(closed[:_NONCE], closed[_NONCE:], _bound(label, public_key))
    except InvalidTag as failure:
        raise SealError(f"the sealed key of the {label} does not open") from failure
    return Ed25519PrivateKey.from_private_bytes(raw)


def _bound(label: str, key: Ed25519PublicKey) -> bytes:
    return _SEAL_DOMAIN + label.encode() + b"\0" + key.public_bytes_raw()


def _split(text: str) -> tuple[tuple[x509.Certificate, ...], bytes]:
    certificates = x509.load_pem_x509_certificates(text.partition(BEGIN)[0].encode())
    return tuple(certificates), armoured(text)
