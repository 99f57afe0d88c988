"""Tokens through the binding (T1, T2, T4, T11)."""

from __future__ import annotations

import copy
import os
import pickle
import random
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from swarmlet import _native as native
from swarmlet.tokens.claims import Claims
from tests.vectors import read

#: How many tokens the exhaustive flipping of bits takes; each has about 400 characters, 3,200 bits.
FLIPPED_TOKENS = 200

COORDINATOR = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
COORDINATOR_KEY = COORDINATOR.public_key().public_bytes_raw()


def example(seed: native.TokenSeed, **changes: object) -> native.ClaimsTuple:
    fields: dict[str, object] = {
        "version": 1,
        "cluster_id": bytes(16),
        "cluster_name": "home",
        "jti": b"j" * 16,
        "kid": b"k" * 8,
        "issued_s": 1_700_000_000,
        "expires_s": 1_700_003_600,
        "ca_pins": [b"p" * 32],
        "endpoints": ["192.168.1.100:7946"],
        "max_uses": 1,
        "cidrs": ["192.168.0.0/16"],
        "node_classes": ["edge"],
        "allow": ["docker"],
        "name_pattern": "",
        "public_key": seed.public_key,
    }
    fields.update(changes)
    return tuple(fields.values())  # type: ignore[return-value]


def sign(claims: bytes) -> bytes:
    return claims + COORDINATOR.sign(b"swarmlet/join/v1\0" + claims)


def mint(seed: native.TokenSeed, claims: native.ClaimsTuple) -> str:
    return seed.assemble(sign(native.encode_claims(claims)))


def kind_of(error: pytest.ExceptionInfo[native.NativeError]) -> str:
    return str(error.value.args[0])


words = st.text(alphabet="abcxyzABC019-_", min_size=1, max_size=12)


@st.composite
def claims_tuples(draw: st.DrawFn) -> native.ClaimsTuple:
    issued = draw(st.integers(0, 2**33))
    ports = st.integers(1, 65535)
    hosts = st.sampled_from(["10.0.0.1", "[fd00::1]", "cluster.example"])
    endpoint = st.tuples(hosts, ports).map(lambda pair: f"{pair[0]}:{pair[1]}")
    networks = st.ip_addresses(v=4).map(lambda ip: f"{ip}/32") | st.ip_addresses(v=6, network="fd00::/8").map(
        lambda ip: f"{ip}/128"
    )
    return (
        1,
        draw(st.binary(min_size=16, max_size=16)),
        draw(st.text(alphabet="abcäß中 ", min_size=1, max_size=15).map(str.strip).filter(bool)),
        draw(st.binary(min_size=16, max_size=16)),
        draw(st.binary(min_size=8, max_size=8)),
        issued,
        issued + draw(st.integers(1, 2**33)),
        draw(st.lists(st.binary(min_size=32, max_size=32), min_size=1, max_size=2, unique=True)),
        draw(st.lists(endpoint, max_size=4, unique=True)),
        draw(st.integers(1, 1_000_000)),
        draw(st.lists(networks, max_size=4, unique=True)),
        draw(st.lists(words, max_size=5, unique=True)),
        draw(st.lists(words, max_size=4, unique=True)),
        draw(st.text(alphabet="abc*?-", max_size=20)),
        draw(st.binary(min_size=32, max_size=32)),
    )


# ---------------------------------------------------------------- T1: one text for one token


@given(claims_tuples())
def test_t1_claims_come_back_as_they_were(claims: native.ClaimsTuple) -> None:
    encoded = native.encode_claims(claims)
    assert native.decode_claims(encoded + bytes(64)) == claims
    assert Claims.from_tuple(claims).to_tuple() == claims
    native.check_msgpack(encoded)


