"""Applying one command: remembered answers, the one function per kind, the log.

Deterministic over a connection and a command; the caller holds a transaction and a savepoint, so that a
command that raises leaves nothing behind.

**One log.** Every command that changed something is appended to ``log``, in one hash chain, in the
transaction that applied it. The chain holds the frequent kinds (leases, observations, Hellos) as well as
what an audit asks for, since a replica or a replay needs all of them; ``audited`` tells them apart, and the
payloads of the frequent ones can be dropped later without breaking the chain (``coordinator/audit.py``). A
replay of the log into an empty database gives the same state, row for row: a test does that after random
histories.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable
from typing import Any, Final

import msgspec

from swarmlet.coordinator import audit
from swarmlet.coordinator.store import (
    apply_admission,
    apply_cluster,
    apply_nodes,
    apply_prune,
    apply_work,
    commands,
    laws,
    queries,
    rows,
)
from swarmlet.coordinator.store.api import Result
from swarmlet.coordinator.store.commands import AnyCommand, Command
from swarmlet.coordinator.store.effects import Effects
from swarmlet.errors import error

_HANDLERS: Final[dict[type[Command], Callable[[sqlite3.Connection, Any, Effects], None]]] = {
    commands.InitCluster: apply_cluster.init_cluster,
    commands.RenewIntermediate: apply_cluster.renew_intermediate,
    commands.SetPairing: apply_cluster.set_pairing,
    commands.MintToken: apply_cluster.mint_token,
    commands.RevokeToken: apply_cluster.revoke_token,
    commands.RefuseJoin: apply_cluster.refuse_join,
    commands.AdmitNode: apply_admission.admit_node,
    commands.RenewCertificate: apply_admission.renew_certificate,
    commands.ConfirmCertificate: apply_admission.confirm_certificate,
    commands.RemoveNode: apply_nodes.remove_node,
    commands.AllowHardware: apply_nodes.allow_hardware,
    commands.LabelNode: apply_nodes.label_node,
    commands.SetAvailability: apply_nodes.set_availability,
    commands.NodeTransition: apply_nodes.node_transition,
    commands.UpdateNode: apply_nodes.update_node,
    commands.SuspectClone: apply_nodes.suspect_clone,
    commands.SubmitWorkload: apply_work.submit_workload,
    commands.StopWorkload: apply_work.stop_workload,
    commands.PlanAssignments: apply_work.plan_assignments,
    commands.ReportObserved: apply_work.report_observed,
    commands.Prune: apply_prune.prune,
}

#: Fields that differ between two tries of one request: its key, the time, what the coordinator chose.
_CHOSEN: Final = frozenset(
    {"key", "at_ms", "intent", "jti", "claims", "expires_ms", "workload_id", "node_uid", "serial", "chain"}
)
#: Kinds whose subject is such a field, so that it is part of what was asked.
_MAKES: Final = frozenset({"mint-token", "submit-workload", "admit-node", "renew-certificate"})

_PRUNED_AT_ONCE: Final = 5000

_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final[msgspec.msgpack.Decoder[AnyCommand]] = msgspec.msgpack.Decoder(AnyCommand)


def decode(payload: bytes) -> AnyCommand:
    """Return the command in a log record's payload, for a replay.

    Raises:
        msgspec.ValidationError: It is none.
    """
    return _decoder.decode(payload)


def apply(db: sqlite3.Connection, command: AnyCommand) -> Result:
    """Apply one command inside the caller's savepoint.

    What is applied is the command as the log will give it back, so that a replay sees the very same values: a
    whole number where a fraction is meant becomes one here, and a field of a wrong type fails.

    Args:
        db: A connection inside a transaction.
        command: What to do.

    Returns:
        What it changed, with its place in the log.

    Raises:
        SwarmletError: The command is refused; the caller rolls its savepoint back.
    """
    command = decode(_encoder.encode(command))
    if command.key:
        remembered = _remembered(db, command)
        if remembered is not None:
            return msgspec.structs.replace(remembered, repeated=True)
    effects = Effects()
    _HANDLERS[type(command)](db, command, effects)
    if effects.repeated or not (effects.changed or command.key):
        return effects.result(0, {})
    # A command with a key is logged even when it changed nothing else: its answer is remembered, which is
    # state.
    generations = {uid: _raise_generation(db, uid) for uid in effects.desired}
    result = effects.result(_append(db, command), generations)
    if command.key:
        _remember(db, command, result)
    return result


def _raise_generation(db: sqlite3.Connection, node_uid: str) -> int:
    row = db.execute(
        "UPDATE node SET generation = generation + 1 WHERE node_uid = ? RETURNING generation", (node_uid,)
    ).fetchone()
    return int(row[0])


# ---- the log


def kind_of(command: AnyCommand) -> str:
    """Return the tag of a command, as it stands in the log."""
    return str(command.__struct_config__.tag)


def is_audited(command: AnyCommand) -> bool:
    """Say whether an auditor asks for this command (U1), a clamped update included (T8).

    A plan that moves nothing only words anew why something waits: at each change of a node's load, for ever.
    """
    if isinstance(command, commands.UpdateNode):
        return bool(command.clamped)
    if isinstance(command, commands.PlanAssignments):
        return bool(command.place or command.stop or command.lose)
    return kind_of(command) not in audit.FREQUENT


def _append(db: sqlite3.Connection, command: AnyCommand) -> int:
    record = audit.next_record(
        queries.head(db),
        at_ms=command.at_ms,
        actor=command.actor,
        kind=kind_of(command),
        payload=_encoder.encode(command),
        audited=is_audited(command),
    )
    db.execute(
        f"INSERT INTO log ({rows.LOG}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608 - own column names
        msgspec.structs.astuple(record),
    )
    db.execute("UPDATE head SET seq = ?, hash = ?", (record.seq, record.hash))
    return record.seq


def prune(db: sqlite3.Connection, before_ms: int) -> int:
    """Drop the payloads of frequent records older than ``before_ms``, some thousands at a time.

    Not a command: it changes no state, and the chain holds without them.

    Returns:
        How many were dropped; 0 when none are left.
    """
    return db.execute(
        """
        UPDATE log SET payload = NULL WHERE seq IN (
            SELECT seq FROM log WHERE audited = 0 AND payload IS NOT NULL AND at_ms < ? LIMIT ?
        )
        """,
        (before_ms, _PRUNED_AT_ONCE),
    ).rowcount


# ---- remembered answers (P3)


def intent_of(command: AnyCommand) -> bytes:
    """Return a digest of what was asked: equal for two tries of one request, different for two requests."""
    kind = kind_of(command)
    asked: list[object] = [kind, command.actor, command.intent]
    if not command.intent:
        dropped = _CHOSEN if kind in _MAKES else {"key", "at_ms", "intent"}
        asked += [
            (field, getattr(command, field)) for field in command.__struct_fields__ if field not in dropped
        ]
    return hashlib.sha256(_encoder.encode(asked)).digest()


def _remembered(db: sqlite3.Connection, command: AnyCommand) -> Result | None:
    row = db.execute("SELECT intent, answer FROM idempotency WHERE key = ?", (command.key,)).fetchone()
    if row is None:
        return None
    if row[0] != intent_of(command):
        detail = f"the idempotency key {command.key[:64]!r} was used for another request"
        raise error("SWL-608", detail=detail, hint="use a new key for a new request")
    return rows.result(row[1])


def _remember(db: sqlite3.Connection, command: AnyCommand, result: Result) -> None:
    db.execute("DELETE FROM idempotency WHERE at_ms < ?", (command.at_ms - laws.KEY_MS,))
    db.execute(
        "INSERT INTO idempotency (key, at_ms, intent, answer) VALUES (?, ?, ?, ?)",
        (command.key, command.at_ms, intent_of(command), rows.packed(result)),
    )
