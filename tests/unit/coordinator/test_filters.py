from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarmlet.coordinator.constraints import explain, parse_constraint
from swarmlet.coordinator.filters import Refusal, Site, Usage, capacity_of, demand_of, refuse, summarise
from swarmlet.model.health import Health
from swarmlet.model.workload import Resources
from tests.fakes.records import node, profile, workload

PI = node("pi", labels={"zone": "garden", "arch": "mine"}, profile=profile(arch="aarch64"))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("arch==arm64", None),
        ("arch == ARM64", None),
        ("arch!=x86_64", None),
        ("arch==amd64", "arch==amd64: its arch is aarch64"),
        ("class==edge", None),
        ("class!=edge", "class!=edge: its class is Edge"),
        ("name==pi", None),
        ("id==uid-pi", None),
        ("device==raspberry_pi_4", None),
        ("zone==garden", None),
        ("label.zone==garden", None),
        ("label.arch==mine", None),
        ("zone!=garden", "zone!=garden: its zone is garden"),
        ("rack==1", "rack==1: it has no rack"),
        ("rack!=1", None),
        ("zone==", "zone==: its zone is garden"),
    ],
)
def test_a_constraint_is_met_or_says_why_not(text, reason) -> None:
    assert explain(parse_constraint(text), PI) == reason


@pytest.mark.parametrize(
    "text", ["", "zone", "zone=garden", "==x", "a b==c", "zone>3", "label.==x", "x" * 64 + "==1"]
)
def test_what_is_no_constraint_says_what_would_be(text) -> None:
    with pytest.raises(ValueError, match=r"KEY==VALUE|names no label"):
        parse_constraint(text)


@given(st.text(max_size=400))
def test_any_text_is_a_constraint_or_refused(text) -> None:
    try:
        read = parse_constraint(text)
    except ValueError:
        return
    assert parse_constraint(read.text) == read


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (node(), (4, 7600.0)),
        (node(profile=profile(memory_gb=1.0)), (4, 850.0)),
        (node(profile=profile(memory_gb=0.1)), (4, 0.0)),
        (node(limits={"memory_mb": 512.0, "cpu_cores": 2.0}), (2, 512.0)),
        (node(limits={"memory_mb": 99_999.0, "cpu_cores": 99.0}), (4, 8000.0)),
        (node(profile=profile(cores=None, memory_gb=None)), (None, None)),
        (
            node(profile=profile(cores=None, memory_gb=None), limits={"memory_mb": 5.0, "cpu_cores": 1.0}),
            (1, 5.0),
        ),
    ],
)
def test_a_node_lends_its_limits_or_its_hardware_less_a_reserve(row, expected) -> None:
    assert capacity_of(row) == expected


@pytest.mark.parametrize(
    ("limits", "beside", "asked", "reason"),
    [
        ({"memory_mb": 100.0}, [], Resources(), None),
        (
            {"memory_mb": 100.0},
            [Resources()],
            Resources(),
            "all that is lent, for want of --memory, 0 of 100 MB free",
        ),
        ({"memory_mb": 100.0}, [Resources()], Resources(memory_mb=1), "1 MB asked, 0 of 100 MB free"),
        (
            {"cpu_cores": 1.0},
            [Resources(cpu=0.5)],
            Resources(),
            "all that is lent, for want of --cpu, 0.5 of 1 free",
        ),
        ({"cpu_cores": 1.0}, [Resources()], Resources(cpu=0.1), "0.1 cores asked, 0 of 1 free"),
        ({}, [Resources(), Resources()], Resources(), None),
    ],
)
def test_who_asks_for_nothing_takes_all_that_an_owner_lends(limits, beside, asked, reason) -> None:
    row, usage = node(limits=limits), Usage()
    for one in beside:
        usage = usage.plus(one)
    site = Site(row, Health.OK, capacity_of(row), usage)
    refused = refuse(demand_of(workload(resources=asked).spec), site)
    assert (refused.reason if refused else None) == reason
    for one in beside:
        usage = usage.minus(one)
    assert usage == Usage()


def test_like_refusals_are_told_together() -> None:
    refused = {f"n{number}": Refusal("cpu", "2 cores asked, 1 of 1 free") for number in range(5)}
    refused["x"] = Refusal("state", "it is down: no heartbeat")
    assert summarise(refused) == (
        "n0, n1 and 3 others: 2 cores asked, 1 of 1 free; x: it is down: no heartbeat"
    )