@given(claims_tuples(), st.data())
def test_t1_what_decodes_encodes_to_the_same_bytes_or_is_refused(
    claims: native.ClaimsTuple, data: st.DataObject
) -> None:
    damaged = bytearray(native.encode_claims(claims))
    for _ in range(data.draw(st.integers(1, 3))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    try:
        decoded = native.decode_claims(bytes(damaged) + bytes(64))
    except native.NativeError as error:
        assert error.args[0] == "token-claims"  # noqa: PT017 - both outcomes are right
    else:
        assert native.encode_claims(decoded) == bytes(damaged)


@given(claims_tuples())
def test_t1_a_token_comes_back_as_it_was(claims: native.ClaimsTuple) -> None:
    seed = native.TokenSeed.generate()
    claims = (*claims[:-1], seed.public_key)
    text = mint(seed, claims)
    assert text.startswith("swarm_join_")
    assert len(text) <= 1024
    token = native.Token.parse(text)
    assert token.claims == claims
    assert token.signed == sign(native.encode_claims(claims))
    assert seed.assemble(token.signed) == text


def test_t1_every_single_bit_flip_of_200_tokens_is_refused(seed: int) -> None:
    chance = random.Random(seed)
    tried = 0
    for number in range(FLIPPED_TOKENS):
        key = native.TokenSeed.generate()
        text = mint(key, example(key, jti=chance.randbytes(16), max_uses=number + 1)).encode()
        for bit in range(len(text) * 8):
            damaged = bytearray(text)
            damaged[bit // 8] ^= 1 << bit % 8
            tried += 1
            # A character above 127 is no ASCII; as text it can only come in as something else entirely.
            with pytest.raises(native.NativeError):
                native.Token.parse(damaged.decode("latin-1"))
    print(f"refused {tried} damaged texts of {FLIPPED_TOKENS} tokens")
    assert tried >= FLIPPED_TOKENS * 2400


BAD_CLAIMS: list[dict[str, object]] = [
    {"version": 2},
    {"version": "1"},
    {"cluster_id": bytes(15)},
    {"cluster_id": "x" * 16},
    {"cluster_name": ""},
    {"cluster_name": "a\x1b[2J"},
    {"cluster_name": "x" * 64},
    {"jti": b""},
    {"issued_s": -1},
    {"issued_s": 2**64},
    {"expires_s": 1_700_000_000},
    {"expires_s": 253_402_300_800},
    {"expires_s": 1.5},
    {"ca_pins": []},
    {"ca_pins": [b"p" * 32, b"p" * 32]},
    {"ca_pins": [b"p" * 31]},
    {"ca_pins": None},
    {"endpoints": ["host"]},
    {"endpoints": ["host:0"]},
    {"endpoints": [f"host:{port}" for port in range(1, 6)]},
    {"endpoints": "host:1"},
    {"max_uses": 0},
    {"max_uses": 1_000_001},
    {"cidrs": ["10.0.0.1/8"]},
    {"cidrs": ["::ffff:10.0.0.0/104"]},
    {"cidrs": ["10.0.0.0"]},
    {"node_classes": ["a b"]},
    {"node_classes": ["edge", "edge"]},
    {"allow": [""]},
    {"name_pattern": "x" * 64},
    {"name_pattern": "a b"},
    {"public_key": bytes(33)},
    {"endpoints": [f"{'h' * 240}{n}:1" for n in range(3)]},
]


@pytest.mark.parametrize("change", BAD_CLAIMS, ids=str)
def test_t1_claims_out_of_bounds_are_not_encoded(change: dict[str, object]) -> None:
    with pytest.raises(native.NativeError) as error:
        native.encode_claims(example(native.TokenSeed.generate(), **change))
    assert kind_of(error) == "token-claims"


def test_claims_of_another_length_are_refused() -> None:
    claims = example(native.TokenSeed.generate())
    for wrong in ((), claims[:-1], (*claims, 1)):
        with pytest.raises(native.NativeError, match="token-claims"):
            native.encode_claims(wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("signed", [b"", bytes(63), bytes(64), bytes(65), bytes(2000)], ids=len)
def test_signed_claims_of_any_wrong_length_are_refused(signed: bytes) -> None:
    with pytest.raises(native.NativeError, match="token-claims"):
        native.decode_claims(signed)
    assert native.verify_claims(signed, COORDINATOR_KEY) is False
    assert native.verify_proof(signed, b"", bytes(32), bytes(64)) is False


def test_each_refusal_has_its_kind() -> None:
    text = read("tokens.txt")["token.text"].decode()
    for bad, kind in [
        ("", "token-prefix"),
        ("swarm_worker_" + text[11:], "token-prefix"),
        ("swarm_join_abc123def456", "token-length"),
        (text + "A" * 1000, "token-length"),
        (text[:50] + "=" + text[51:], "token-encoding"),
        (text[:50] + "\n" + text[50:], "token-encoding"),
        (text[:50] + "\ud800" + text[51:], "token-encoding"),
        (text[:-1], "token-checksum"),
        (text[:40] + text[41:], "token-checksum"),
        (text.upper().replace("SWARM_JOIN_", "swarm_join_"), "token-checksum"),
    ]:
        with pytest.raises(native.NativeError) as error:
            native.Token.parse(bad)
        assert kind_of(error) == kind, bad


def test_white_space_around_a_token_is_no_part_of_it() -> None:
    text = read("tokens.txt")["token.text"].decode()
    assert native.Token.parse(f" \t{text}\r\n").signed == native.Token.parse(text).signed


def test_the_mark_that_some_editors_begin_a_file_with_is_no_part_of_it() -> None:
    text = read("tokens.txt")["token.text"].decode()
    assert native.Token.parse(f"\ufeff{text}\r\n").signed == native.Token.parse(text).signed
    for other in (f"\ufeff\ufeff{text}", f"{text}\ufeff", f" \ufeff{text}"):
        with pytest.raises(native.NativeError):
            native.Token.parse(other)


def test_a_seed_makes_no_token_of_other_claims() -> None:
    claims = native.encode_claims(example(native.TokenSeed.generate()))
    with pytest.raises(native.NativeError, match="token-seed"):
        native.TokenSeed.generate().assemble(sign(claims))
    with pytest.raises(native.NativeError, match="token-seed"):
        native.TokenSeed.generate().token(sign(claims))


def test_a_seed_makes_its_token_without_a_text() -> None:
    seed = native.TokenSeed.generate()
    signed = sign(native.encode_claims(example(seed)))
    made, read_back = seed.token(signed), native.Token.parse(seed.assemble(signed))
    exporter, csr = bytes(32), b"csr"
    assert (made.signed, made.proof(csr, exporter)) == (signed, read_back.proof(csr, exporter))


# ---------------------------------------------------------------- T2, T4: signature and proof


def test_golden_token() -> None:
    vectors = read("tokens.txt")
    token = native.Token.parse(vectors["token.text"].decode())
    assert token.signed == vectors["token.signed"]
    assert native.encode_claims(token.claims) == vectors["token.claims"]
    proof = token.proof(vectors["proof.csr"], vectors["proof.exporter"])
    assert proof == vectors["proof.signature"]
    assert native.verify_claims(token.signed, vectors["coordinator.key"])
    assert native.verify_proof(token.signed, vectors["proof.csr"], vectors["proof.exporter"], proof)


def test_the_coordinators_key_signs_what_is_verified_here(tmp_path: Path) -> None:
    key = native.SigningKey.load_or_create(str(tmp_path / "token.key"))
    seed = native.TokenSeed.generate()
    signed = key.sign_claims(native.encode_claims(example(seed, kid=key.kid)))
    token = native.Token.parse(seed.assemble(signed))
    assert native.verify_claims(token.signed, key.public_key)
    assert not native.verify_claims(token.signed, COORDINATOR_KEY)


def test_t4_a_proof_holds_for_its_csr_and_its_connection_only() -> None:
    seed = native.TokenSeed.generate()
    token = native.Token.parse(mint(seed, example(seed)))
    other = native.TokenSeed.generate()
    stranger = native.Token.parse(mint(other, example(other)))
    proof = token.proof(b"csr", bytes(32))
    assert native.verify_proof(token.signed, b"csr", bytes(32), proof)
    assert not native.verify_proof(token.signed, b"csr", b"\1" + bytes(31), proof)
    assert not native.verify_proof(token.signed, b"cst", bytes(32), proof)
    assert not native.verify_proof(stranger.signed, b"csr", bytes(32), proof)
    assert not native.verify_proof(token.signed, b"csr", bytes(32), stranger.proof(b"csr", bytes(32)))
    assert not native.verify_proof(token.signed, b"csr", bytes(31), proof)
    with pytest.raises(native.NativeError, match="token-exporter"):
        token.proof(b"csr", bytes(31))


@given(st.binary(max_size=900), st.binary(max_size=50), st.binary(max_size=70))
def test_t10_garbage_is_a_plain_no(signed: bytes, csr: bytes, proof: bytes) -> None:
    assert native.verify_proof(signed, csr, bytes(32), proof) is False
    assert native.verify_claims(signed, COORDINATOR_KEY) is False


# ---------------------------------------------------------------- T11: nothing secret leaves


def test_t11_tokens_and_seeds_show_and_give_nothing_of_the_secret() -> None:
    vectors = read("tokens.txt")
    token = native.Token.parse(vectors["token.text"].decode())
    seed = native.TokenSeed.generate()
    assert repr(token) == "Token(101112131415161718191a1b1c1d1e1f, redacted)"
    assert repr(seed) == str(seed) == "TokenSeed(redacted)"
    for secret in (token, seed):
        for take in (pickle.dumps, copy.copy, copy.deepcopy):
            with pytest.raises(TypeError):
                take(secret)
        values = (getattr(secret, name) for name in dir(secret) if not name.startswith("__"))
        assert not any(vectors["token.seed"] in value for value in values if isinstance(value, bytes))


def test_t11_no_refusal_repeats_the_token() -> None:
    text = read("tokens.txt")["token.text"].decode()
    for bad in (text[:-1], text[1:], text + "!", text[:100], text.swapcase()):
        with pytest.raises(native.NativeError) as error:
            native.Token.parse(bad)
        assert not any(bad[at : at + 12] in error.value.args[1] for at in range(11, max(12, len(bad) - 12)))


def pipe_of(content: bytes) -> int:
    reading, writing = os.pipe()
    with os.fdopen(writing, "wb") as pipe:
        pipe.write(content)
    return reading


def test_a_token_is_read_from_a_file_and_a_pipe(tmp_path: Path) -> None:
    text = read("tokens.txt")["token.text"]
    path = tmp_path / "token"
    path.write_bytes(text + b"\n")
    for fd in (os.open(path, os.O_RDONLY), pipe_of(text)):
        try:
            assert native.Token.read_fd(fd).signed == native.Token.parse(text.decode()).signed
            os.fstat(fd)  # it stays open: whoever opened it closes it
        finally:
            os.close(fd)


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"", "token-prefix"),
        (b"\xff" * 100, "token-prefix"),
        (b"swarm_join_" + b"\xff" * 300, "token-encoding"),
        (b" " * 5000, "token-unreadable"),
    ],
)
def test_a_bad_token_file_is_refused(content: bytes, kind: str) -> None:
    fd = pipe_of(content)
    try:
        with pytest.raises(native.NativeError) as error:
            native.Token.read_fd(fd)
    finally:
        os.close(fd)
    assert kind_of(error) == kind


