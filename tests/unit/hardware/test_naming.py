"""Names and fingerprints."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarmlet.hardware.naming import Marks, default_name, fingerprint, is_serial, short_kind
from swarmlet.model.names import is_node_name

MACHINE_ID = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"


@pytest.mark.parametrize(
    ("hostname", "kind", "mark", "container", "name"),
    [
        ("garden-sensor-01", "raspberry_pi_4", "9f2c3a00", False, "garden-sensor-01"),
        ("raspberrypi", "raspberry_pi_4", "9f2c3a00", False, "raspberrypi"),
        ("Annas-MacBook.lan", "laptop", None, False, "annas-macbook"),
        ("localhost", "raspberry_pi_4", "9f2c3a00", False, "swarmlet-rpi4-9f2c3a"),
        ("localhost.localdomain", "server", "9f2c3a00", False, "swarmlet-server-9f2c3a"),
        ("3f4e8a1c9d20", "raspberry_pi_zero_2", "9f2c3a00", True, "swarmlet-rpizero2-9f2c3a"),
        ("3f4e8a1c9d20", "server", "9f2c3a00", False, "3f4e8a1c9d20"),
        ("(none)", None, None, False, "swarmlet"),
        (None, "virtual_machine", None, True, "swarmlet-vm"),
        ("!!!", "jetson_orin_nano", "9f2c3a00", False, "swarmlet-jetson-orin-nano-9f2c3a"),
    ],
)
def test_a_node_that_nobody_named_gets_a_name(hostname, kind, mark, container, name):
    assert default_name(hostname, kind, mark, container=container) == name


MARKS = st.none() | st.from_regex(r"[0-9a-f]{64}", fullmatch=True)


@given(st.none() | st.text(), st.none() | st.text(), MARKS, st.booleans())
def test_the_name_is_always_valid(hostname, kind, mark, container):
    assert is_node_name(default_name(hostname, kind, mark, container=container))


def test_a_compute_module_has_a_short_kind():
    assert short_kind("raspberry_pi_compute_module_4") == "rpicm4"
    assert short_kind("raspberry_pi_compute_module") != ""
    assert short_kind(None) == ""


def test_the_strongest_mark_alone_makes_the_fingerprint():
    serial = Marks(("10000000aa01bb02",), ("dc:a6:32:1b:2c:3d",), MACHINE_ID)
    assert fingerprint(serial) == fingerprint(Marks(("10000000AA01BB02", None, ""), (), None))
    address = Marks((None,), ("dc:a6:32:1b:2c:3d",), MACHINE_ID)
    assert fingerprint(address) == fingerprint(address._replace(machine_id=None))
    machine = Marks((), (), MACHINE_ID)
    assert len({fingerprint(serial), fingerprint(address), fingerprint(machine)}) == 3
    assert len(fingerprint(serial) or "") == 64


def test_two_cards_with_one_image_in_two_boards_differ():
    assert fingerprint(Marks(("10000000aa01bb02",), (), MACHINE_ID)) != fingerprint(
        Marks(("10000000aa01bb03",), (), MACHINE_ID)
    )


def test_without_marks_there_is_no_fingerprint():
    assert fingerprint(Marks()) is None
    assert fingerprint(Marks(("To be filled by O.E.M.", "0000000000000000"), (), "uninitialized")) is None
    assert fingerprint(Marks((), (), "0" * 32)) is None


@pytest.mark.parametrize(
    ("text", "real"),
    [
        ("8K8RN63", True), ("4c4c4544-0038-4b10-8052-b4c04f4e3633", True), ("Default string", False),
        ("0000", False), ("ffffffff-ffff-ffff-ffff-ffffffffffff", False), ("N/A", False), ("x", False),
        ("        ", False),
        ("03000200-0400-0500-0006-000700080009", False),
    ],
)  # fmt: skip
def test_what_stands_for_no_serial_number_is_none(text, real):
    assert is_serial(text) is real
