"""Rows of cluster state as the coordinator's parts read them. Written only by ``coordinator/store``."""

from __future__ import annotations

import msgspec

from swarmlet.model.membership import Availability, NodeState
from swarmlet.model.profile import Profile
from swarmlet.model.workload import AssignmentState, WorkloadSpec


class ClusterRecord(msgspec.Struct, frozen=True):
    """The cluster itself: public facts only."""

    cluster_id: str
    name: str
    root: bytes
    intermediate: bytes
    token_keys: dict[str, bytes]  # kid (hex) to Ed25519 public key
    created_ms: int
    pairing: bool = False  # devices without a token may ask to be approved


class TokenRecord(msgspec.Struct, frozen=True):
    """One join token: never its seed."""

    jti: str
    claims: bytes
    created_ms: int
    created_by: str
    expires_ms: int
    max_uses: int
    uses: int
    revoked_ms: int | None
    nodes: tuple[str, ...]


class NodeRecord(msgspec.Struct, frozen=True):
    """One node: identity, state since when and why, and what it is."""

    node_uid: str
    name: str
    state: NodeState
    state_since_ms: int
    state_reason: str
    availability: Availability
    profile: Profile
    capabilities: tuple[str, ...]  # granted, after the token's ceiling
    labels: dict[str, str]
    limits: dict[str, float]
    version: str
    boot_id: str
    seen: str
    joined_ms: int
    jti: str
    serial: str  # current certificate, hex
    next_serial: str | None
    not_after_ms: int
    replaced_by: str | None = None


class WorkloadRecord(msgspec.Struct, frozen=True):
    """One workload as asked, and why it waits when it does."""

    workload_id: str
    spec: WorkloadSpec
    created_ms: int
    created_by: str
    stopping: bool
    pending_reason: str


class AssignmentRecord(msgspec.Struct, frozen=True):
    """One replica on one node: desired (``stop``) and observed (``state``)."""

    assignment_id: str
    workload_id: str
    replica: int
    epoch: int
    node_uid: str
    stop: bool
    state: AssignmentState
    sequence: int
    state_since_ms: int
    reason: str
    exit_code: int | None
    restarts: int
    created_ms: int