@pytest.mark.parametrize("fd", [-1, 1_000_000])
def test_a_descriptor_that_is_none_is_refused(fd: int) -> None:
    with pytest.raises(native.NativeError, match="token-unreadable"):
        native.Token.read_fd(fd)


SEARCH = """
    import sys
    from swarmlet import _native as native

    token = native.Token.read_fd(0)
    token.proof(b"csr", bytes(32))
    claims = token.claims
    if sys.argv[1] == "dropped":
        del token
    # The memory is searched mirrored, so that what is searched for is nowhere in it in plain.
    mirror = bytes(byte ^ 0x55 for byte in range(256))
    wanted = [bytes.fromhex(part) for part in sys.argv[2:]]
    found = [0] * len(wanted)
    with open("/proc/self/maps") as maps, open("/proc/self/mem", "rb", buffering=0) as memory:
        for line in maps.readlines():
            span, rights, *_ = line.split()
            begin, end = (int(part, 16) for part in span.split("-"))
            if not rights.startswith("rw") or "[v" in line:
                continue
            memory.seek(begin)
            for at in range(begin, end, 1 << 20):
                mirrored = memory.read(min(1 << 20, end - at)).translate(mirror)
                found = [count + mirrored.count(part) for count, part in zip(found, wanted)]
    print(*found)
"""


@pytest.mark.parametrize("state", ["kept", "dropped"])
def test_t11_a_token_that_was_read_is_in_memory_only_as_the_seed_it_holds(state: str) -> None:
    vectors = read("tokens.txt")
    text = vectors["token.text"]
    # Two parts of the text that hold the seed, the seed, and claims, to see that the search finds things.
    secrets = [text[-40:-8], text[-60:-30], vectors["token.seed"], vectors["token.claims"][:32]]
    mirrored = [bytes(byte ^ 0x55 for byte in secret).hex() for secret in secrets]
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(SEARCH), state, *mirrored],
        input=text,
        capture_output=True,
        check=True,
        timeout=50,
        env={"PYTHONPATH": str(Path(__file__).parents[2])},
    )
    in_text, in_text_too, in_seed, in_claims = map(int, run.stdout.split())
    print(f"{state}: text {in_text} {in_text_too}, seed {in_seed}, claims {in_claims}")
    assert (in_text, in_text_too) == (0, 0)
    assert in_seed == (1 if state == "kept" else 0)
    assert state == "dropped" or in_claims > 0
