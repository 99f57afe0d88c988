"""What happened lately: bounded, in order, with numbers that grow over restarts."""

from __future__ import annotations

from swarmlet.coordinator.happenings import MOST, Happenings


def test_only_the_newest_are_kept_and_numbers_go_on():
    kept = Happenings(1_000_000)
    for number in range(MOST + 10):
        kept.add(number, "lease", "ready", "n")
    found = kept.after(0, 2 * MOST)
    assert len(found) == MOST
    assert [one.sequence for one in found] == list(range(1_000_011, 1_001_011))


def test_those_after_a_number_are_asked_for_the_newest_first_to_be_kept():
    kept = Happenings(0)
    for number in range(5):
        kept.add(number, "gossip", "suspect", "n", str(number))
    assert [one.detail for one in kept.after(2, 9)] == ["2", "3", "4"]
    assert [one.detail for one in kept.after(0, 2)] == ["3", "4"]
    assert kept.after(5, 9) == ()
