"""Rows and the records they stand for. Pure: tuples and text in, frozen values out, and back.

A row that cannot be read is a damaged one: every decoder here fails with ``ValueError`` or
``msgspec.ValidationError`` (a ``ValueError`` too), which the shell reports as ``SWL-602``.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from swarmlet.coordinator.audit import AuditRecord
from swarmlet.coordinator.store.api import Admission, Result
from swarmlet.model.membership import Availability, NodeState
from swarmlet.model.profile import Profile
from swarmlet.model.records import AssignmentRecord, NodeRecord, TokenRecord, WorkloadRecord
from swarmlet.model.workload import Assignment, AssignmentState, WorkloadSpec

#: One row as SQLite hands it over.
Row = tuple[Any, ...]

_profile: Final = msgspec.json.Decoder(Profile)
_texts: Final = msgspec.json.Decoder(tuple[str, ...])
_labels: Final = msgspec.json.Decoder(dict[str, str])
_limits: Final = msgspec.json.Decoder(dict[str, float])
_spec: Final = msgspec.json.Decoder(WorkloadSpec)
_result: Final = msgspec.msgpack.Decoder(Result)
_admission: Final = msgspec.msgpack.Decoder(Admission)
_chain: Final = msgspec.msgpack.Decoder(tuple[bytes, ...])
_json: Final = msgspec.json.Encoder()
_packed: Final = msgspec.msgpack.Encoder()

NODE: Final = (
    "node_uid, name, state, state_since_ms, state_reason, availability, profile, capabilities, labels, "
    "limits, version, boot_id, seen, joined_ms, jti, serial, next_serial, not_after_ms, replaced_by"
)
TOKEN: Final = "jti, claims, created_ms, created_by, expires_ms, max_uses, uses, revoked_ms"  # noqa: S105 - columns
WORKLOAD: Final = "workload_id, spec, created_ms, created_by, stopping, pending_reason"
ASSIGNMENT: Final = (
    "assignment_id, workload_id, replica, epoch, node_uid, stop, state, sequence, state_since_ms, reason, "
    "exit_code, restarts, created_ms"
)
LOG: Final = "seq, at_ms, actor, kind, audited, payload, digest, previous, hash"


def node(row: Row) -> NodeRecord:
    """Return the node in a row of :data:`NODE`."""
    (uid, name, state, since, reason, availability, profile, capabilities, labels, limits, *rest) = row
    return NodeRecord(
        uid,
        name,
        NodeState(state),
        since,
        reason,
        Availability(availability),
        _profile.decode(profile),
        _texts.decode(capabilities),
        _labels.decode(labels),
        _limits.decode(limits),
        *rest,
    )


def token(row: Row, nodes: tuple[str, ...]) -> TokenRecord:
    """Return the token in a row of :data:`TOKEN`; ``nodes`` were born from it."""
    jti, claims, created_ms, created_by, expires_ms, max_uses, uses, revoked_ms = row
    return TokenRecord(jti, claims, created_ms, created_by, expires_ms, max_uses, uses, revoked_ms, nodes)


def workload(row: Row) -> WorkloadRecord:
    """Return the workload in a row of :data:`WORKLOAD`."""
    workload_id, spec, created_ms, created_by, stopping, reason = row
    return WorkloadRecord(workload_id, _spec.decode(spec), created_ms, created_by, bool(stopping), reason)


def assignment(row: Row) -> AssignmentRecord:
    """Return the assignment in a row of :data:`ASSIGNMENT`."""
    (assignment_id, workload_id, replica, epoch, node_uid, stop, state, *rest) = row
    return AssignmentRecord(
        assignment_id, workload_id, replica, epoch, node_uid, bool(stop), AssignmentState(state), *rest
    )


def desired(row: Row) -> Assignment:
    """Return what a node is told of an assignment: id, workload, replica, epoch, spec, stop."""
    assignment_id, workload_id, replica, epoch, spec, stop = row
    return Assignment(assignment_id, workload_id, replica, epoch, _spec.decode(spec), bool(stop))


def record(row: Row) -> AuditRecord:
    """Return the audit record in a row of :data:`LOG`."""
    seq, at_ms, actor, kind, audited, *rest = row
    return AuditRecord(seq, at_ms, actor, kind, bool(audited), *rest)


def spec(text: str) -> WorkloadSpec:
    """Return a workload's spec from its column."""
    return _spec.decode(text)


def labels(text: str) -> dict[str, str]:
    """Return a node's labels from their column."""
    return _labels.decode(text)


def result(packed: bytes) -> Result:
    """Return a remembered result."""
    return _result.decode(packed)


def admission(packed: bytes) -> Admission:
    """Return a remembered admission."""
    return _admission.decode(packed)


def chain(packed: bytes) -> tuple[bytes, ...]:
    """Return a remembered certificate chain."""
    return _chain.decode(packed)


def text(value: object) -> str:
    """Return ``value`` as a JSON column, the same text for the same value."""
    return _json.encode(value).decode()


def packed(value: object) -> bytes:
    """Return ``value`` as a msgpack column."""
    return _packed.encode(value)
