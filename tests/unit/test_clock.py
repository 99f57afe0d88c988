"""Time: the boot clock, cluster time carried forward by it, and when a process began."""

from __future__ import annotations

from swarmlet.clock import ClusterTime, SystemClock, boot_id, process_began


class HandClock:
    """A clock moved by hand."""

    def __init__(self) -> None:
        self.boot_s = 1000.0
        self.wall = 0

    def boot(self) -> float:
        return self.boot_s

    def wall_ms(self) -> int:
        return self.wall


def test_cluster_time_is_unknown_until_told() -> None:
    assert ClusterTime(HandClock()).now_ms() is None


def test_cluster_time_follows_the_boot_clock_and_not_the_wall_clock() -> None:
    clock = HandClock()
    told = ClusterTime(clock)
    told.learn(1_700_000_000_000)
    clock.wall = 2_145_916_800_000  # 2038: nobody looks
    clock.boot_s += 2.5
    assert told.now_ms() == 1_700_000_002_500


def test_a_process_began_before_now_and_after_the_machine() -> None:
    clock = SystemClock()
    assert 0 < process_began(clock) <= clock.boot() + 0.01


def test_a_boot_is_called_the_same_as_long_as_it_lasts() -> None:
    name = boot_id()
    assert name
    assert name == boot_id()
