"""Processors from text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarmlet.hardware.parse_cpu import (
    architecture,
    arm_core,
    parse_allowed,
    parse_cpu_list,
    parse_cpuinfo,
    tidy,
    usable_cores,
)


@pytest.mark.parametrize(
    ("implementer", "part", "name"),
    [
        ("0x41", "0xd08", "ARM Cortex-A72"),
        ("0x41", "0xd03", "ARM Cortex-A53"),
        ("0x41", "0xd42", "ARM Cortex-A78AE"),
        ("0x41", "0xd0c", "ARM Neoverse-N1"),
        ("0x61", "0x022", "Apple M1 Icestorm"),
        ("0x61", "0x000", "Apple part 0x000"),
        ("0x41", "0xfff", "ARM part 0xfff"),
        ("0x99", "0x001", None),
        ("zz", "0x001", None),
        ("0x41", "", None),
    ],
)
def test_an_arm_core_is_named_by_its_number(implementer, part, name):
    assert arm_core(implementer, part) == name


def test_cores_of_two_sizes_are_both_named():
    text = "\n".join(
        f"processor: {n}\nCPU implementer: 0x41\nCPU part: {part}"
        for n, part in enumerate(["0xd05", "0xd0b"])
    )
    info = parse_cpuinfo(text)
    assert info.model == "ARM Cortex-A55 + ARM Cortex-A76"
    assert info.processors == 2


@pytest.mark.parametrize(
    ("text", "model"),
    [
        ("model name : Intel(R)   Xeon(R) Processor\nflags : fpu", "Intel(R) Xeon(R) Processor"),
        ("processor : 0\nhart : 1\nisa : rv64imafdc\nuarch : sifive,u74-mc", "sifive,u74-mc"),
        ("cpu : POWER9, altivec supported", "POWER9, altivec supported"),
        ("model name : " + "x" * 600, "x" * 120),
        ("model name :", None),
        ("", None),
        (None, None),
    ],
)
def test_a_model_of_another_architecture_is_read(text, model):
    assert parse_cpuinfo(text).model == model


def test_a_hypervisor_is_seen_in_the_flags_alone():
    assert parse_cpuinfo("flags : fpu hypervisor sse").hypervisor
    assert not parse_cpuinfo("flags : fpu sse\nmodel name: hypervisor").hypervisor


@pytest.mark.parametrize(
    ("machine", "bits", "name"),
    [
        ("x86_64", 64, "x86_64"), ("aarch64", 64, "arm64"), ("aarch64", 32, "armv7"), ("armv7l", 32, "armv7"),
        ("armv6l", 32, "armv6"), ("armv8l", 32, "armv7"), ("x86_64", 32, "x86"), ("i686", 32, "x86"),
        ("riscv64", 64, "riscv64"), ("", 64, None),
    ],
)  # fmt: skip
def test_an_architecture_is_named_as_the_profile_names_it(machine, bits, name):
    assert architecture(machine, bits) == name


@pytest.mark.parametrize(
    ("text", "cpus"),
    [
        ("0-3,5\n", {0, 1, 2, 3, 5}), ("0", {0}), ("0-1, 4-4", {0, 1, 4}), ("", None), (None, None),
        ("3-1", None), ("0-999999", None), ("a", None), ("1-2-3", None), ("0,", None),
    ],
)  # fmt: skip
def test_a_processor_list_is_read(text, cpus):
    assert parse_cpu_list(text) == cpus


def test_the_allowed_processors_are_found_in_the_status():
    assert parse_allowed("Name:\tx\nCpus_allowed:\tf\nCpus_allowed_list:\t0-1\n") == {0, 1}
    assert parse_allowed("Name:\tx\n") is None
    assert parse_allowed(None) is None


@pytest.mark.parametrize(
    ("online", "allowed", "listed", "quota", "cores"),
    [
        ({0, 1, 2, 3}, None, 0, None, 4),
        ({0, 1, 2, 3}, {0, 1}, 0, None, 2),
        ({0, 1}, set(range(128)), 0, None, 2),
        ({0, 1}, None, 0, 1.5, 1.5),
        ({0, 1}, None, 0, 8.0, 2),
        ({0, 1}, None, 0, 1 / 3, 0.33),
        (None, None, 4, None, 4),
        (None, {0}, 4, None, 1),
        (None, None, 0, 2.0, 2),
        (None, None, 0, None, None),
    ],
)
def test_usable_cores_are_the_least_of_what_is_known(online, allowed, listed, quota, cores):
    assert usable_cores(online, allowed, listed, quota) == cores


def test_whole_cores_are_whole_numbers_in_json():
    assert isinstance(tidy(4.0), int)
    assert isinstance(tidy(0.5), float)


@given(st.text() | st.from_regex(r"(processor|CPU part|CPU implementer|model name)\s*:.{0,20}\n"))
def test_no_text_makes_reading_fail(text):
    parse_cpuinfo(text)
    parse_cpu_list(text)
    parse_allowed(text)
