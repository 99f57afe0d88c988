"""P3: one request, however often it is sent, has one effect; a key belongs to one request."""

from __future__ import annotations

import msgspec
import pytest

from swarmlet.coordinator.store import commands as c
from swarmlet.coordinator.store import laws, queries
from swarmlet.coordinator.store.apply import intent_of
from tests.fakes.history import JTI, T0, Bench, admit, mint, remove, submit, uid

REQUESTS = [
    mint(key="k", intent="wishes"),
    submit(key="k"),
    c.RevokeToken(at_ms=T0, actor="uid:0", key="k", jti=JTI),
    remove(1, key="k"),
    c.LabelNode(at_ms=T0, actor="uid:0", key="k", node_uid=uid(1), labels={"a": "b"}),
    c.SetAvailability(at_ms=T0, actor="uid:0", key="k", node_uid=uid(1), availability="draining"),
    c.StopWorkload(at_ms=T0, actor="uid:0", key="k", workload_id="w0"),
]


@pytest.fixture
def ready(bench: Bench) -> Bench:
    bench.do(mint("cc" * 16, uses=9))
    bench.do(mint(uses=9))
    bench.do(admit(1))
    bench.do(submit("w0"))
    return bench


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda one: type(one).__name__)
def test_p3_a_repeated_request_has_the_first_answer_and_no_second_effect(
    ready: Bench, request_: c.AnyCommand
) -> None:
    if isinstance(request_, c.MintToken):
        request_ = msgspec.structs.replace(request_, jti="ee" * 16)
    first = ready.do(request_)
    head = queries.head(ready.db)
    again = ready.do(msgspec.structs.replace(request_, at_ms=request_.at_ms + 5000))
    assert again == msgspec.structs.replace(first, repeated=True)
    assert not again.changed
    assert queries.head(ready.db) == head


def test_p3_chosen_identifiers_do_not_make_another_request(ready: Bench) -> None:
    first = ready.do(submit("first", key="k", name="job"))
    again = ready.do(submit("second", key="k", name="job"))
    assert again.repeated
    assert again.workloads == first.workloads == ("first",)
    minted = ready.do(mint("01" * 16, key="m", intent="same", claims=b"one"))
    repeated = ready.do(mint("02" * 16, key="m", intent="same", claims=b"two"))
    assert repeated.tokens == minted.tokens == ("01" * 16,)


@pytest.mark.parametrize(
    "other",
    [
        submit("second", key="k", name="job", replicas=2),
        submit("second", key="k", name="job", actor="uid:1000"),
        c.StopWorkload(at_ms=T0, actor="uid:0", key="k", workload_id="w0"),
    ],
    ids=["other fields", "other actor", "other kind"],
)
def test_p3_a_key_used_for_another_request_is_refused(ready: Bench, other: c.AnyCommand) -> None:
    ready.do(submit("first", key="k", name="job"))
    assert ready.refusal(other) == "SWL-608"


def test_p3_a_request_that_changed_nothing_is_remembered_too(ready: Bench) -> None:
    cordon = c.SetAvailability(at_ms=T0, actor="uid:0", node_uid=uid(1), availability="cordoned")
    ready.do(cordon)
    ready.do(msgspec.structs.replace(cordon, key="k"))
    ready.do(msgspec.structs.replace(cordon, availability="active"))
    assert ready.do(msgspec.structs.replace(cordon, key="k", at_ms=T0 + 9)).repeated
    node = queries.node(ready.db, uid(1))
    assert node is not None
    assert node.availability == "active"


def test_a_refused_request_may_be_tried_again_with_its_key(ready: Bench) -> None:
    assert ready.refusal(remove(5, key="k")) == "SWL-605"
    ready.do(admit(5))
    assert ready.do(remove(5, key="k")).changed


def test_keys_are_forgotten_after_a_day(ready: Bench) -> None:
    ready.do(submit("first", key="k", name="job"))
    ready.do(submit("later", key="other", name="other", at_ms=T0 + 3001 + laws.KEY_MS))
    count = ready.db.execute("SELECT count(*) FROM idempotency").fetchone()[0]
    assert count == 1


def test_the_intent_of_two_kinds_is_never_the_same() -> None:
    assert len({intent_of(one) for one in REQUESTS}) == len(REQUESTS)
