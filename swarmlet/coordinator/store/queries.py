"""Reads: a connection in, records of the model out. Changes nothing and holds no rule."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from typing import Final

from swarmlet.coordinator.audit import AuditRecord, AuditVerdict, Head, verify
from swarmlet.coordinator.store import rows
from swarmlet.coordinator.store.api import Admission, AdmissionFacts, Desired, Result, Snapshot, Touched
from swarmlet.model.membership import NodeState
from swarmlet.model.records import AssignmentRecord, ClusterRecord, NodeRecord, TokenRecord, WorkloadRecord

_JOIN_ORDER: Final = "ORDER BY joined_ms, node_uid"


def cluster(db: sqlite3.Connection) -> ClusterRecord | None:
    """Return the cluster, or ``None`` before it was founded."""
    row = db.execute(
        "SELECT cluster_id, name, root, intermediate, created_ms, pairing FROM cluster"
    ).fetchone()
    if row is None:
        return None
    keys: dict[str, bytes] = dict(db.execute("SELECT kid, key FROM token_key ORDER BY kid"))
    cluster_id, name, root, intermediate, created_ms, pairing = row
    return ClusterRecord(cluster_id, name, root, intermediate, keys, created_ms, bool(pairing))


def snapshot(db: sqlite3.Connection) -> Snapshot:
    """Return everything a starting coordinator needs; the caller holds a read transaction."""
    return Snapshot(
        cluster=cluster(db),
        nodes=nodes(db, removed=False),
        generations=dict(db.execute("SELECT node_uid, generation FROM node WHERE removed_ms IS NULL")),
        workloads=workloads(db),
        assignments=assignments(db, node_uid=None, workload_id=None, live=False),
        denied=denied_serials(db),
        head=head(db),
        recorded_ms=_recorded_ms(db),
    )


def _recorded_ms(db: sqlite3.Connection) -> int:
    row = db.execute("SELECT at_ms FROM log ORDER BY seq DESC LIMIT 1").fetchone()
    return 0 if row is None else int(row[0])


def touched(db: sqlite3.Connection, result: Result) -> Touched:
    """Return the rows a result names; the caller holds a read transaction."""
    nodes_found = (node(db, node_uid) for node_uid in result.nodes)
    workloads_found = (workload(db, workload_id) for workload_id in result.workloads)
    assignments_found = (assignment(db, assignment_id) for assignment_id in result.assignments)
    return Touched(
        nodes=tuple(row for row in nodes_found if row is not None),
        workloads=tuple(row for row in workloads_found if row is not None),
        assignments=tuple(row for row in assignments_found if row is not None),
    )


# ---- nodes


def nodes(db: sqlite3.Connection, *, removed: bool) -> tuple[NodeRecord, ...]:
    """Return all nodes by join time, the removed ones too when asked."""
    which = "" if removed else "WHERE removed_ms IS NULL"
    return _nodes(db, f"{which} {_JOIN_ORDER}", ())


def node(db: sqlite3.Connection, node_uid: str) -> NodeRecord | None:
    """Return one node."""
    found = _nodes(db, "WHERE node_uid = ?", (node_uid,))
    return found[0] if found else None


def nodes_by_fingerprint(db: sqlite3.Connection, fingerprint: str) -> tuple[NodeRecord, ...]:
    """Return the nodes of one hardware fingerprint, newest first."""
    return _nodes(db, "WHERE fingerprint = ? ORDER BY joined_ms DESC, node_uid", (fingerprint,))


def nodes_in_state(db: sqlite3.Connection, state: NodeState) -> tuple[NodeRecord, ...]:
    """Return the nodes in one state by join time."""
    return _nodes(db, f"WHERE state = ? {_JOIN_ORDER}", (state.value,))


def _nodes(db: sqlite3.Connection, clause: str, values: tuple[object, ...]) -> tuple[NodeRecord, ...]:
    return tuple(map(rows.node, db.execute(f"SELECT {rows.NODE} FROM node {clause}", values)))  # noqa: S608 - own text


def generation(db: sqlite3.Connection, node_uid: str) -> int:
    """Return a node's desired generation, 0 for an unknown one."""
    row = db.execute("SELECT generation FROM node WHERE node_uid = ?", (node_uid,)).fetchone()
    return 0 if row is None else int(row[0])


def denied_serials(db: sqlite3.Connection) -> tuple[str, ...]:
    """Return every serial that is to be refused."""
    return tuple(serial for (serial,) in db.execute("SELECT serial FROM denied ORDER BY serial"))


# ---- tokens and admission


def tokens(db: sqlite3.Connection) -> tuple[TokenRecord, ...]:
    """Return all tokens, newest first."""
    born: dict[str, list[str]] = {}
    for jti, node_uid in db.execute("SELECT jti, node_uid FROM node ORDER BY joined_ms, node_uid"):
        born.setdefault(jti, []).append(node_uid)
    found = db.execute(f"SELECT {rows.TOKEN} FROM token ORDER BY created_ms DESC, jti")  # noqa: S608 - own text
    return tuple(rows.token(row, tuple(born.get(row[0], ()))) for row in found)


def token(db: sqlite3.Connection, jti: str, *, ledger: bool = True) -> TokenRecord | None:
    """Return one token; without ``ledger`` its ``nodes`` are left empty, which is cheap for large tokens."""
    row = db.execute(f"SELECT {rows.TOKEN} FROM token WHERE jti = ?", (jti,)).fetchone()  # noqa: S608 - own text
    if row is None:
        return None
    if not ledger:
        return rows.token(row, ())
    born = db.execute("SELECT node_uid FROM node WHERE jti = ? ORDER BY joined_ms, node_uid", (jti,))
    return rows.token(row, tuple(node_uid for (node_uid,) in born))


