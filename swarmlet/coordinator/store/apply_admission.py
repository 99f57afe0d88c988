"""Admission and certificates: burning a use, entering a node, renewing, confirming.

Application functions: deterministic over a connection and a command. The verdict on the request was
``coordinator/admission.py``'s, but what may have changed since it looked (uses, revocation, time, the twin's
lease) is judged again here, inside the transaction.
"""

from __future__ import annotations

import sqlite3

import msgspec

from swarmlet.coordinator.store import laws, names, queries, rows
from swarmlet.coordinator.store.api import Admission
from swarmlet.coordinator.store.apply_removal import deny, forgive, remove
from swarmlet.coordinator.store.commands import AdmitNode, ConfirmCertificate, RenewCertificate
from swarmlet.coordinator.store.effects import Effects
from swarmlet.errors import error
from swarmlet.model.membership import NodeState
from swarmlet.model.records import NodeRecord
from swarmlet.tokens import check


def admit_node(db: sqlite3.Connection, command: AdmitNode, effects: Effects) -> None:
    """Burn one use and admit one node; or answer as before when it is the same device asking again (T5)."""
    first = queries.first_admission(db, command.jti, command.csr_key)
    if first is not None and laws.may_repeat(first.at_ms, command.at_ms):
        _repeat(db, first, effects)
        return
    _burn(db, command)
    replaced = _replace(db, command, effects)
    name = names.choose(db, command.asked_name)
    _enter(db, command, name)
    if replaced is not None:
        db.execute("UPDATE node SET replaced_by = ? WHERE node_uid = ?", (command.node_uid, replaced))
    effects.token(command.jti)
    effects.node(command.node_uid)
    effects.admission = Admission(command.node_uid, name, command.chain, replaced, command.at_ms)
    db.execute("DELETE FROM admission WHERE at_ms < ?", (command.at_ms - laws.RETRY_MS,))
    db.execute(
        "INSERT INTO admission (jti, csr_key, at_ms, node_uid, answer) VALUES (?, ?, ?, ?, ?)",
        (command.jti, command.csr_key, command.at_ms, command.node_uid, rows.packed(effects.admission)),
    )


def _repeat(db: sqlite3.Connection, first: Admission, effects: Effects) -> None:
    node = queries.node(db, first.node_uid)
    if node is None or node.state is NodeState.REVOKED:
        raise error("SWL-207")
    effects.admission = first
    effects.repeated = True


