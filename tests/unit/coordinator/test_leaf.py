"""The coordinator's own certificate, and what is said of a clock that cannot make a good one."""

from __future__ import annotations

from swarmlet.coordinator.leaf import clock_note

FOUNDED = 1_700_000_000_000


def test_a_clock_before_the_beginning_of_the_cluster_is_told() -> None:
    note = clock_note(600_000, FOUNDED)
    assert note is not None
    assert "1970-01-01 00:10 UTC" in note
    assert "before the cluster was founded" in note


def test_a_clock_that_may_be_right_is_not_spoken_of() -> None:
    assert clock_note(FOUNDED, FOUNDED) is None
    assert clock_note(FOUNDED + 1, FOUNDED) is None
    # Certificates begin an hour early: a clock that is a little behind does no harm.
    assert clock_note(FOUNDED - 3_000_000, FOUNDED) is None
