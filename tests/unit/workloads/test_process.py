"""What a process is told to be without, where it is shown."""

from __future__ import annotations

from swarmlet.model.workload import Resources
from swarmlet.workloads.process import unenforced

WHOLE = {"memory": "cgroup v2", "cpu": "cgroup v2", "engine": "own user"}


def test_what_is_not_enforced_is_named() -> None:
    assert unenforced(Resources(cpu=1, memory_mb=1), WHOLE) == ""
    assert unenforced(Resources(), {**WHOLE, "memory": "unenforced"}) == ""
    bare = {"memory": "unenforced", "cpu": "unenforced", "engine": "unenforced"}
    said = unenforced(Resources(cpu=1, memory_mb=1), bare)
    assert said.startswith("the memory and processor limit is not enforced by this kernel")
    assert "container engine" in said


def test_a_filter_that_keeps_it_from_the_engine_needs_no_mention() -> None:
    assert unenforced(Resources(), {**WHOLE, "engine": "no unix sockets"}) == ""
