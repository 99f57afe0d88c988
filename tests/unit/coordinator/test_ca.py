"""The certificate authority: what it issues, what of a request it honours, how its keys are kept."""

from __future__ import annotations

import datetime as dt
import hashlib
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID
from hypothesis import given
from hypothesis import strategies as st

from swarmlet import _native
from swarmlet.coordinator import ca
from swarmlet.coordinator.ca import Authority, BadCsrError, Role, check_csr
from swarmlet.coordinator.ca_files import AuthorityFiles
from swarmlet.coordinator.ca_sealed import SealError
from swarmlet.errors import SwarmletError
from tests.fakes.requests_for_certificates import asking_for_more, not_to_be_read

CLUSTER = "ab" * 16
NOW = 1_900_000_000_000
UID = "00000000-0000-4000-8000-000000000001"
KEK = bytes(range(32))
HOSTILE = asking_for_more()
UNREADABLE = not_to_be_read()


def counted() -> Callable[[int], bytes]:
    """Random bytes that can be foretold and never repeat."""
    state = [0]

    def random(count: int) -> bytes:
        state[0] += 1
        return hashlib.shake_256(str(state[0]).encode()).digest(count)

    return random


@pytest.fixture
def authority() -> Authority:
    return ca.restore(ca.found(CLUSTER, KEK, NOW, counted()), KEK, counted())


def issue(
    authority: Authority, *, csr: bytes | None = None, role: Role = Role.NODE, now: int = NOW
) -> ca.Issued:
    checked = check_csr(csr or _native.KeyPair.generate().csr("pi"))
    return authority.issue(checked, role, UID if role is Role.NODE else "", now)


def leaf_of(issued: ca.Issued) -> x509.Certificate:
    return x509.load_der_x509_certificate(issued.leaf)


def ms(moment: dt.datetime) -> int:
    return int(moment.timestamp() * 1000)


def assert_is_plain_node(certificate: x509.Certificate) -> None:
    """Everything but the key is the template's (C2)."""
    expected = {
        ExtensionOID.BASIC_CONSTRAINTS: True,
        ExtensionOID.KEY_USAGE: True,
        ExtensionOID.EXTENDED_KEY_USAGE: False,
        ExtensionOID.SUBJECT_ALTERNATIVE_NAME: False,
        ExtensionOID.AUTHORITY_KEY_IDENTIFIER: False,
    }
    assert {one.oid: one.critical for one in certificate.extensions} == expected
    read = certificate.extensions.get_extension_for_class
    assert read(x509.BasicConstraints).value == x509.BasicConstraints(ca=False, path_length=None)
    usage = read(x509.KeyUsage).value
    assert usage.digital_signature
    assert not (usage.key_cert_sign)
    assert not (usage.crl_sign)
    assert not (usage.key_encipherment)
    assert not (usage.content_commitment)
    assert list(read(x509.ExtendedKeyUsage).value) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    names = list(read(x509.SubjectAlternativeName).value)
    assert names == [x509.UniformResourceIdentifier(f"swarmlet://{CLUSTER}/node/{UID}")]
    assert certificate.subject.rfc4514_string() == f"CN={UID},O={CLUSTER}"


# ---- what is issued


def test_a_nodes_certificate_is_the_template_and_its_key(authority: Authority) -> None:
    key = _native.KeyPair.generate()
    issued = issue(authority, csr=key.csr("pi"))
    certificate = leaf_of(issued)
    assert_is_plain_node(certificate)
    public_key = certificate.public_key()
    assert isinstance(public_key, Ed25519PublicKey)
    assert public_key.public_bytes_raw() == key.public_key
    identity = _native.Identity.create(key, list(issued.chain), b"")
    assert identity.uris == [f"swarmlet://{CLUSTER}/node/{UID}"]
    assert identity.serial.hex() == issued.serial
    assert identity.not_after_ms == issued.not_after_ms


def test_a_coordinators_certificate_says_so_and_may_serve(authority: Authority) -> None:
    certificate = leaf_of(issue(authority, role=Role.COORDINATOR))
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert list(names) == [x509.UniformResourceIdentifier(f"swarmlet://{CLUSTER}/coordinator")]
    usages = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert set(usages) == {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH}


def test_c4_a_leaf_lives_a_day_from_an_hour_ago(authority: Authority) -> None:
    certificate = leaf_of(issue(authority))
    assert ms(certificate.not_valid_before_utc) == NOW - 3_600_000
    assert ms(certificate.not_valid_after_utc) == NOW + 86_400_000


def test_no_leaf_outlives_the_intermediate(authority: Authority) -> None:
    late = authority.until_ms - 3_600_000
    issued = issue(authority, now=late)
    assert issued.not_after_ms == authority.until_ms
    assert ms(leaf_of(issued).not_valid_after_utc) == authority.until_ms
    with pytest.raises(SwarmletError) as caught:
        issue(authority, now=authority.until_ms)
    assert caught.value.code == "SWL-613"


def test_c2_serials_are_128_bits_wide_random_and_positive(authority: Authority) -> None:
    serials = {issue(authority).serial for _ in range(200)}
    assert len(serials) == 200
    assert all(re.fullmatch(r"[4-7][0-9a-f]{31}", serial) for serial in serials)