def _burn(db: sqlite3.Connection, command: AdmitNode) -> None:
    """Take one use of the token, or refuse for the reason it cannot be taken."""
    token = queries.token(db, command.jti, ledger=False)
    if token is None:
        raise error("SWL-100")
    refusal = (
        check.revoked(token.jti, token.revoked_ms)
        or check.expired(token.expires_ms // 1000, command.at_ms / 1000)
        or check.used_up(token.jti, token.uses, token.max_uses)
    )
    if refusal is not None:
        raise refusal.to_error()
    db.execute("UPDATE token SET uses = uses + 1 WHERE jti = ?", (command.jti,))


def _replace(db: sqlite3.Connection, command: AdmitNode, effects: Effects) -> str | None:
    """Remove the twin this device takes the place of; return its uid, or ``None`` when it must stay."""
    if command.replaces is None:
        return None
    twin = queries.node(db, command.replaces)
    if twin is None or not _is_lapsed_twin(twin, command):
        return None
    reason = f"the same device joined again as {command.node_uid}"
    removed = remove(db, effects, twin.node_uid, at_ms=command.at_ms, state=NodeState.REVOKED, reason=reason)
    return twin.node_uid if removed else None


def _is_lapsed_twin(twin: NodeRecord, command: AdmitNode) -> bool:
    fingerprint = command.profile.fingerprint
    same = fingerprint is not None and twin.profile.fingerprint == fingerprint
    return same and laws.lease_lapsed(twin, command.at_ms)


def _enter(db: sqlite3.Connection, command: AdmitNode, name: str) -> None:
    values = {
        "node_uid": command.node_uid,
        "name": name,
        "name_key": name,
        "state": NodeState.JOINED.value,
        "state_since_ms": command.at_ms,
        "state_reason": "admitted, not connected yet",
        "availability": "active",
        "profile": rows.text(msgspec.structs.replace(command.profile, node_id=name)),
        "fingerprint": command.profile.fingerprint,
        "capabilities": rows.text(command.capabilities),
        "labels": "{}",
        "limits": "{}",
        "version": command.version,
        "boot_id": "",
        "seen": command.seen,
        "joined_ms": command.at_ms,
        "jti": command.jti,
        "serial": command.serial,
        "not_after_ms": command.not_after_ms,
    }
    columns = ", ".join(values)
    places = ", ".join(f":{column}" for column in values)
    db.execute(f"INSERT INTO node ({columns}) VALUES ({places})", values)  # noqa: S608 - own column names
    db.execute(
        "INSERT INTO certificate (serial, node_uid, csr_key, not_after_ms) VALUES (?, ?, ?, ?)",
        (command.serial, command.node_uid, command.csr_key, command.not_after_ms),
    )


# ---- renewal


def renew_certificate(db: sqlite3.Connection, command: RenewCertificate, effects: Effects) -> None:
    """Keep a node's next certificate; the pending key asking again gets the pending one again (C4)."""
    row = db.execute(
        """
        SELECT next_serial, csr_key FROM node JOIN certificate USING (serial)
        WHERE node.node_uid = ? AND removed_ms IS NULL
        """,
        (command.node_uid,),
    ).fetchone()
    if row is None:
        raise error("SWL-207")
    if command.csr_key and command.csr_key == row[1]:
        raise error("SWL-203", detail="a renewal needs a new key, this is the one it has")
    pending = db.execute(
        "SELECT chain FROM certificate WHERE serial = ? AND csr_key = ?", (row[0], command.csr_key)
    ).fetchone()
    if pending is not None and command.csr_key and pending[0] is not None:
        effects.chain = rows.chain(pending[0])
        effects.repeated = True
        return
    db.execute("UPDATE certificate SET chain = NULL WHERE serial = ?", (row[0],))
    db.execute(
        "INSERT INTO certificate (serial, node_uid, csr_key, not_after_ms, chain) VALUES (?, ?, ?, ?, ?)",
        (
            command.serial,
            command.node_uid,
            command.csr_key,
            command.not_after_ms,
            rows.packed(command.chain),
        ),
    )
    db.execute("UPDATE node SET next_serial = ? WHERE node_uid = ?", (command.serial, command.node_uid))
    effects.node(command.node_uid)
    effects.chain = command.chain


def confirm_certificate(db: sqlite3.Connection, command: ConfirmCertificate, effects: Effects) -> None:
    """Make the certificate a node connected with its current one, and refuse all it had before."""
    node = queries.node(db, command.node_uid)
    if node is None or node.state is NodeState.REVOKED:
        raise error("SWL-207")
    if command.serial == node.serial:
        return
    if command.serial != node.next_serial:
        raise error("SWL-203", detail="it is neither the current nor the next certificate of this node")
    others = db.execute(
        "SELECT serial, not_after_ms FROM certificate WHERE node_uid = ? AND serial <> ? ORDER BY serial",
        (command.node_uid, command.serial),
    ).fetchall()
    for serial, not_after_ms in others:
        deny(db, serial, not_after_ms + laws.SUPERSEDED_GRACE_MS, effects)
    db.execute(
        "DELETE FROM certificate WHERE node_uid = ? AND serial <> ?", (command.node_uid, command.serial)
    )
    db.execute("UPDATE certificate SET chain = NULL WHERE serial = ?", (command.serial,))
    db.execute(
        """
        UPDATE node SET serial = ?1, next_serial = NULL,
            not_after_ms = (SELECT not_after_ms FROM certificate WHERE serial = ?1)
        WHERE node_uid = ?2
        """,
        (command.serial, command.node_uid),
    )
    forgive(db, effects, command.at_ms)
    effects.node(command.node_uid)
