"""Certification requests as an attacker with a good token might send them (C2): none may be honoured.

"Honoured" would mean that anything beyond the public key turns up in the certificate.
"""

from __future__ import annotations

import functools

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

from swarmlet import _native

CLUSTER = "ab" * 16
COORDINATOR = f"swarmlet://{CLUSTER}/coordinator"


def _named(**names: str) -> x509.Name:
    known = {
        "cn": NameOID.COMMON_NAME,
        "o": NameOID.ORGANIZATION_NAME,
        "ou": NameOID.ORGANIZATIONAL_UNIT_NAME,
    }
    return x509.Name([x509.NameAttribute(known[key], text) for key, text in names.items()])


def _request(*extensions: x509.ExtensionType, critical: bool = True, name: x509.Name | None = None) -> bytes:
    builder = x509.CertificateSigningRequestBuilder().subject_name(name or _named(cn="pi"))
    for extension in extensions:
        builder = builder.add_extension(extension, critical=critical)
    return builder.sign(Ed25519PrivateKey.generate(), None).public_bytes(Encoding.DER)


def _uris(*uris: str) -> x509.SubjectAlternativeName:
    return x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri) for uri in uris])


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True, key_cert_sign=signs, crl_sign=signs, content_commitment=True,
        key_encipherment=True, data_encipherment=True, key_agreement=True, encipher_only=False,
        decipher_only=False,
    )  # fmt: skip


def asking_for_more() -> dict[str, bytes]:
    """Well-formed requests of Ed25519 keys that ask for more than a node gets."""
    usages = x509.ExtendedKeyUsage
    attribute = x509.CertificateSigningRequestBuilder().subject_name(_named(cn="pi"))
    with_password = attribute.add_attribute(ObjectIdentifier("1.2.840.113549.1.9.7"), b"hunter2")
    return {
        "CA:TRUE": _request(x509.BasicConstraints(ca=True, path_length=None)),
        "CA:TRUE, pathlen 0": _request(x509.BasicConstraints(ca=True, path_length=0)),
        "signs certificates": _request(_usage(signs=True)),
        "coordinator's URI": _request(_uris(COORDINATOR)),
        "coordinator's URI, not critical": _request(_uris(COORDINATOR), critical=False),
        "another node's URI": _request(
            _uris(f"swarmlet://{CLUSTER}/node/{'0' * 8}-0000-4000-8000-{'0' * 12}")
        ),
        "another cluster's URI": _request(_uris(f"swarmlet://{'cd' * 16}/coordinator")),
        "DNS name": _request(x509.SubjectAlternativeName([x509.DNSName("coordinator")])),
        "wildcard": _request(x509.SubjectAlternativeName([x509.DNSName("*")])),
        "60 names": _request(x509.SubjectAlternativeName([x509.DNSName(f"n{one}") for one in range(60)])),
        "server usage": _request(usages([ExtendedKeyUsageOID.SERVER_AUTH])),
        "any usage": _request(usages([ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE])),
        "signs code": _request(usages([ExtendedKeyUsageOID.CODE_SIGNING])),
        "everything together": _request(
            x509.BasicConstraints(ca=True, path_length=None),
            _uris(COORDINATOR),
            usages([ExtendedKeyUsageOID.SERVER_AUTH]),
        ),
        "coordinator's subject": _request(name=_named(cn="coordinator", o=CLUSTER)),
        "root's subject": _request(name=_named(cn="root", o=CLUSTER)),
        "empty subject": _request(name=x509.Name([])),
        "long subject": _request(name=_named(cn="x" * 64, ou="y" * 64)),
        "name constraints": _request(x509.NameConstraints([x509.DNSName("a")], None)),
        "unknown critical extension": _request(
            x509.UnrecognizedExtension(ObjectIdentifier("1.3.6.1.4.1.99999.1"), b"\x05\x00")
        ),
        "challenge password": with_password.sign(Ed25519PrivateKey.generate(), None).public_bytes(
            Encoding.DER
        ),
    }


def not_to_be_read() -> dict[str, bytes]:
    """Requests of which not even the key may be used."""
    good = _native.KeyPair.generate().csr("pi")
    flipped = bytearray(good)
    flipped[-1] ^= 1
    swapped = bytearray(good)
    key = _native.KeyPair.generate().public_key
    at = bytes(good).rindex(bytes.fromhex("032100")) + 3
    swapped[at : at + 32] = key
    return {
        "10,000 names": _request(
            x509.SubjectAlternativeName([x509.DNSName(f"n{one}.example") for one in range(10_000)])
        ),
        "one byte too long": good + bytes(4097 - len(good)),
        "RSA": _other(_rsa(2048)),
        "RSA 8192": _other(_rsa(8192)),
        "P-256": _other(ec.generate_private_key(ec.SECP256R1())),
        "Ed448": _other(ed448.Ed448PrivateKey.generate()),
        "signature changed": bytes(flipped),
        "somebody else's key": bytes(swapped),
        "something behind it": good + b"\0",
        "cut short": good[:-5],
        "PEM": b"-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n",
        "a public key": Ed25519PrivateKey.generate()
        .public_key()
        .public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        "zeros": bytes(300),
        "empty": b"",
        "deep nesting": b"\x30\x80" * 1000,
        "huge length": b"\x30\x84\xff\xff\xff\xff" + bytes(20),
        "small-order key": small_order(good),
    }


@functools.cache
def _rsa(bits: int) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, min(bits, 4096))


def _other(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed448.Ed448PrivateKey) -> bytes:
    digest = None if isinstance(key, ed448.Ed448PrivateKey) else hashes.SHA256()
    builder = x509.CertificateSigningRequestBuilder().subject_name(_named(cn="pi"))
    return builder.sign(key, digest).public_bytes(Encoding.DER)


def small_order(good: bytes) -> bytes:
    """Return a request for the neutral element, under which a trivial signature fits every message."""
    forged = bytearray(good)
    at = bytes(good).rindex(bytes.fromhex("032100")) + 3
    neutral = b"\x01" + bytes(31)
    forged[at : at + 32] = neutral
    forged[-64:] = neutral + bytes(32)
    return bytes(forged)
