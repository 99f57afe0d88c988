"""What kind of device it is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarmlet.hardware.parse_board import Signs, board_model, device_type, packages, parse_strings

TEGRA = ("nvidia,p3768-0000+p3767-0003", "nvidia,tegra234", "nvidia,tegra23x")


@pytest.mark.parametrize(
    ("model", "kind"),
    [
        ("Raspberry Pi 4 Model B Rev 1.4", "raspberry_pi_4"),
        ("Raspberry Pi 3 Model B Plus Rev 1.3", "raspberry_pi_3"),
        ("Raspberry Pi 5 Model B Rev 1.0", "raspberry_pi_5"),
        ("Raspberry Pi Zero 2 W Rev 1.0", "raspberry_pi_zero_2"),
        ("Raspberry Pi Zero W Rev 1.1", "raspberry_pi_zero"),
        ("Raspberry Pi Model B Plus Rev 1.2", "raspberry_pi_1"),
        ("Raspberry Pi 2 Model B Rev 1.1", "raspberry_pi_2"),
        ("Raspberry Pi 400 Rev 1.0", "raspberry_pi_400"),
        ("Raspberry Pi Compute Module 4 Rev 1.0", "raspberry_pi_compute_module_4"),
        ("Raspberry Pi Compute Module Rev 1.0", "raspberry_pi_compute_module_1"),
        ("NVIDIA Jetson Orin Nano Developer Kit", "jetson_orin_nano"),
        ("NVIDIA Jetson Orin Nano Engineering Reference Developer Kit Super", "jetson_orin_nano"),
        ("NVIDIA Jetson AGX Orin Developer Kit", "jetson_agx_orin"),
        ("NVIDIA Jetson Xavier NX Developer Kit", "jetson_xavier_nx"),
        ("NVIDIA Jetson Nano Developer Kit", "jetson_nano"),
        ("jetson_tx1", "jetson_tx1"),
        ("Radxa ROCK 5B", "radxa_rock_5b"),
        ("Orange Pi 5 Plus", "orange_pi_5_plus"),
        ("\x01", None),
    ],
)
def test_a_board_is_known_by_its_model(model, kind):
    assert device_type(Signs(model=model)) == kind


def test_a_jetson_whose_model_does_not_say_so_is_known_by_its_chip():
    assert device_type(Signs(model="NVIDIA Orin Nano Developer Kit", compatible=TEGRA)) == "jetson_orin_nano"


def test_a_board_with_a_battery_is_a_laptop():
    assert device_type(Signs(model="Apple MacBook Air (13-inch, M1, 2020)", battery=True)) == "laptop"


@pytest.mark.parametrize(
    ("chassis", "kind"),
    [("9", "laptop"), ("31", "laptop"), ("3", "desktop"), ("35", "desktop"), ("23", "server"),
     ("34", "embedded_pc"), ("1", None), ("", None), ("x", None), ("9999", None), (None, None)],
)  # fmt: skip
def test_a_personal_computer_is_known_by_its_chassis(chassis, kind):
    assert device_type(Signs(dmi=("Dell Inc.",), chassis=chassis)) == kind


@pytest.mark.parametrize(
    "dmi",
    [
        ("QEMU", "Standard PC (Q35 + ICH9, 2009)"), ("VMware, Inc.", "VMware Virtual Platform"),
        ("innotek GmbH", "VirtualBox"), ("Microsoft Corporation", "Virtual Machine"), ("Xen", "HVM domU"),
        ("Google", "Google Compute Engine"), ("Amazon EC2", "t4g.small"), ("DigitalOcean", "Droplet"),
        ("Hetzner", "vServer"), ("Apple Inc.", "Apple Virtualization Generic Platform"),
    ],
)  # fmt: skip
def test_firmware_of_a_virtual_machine_is_known(dmi):
    assert device_type(Signs(dmi=dmi, chassis="3")) == "virtual_machine"


def test_a_virtual_machine_is_known_by_the_processors_flag_and_by_its_device_tree():
    assert device_type(Signs(hypervisor=True, chassis="23", packages=2)) == "virtual_machine"
    assert device_type(Signs(model="linux,dummy-virt", compatible=("linux,dummy-virt",))) == "virtual_machine"


def test_a_bare_machine_of_a_cloud_is_not_virtual():
    assert device_type(Signs(dmi=("Amazon EC2", "m6g.metal"), packages=2)) == "server"


def test_other_signs_count_when_nothing_names_the_kind():
    assert device_type(Signs(battery=True)) == "laptop"
    assert device_type(Signs(packages=2)) == "server"
    assert device_type(Signs(container=True)) == "container"
    assert device_type(Signs()) is None


def test_the_board_wins_over_the_container_around_it():
    assert device_type(Signs(model="Raspberry Pi 4 Model B", container=True)) == "raspberry_pi_4"
    assert device_type(Signs(chassis="23", container=True)) == "server"


def test_the_model_is_taken_from_the_best_place():
    assert board_model("tree", "cpuinfo", ()) == "tree"
    assert board_model(None, "cpuinfo", ()) == "cpuinfo"
    assert board_model(None, None, ("Sony UK", "Raspberry Pi 4 Model B")) == "Raspberry Pi 4 Model B"
    assert board_model(None, None, ("LENOVO",)) is None


def test_a_string_list_is_split_at_zero_bytes():
    assert parse_strings("a\0b\0\0") == ("a", "b")
    assert parse_strings(None) == ()


def test_two_package_ids_are_two_packages():
    assert packages("0", "1") == 2
    assert packages("0", "0") == 1
    assert packages(None, "1") == 1


@given(
    st.builds(
        Signs, model=st.none() | st.text(), chassis=st.none() | st.text(), dmi=st.lists(st.text()).map(tuple)
    )
)
def test_no_sign_makes_judging_fail(signs):
    kind = device_type(signs)
    assert kind is None or kind
