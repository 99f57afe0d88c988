"""Verdicts about devices that proved possession: exact reasons, and never more than the token allows."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarmlet.coordinator import admission
from swarmlet.coordinator.admission import Admit, Applicant, Ceiling, Repeat
from swarmlet.coordinator.store import laws
from swarmlet.coordinator.store.api import Admission, AdmissionFacts
from swarmlet.link.messages import Hello, JoinRequest, Refused, encode
from swarmlet.model.classification import NODE_CLASSES, classify
from swarmlet.model.membership import NodeState
from swarmlet.model.profile import Capabilities, Classification, Hardware, Profile
from swarmlet.model.records import NodeRecord, TokenRecord
from swarmlet.tokens.check import Refusal
from swarmlet.tokens.claims import Claims
from tests.fakes.records import node

NOW = 1_700_000_000_000
JTI = "aa" * 16
SERVER = Hardware(cpu_cores=64, memory_gb=256.0, device_type="server")
BOARD = Hardware(cpu_cores=4, memory_gb=8.0, device_type="raspberry_pi_4")


def profile(hardware: Hardware = BOARD, *, gpu: int | None = None, **given_: Any) -> Profile:
    capabilities = Capabilities(gpu_count=gpu)
    return Profile(
        **{
            "node_id": "whatever",
            "hardware": hardware,
            "capabilities": capabilities,
            "classification": classify(hardware, capabilities),
            **given_,
        }
    )


def claims(**given_: Any) -> Claims:
    fields: dict[str, Any] = {
        "version": 1, "cluster_id": bytes(16), "cluster_name": "test", "jti": b"\xaa" * 16, "kid": bytes(8),
        "issued_s": NOW // 1000 - 60, "expires_s": NOW // 1000 + 3600, "ca_pins": (bytes(32),),
        "endpoints": (), "max_uses": 5, "cidrs": (), "node_classes": (), "allow": (), "name_pattern": "",
        "public_key": bytes(32),
    }  # fmt: skip
    return Claims(**{**fields, **given_})


def token(**given_: Any) -> TokenRecord:
    fields: dict[str, Any] = {
        "jti": JTI, "claims": b"", "created_ms": NOW, "created_by": "uid:0", "expires_ms": NOW + 3_600_000,
        "max_uses": 5, "uses": 0, "revoked_ms": None, "nodes": (),
    }  # fmt: skip
    return TokenRecord(**{**fields, **given_})


def applicant(**given_: Any) -> Applicant:
    request = {
        "claims": b"",
        "csr": b"",
        "proof": b"",
        "name": "pi",
        "profile": profile(),
        "version": "0.1.0",
    }
    request |= {
        key: given_.pop(key) for key in ("name", "profile", "version", "capabilities") if key in given_
    }
    facts: dict[str, Any] = {"token": token(), "first": None, "twins": (), "blocked": None}
    facts |= {key: given_.pop(key) for key in list(facts) if key in given_}
    seen, now_ms = given_.pop("seen", "192.0.2.7:1"), given_.pop("now_ms", NOW)
    return Applicant(JoinRequest(**request), claims(**given_), AdmissionFacts(**facts), seen, now_ms)


def admit(**given_: Any) -> Admit:
    verdict = admission.judge(applicant(**given_))
    assert isinstance(verdict, Admit), verdict
    return verdict


def code(**given_: Any) -> str:
    verdict = admission.judge(applicant(**given_))
    assert isinstance(verdict, Refusal), verdict
    return verdict.code


# ---- reasons (T6, T7, T9, T10 after proof)

REASONS: list[tuple[str, dict[str, Any]]] = [
    ("SWL-100", {"token": None}),
    ("SWL-105", {"token": token(revoked_ms=1)}),
    ("SWL-104", {"now_ms": NOW + 3_600_000 + 61_000}),
    ("SWL-106", {"token": token(uses=5)}),
    ("SWL-608", {"name": "***"}),
    ("SWL-608", {"version": "x" * 65}),
    ("SWL-608", {"profile": profile(container_engine="x" * 9000)}),
    ("SWL-107", {"cidrs": ("10.0.0.0/8",)}),
    ("SWL-109", {"name_pattern": "garden-*"}),
    ("SWL-108", {"node_classes": ("datacenter",)}),
    ("SWL-111", {"blocked": "old-pi"}),
]


def test_a_device_that_fits_gets_in() -> None:
    verdict = admit(name="My Pi.local", capabilities=("docker", "gpu", "flying"), allow=("docker", "exec"))
    assert verdict.name == verdict.profile.node_id == "my-pi-local"
    assert verdict.capabilities == ("docker",)
    assert verdict.clamped == ("gpu was not granted",)
    assert verdict.replaces is None


@pytest.mark.parametrize(("wanted", "given_"), REASONS)
def test_t10_whoever_proved_possession_gets_the_exact_reason(wanted: str, given_: dict[str, Any]) -> None:
    assert code(**given_) == wanted


@pytest.mark.parametrize("place", range(len(REASONS) - 1))
def test_t10_of_two_reasons_the_earlier_in_the_order_is_given(place: int) -> None:
    (first, one), (_, other) = REASONS[place], REASONS[place + 1]
    if not one.keys() & other.keys():
        assert code(**one, **other) == first


def test_t10_before_proof_there_is_one_answer_and_it_says_nothing() -> None:
    assert encode(admission.UNPROVEN) == encode(Refused("SWL-100"))
    assert (admission.UNPROVEN.detail, admission.UNPROVEN.time_ms, admission.UNPROVEN.seen) == (
        {},
        None,
        None,
    )


def test_t6_the_last_moment_is_a_minute_past_the_end() -> None:
    assert admit(now_ms=NOW + 3_600_000 + 60_000)


def test_t7_a_forwarded_address_is_no_address() -> None:
    assert code(cidrs=("10.0.0.0/8",), seen="10.0.0.1, 192.0.2.7") == "SWL-107"
    assert admit(cidrs=("10.0.0.0/8",), seen="[::ffff:10.0.0.1]:5")


# ---- repeats (T5)


def test_t5_a_device_that_asks_again_is_known_even_when_the_token_is_spent() -> None:
    first = Admission("uid", "pi", (b"leaf",), None, NOW - laws.RETRY_MS)
    spent = {"token": token(uses=5, revoked_ms=1), "first": first}
    assert admission.judge(applicant(**spent)) == Repeat(first)
    assert code(**spent, now_ms=NOW + 1) == "SWL-105"


# ---- twins


def replaced(*twins: NodeRecord) -> str | None:
    return admit(twins=twins).replaces


def test_a_lapsed_row_of_the_same_machine_and_name_is_replaced() -> None:
    assert replaced(node("new", state=NodeState.DOWN), node("pi", state=NodeState.DOWN)) == "uid-pi"
    assert replaced(node("pi", state=NodeState.READY)) is None


def test_a_stopped_agent_of_another_name_on_the_same_machine_keeps_its_place() -> None:
    assert replaced(node("other", state=NodeState.DOWN)) is None
    assert replaced(node("pi-x", state=NodeState.DOWN), node("pi-1", state=NodeState.DOWN)) is None


def test_a_wiped_device_whose_name_belongs_to_another_host_replaces_its_own_numbered_row() -> None:
    assert replaced(node("pi-2", state=NodeState.DOWN)) == "uid-pi-2"


def test_a_numbered_row_stays_where_this_machine_has_the_name_itself() -> None:
    assert replaced(node("pi-2", state=NodeState.DOWN), node("pi", state=NodeState.READY)) is None
    assert replaced(node("pi-2", state=NodeState.DOWN), node("pi", state=NodeState.DOWN)) == "uid-pi"


def test_a_fingerprint_never_revives_a_token() -> None:
    assert code(twins=(node("pi", state=NodeState.DOWN),), token=token(uses=5)) == "SWL-106"


# ---- the ceiling (T8)


def test_t8_eight_gpus_and_a_data_center_with_an_edge_token_are_cut_and_said() -> None:
    verdict = admit(profile=profile(SERVER, gpu=8), node_classes=("edge",))
    assert verdict.profile.classification.node_class == "Edge"
    assert "by itself it is DataCenter" in verdict.profile.classification.reason
    assert verdict.profile.capabilities.gpu_count == 0
    assert "gpu_compute" not in verdict.profile.classification.suitability
    assert verdict.clamped == ("gpu_count 8 to 0", "class DataCenter to Edge")


def test_t8_a_class_is_the_tables_and_not_the_devices_word() -> None:
    boast = Classification("DataCenter", ("everything",), "because I say so")
    verdict = admit(profile=profile(BOARD, classification=boast))
    assert verdict.profile.classification == classify(BOARD, Capabilities())
    assert verdict.clamped == ("class DataCenter to Edge",)
    assert code(profile=profile(BOARD, classification=boast), node_classes=("datacenter",)) == "SWL-108"


def test_t8_what_is_allowed_is_kept() -> None:
    verdict = admit(profile=profile(SERVER, gpu=8), allow=("gpu",), capabilities=("gpu",))
    assert verdict.profile.capabilities.gpu_count == 8
    assert (verdict.capabilities, verdict.clamped) == (("gpu",), ())


def hello(made: Profile, **given_: Any) -> Hello:
    fields = {
        "protocol": 1,
        "version": "0.1.0",
        "boot_id": "b",
        "name": "pi",
        "profile": made,
        "generation": 0,
    }
    return Hello(**{**fields, **given_})


def test_t8_a_later_update_is_cut_by_the_same_ceiling() -> None:
    member = node("pi", profile=profile())
    made, cut = admission.judge_update(member, hello(profile(SERVER, gpu=8)), Ceiling(("edge",), ()))
    assert (made.classification.node_class, made.capabilities.gpu_count, made.node_id) == ("Edge", 0, "pi")
    assert len(cut) == 2


IMPOSSIBLE = [
    profile(Hardware(cpu_cores=float("inf"), memory_gb=8.0)),
    profile(Hardware(cpu_cores=4, memory_gb=1e308)),
    profile(Hardware(cpu_cores=4, memory_gb=float("nan"))),
    profile(Hardware(cpu_cores=4, memory_gb=-1.0)),
    profile(Hardware(cpu_cores=4, memory_gb=8.0, storage_gb=float("inf"))),
    profile(gpu=2**63),
    profile(gpu=-1),
]


@pytest.mark.parametrize("made", IMPOSSIBLE)
def test_a_number_that_no_device_has_is_refused_and_changes_no_member(made: Profile) -> None:
    assert admission.shape_refusal(profile(), "0.1.0") is None
    refusal = admission.shape_refusal(made, "0.1.0")
    assert refusal is not None
    assert refusal.code == "SWL-608"
    member = node("pi", profile=profile())
    assert admission.judge_update(member, hello(made), Ceiling((), ("gpu",)))[0] == member.profile


@pytest.mark.parametrize(
    "told",
    [
        hello(profile(Hardware(cpu_cores=1, memory_gb=0.1, device_type="virtual_machine"))),
        hello(profile(container_engine="x" * 9000)),
        hello(profile(), version="x" * 100),
    ],
    ids=["class below every allowed one", "too long", "version too long"],
)
def test_an_update_that_cannot_be_taken_leaves_what_is_known(told: Hello) -> None:
    member = node("pi", profile=profile())
    made, cut = admission.judge_update(member, told, Ceiling(("edge",), ()))
    assert made == member.profile
    assert len(cut) == 1


def test_a_member_keeps_the_fingerprint_it_was_admitted_with() -> None:
    member = node("pi", profile=profile(fingerprint="mine"))
    made, cut = admission.judge_update(member, hello(profile(fingerprint="a victim's")), Ceiling((), ()))
    assert made.fingerprint == "mine"
    assert cut == ("another hardware fingerprint was not taken",)
    assert admission.judge_update(member, hello(profile(fingerprint="mine")), Ceiling((), ()))[1] == ()


def test_a_ceiling_that_is_not_known_lets_a_node_keep_what_it_has() -> None:
    member = node("pi", profile=profile(), capabilities=("docker",))
    assert Ceiling.kept(member) == Ceiling(("Edge",), ("docker",))


sizes = st.none() | st.floats(0, 1000)
kinds = st.sampled_from([None, "server", "laptop", "raspberry_pi_4", "container", "desktop", "jetson_x"])


@given(
    st.builds(Hardware, cpu_cores=sizes, memory_gb=sizes, device_type=kinds),
    st.none() | st.integers(0, 16),
    st.lists(st.sampled_from(NODE_CLASSES), max_size=3).map(tuple),
    st.lists(st.sampled_from(["gpu", "docker"]), max_size=2, unique=True).map(tuple),
)
def test_t8_nothing_above_the_ceiling_is_ever_recorded(hardware, gpu, classes, allow) -> None:
    clamped = admission.clamp(profile(hardware, gpu=gpu), Ceiling(classes, allow))
    if clamped is None:
        return
    made, _ = clamped
    assert not classes or made.classification.node_class in classes
    own = classify(hardware, Capabilities()).node_class
    assert NODE_CLASSES.index(made.classification.node_class) >= NODE_CLASSES.index(own)
    assert not made.capabilities.gpu_count or "gpu" in allow
    # Cutting twice cuts nothing more.
    again = admission.clamp(made, Ceiling(classes, allow))
    assert again is not None
    assert again[0].classification.node_class == made.classification.node_class


# ---- renewal (C4, C5)

DAY = 86_400_000


@pytest.mark.parametrize(
    ("given_", "after_ms", "answer"),
    [
        ({}, -DAY, None),
        ({}, DAY, None),
        ({}, 89 * DAY, None),
        ({}, 90 * DAY, None),
        ({}, 91 * DAY, "SWL-203"),
        ({"state": NodeState.DOWN}, 0, None),
        ({"state": NodeState.REVOKED}, -DAY, "SWL-207"),
        ({"state": NodeState.LEFT}, -DAY, "SWL-207"),
        ({"replaced_by": "other"}, -DAY, "SWL-207"),
    ],
)
def test_c4_who_may_have_a_new_certificate(given_: dict[str, Any], after_ms: int, answer: str | None) -> None:
    member = node("pi", not_after_ms=NOW, **given_)
    refusal = admission.judge_renewal(member, NOW + after_ms)
    assert (None if refusal is None else refusal.code) == answer


def test_every_refusal_reads_as_a_sentence_with_its_values() -> None:
    for _, given_ in REASONS:
        verdict = admission.judge(applicant(**given_))
        assert isinstance(verdict, Refusal)
        assert "?" not in verdict.to_error().what
        assert msgspec.json.encode(verdict.fields)