def test_the_chain_is_leaf_intermediate_root_and_openssl_agrees(authority: Authority, tmp_path: Path) -> None:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed")
    # OpenSSL judges by the machine's clock.
    now = ms(dt.datetime.now(dt.UTC))
    authority = ca.restore(ca.found(CLUSTER, KEK, now, counted()), KEK, counted())
    for role, purpose in ((Role.NODE, "sslclient"), (Role.COORDINATOR, "sslserver")):
        chain = issue(authority, role=role, now=now).chain
        for name, der in zip(("leaf", "intermediate", "root"), chain, strict=True):
            pem = x509.load_der_x509_certificate(der).public_bytes(ca.Encoding.PEM)
            (tmp_path / name).write_bytes(pem)
        words = [openssl, "verify", "-x509_strict", "-purpose", purpose, "-CAfile", "root", "-untrusted"]
        done = subprocess.run(
            [*words, "intermediate", "leaf"], cwd=tmp_path, capture_output=True, check=False
        )
        assert done.returncode == 0, done.stderr
    wrong = [openssl, "verify", "-purpose", "sslserver", "-CAfile", "root", "-untrusted", "intermediate"]
    (tmp_path / "node").write_bytes(leaf_of(issue(authority, now=now)).public_bytes(ca.Encoding.PEM))
    assert subprocess.run([*wrong, "node"], cwd=tmp_path, capture_output=True, check=False).returncode


def test_root_and_intermediate_may_sign_only_what_is_below_them(authority: Authority) -> None:
    root, intermediate = map(x509.load_der_x509_certificate, (authority.root, authority.intermediate))
    read = x509.BasicConstraints
    assert root.extensions.get_extension_for_class(read).value == read(ca=True, path_length=1)
    assert intermediate.extensions.get_extension_for_class(read).value == read(ca=True, path_length=0)
    assert ms(root.not_valid_after_utc) == NOW + 3650 * 86_400_000
    assert ms(intermediate.not_valid_after_utc) == NOW + 90 * 86_400_000
    assert ca.spki_pin(authority.root) == authority.pin != ca.spki_pin(authority.intermediate)


def test_there_is_one_call_that_signs_a_leaf() -> None:
    source = Path(ca.__file__).parent
    calls = [path.name for path in source.rglob("*.py") for _ in re.findall(r"\.sign\(", path.read_text())]
    assert calls == ["ca.py"] * 3  # root, intermediate, leaf
    text = Path(ca.__file__).read_text()
    assert text.count(".sign(self._key") == text.count("def issue(") == 1


# ---- hostile requests (C2)


def test_thirty_hostile_requests_are_tried() -> None:
    assert len(HOSTILE) + len(UNREADABLE) >= 30


@pytest.mark.parametrize("name", HOSTILE)
def test_c2_a_request_that_asks_for_more_gets_the_template(authority: Authority, name: str) -> None:
    try:
        issued = issue(authority, csr=HOSTILE[name])
    except BadCsrError:
        return
    assert_is_plain_node(leaf_of(issued))


@pytest.mark.parametrize("name", UNREADABLE)
def test_c2_a_request_that_is_not_ours_gets_nothing(name: str) -> None:
    with pytest.raises(BadCsrError):
        check_csr(UNREADABLE[name])


@given(st.binary(max_size=600))
def test_c2_no_bytes_fail_in_another_way(data: bytes) -> None:
    with pytest.raises(BadCsrError):
        check_csr(data)


