"""Founding the cluster, its tokens, and what is written about refused joins.

Application functions: deterministic over a connection and a command. They raise the catalogue's error to
refuse.
"""

from __future__ import annotations

import sqlite3

from swarmlet.coordinator.store import queries
from swarmlet.coordinator.store.apply_removal import remove
from swarmlet.coordinator.store.commands import (
    InitCluster,
    MintToken,
    RefuseJoin,
    RenewIntermediate,
    RevokeToken,
    SetPairing,
)
from swarmlet.coordinator.store.effects import Effects
from swarmlet.errors import error
from swarmlet.model.membership import NodeState


def init_cluster(db: sqlite3.Connection, command: InitCluster, effects: Effects) -> None:
    """Found the cluster; refused when there is one."""
    if queries.cluster(db) is not None:
        raise error("SWL-600", path="this database")
    db.execute(
        """
        INSERT INTO cluster (id, cluster_id, name, root, intermediate, created_ms)
        VALUES (1, ?, ?, ?, ?, ?)
        """,
        (command.cluster_id, command.name, command.root, command.intermediate, command.at_ms),
    )
    db.execute("INSERT INTO token_key (kid, key) VALUES (?, ?)", (command.token_kid.hex(), command.token_key))
    effects.touch()


def renew_intermediate(db: sqlite3.Connection, command: RenewIntermediate, effects: Effects) -> None:
    """Record the intermediate certificate that signs from now on."""
    changed = db.execute(
        "UPDATE cluster SET intermediate = ?1 WHERE intermediate <> ?1", (command.intermediate,)
    )
    if changed.rowcount:
        effects.touch()


def set_pairing(db: sqlite3.Connection, command: SetPairing, effects: Effects) -> None:
    """Let devices without a token ask, or not."""
    changed = db.execute("UPDATE cluster SET pairing = ?1 WHERE pairing <> ?1", (int(command.on),))
    if changed.rowcount:
        effects.touch()


def mint_token(db: sqlite3.Connection, command: MintToken, effects: Effects) -> None:
    """Record a signed token."""
    taken = db.execute("SELECT 1 FROM token WHERE jti = ?", (command.jti,)).fetchone()
    if taken:
        raise error("SWL-608", detail=f"a token {command.jti} exists already", hint="mint another")
    db.execute(
        """
        INSERT INTO token (jti, claims, created_ms, created_by, expires_ms, max_uses)
        VALUES (?, ?, ?, ?, ?, ?)
        """,
        (
            command.jti,
            command.claims,
            command.at_ms,
            command.actor,
            command.expires_ms,
            command.max_uses,
        ),
    )
    effects.token(command.jti)


def revoke_token(db: sqlite3.Connection, command: RevokeToken, effects: Effects) -> None:
    """Refuse further uses; with ``cascade`` remove every node born from the token (T9)."""
    found = queries.token(db, command.jti)
    if found is None:
        raise error("SWL-604", name=command.jti)
    if found.revoked_ms is None:
        db.execute("UPDATE token SET revoked_ms = ? WHERE jti = ?", (command.at_ms, command.jti))
        effects.token(command.jti)
    if command.cascade:
        reason = "its join token was revoked with all its nodes"
        for node_uid in found.nodes:
            remove(db, effects, node_uid, at_ms=command.at_ms, state=NodeState.REVOKED, reason=reason)


def refuse_join(_db: sqlite3.Connection, _command: RefuseJoin, effects: Effects) -> None:
    """Change nothing but the log, which is what this command is for."""
    effects.touch()
