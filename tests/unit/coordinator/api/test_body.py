"""Every bound of a request is told in plain words: field, option, value, what it may be."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from swarmlet.coordinator.api import body
from swarmlet.coordinator.api.routes import ROUTES
from swarmlet.errors import SwarmletError
from swarmlet.model.requests import LabelsRequest, MintRequest, SubmitRequest

KEY = "A" * 43 + "="
#: Words of a schema language, which nobody who asks need know.
SCHEMA_WORDS = ("$", "`", "Expected", "array", "str ", "int ", "regex", "null or")


def refusal(kind, asked) -> str:
    with pytest.raises(SwarmletError) as caught:
        body.read(kind, asked if isinstance(asked, bytes) else json.dumps(asked).encode())
    assert caught.value.code == "SWL-608"
    said = caught.value.fields["detail"]
    assert not [word for word in SCHEMA_WORDS if word in said], said
    assert len(said) < 1500
    return said


def mint(**asked):
    return MintRequest, {"public_key": KEY, **asked}


def submit(**asked):
    return SubmitRequest, {"kind": "process", **asked}


@pytest.mark.parametrize(
    ("request_of", "said"),
    [
        (mint(expires_s=0), "expires_s (--expires) is 0: it may be 1 to 315360000 seconds (1s to 3650d)"),
        (mint(max_uses=10**25), "max_uses (--uses) is 10000000000000000000000000: it may be a whole number"),
        (mint(cidrs=["::/0"] * 9), "cidrs (--cidr) has 9 entries: it may have at most 8 entries"),
        (mint(cidrs=["10.0.0.0/8", "x" * 70]), "cidrs, number 2 (--cidr) is 'xxxxxxxxxx"),
        (mint(endpoints=["h:1"] * 5), "endpoints (--endpoint) has 5 entries: it may have at most 4 entries"),
        (mint(endpoints=["h" * 300]), "(300 characters): it may be HOST:PORT, at most 261 characters"),
        (mint(node_classes=["edge"] * 9), "node_classes (--node-type) has 9 entries"),
        (mint(allow=["a"] * 9), "allow (--allow) has 9 entries"),
        (mint(name_pattern="x" * 64), "name_pattern (--name) is 'xxxxx"),
        (mint(force="yes"), "force (--force) is 'yes': it may be true or false"),
        (mint(colour=1), "there is no field 'colour': it may have public_key, expires_s"),
        ((MintRequest, {"public_key": "AAAA"}), "public_key is 'AAAA': it may be base64 of 32 bytes"),
        ((MintRequest, {}), "public_key is missing: it may be base64 of 32 bytes"),
        (submit(command=["true", "x" * 4097]), "command, number 2 (after --) has 4097 characters: it may be"),
        (submit(command=["x"] * 257), "command (after --) has 257 entries: it may have at most 256 entries"),
        (submit(env={"A": "x" * 4097}), "env, the value of 'A' (--env) has 4097 characters"),
        (submit(env={"A" * 256: ""}), "env, a name (--env) is 'AAAA"),
        (submit(env={"": "x"}), "env, a name (--env) is ''"),
        (submit(replicas=0), "replicas (--replicas) is 0: it may be a whole number from 1 to 1000"),
        (submit(replicas=True), "replicas (--replicas) is true"),
        (submit(resources={"cpu": 0}), "resources.cpu (--cpu) is 0: it may be above 0 to 4096 cores"),
        (submit(resources={"memory_mb": 0}), "resources.memory_mb (--memory) is 0: it may be 1 to 64000000"),
        (submit(resources={"disk": 1}), "there is no field 'disk': it may have cpu, memory_mb"),
        (submit(resources=3), "resources is 3: it may be an object with the fields cpu, memory_mb"),
        (submit(stop_grace_s=7200), "stop_grace_s (--stop-grace) is 7200: it may be 0 to 3600 seconds"),
        (submit(restart="x"), "restart (--restart) is 'x': it may be never, on-failure, always"),
        (submit(name=None), "name (--name) is null: it may be text of at most 63 characters"),
        (submit(constraints=["a==b"] * 33), "constraints (--constraint) has 33 entries"),
        ((SubmitRequest, [1]), "its body is a list of 1: it may be an object with the fields kind, name"),
        ((SubmitRequest, b"{"), "its body is not JSON that can be read"),
        ((LabelsRequest, {"labels": {}}), "labels (KEY=VALUE) has 0 entries: it may have 1 to 64 entries"),
        ((LabelsRequest, {"labels": {"a b": "x"}}), "labels, a name (KEY=VALUE) is 'a b': it may be a name"),
        ((LabelsRequest, {"labels": {"a": "\n"}}), "labels, the value of 'a' (KEY=VALUE) is '\\n'"),
    ],
)  # fmt: skip
def test_what_is_out_of_bounds_is_told_in_plain_words(request_of, said: str) -> None:
    assert said in refusal(*request_of)


def test_every_fault_is_named_and_a_flood_of_them_is_cut() -> None:
    said = refusal(*mint(expires_s=0, max_uses=0))
    assert "--expires" in said
    assert "--uses" in said
    assert refusal(*submit(command=["x" * 5000] * 50)).endswith("; and 45 more")


def test_what_is_run_is_not_repeated_since_it_may_hold_a_secret() -> None:
    assert "hunter2" not in refusal(*submit(env={"PASSWORD": "hunter2" * 1000}, command=["hunter2" * 1000]))


def test_what_fits_is_read() -> None:
    kind, asked = submit(command=["true"], resources={"cpu": 1}, node_type=None, env={"A": ""})
    assert body.read(kind, json.dumps(asked).encode()).resources.cpu == 1.0


def test_the_page_of_the_api_lists_what_every_field_takes() -> None:
    page = (Path(__file__).parents[4] / "docs" / "api.md").read_text()
    kinds = [route.body for route in ROUTES if route.body is not None]
    rows = [
        f"| {kind.__name__} | {name} | {flag} | {takes} |"
        for kind in dict.fromkeys(kinds)
        for name, flag, takes in body.taken(kind)
    ]
    assert len(rows) > 20
    assert [row for row in page.splitlines() if row.startswith(("| MintRequest |", "| RevokeRequest |"))]
    missing = [row for row in rows if row not in page]
    assert not missing
