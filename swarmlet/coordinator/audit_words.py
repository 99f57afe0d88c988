"""How a record of the audit log reads. Pure. Long fields (certificates, profiles, claims) are left out."""

from __future__ import annotations

import msgspec

from swarmlet.coordinator.audit import AuditRecord
from swarmlet.model.views import AuditView

_SUBJECTS = ("name", "node_uid", "jti", "workload_id")
_LEFT_OUT = frozenset({
    "c", "at_ms", "actor", "key", "intent", "chain", "profile", "claims", "root", "intermediate", "token_key",
    "token_kid", "csr_key", "env", "spec",
})  # fmt: skip
_LONGEST = 400


def audit_view(record: AuditRecord) -> AuditView:
    """Return one record as it is shown."""
    fields = _fields(record.payload)
    return AuditView(
        sequence=record.seq,
        at_ms=record.at_ms,
        actor=record.actor,
        action=record.kind,
        subject=next((str(fields[name]) for name in _SUBJECTS if fields.get(name)), ""),
        detail=_detail(fields),
        previous=record.previous.hex(),
        hash=record.hash.hex(),
    )


def _fields(payload: bytes | None) -> dict[str, object]:
    if payload is None:
        return {}
    decoded = msgspec.msgpack.decode(payload)
    if not isinstance(decoded, dict):
        return {}
    spec = decoded.get("spec")
    if isinstance(spec, dict):
        # A workload's environment may hold what its owner calls a secret: names only.
        decoded["name"] = spec.get("name", "")
        decoded["command"] = spec.get("image") or " ".join(map(str, spec.get("command", ())))
    return {str(name): value for name, value in decoded.items()}


def _detail(fields: dict[str, object]) -> str:
    parts = [f"{name}={_text(value)}" for name, value in fields.items() if name not in _LEFT_OUT and value]
    text = " ".join(parts)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."


def _text(value: object) -> str:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, str):
        return value
    return msgspec.json.encode(value).decode()
