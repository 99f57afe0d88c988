"""The node's identity: a key bound to its certificate, on disk in two slots that nobody else may read."""

from __future__ import annotations

import copy
import datetime as dt
import os
import pickle
import subprocess
import sys
import uuid
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
)
from hypothesis import given
from hypothesis import strategies as st

from swarmlet._native import Identity, IdentityStore, KeyPair, NativeError, SlotFile
from tests.fakes.pki import Authority, Leaf

UID = uuid.UUID("0f0e0d0c-0b0a-0908-0706-050403020100")


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@pytest.fixture
def leaf(authority: Authority) -> Leaf:
    return authority.node(UID)


def identity_of(leaf: Leaf, meta: bytes = b"meta") -> Identity:
    return Identity.create(leaf.key, leaf.chain, meta)


def kind_of(failure: pytest.ExceptionInfo[NativeError]) -> str:
    kind: str = failure.value.args[0]
    return kind


# ---- binding


def test_an_identity_says_what_its_certificate_says(authority: Authority, leaf: Leaf) -> None:
    identity = identity_of(leaf)
    certificate = x509.load_der_x509_certificate(leaf.chain[0])
    assert identity.chain == leaf.chain
    assert identity.serial == leaf.serial
    assert identity.uris == [f"swarmlet://{authority.cluster_id}/node/{UID}"]
    assert identity.not_before_ms == int(certificate.not_valid_before_utc.timestamp() * 1000)
    assert identity.not_after_ms == int(certificate.not_valid_after_utc.timestamp() * 1000)
    assert (identity.meta, identity.generation) == (b"meta", 0)


@pytest.mark.parametrize("year", [1950, 1970, 1999, 2000, 2024, 2037, 2038, 2049, 2050, 2100, 9999])
def test_validity_is_read_in_both_forms_of_time(authority: Authority, year: int) -> None:
    end = dt.datetime(year, 2, 28, 23, 59, 58, tzinfo=dt.UTC)
    leaf = authority.node(UID, not_before=dt.datetime(1950, 1, 1, tzinfo=dt.UTC), not_after=end)
    assert identity_of(leaf).not_after_ms == int(end.timestamp() * 1000)


def test_a_certificate_for_another_key_is_refused(leaf: Leaf) -> None:
    with pytest.raises(NativeError) as failure:
        Identity.create(KeyPair.generate(), leaf.chain, b"")
    assert kind_of(failure) == "identity-mismatch"


def test_a_chain_in_the_wrong_order_is_refused(leaf: Leaf) -> None:
    with pytest.raises(NativeError) as failure:
        Identity.create(leaf.key, leaf.chain[::-1], b"")
    assert kind_of(failure) == "identity-mismatch"


def test_what_is_no_certificate_of_ours_is_refused(leaf: Leaf) -> None:
    other = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([])
    foreign = (
        x509.CertificateBuilder()
        .issuer_name(name)
        .subject_name(name)
        .public_key(other.public_key())
        .serial_number(1)
        .not_valid_before(dt.datetime(2024, 1, 1, tzinfo=dt.UTC))
        .not_valid_after(dt.datetime(2025, 1, 1, tzinfo=dt.UTC))
        .sign(Ed25519PrivateKey.generate(), None)
    )
    chains = [[], [b""], [b"no DER"], [leaf.chain[0][:-1]], [leaf.chain[0] + b"\0"]]
    chains += [[foreign.public_bytes(Encoding.DER)], [leaf.chain[0]] * 9]
    for chain in chains:
        with pytest.raises(NativeError) as failure:
            Identity.create(leaf.key, chain, b"")
        assert kind_of(failure) == "certificate-damaged"


