"""Temperature and power from text."""

from __future__ import annotations

import pytest

from swarmlet.hardware.parse_sensors import (
    Supply,
    battery_powered,
    parse_millidegrees,
    parse_throttled,
    throttle_point,
    zone_rank,
)


@pytest.mark.parametrize(
    ("text", "degrees"),
    [
        ("45277", 45.3),
        ("-5000", -5.0),
        ("0", None),
        ("-274000", None),
        ("999999999", None),
        ("hot", None),
        (None, None),
    ],
)
def test_a_temperature_is_degrees_or_unknown(text, degrees):
    assert parse_millidegrees(text) == degrees


def test_the_zone_of_the_processor_goes_first():
    kinds = ["iwlwifi_1", "acpitz", "soc-thermal", "cpu-thermal", None]
    assert sorted(kinds, key=zone_rank)[:3] == ["cpu-thermal", "soc-thermal", "acpitz"]
    assert zone_rank("x86_pkg_temp") == zone_rank("CPU-therm") == 0


@pytest.mark.parametrize(
    ("trips", "kind", "point"),
    [
        ((("passive", "99000"), ("critical", "104500")), "jetson_orin_nano", 99.0),
        ((("passive", "85000"), ("passive", "75000")), None, 75.0),
        ((("active", "50000"), ("critical", "110000")), None, 110.0),
        ((("hot", "95000"), ("critical", "105000")), None, 95.0),
        ((("passive", "0"), ("passive", "-274000")), "laptop", None),
        ((("critical", "110000"),), "raspberry_pi_4", 85.0),
        ((("passive", "70000"),), "raspberry_pi_5", 70.0),
        ((), "raspberry_pi_3", 85.0),
        ((), None, None),
        (((None, None),), None, None),
    ],
)
def test_a_device_slows_down_at_its_lowest_passive_point(trips, kind, point):
    assert throttle_point(trips, kind) == point


@pytest.mark.parametrize(
    ("supplies", "powered"),
    [
        (None, None),
        ((), False),
        ((Supply("Mains"),), False),
        ((Supply("Battery", None, "1"), Supply("Mains")), True),
        ((Supply("Battery", "System", None),), True),
        ((Supply("Battery", "Device", "1"),), False),
        ((Supply("Battery", None, "0"),), False),
        ((Supply("UPS"),), False),
        ((Supply(None),), False),
    ],
)
def test_only_a_battery_of_its_own_powers_a_device(supplies, powered):
    assert battery_powered(supplies) is powered


@pytest.mark.parametrize(
    ("text", "bits"),
    [("50005", 0x50005), ("0x50005", 0x50005), ("0", 0), (None, None), ("", None), ("throttled=0x0", None)],
)
def test_the_firmwares_bits_are_read(text: str | None, bits: int | None) -> None:
    assert parse_throttled(text) == bits
