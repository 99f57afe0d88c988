"""Admission as the store decides it: uses, retries, names, twins, certificates."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarmlet.coordinator.store import commands as c
from swarmlet.coordinator.store import laws, queries
from swarmlet.model.membership import NodeState
from tests.fakes.history import (
    HOUR,
    JTI,
    T0,
    Bench,
    admit,
    confirm,
    mint,
    move,
    remove,
    renew,
    serial,
    twin,
    uid,
)


def names(bench: Bench) -> list[str]:
    return [node.name for node in queries.nodes(bench.db, removed=False)]


# ---- uses (T5, T6, T9)


def test_t5_a_token_admits_as_many_as_it_says_and_not_one_more(bench: Bench) -> None:
    bench.do(mint(uses=2))
    bench.do(admit(1))
    bench.do(admit(2))
    assert bench.refusal(admit(3)) == "SWL-106"
    token = queries.token(bench.db, JTI)
    assert token is not None
    assert (token.uses, token.nodes) == (2, (uid(1), uid(2)))


def test_a_token_that_was_never_recorded_admits_nobody(bench: Bench) -> None:
    assert bench.refusal(admit(1)) == "SWL-100"


def test_t6_expiry_is_judged_in_the_transaction_with_a_minute_of_leeway(bench: Bench) -> None:
    bench.do(mint(uses=9))
    bench.do(admit(1, at_ms=T0 + HOUR + 60_000))
    assert bench.refusal(admit(2, at_ms=T0 + HOUR + 61_000)) == "SWL-104"


def test_t9_a_revoked_token_admits_nobody_and_its_nodes_stay(bench: Bench) -> None:
    bench.do(mint(uses=9))
    bench.do(admit(1))
    bench.do(c.RevokeToken(at_ms=T0 + 2000, actor="uid:0", jti=JTI))
    assert bench.refusal(admit(2)) == "SWL-105"
    assert names(bench) == ["pi"]


def test_t9_cascade_removes_every_node_born_from_the_token(bench: Bench) -> None:
    bench.do(mint(uses=9))
    bench.do(mint("bb" * 16))
    bench.do(admit(1))
    bench.do(admit(2))
    bench.do(admit(3, "other", jti="bb" * 16))
    result = bench.do(c.RevokeToken(at_ms=T0 + 2000, actor="uid:0", jti=JTI, cascade=True))
    assert result.denied == (serial(1), serial(2))
    assert names(bench) == ["other"]
    assert queries.denied_serials(bench.db) == (serial(1), serial(2))


def test_revoking_twice_changes_nothing_and_an_unknown_token_is_named(bench: Bench) -> None:
    bench.do(mint())
    assert bench.do(c.RevokeToken(at_ms=T0, actor="uid:0", jti=JTI)).changed
    assert not bench.do(c.RevokeToken(at_ms=T0 + 1, actor="uid:0", jti=JTI)).changed
    assert bench.refusal(c.RevokeToken(at_ms=T0, actor="uid:0", jti="ff")) == "SWL-604"


# ---- a lost reply (T5)


def test_t5_the_same_device_gets_the_same_answer_for_ten_minutes(bench: Bench) -> None:
    bench.do(mint())
    first = bench.do(admit(1))
    again = bench.do(admit(2, csr_key=f"{1:064x}", at_ms=T0 + 1000 + laws.RETRY_MS))
    assert again.repeated
    assert not again.changed
    assert again.admission == first.admission
    assert names(bench) == ["pi"]


def test_t5_after_ten_minutes_the_same_device_needs_another_use(bench: Bench) -> None:
    bench.do(mint(uses=2))
    bench.do(admit(1))
    later = T0 + 1001 + laws.RETRY_MS
    again = bench.do(admit(2, csr_key=f"{1:064x}", at_ms=later))
    assert again.admission is not None
    assert again.admission.node_uid == uid(2)
    assert bench.refusal(admit(3, csr_key=f"{1:064x}", at_ms=later + 1001 + laws.RETRY_MS)) == "SWL-106"


def test_another_devices_key_gets_no_answer_that_was_not_its_own(bench: Bench) -> None:
    bench.do(mint())
    bench.do(admit(1))
    assert bench.refusal(admit(2)) == "SWL-106"


def test_a_retry_of_a_removed_node_is_refused(bench: Bench) -> None:
    bench.do(mint())
    bench.do(admit(1))
    bench.do(remove(1))
    assert bench.refusal(admit(2, csr_key=f"{1:064x}")) == "SWL-207"


# ---- names


def test_equal_names_get_the_lowest_free_number(bench: Bench) -> None:
    bench.do(mint(uses=99))
    for number in range(1, 5):
        bench.do(admit(number))
    assert names(bench) == ["pi", "pi-2", "pi-3", "pi-4"]
    bench.do(remove(2))
    bench.do(remove(3))
    assert bench.do(admit(5)).admission.name == "pi-2"
    assert bench.do(admit(6)).admission.name == "pi-3"
    assert bench.do(admit(7)).admission.name == "pi-5"
    bench.do(remove(1))
    assert bench.do(admit(8)).admission.name == "pi"


def test_a_name_that_already_looks_numbered_is_a_name_like_any_other(bench: Bench) -> None:
    bench.do(mint(uses=99))
    assert bench.do(admit(1, "pi-2")).admission.name == "pi-2"
    assert bench.do(admit(2)).admission.name == "pi"
    assert bench.do(admit(3)).admission.name == "pi-3"
    assert bench.do(admit(4, "pi-2")).admission.name == "pi-2-2"


def test_a_long_name_is_cut_so_that_its_number_fits_a_label(bench: Bench) -> None:
    bench.do(mint(uses=99))
    long = "a" * 63
    assert bench.do(admit(1, long)).admission.name == long
    second = bench.do(admit(2, long)).admission.name
    assert second == "a" * 61 + "-2"


def test_the_profile_carries_the_name_that_was_given(bench: Bench) -> None:
    bench.do(mint(uses=2))
    bench.do(admit(1))
    bench.do(admit(2))
    node = queries.node(bench.db, uid(2))
    assert node is not None
    assert node.name == node.profile.node_id == "pi-2"


# ---- the same hardware again


@pytest.mark.parametrize("state", [NodeState.DOWN, NodeState.LEFT])
def test_a_wiped_device_takes_the_place_and_the_name_of_its_old_row(bench: Bench, state: NodeState) -> None:
    bench.do(mint(uses=2))
    bench.do(admit(1, profile=twin("f")))
    bench.do(move(1, NodeState.READY))
    bench.do(move(1, state))
    result = bench.do(admit(2, profile=twin("f"), replaces=uid(1), at_ms=T0 + 9000))
    assert result.admission is not None
    assert (result.admission.name, result.admission.replaced) == ("pi", uid(1))
    assert result.denied == (serial(1),)
    old = queries.node(bench.db, uid(1))
    assert old is not None
    assert (old.state, old.replaced_by) == (NodeState.REVOKED, uid(2))
    assert names(bench) == ["pi"]


@pytest.mark.parametrize("state", [NodeState.READY, NodeState.SUSPECT])
def test_a_twin_that_holds_its_lease_stays_and_the_newcomer_gets_in_beside_it(
    bench: Bench, state: NodeState
) -> None:
    bench.do(mint(uses=2))
    bench.do(admit(1, profile=twin("f")))
    bench.do(move(1, NodeState.READY))
    bench.do(move(1, state))
    result = bench.do(admit(2, profile=twin("f"), replaces=uid(1)))
    assert result.admission is not None
    assert (result.admission.name, result.admission.replaced) == ("pi-2", None)
    assert not result.denied


def test_a_node_that_never_came_back_counts_as_gone_after_a_minute(bench: Bench) -> None:
    bench.do(mint(uses=3))
    bench.do(admit(1, profile=twin("f")))
    early = bench.do(admit(2, profile=twin("f"), replaces=uid(1), at_ms=T0 + 1000 + laws.NEVER_CAME_MS))
    late = bench.do(admit(3, profile=twin("f"), replaces=uid(1), at_ms=T0 + 1001 + laws.NEVER_CAME_MS))
    assert early.admission is not None
    assert late.admission is not None
    assert (early.admission.replaced, late.admission.replaced) == (None, uid(1))


@pytest.mark.parametrize(("old", "new"), [("f", "g"), (None, None), ("f", None)])
def test_only_the_same_fingerprint_is_ever_replaced(bench: Bench, old: str | None, new: str | None) -> None:
    bench.do(mint(uses=2))
    bench.do(admit(1, profile=twin(old)))
    bench.do(move(1, NodeState.DOWN))
    result = bench.do(admit(2, profile=twin(new), replaces=uid(1)))
    assert result.admission is not None
    assert result.admission.replaced is None


def test_a_blocked_device_is_known_to_be_blocked_until_it_is_allowed(bench: Bench) -> None:
    bench.do(mint(uses=2))
    bench.do(admit(1, profile=twin("f")))
    bench.do(remove(1, block=True))
    assert queries.admission_facts(bench.db, JTI, "x", "f").blocked == "pi"
    bench.do(c.AllowHardware(at_ms=T0, actor="uid:0", node_uid=uid(1)))
    assert queries.admission_facts(bench.db, JTI, "x", "f").blocked is None


# ---- certificates (C4)


@pytest.fixture
def member(bench: Bench) -> Bench:
    bench.do(mint(uses=9))
    bench.do(admit(1))
    return bench


def test_c4_a_renewed_certificate_is_next_until_it_is_used(member: Bench) -> None:
    member.do(renew(1, 11))
    node = queries.node(member.db, uid(1))
    assert node is not None
    assert (node.serial, node.next_serial) == (serial(1), serial(11))
    assert queries.denied_serials(member.db) == ()


def test_c4_first_use_makes_it_current_and_refuses_the_old_one(member: Bench) -> None:
    member.do(renew(1, 11))
    result = member.do(confirm(1, 11))
    node = queries.node(member.db, uid(1))
    assert node is not None
    assert (node.serial, node.next_serial, node.not_after_ms) == (serial(11), None, T0 + 36 * HOUR)
    assert result.denied == queries.denied_serials(member.db) == (serial(1),)
    assert not member.do(confirm(1, 11)).changed


def test_c4_asking_again_with_the_same_key_gives_the_same_certificate(member: Bench) -> None:
    first = member.do(renew(1, 11))
    again = member.do(renew(1, 12, csr_key=f"{11:064x}"))
    assert again.repeated
    assert again.chain == first.chain == (b"leaf 11",)


def test_c4_a_second_new_key_supersedes_the_first_and_both_end_with_its_use(member: Bench) -> None:
    member.do(renew(1, 11))
    member.do(renew(1, 12))
    assert member.refusal(confirm(1, 11)) == "SWL-203"
    assert member.do(confirm(1, 12)).denied == (serial(1), serial(11))


def test_c4_a_renewal_with_the_old_key_is_refused(member: Bench) -> None:
    assert member.refusal(renew(1, 11, csr_key=f"{1:064x}")) == "SWL-203"


def test_c4_nobody_confirms_a_certificate_of_another_node(member: Bench) -> None:
    member.do(admit(2))
    member.do(renew(2, 22))
    assert member.refusal(confirm(1, 22)) == "SWL-203"


def test_a_removed_node_neither_renews_nor_confirms(member: Bench) -> None:
    member.do(renew(1, 11))
    assert member.do(remove(1)).denied == (serial(1), serial(11))
    assert member.refusal(renew(1, 12)) == "SWL-207"
    assert member.refusal(confirm(1, 11)) == "SWL-207"


def test_refused_serials_are_forgotten_when_nobody_could_show_them_any_more(member: Bench) -> None:
    member.do(admit(2))
    member.do(remove(2))
    at_ms = T0 + 12 * HOUR
    for step in range(1, 30):
        member.do(renew(1, 100 + step, at_ms=at_ms, not_after_ms=at_ms + 24 * HOUR))
        member.do(confirm(1, 100 + step, at_ms))
        at_ms += 12 * HOUR
    denied = queries.denied_serials(member.db)
    assert serial(2) in denied
    assert len(denied) < 8


@given(st.lists(st.sampled_from(["pi", "pi-2", "pi-3", "x"]), max_size=20), st.data())
def test_names_stay_unique_whatever_comes_and_goes(asked: list[str], data) -> None:
    bench = Bench()
    bench.do(mint(uses=99))
    here: list[int] = []
    for number, name in enumerate(asked, start=1):
        given_name = bench.do(admit(number, name)).admission.name
        assert given_name == name or given_name.startswith(name + "-")
        here.append(number)
        if data.draw(st.booleans()):
            bench.do(remove(here.pop(data.draw(st.integers(0, len(here) - 1)))))
        assert len(set(names(bench))) == len(names(bench)) == len(here)
    bench.close()
