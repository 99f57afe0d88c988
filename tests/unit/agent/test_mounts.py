"""Whether the data directory outlives this container, from what mountinfo looks like in each case."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarmlet.agent.mounts import fleeting, mount_of, parse_mounts

HERE = Path(__file__).parents[2] / "fixtures" / "mounts"


def text(name: str) -> str:
    return (HERE / f"{name}.txt").read_text()


@pytest.mark.parametrize(
    ("name", "path", "in_container", "why"),
    [
        ("docker_no_volume", "/data", True, "is not a volume"),
        ("docker_no_volume", "/data/deep/er", True, "is not a volume"),
        ("docker_no_volume", "/var/lib/swarmlet", True, "is not a volume"),
        ("docker_tmpfs", "/data", True, "is in memory (tmpfs)"),
        ("docker_anonymous_volume", "/data", True, "is a volume without a name"),
        ("docker_bind", "/data", True, None),
        ("docker_bind", "/data/deep/er", True, None),
        ("docker_bind", "/database", True, "is not a volume"),
        ("docker_named_volume", "/data", True, None),
        ("raspberry_pi", "/var/lib/swarmlet", False, None),
        ("raspberry_pi", "/media/usb stick/swarmlet", False, None),
        ("raspberry_pi", "/run/swarmlet", False, "is in memory (tmpfs)"),
        ("raspberry_pi_overlay", "/var/lib/swarmlet", False, "is on a layer (overlay)"),
        ("raspberry_pi_overlay", "/media/root-ro/x", False, None),
    ],
)
def test_what_does_not_last_is_told(name, path, in_container, why):
    found = fleeting(text(name), path, in_container=in_container)
    if why is None:
        assert found is None
    else:
        assert f"{path} {why}" in str(found)


def test_the_remedy_is_the_option_to_add_to_the_command():
    lost = fleeting(text("docker_no_volume"), "/data", in_container=True)
    assert str(lost).endswith("this device's identity will be lost with this container.  fix: run it with  "
                              "-v /opt/swarmlet:/data")  # fmt: skip
    elsewhere = fleeting(text("docker_tmpfs"), "/state", in_container=True)
    assert elsewhere is not None
    assert "-v /opt/swarmlet:/state" in elsewhere.fix
    on_a_host = fleeting(text("raspberry_pi"), "/run/x", in_container=False)
    assert on_a_host is not None
    assert on_a_host.why.endswith("when this device reboots")
    assert on_a_host.fix.startswith("set SWARM_DATA_DIR")


def test_of_two_mounts_at_one_place_the_later_is_seen():
    lines = "1 0 0:1 / / rw - ext4 a rw\n2 1 0:2 / /data rw - ext4 b rw\n3 2 0:3 / /data rw - tmpfs c rw\n"
    found = mount_of(parse_mounts(lines), "/data/x")
    assert found is not None
    assert found.kind == "tmpfs"


@pytest.mark.parametrize("nothing", [None, "", "nonsense", "1 2 3 - ", "1 0 0:1 / /elsewhere rw - ext4 a rw"])
def test_of_what_is_unknown_nothing_is_said(nothing):
    assert fleeting(nothing, "/data", in_container=True) is None


@given(st.text(), st.booleans())
def test_no_text_makes_it_fail(anything, contained):
    fleeting(anything, "/data", in_container=contained)