def first_admission(db: sqlite3.Connection, jti: str, csr_key: str) -> Admission | None:
    """Return the remembered admission of one device by one token, or ``None``."""
    row = db.execute("SELECT answer FROM admission WHERE jti = ? AND csr_key = ?", (jti, csr_key)).fetchone()
    return None if row is None else rows.admission(row[0])


def admission_facts(
    db: sqlite3.Connection, jti: str, csr_key: str, fingerprint: str | None
) -> AdmissionFacts:
    """Return what bears on one join; the caller holds a read transaction."""
    twins: tuple[NodeRecord, ...] = ()
    blocked = None
    if fingerprint is not None:
        twins = _nodes(
            db,
            "WHERE fingerprint = ? AND removed_ms IS NULL ORDER BY joined_ms DESC, node_uid LIMIT 16",
            (fingerprint,),
        )
        blocked = db.execute(
            "SELECT node.name FROM blocked JOIN node USING (node_uid) WHERE blocked.fingerprint = ?",
            (fingerprint,),
        ).fetchone()
    return AdmissionFacts(
        token=token(db, jti, ledger=False),
        first=first_admission(db, jti, csr_key),
        twins=twins,
        blocked=None if blocked is None else blocked[0],
    )


# ---- workloads


def workloads(db: sqlite3.Connection) -> tuple[WorkloadRecord, ...]:
    """Return all workloads, newest first."""
    found = db.execute(f"SELECT {rows.WORKLOAD} FROM workload ORDER BY created_ms DESC, workload_id")  # noqa: S608
    return tuple(map(rows.workload, found))


def workload(db: sqlite3.Connection, workload_id: str) -> WorkloadRecord | None:
    """Return one workload."""
    row = db.execute(
        f"SELECT {rows.WORKLOAD} FROM workload WHERE workload_id = ?",  # noqa: S608 - own text
        (workload_id,),
    ).fetchone()
    return None if row is None else rows.workload(row)


def assignments(
    db: sqlite3.Connection, *, node_uid: str | None, workload_id: str | None, live: bool
) -> tuple[AssignmentRecord, ...]:
    """Return assignments by workload, replica and epoch, narrowed by what is given."""
    wanted = {"node_uid = ?": node_uid, "workload_id = ?": workload_id}
    clauses = [clause for clause, value in wanted.items() if value is not None]
    if live:
        clauses.append("ended = 0")
    where = f"WHERE {' AND '.join(clauses)}" if clauses else ""
    found = db.execute(
        f"SELECT {rows.ASSIGNMENT} FROM assignment {where} ORDER BY workload_id, replica, epoch",  # noqa: S608 - own text
        [value for value in wanted.values() if value is not None],
    )
    return tuple(map(rows.assignment, found))


def assignment(db: sqlite3.Connection, assignment_id: str) -> AssignmentRecord | None:
    """Return one assignment."""
    row = db.execute(
        f"SELECT {rows.ASSIGNMENT} FROM assignment WHERE assignment_id = ?",  # noqa: S608 - own text
        (assignment_id,),
    ).fetchone()
    return None if row is None else rows.assignment(row)


def desired(db: sqlite3.Connection, node_uid: str) -> Desired | None:
    """Return a node's desired set and its generation; the caller holds a read transaction."""
    row = db.execute("SELECT generation FROM node WHERE node_uid = ?", (node_uid,)).fetchone()
    if row is None:
        return None
    found = db.execute(
        """
        SELECT assignment_id, workload_id, replica, epoch, spec, stop
        FROM assignment JOIN workload USING (workload_id)
        WHERE node_uid = ? AND ended = 0 ORDER BY workload_id, replica, epoch
        """,
        (node_uid,),
    )
    return Desired(row[0], tuple(map(rows.desired, found)))


def epoch(db: sqlite3.Connection, workload_id: str, replica: int) -> int:
    """Return the highest epoch ever given to a replica, 0 before the first."""
    row = db.execute(
        "SELECT epoch FROM replica WHERE workload_id = ? AND replica = ?", (workload_id, replica)
    ).fetchone()
    return 0 if row is None else int(row[0])


# ---- the log


def head(db: sqlite3.Connection) -> Head:
    """Return the newest record's number and hash."""
    return Head(*db.execute("SELECT seq, hash FROM head").fetchone())


def audit(
    db: sqlite3.Connection, *, before: int | None, limit: int, everything: bool
) -> tuple[AuditRecord, ...]:
    """Return records, newest first, below ``before``."""
    which = "" if everything else "AND audited = 1"
    found = db.execute(
        f"SELECT {rows.LOG} FROM log WHERE seq < ? {which} ORDER BY seq DESC LIMIT ?",  # noqa: S608 - own text
        (before if before is not None else 1 << 62, limit),
    )
    return tuple(map(rows.record, found))


def log(db: sqlite3.Connection, after: int = 0) -> Iterator[AuditRecord]:
    """Yield every record after ``after`` in order."""
    found = db.execute(f"SELECT {rows.LOG} FROM log WHERE seq > ? ORDER BY seq", (after,))  # noqa: S608 - own text
    return map(rows.record, found)


def verify_audit(db: sqlite3.Connection, trusted: Iterable[Head]) -> AuditVerdict:
    """Check the whole chain; the caller holds a read transaction."""
    return verify(log(db), head(db), trusted)
