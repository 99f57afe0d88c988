"""Health as the sum of its parts."""

from __future__ import annotations

from swarmlet.model.health import Health
from swarmlet.report.health import HealthBoard


def test_a_node_without_trouble_is_well():
    assert HealthBoard().overall() is Health.OK


def test_the_worst_part_decides_and_comes_first():
    board = HealthBoard()
    board.report("workloads", Health.OK, 1.0)
    board.report("disk", Health.DEGRADED, 2.0, why="nearly full", next_step="free some space")
    view = board.view(12.0, node="n", version="1", uptime_s=11.0)
    assert view.status == "degraded"
    assert [check.name for check in view.checks] == ["disk", "workloads"]
    assert view.checks[0].why == "nearly full"
    assert view.checks[0].since_seconds == 10.0


def test_since_is_when_the_state_began_not_when_it_was_last_said():
    board = HealthBoard()
    assert board.report("disk", Health.DEGRADED, 1.0, why="9 MB free")
    assert not board.report("disk", Health.DEGRADED, 5.0, why="8 MB free")
    check = board.view(6.0, node=None, version="1", uptime_s=6.0).checks[0]
    assert check.since_seconds == 5.0
    assert check.why == "8 MB free"


def test_recovery_is_a_change():
    board = HealthBoard()
    board.report("disk", Health.DEGRADED, 1.0, why="full")
    assert board.report("disk", Health.OK, 2.0)
    assert board.overall() is Health.OK
