"""The table of node classes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarmlet.model.classification import NODE_CLASSES, RULES, classify, parse_class
from swarmlet.model.profile import Capabilities, Hardware

NO_GPU = Capabilities()


def classified(kind, cores, memory, gpus=0):
    hardware = Hardware(device_type=kind, cpu_cores=cores, memory_gb=memory)
    return classify(hardware, Capabilities(gpu_count=gpus))


def test_the_raspberry_pi_of_the_specification_is_what_it_says():
    found = classified("raspberry_pi_4", 4, 8.0)
    assert found.node_class == "Edge"
    assert found.suitability == ("lightweight_compute", "sensors", "data_collection")


@pytest.mark.parametrize(
    ("kind", "cores", "memory", "node_class"),
    [
        ("raspberry_pi_5", 4, 8.4, "Edge"),
        ("raspberry_pi_3", 4, 0.97, "Edge"),
        ("raspberry_pi_4", 0.5, 0.26, "Edge"),
        ("raspberry_pi_400", 4, 4.0, "Edge"),
        ("raspberry_pi_zero_2", 4, 0.5, "IoT"),
        ("raspberry_pi_zero", 1, 0.4, "IoT"),
        ("raspberry_pi_1", 1, 0.4, "IoT"),
        ("raspberry_pi_compute_module_1", 1, 0.4, "IoT"),
        ("raspberry_pi_compute_module_4", 4, 4.0, "Edge"),
        ("jetson_orin_nano", 6, 7.9, "Edge"),
        ("radxa_rock_5b", 8, 16.0, "Edge"),
        ("orange_pi_zero", 4, 0.25, "IoT"),
        ("orange_pi_zero", 4, None, "IoT"),
        ("laptop", 8, 16.0, "Laptop"),
        ("desktop", 8, 32.0, "Workstation"),
        ("desktop", 2, 4.0, "Edge"),
        ("server", 80, 404.0, "DataCenter"),
        ("server", 4, 8.0, "DataCenter"),
        ("virtual_machine", 32, 128.0, "DataCenter"),
        ("virtual_machine", 4, 16.0, "Workstation"),
        ("virtual_machine", 2, 2.0, "Edge"),
        ("virtual_machine", 1, 0.5, "IoT"),
        ("container", 1.5, 0.53, "IoT"),
        ("container", 8, 16.0, "Workstation"),
        (None, 2, 2.0, "Edge"),
        (None, None, None, "Edge"),
        ("embedded_pc", 4, 4.0, "Edge"),
    ],
)
def test_a_device_has_its_class(kind, cores, memory, node_class):
    assert classified(kind, cores, memory).node_class == node_class


def test_the_reason_names_what_was_judged():
    assert classified("virtual_machine", 1, 2.05).reason == (
        "virtual_machine with 1 core and 2.05 GB; judged by size: it is smaller than 4 cores and 7.5 GB"
    )
    assert classified("laptop", 8, None).reason.startswith(
        "laptop with 8 cores and unknown memory; it is a laptop"
    )
    assert classified(None, None, None).reason.startswith("a device of unknown kind with unknown cores")


def test_a_graphics_processor_adds_what_it_is_good_for():
    assert classified("server", 80, 404.0, gpus=2).suitability[-1] == "gpu_compute"
    assert "gpu_compute" not in classified("server", 80, 404.0).suitability
    assert classify(Hardware(), Capabilities(gpu_count=None)).suitability


def test_every_row_of_the_table_is_reached_by_some_device():
    kinds = (
        "server",
        "laptop",
        "desktop",
        "jetson_nano",
        "raspberry_pi_4",
        "raspberry_pi_zero",
        "board",
        None,
    )
    reasons = {
        classified(kind, cores, memory).reason.rpartition("; ")[2].removeprefix("judged by size: ")
        for kind in kinds
        for cores in (1, 4, 16)
        for memory in (0.5, 8, 64)
    }
    assert {rule.reason for rule in RULES} <= reasons


@given(
    st.none() | st.text() | st.sampled_from(["server", "laptop", "container", "raspberry_pi_4"]),
    st.none() | st.floats(min_value=0, max_value=1e6),
    st.none() | st.floats(min_value=0, max_value=1e6),
)
def test_every_device_has_a_class_and_a_reason(kind, cores, memory):
    found = classified(kind, cores, memory)
    assert found.node_class in NODE_CLASSES
    assert found.suitability
    assert found.reason


@pytest.mark.parametrize(
    ("text", "name"),
    [("edge", "Edge"), ("IOT", "IoT"), ("data-center", "DataCenter"), ("data_center", "DataCenter"),
     (" laptop ", "Laptop"), ("cloud", None), ("", None)],
)  # fmt: skip
def test_a_class_is_known_in_any_case(text, name):
    assert parse_class(text) == name