@given(st.data())
def test_a_certificate_changed_anywhere_is_read_or_refused(authority: Authority, data: st.DataObject) -> None:
    leaf = authority.node(UID)
    changed = bytearray(leaf.chain[0])
    for _ in range(data.draw(st.integers(1, 4))):
        begin = data.draw(st.integers(0, len(changed)))
        changed[begin : begin + data.draw(st.integers(0, 4))] = data.draw(st.binary(max_size=4))
    read, refusal = _identity_or_refusal(leaf, bytes(changed))
    if read is None:
        assert refusal in ("certificate-damaged", "identity-mismatch")
    else:
        assert 1 <= len(read.serial) <= 20
        assert all(uri.isascii() and uri.isprintable() for uri in read.uris)


def _identity_or_refusal(leaf: Leaf, certificate: bytes) -> tuple[Identity | None, str]:
    try:
        return Identity.create(leaf.key, [certificate], b""), ""
    except NativeError as refused:
        return None, str(refused.args[0])


def test_other_meta_makes_another_identity_and_leaves_the_first(leaf: Leaf) -> None:
    identity = identity_of(leaf, b"before")
    changed = identity.with_meta(b"after")
    assert (identity.meta, changed.meta) == (b"before", b"after")
    assert (changed.chain, changed.serial) == (identity.chain, identity.serial)


def test_an_identity_cannot_be_copied_pickled_or_read(leaf: Leaf, tmp_path: Path) -> None:
    identity = identity_of(leaf, b"secret meta")
    for escape in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError):
            escape(identity)
    IdentityStore(str(tmp_path)).save(identity)
    seed = _seed_on_disk(tmp_path / "a")
    for text in (repr(identity), str(identity)):
        assert seed.hex() not in text
        assert "secret" not in text


def _seed_on_disk(slot: Path) -> bytes:
    """The key inside a slot: after the header, the number of certificates and the key's length."""
    content = slot.read_bytes()
    return content[22 + 1 + 4 + 16 : 22 + 1 + 4 + 48]


# ---- on disk


def test_an_identity_comes_back_from_disk_with_its_key(leaf: Leaf, tmp_path: Path) -> None:
    store = IdentityStore(str(tmp_path / "identity"))
    assert store.load() is None
    identity = identity_of(leaf)
    assert store.save(identity) == 1
    assert identity.generation == 1
    loaded = store.load()
    assert loaded is not None
    assert (loaded.chain, loaded.meta, loaded.serial, loaded.generation) == (
        leaf.chain,
        b"meta",
        leaf.serial,
        1,
    )
    assert store.save(loaded.with_meta(b"more")) == 2
    again = store.load()
    assert again is not None
    assert (again.meta, again.generation) == (b"more", 2)


def test_the_key_on_disk_is_pkcs8_as_others_read_it(leaf: Leaf, tmp_path: Path) -> None:
    IdentityStore(str(tmp_path)).save(identity_of(leaf))
    content = (tmp_path / "a").read_bytes()
    key = load_der_private_key(content[22 + 1 + 4 : 22 + 1 + 4 + 48], password=None)
    assert isinstance(key, Ed25519PrivateKey)
    assert key.public_key().public_bytes_raw() == leaf.key.public_key
    assert key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()) in content


def test_renewals_alternate_and_either_slot_is_enough(authority: Authority, tmp_path: Path) -> None:
    """C4: whichever file is lost after a renewal, the node still has an identity."""
    store = IdentityStore(str(tmp_path))
    leaves = [authority.node(UID) for _ in range(6)]
    for number, leaf in enumerate(leaves, start=1):
        assert store.save(identity_of(leaf)) == number
        loaded = store.load()
        assert loaded is not None
        assert loaded.serial == leaf.serial
    newest = tmp_path / "b"
    newest.write_bytes(b"")
    assert store.damaged() == [str(newest)]
    before = store.load()
    assert before is not None
    assert (before.serial, before.generation) == (leaves[4].serial, 5)


