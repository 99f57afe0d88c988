"""The catalogue: every entry is complete, reachable and reads as a sentence."""

from __future__ import annotations

import re
import string
from pathlib import Path

import pytest

from swarmlet.errors import _ALIASES, CATALOGUE, Exit, SwarmletError, error, from_native

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("code", CATALOGUE)
def test_an_entry_reads_as_the_style_asks(code: str) -> None:
    entry = CATALOGUE[code]
    assert re.fullmatch(r"SWL-\d{3}", code)
    for text in (entry.what, entry.unchanged, entry.next):
        assert text
        assert not text.endswith(".")
        assert text[0] == text[0].lower() or text.startswith("SWARM_")


@pytest.mark.parametrize("code", CATALOGUE)
def test_an_entry_can_be_raised_with_any_of_its_fields_missing(code: str) -> None:
    failure = error(code)
    assert code in str(failure)
    assert failure.what
    assert failure.next
    assert failure.as_dict()["exit_code"] == int(failure.exit_code)


def test_slugs_are_unique_and_every_alias_leads_to_one() -> None:
    slugs = [entry.slug for entry in CATALOGUE.values()]
    assert len(slugs) == len(set(slugs))
    assert set(_ALIASES.values()) <= set(slugs)


def test_every_native_kind_has_an_entry() -> None:
    kinds = set()
    for path in (ROOT / "native").rglob("*.rs"):
        kinds |= set(re.findall(r'native\(\s*"([a-z-]+)"', path.read_text()))
    internal = {kind for kind in kinds if from_native(kind, "x").code == "SWL-799"}
    # Kinds that can only come from a mistake of ours, never from what a user or a peer does.
    assert internal <= {
        "argument", "bad-argument", "claims", "engine-stopped", "frame-too-large", "frame-kind",
        "frame-flags", "frame-shape", "msgpack", "key-unusable", "spawn-failed", "certificate-damaged",
        "identity-mismatch",
        "tls-config", "internal", "reaper", "csr", "directory-missing",
        "random-unavailable", "gossip-damaged", "token-exporter",
    }  # fmt: skip


def test_fields_named_in_texts_are_words() -> None:
    for code, entry in CATALOGUE.items():
        for text in (entry.what, entry.unchanged, entry.next):
            names = [name for _, name, _, _ in string.Formatter().parse(text) if name is not None]
            assert all(name.isidentifier() for name in names), code


def test_an_exception_from_native_keeps_its_detail() -> None:
    failure = from_native("token-checksum", "3 characters are missing")
    assert isinstance(failure, SwarmletError)
    assert failure.code == "SWL-102"
    assert "3 characters are missing" in failure.what
    assert failure.exit_code is Exit.REFUSED