@given(st.data())
def test_c2_a_changed_request_is_refused_or_has_the_same_key(data: st.DataObject) -> None:
    key = _native.KeyPair.generate()
    good = bytearray(key.csr("pi"))
    for _ in range(data.draw(st.integers(1, 3))):
        good[data.draw(st.integers(0, len(good) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        assert check_csr(bytes(good)).public_key == key.public_key
    except BadCsrError as refused:
        assert str(refused)  # noqa: PT017 - either answer is right


# ---- sealing


def test_the_signing_key_opens_only_with_its_key_file() -> None:
    sealed = ca.found(CLUSTER, KEK, NOW, counted())
    for wrong in (bytes(32), b"", KEK[:16], KEK[::-1], KEK + b"\0"):
        with pytest.raises(SealError):
            ca.restore(sealed, wrong, counted())


@pytest.mark.parametrize("kek", [b"", bytes(32), b"short"])
def test_nothing_is_ever_sealed_with_a_key_that_is_none(kek: bytes) -> None:
    with pytest.raises(SealError):
        ca.found(CLUSTER, kek, NOW, counted())


def test_a_sealed_key_cannot_be_put_in_anothers_place() -> None:
    one = ca.found(CLUSTER, KEK, NOW, counted())
    other = ca.found(CLUSTER, KEK, NOW, counted())
    begin = one.intermediate.index("-----BEGIN SWARMLET")
    swapped = one.intermediate[:begin] + other.intermediate[other.intermediate.index("-----BEGIN SWARMLET") :]
    as_intermediate = one.intermediate[:begin] + (one.root_key or "")
    for intermediate in (swapped, as_intermediate):
        with pytest.raises(SealError):
            ca.restore(ca.Sealed(one.root, None, intermediate), KEK, counted())


def test_no_key_lies_open_in_what_is_kept() -> None:
    sealed = ca.found(CLUSTER, KEK, NOW, counted())
    text = (sealed.root_key or "") + sealed.intermediate
    assert "PRIVATE KEY" not in text
    assert text.count("SWARMLET SEALED KEY") == 4


# ---- renewal of the intermediate


def test_the_root_signs_a_new_intermediate_and_old_leaves_keep_their_chain() -> None:
    random = counted()
    sealed = ca.found(CLUSTER, KEK, NOW, random)
    first = ca.restore(sealed, KEK, random)
    assert not first.should_renew(NOW + 59 * ca.DAY_MS)
    assert first.should_renew(NOW + 61 * ca.DAY_MS)
    issued = issue(first)
    later = NOW + 61 * ca.DAY_MS
    second = ca.restore(ca.renew(sealed, KEK, later, random), KEK, random)
    assert second.root == first.root
    assert second.pin == first.pin
    assert second.intermediate != first.intermediate
    assert second.complete(issued.leaf) == issued.chain
    fresh = issue(second, now=later)
    assert second.complete(fresh.leaf) == fresh.chain


def test_without_the_roots_key_there_is_no_new_intermediate_and_the_old_one_goes_on() -> None:
    sealed = ca.found(CLUSTER, KEK, NOW, counted())
    offline = ca.Sealed(sealed.root, None, sealed.intermediate)
    with pytest.raises(SealError):
        ca.renew(offline, KEK, NOW, counted())
    assert issue(ca.restore(offline, KEK, counted()))


# ---- files


@pytest.fixture
def files(tmp_path: Path) -> AuthorityFiles:
    made = AuthorityFiles(tmp_path / "ca", tmp_path / "secrets" / "kek")
    made.found(CLUSTER, NOW)
    return made


def code_of(work: Callable[[], object]) -> str:
    with pytest.raises(SwarmletError) as caught:
        work()
    return caught.value.code


def test_what_was_founded_opens_again_and_is_not_founded_twice(files: AuthorityFiles, tmp_path: Path) -> None:
    assert files.open().cluster_id == CLUSTER
    assert code_of(lambda: files.found(CLUSTER, NOW)) == "SWL-600"
    for path in (*(tmp_path / "ca").iterdir(), *(tmp_path / "secrets").iterdir()):
        assert path.stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "secrets").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("kek", [None, b"", b"short", bytes(32), b"x" * 32, b"y" * 33])
def test_without_its_key_file_the_authority_does_not_start(
    files: AuthorityFiles, tmp_path: Path, kek: bytes | None
) -> None:
    path = tmp_path / "secrets" / "kek"
    before = {one: one.read_bytes() for one in (tmp_path / "ca").iterdir()}
    path.unlink()
    if kek is not None:
        path.write_bytes(kek)
        path.chmod(0o600)
    assert code_of(files.open) == "SWL-603"
    assert {one: one.read_bytes() for one in (tmp_path / "ca").iterdir()} == before
    assert path.exists() == (kek is not None)


def test_a_key_file_that_others_can_read_is_not_used(files: AuthorityFiles, tmp_path: Path) -> None:
    (tmp_path / "secrets" / "kek").chmod(0o640)
    assert code_of(files.open) == "SWL-610"


@pytest.mark.parametrize("name", ["root.crt", "intermediate.pem"])
@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"-----BEGIN CERTIFICATE-----\nAAAA\n"])
def test_a_damaged_file_is_named(files: AuthorityFiles, tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / "ca" / name).write_bytes(content)
    assert code_of(files.open) == "SWL-611"


@pytest.mark.parametrize("name", ["root.crt", "intermediate.pem"])
def test_a_missing_file_is_named(files: AuthorityFiles, tmp_path: Path, name: str) -> None:
    (tmp_path / "ca" / name).unlink()
    with pytest.raises(SwarmletError, match=rf"SWL-612.*{name}"):
        files.open()


def test_the_roots_key_may_be_taken_away_and_brought_back(files: AuthorityFiles, tmp_path: Path) -> None:
    key = tmp_path / "ca" / "root.key"
    kept = key.read_bytes()
    key.unlink()
    assert files.renew(NOW + 61 * ca.DAY_MS) is None
    old = files.open().intermediate
    key.write_bytes(kept)
    renewed = files.renew(NOW + 61 * ca.DAY_MS)
    assert renewed is not None
    assert files.open().intermediate == renewed.intermediate != old


def test_a_founding_that_was_cut_short_is_done_again(tmp_path: Path) -> None:
    made = AuthorityFiles(tmp_path / "ca", tmp_path / "secrets" / "kek")
    made.found(CLUSTER, NOW)
    (tmp_path / "ca" / "intermediate.pem").unlink()
    assert not made.exists()
    made.found("cd" * 16, NOW)
    assert made.open().cluster_id == "cd" * 16
