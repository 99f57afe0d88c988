"""What gives two devices with one identity away, and what does not."""

from __future__ import annotations

import pytest

from swarmlet.coordinator.clones import LASTS_S, Clones


def greet(clones: Clones, boots: str, *, replaced: bool = False, every_s: float = 10.0) -> list[str]:
    """Greet once for each letter, a boot; return what was to be recorded."""
    said = [
        clones.greeted("n", boot, replaced=replaced, now=number * every_s)
        for number, boot in enumerate(boots, 1)
    ]
    return [why for why in said if why is not None]


@pytest.mark.parametrize("boots", ["a", "aaaa", "abc", "aabbcc"])
def test_a_device_that_comes_back_or_reboots_is_one_device(boots: str) -> None:
    clones = Clones()
    assert greet(clones, boots) == []
    assert clones.suspected(1000) == {}


def test_a_boot_that_returns_is_of_a_second_device_and_is_recorded_once_an_hour() -> None:
    clones = Clones()
    assert len(greet(clones, "abababab")) == 1
    assert "boot a speaks again after boot b" in greet(Clones(), "aba")[0]
    assert clones.greeted("n", "a", replaced=False, now=LASTS_S * 2) is not None


def test_agents_of_one_boot_that_take_turns_are_seen_and_a_poor_network_is_not() -> None:
    assert "replaced by another 3 times" in greet(Clones(), "aaaa", replaced=True)[0]
    assert greet(Clones(), "aaaaaaaa", replaced=True, every_s=400) == []


def test_a_suspicion_ends_when_no_sign_of_it_came_for_an_hour() -> None:
    clones = Clones()
    greet(clones, "aba")
    assert clones.suspicion("n", 100) is not None
    assert clones.suspicion("n", 100 + LASTS_S) is None
    assert clones.suspicion("other", 100) is None
