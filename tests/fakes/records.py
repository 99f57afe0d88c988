"""Rows of cluster state for tests, with everything that does not matter filled in."""

from __future__ import annotations

from typing import Any

from swarmlet.model.membership import Availability, NodeState
from swarmlet.model.profile import Capabilities, Classification, Hardware, Profile
from swarmlet.model.records import AssignmentRecord, ClusterRecord, NodeRecord, WorkloadRecord
from swarmlet.model.workload import Assignment, AssignmentState, Kind, WorkloadSpec

CLUSTER = ClusterRecord("00" * 16, "test", b"root", b"intermediate", {}, 0)


def profile(
    name: str = "n",
    *,
    cores: float | None = 4,
    memory_gb: float | None = 8.0,
    node_class: str = "Edge",
    arch: str | None = "arm64",
    engine: str | None = None,
) -> Profile:
    return Profile(
        node_id=name,
        hardware=Hardware(
            cpu_cores=cores, memory_gb=memory_gb, architecture=arch, device_type="raspberry_pi_4"
        ),
        capabilities=Capabilities(),
        classification=Classification(node_class, ("lightweight_compute",), "4 cores and 8.0 GB"),
        container_engine=engine,
    )


def node(name: str = "n", **given: Any) -> NodeRecord:
    fields: dict[str, Any] = {
        "node_uid": f"uid-{name}",
        "name": name,
        "state": NodeState.READY,
        "state_since_ms": 0,
        "state_reason": "it connected with its certificate",
        "availability": Availability.ACTIVE,
        "profile": profile(name),
        "capabilities": (),
        "labels": {},
        "limits": {},
        "version": "0.1.0",
        "boot_id": "boot",
        "seen": "127.0.0.1:1",
        "joined_ms": 0,
        "jti": "aa",
        "serial": "01",
        "next_serial": None,
        "not_after_ms": 86_400_000,
    }
    return NodeRecord(**{**fields, **given})


def spec(name: str = "w", **given: Any) -> WorkloadSpec:
    return WorkloadSpec(**{"name": name, "kind": Kind.PROCESS, "command": ("true",), **given})


def workload(
    name: str = "w", *, created_ms: int = 0, stopping: bool = False, pending: str = "", **given: Any
):
    return WorkloadRecord(name, spec(name, **given), created_ms, "uid:0", stopping, pending)


def assignment(workload_id: str = "w", replica: int = 0, epoch: int = 1, **given: Any) -> AssignmentRecord:
    fields: dict[str, Any] = {
        "assignment_id": f"{workload_id}.{replica}.{epoch}",
        "workload_id": workload_id,
        "replica": replica,
        "epoch": epoch,
        "node_uid": "uid-n",
        "stop": False,
        "state": AssignmentState.RUNNING,
        "sequence": 1,
        "state_since_ms": 0,
        "reason": "",
        "exit_code": None,
        "restarts": 0,
        "created_ms": 0,
    }
    return AssignmentRecord(**{**fields, **given})


def desired(name: str, **given: Any) -> Assignment:
    return Assignment(
        **{"assignment_id": name, "workload_id": "w", "replica": 0, "epoch": 1, "spec": spec(), **given}
    )
