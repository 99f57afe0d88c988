"""Many devices at once, by the load generator of the measurements: nobody is left outside."""

from __future__ import annotations

from pathlib import Path

from tests.bench import cluster
from tests.bench.measure import Plan


def test_two_hundred_devices_join_at_once_and_come_back_after_a_killed_coordinator(tmp_path: Path) -> None:
    with cluster.gathered(Plan(quick=True, directory=tmp_path), "crowd") as (world, crowd):
        crowd.join(crowd.make(200), at_once=200, deadline_s=40)
        assert [device.fault or device.phase for device in crowd.devices] == ["ready"] * 200
        assert crowd.until(lambda: cluster.view(world).nodes == {"ready": 200}, 10)
        assert world.coordinator is not None
        world.coordinator.kill()
        assert crowd.until(lambda: len(crowd.pending) == 200, 10)
        world.start_coordinator()
        crowd.hurry()
        assert crowd.until(lambda: not crowd.pending, 20)
        assert crowd.until(lambda: cluster.view(world).nodes == {"ready": 200}, 10)
