"""Key pairs, requests and the token key: private halves stay native, files are whole or refused."""

from __future__ import annotations

import contextlib
import copy
import hashlib
import os
import pickle
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.x509.oid import NameOID

from swarmlet import _native
from swarmlet._native import KeyPair, NativeError, SigningKey

#: Magic, version, generation and length come before the payload, the checksum after it.
HEADER = 8 + 2 + 8 + 4
PKCS8 = 48


@pytest.mark.parametrize("name", ["node-1", "", "ä" * 40, "x" * 64, "x" * 1000, "名前", 'a,b=c+"d"\\'])
def test_a_request_says_the_name_and_proves_the_key(name: str) -> None:
    key = KeyPair.generate()
    request = x509.load_der_x509_csr(key.csr(name))
    assert request.is_signature_valid
    public = request.public_key()
    assert isinstance(public, Ed25519PublicKey)
    assert public.public_bytes_raw() == key.public_key
    said = [attribute.value for attribute in request.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    expected = name.encode()[:64].decode(errors="ignore")
    assert said == ([expected] if expected else [])
    assert len(list(request.extensions)) == 0


def test_a_key_pair_cannot_be_copied_pickled_or_read() -> None:
    key = KeyPair.generate()
    for escape in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError):
            escape(key)
    assert key.public_key.hex() in repr(key)
    readable = {name for name in dir(key) if not name.startswith("_")}
    assert readable == {"generate", "public_key", "csr"}


def test_a_key_pair_is_new_every_time() -> None:
    assert len({KeyPair.generate().public_key for _ in range(100)}) == 100


def test_a_token_key_is_made_once_closed_to_others_and_found_again(tmp_path: Path) -> None:
    path = tmp_path / "token.key"
    made = SigningKey.load_or_create(str(path))
    assert path.stat().st_mode & 0o777 == 0o600
    found = SigningKey.load_or_create(str(path))
    assert (found.public_key, found.kid) == (made.public_key, made.kid)
    assert made.kid == hashlib.sha256(made.public_key).digest()[:8]
    assert [entry.name for entry in tmp_path.iterdir()] == ["token.key"]


def test_a_token_key_signs_the_claims_behind_their_prefix(tmp_path: Path) -> None:
    key = SigningKey.load_or_create(str(tmp_path / "token.key"))
    signed = key.sign_claims(b"claims")
    assert signed[:-64] == b"claims"
    assert _native.verify(key.public_key, b"swarmlet/join/v1\0claims", signed[-64:])
    assert not _native.verify(key.public_key, b"claims", signed[-64:])


def test_many_that_make_the_token_key_at_once_get_the_same(tmp_path: Path) -> None:
    path = str(tmp_path / "token.key")
    found: list[bytes] = []
    threads = [
        threading.Thread(target=lambda: found.append(SigningKey.load_or_create(path).public_key))
        for _ in range(16)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 16
    assert len(set(found)) == 1
    assert [entry.name for entry in tmp_path.iterdir()] == ["token.key"]


def test_any_flipped_bit_or_missing_byte_of_the_token_key_is_told(tmp_path: Path) -> None:
    path = tmp_path / "token.key"
    SigningKey.load_or_create(str(path))
    whole = path.read_bytes()
    assert len(whole) == HEADER + PKCS8 + 32
    wrong = [whole[:length] for length in range(len(whole))]
    for at in range(len(whole)):
        damaged = bytearray(whole)
        damaged[at] ^= 1 << (at % 8)
        wrong.append(bytes(damaged))
    wrong.append(whole + b"\0")
    for content in wrong:
        path.write_bytes(content)
        with pytest.raises(NativeError) as caught:
            SigningKey.load_or_create(str(path))
        assert caught.value.args[0] == "key-damaged"
        assert path.read_bytes() == content, "a damaged key is kept for whoever can mend it"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o601])
def test_a_token_key_open_to_others_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "token.key"
    SigningKey.load_or_create(str(path))
    path.chmod(mode)
    with pytest.raises(NativeError) as caught:
        SigningKey.load_or_create(str(path))
    assert caught.value.args[0] == "key-permissions"


@pytest.mark.skipif(os.geteuid() != 0, reason="giving a file away needs root")
def test_a_token_key_of_another_user_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "token.key"
    SigningKey.load_or_create(str(path))
    os.chown(path, 12345, -1)
    with pytest.raises(NativeError) as caught:
        SigningKey.load_or_create(str(path))
    assert caught.value.args[0] == "key-permissions"


def test_a_token_key_that_cannot_be_made_says_where(tmp_path: Path) -> None:
    with pytest.raises(NativeError) as caught:
        SigningKey.load_or_create(str(tmp_path / "missing" / "token.key"))
    assert caught.value.args[0] == "key-unreadable"
    assert str(tmp_path) in caught.value.args[1]


_HOLDER = """
import gc, sys
from swarmlet._native import SigningKey
key = SigningKey.load_or_create(sys.argv[1])
key.sign_claims(b"claims")
print("held", flush=True)
sys.stdin.readline()
del key
gc.collect()
print("dropped", flush=True)
sys.stdin.readline()
"""


def test_a_dropped_key_leaves_no_copy_of_its_seed_in_memory(tmp_path: Path) -> None:
    """C1, T11: all writable memory of a process that had a key is searched for its seed from outside."""
    path = tmp_path / "token.key"
    with subprocess.Popen(
        [sys.executable, "-c", _HOLDER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdin is not None
        assert holder.stdout.readline() == "held\n"
        seed = path.read_bytes()[HEADER + 16 : HEADER + 48]
        assert seed in _memory_of(holder.pid), "the search finds a key that is in use"
        print(file=holder.stdin, flush=True)
        assert holder.stdout.readline() == "dropped\n"
        assert seed not in _memory_of(holder.pid)


def _memory_of(pid: int) -> bytes:
    """Return all writable memory of a process; regions without content read as nothing."""
    pieces = []
    maps = Path(f"/proc/{pid}/maps").read_text().splitlines()
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
        for line in maps:
            span, modes = line.split()[:2]
            if modes.startswith("rw"):
                begin, end = (int(text, 16) for text in span.split("-"))
                memory.seek(begin)
                with contextlib.suppress(OSError):
                    pieces.append(memory.read(end - begin))
    return b"\n".join(pieces)