def test_two_damaged_slots_are_told_and_kept(leaf: Leaf, tmp_path: Path) -> None:
    store = IdentityStore(str(tmp_path))
    store.save(identity_of(leaf))
    store.save(identity_of(leaf))
    for name in ("a", "b"):
        content = bytearray((tmp_path / name).read_bytes())
        content[100] ^= 1
        (tmp_path / name).write_bytes(content)
    with pytest.raises(NativeError) as failure:
        store.load()
    assert kind_of(failure) == "identity-damaged"
    assert str(tmp_path / "a") in failure.value.args[1]
    assert str(tmp_path / "b") in failure.value.args[1]
    assert (tmp_path / "a").exists()
    assert (tmp_path / "b").exists()


def test_a_whole_slot_that_holds_no_identity_is_told(tmp_path: Path) -> None:
    SlotFile(str(tmp_path), b"SWLIDENT").save(b"\x01not an identity")
    with pytest.raises(NativeError) as failure:
        IdentityStore(str(tmp_path)).load()
    assert kind_of(failure) == "identity-damaged"


@pytest.mark.parametrize("mode", [0o640, 0o620, 0o604, 0o644, 0o666])
@pytest.mark.parametrize("name", ["a", "b"])
def test_a_slot_open_to_others_is_refused(leaf: Leaf, tmp_path: Path, mode: int, name: str) -> None:
    store = IdentityStore(str(tmp_path))
    store.save(identity_of(leaf))
    store.save(identity_of(leaf))
    (tmp_path / name).chmod(mode)
    with pytest.raises(NativeError) as failure:
        store.load()
    assert kind_of(failure) == "identity-permissions"
    assert str(tmp_path / name) in failure.value.args[1]
    (tmp_path / name).chmod(0o600)
    assert store.load() is not None


@pytest.mark.skipif(os.geteuid() != 0, reason="giving a file away needs root")
def test_a_slot_of_another_user_is_refused(leaf: Leaf, tmp_path: Path) -> None:
    store = IdentityStore(str(tmp_path))
    store.save(identity_of(leaf))
    os.chown(tmp_path / "a", 12345, -1)
    with pytest.raises(NativeError) as failure:
        store.load()
    assert kind_of(failure) == "identity-permissions"


@pytest.mark.skipif(os.geteuid() != 0, reason="becoming another user needs root")
def test_a_user_without_the_right_to_it_is_told(leaf: Leaf, tmp_path: Path) -> None:
    IdentityStore(str(tmp_path)).save(identity_of(leaf))
    tmp_path.chmod(0o700)
    script = (
        "import sys; from swarmlet._native import IdentityStore, NativeError\n"
        "try: IdentityStore(sys.argv[1]).load()\n"
        "except NativeError as failure: print(failure.args[0])\n"
    )
    command = ["setpriv", "--reuid=12345", "--clear-groups", sys.executable, "-c", script, str(tmp_path)]
    asked = subprocess.run(command, capture_output=True, text=True, check=True)
    assert asked.stdout.strip() == "identity-unreadable"


# ---- wiping


def test_a_wiped_identity_is_gone_with_all_that_was_beside_it(leaf: Leaf, tmp_path: Path) -> None:
    store = IdentityStore(str(tmp_path))
    store.save(identity_of(leaf))
    store.save(identity_of(leaf))
    for left in ("a.new", "b.damaged"):
        (tmp_path / left).write_bytes(b"left by a crash")
    (tmp_path / "other").write_bytes(b"not ours")
    store.wipe()
    assert [entry.name for entry in tmp_path.iterdir()] == ["other"]
    assert store.load() is None
    store.wipe()


def test_wiping_where_nothing_is_does_nothing(tmp_path: Path) -> None:
    IdentityStore(str(tmp_path / "missing")).wipe()
    assert not (tmp_path / "missing").exists()


def test_a_wipe_overwrites_before_it_removes(leaf: Leaf, tmp_path: Path) -> None:
    store = IdentityStore(str(tmp_path))
    store.save(identity_of(leaf))
    kept = tmp_path / "second name"
    kept.hardlink_to(tmp_path / "a")
    length = kept.stat().st_size
    store.wipe()
    assert kept.read_bytes() == bytes(length)
