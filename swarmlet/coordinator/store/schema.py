"""The tables, and how an older file becomes a newer one. Text only: nothing here opens a database.

``PRAGMA user_version`` counts the migrations a file has had. A migration is never edited once released; a
change of the tables is a further entry of :data:`MIGRATIONS`. Constraints repeat the laws of the
application functions on purpose: a bug in one of them then refuses a command instead of writing a state
that cannot be.
"""

from __future__ import annotations

from typing import Final

#: ``PRAGMA application_id``: says that a file is a cluster database ("SWLT").
APPLICATION_ID: Final = 0x53574C54

#: Tables that hold state; ``log`` and ``head`` hold how it came about.
STATE_TABLES: Final = (
    "cluster",
    "token_key",
    "token",
    "node",
    "suffix",
    "certificate",
    "denied",
    "blocked",
    "admission",
    "workload",
    "assignment",
    "replica",
    "idempotency",
)

_FIRST: Final = (
    """
    CREATE TABLE cluster (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        cluster_id TEXT NOT NULL CHECK (length(cluster_id) = 32),
        name TEXT NOT NULL,
        root BLOB NOT NULL,
        intermediate BLOB NOT NULL,
        created_ms INTEGER NOT NULL
    ) STRICT
    """,
    """
    CREATE TABLE token_key (
        kid TEXT PRIMARY KEY,
        key BLOB NOT NULL CHECK (length(key) = 32)
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE token (
        jti TEXT PRIMARY KEY,
        claims BLOB NOT NULL,
        created_ms INTEGER NOT NULL,
        created_by TEXT NOT NULL,
        expires_ms INTEGER NOT NULL,
        max_uses INTEGER NOT NULL CHECK (max_uses >= 1),
        uses INTEGER NOT NULL DEFAULT 0 CHECK (uses BETWEEN 0 AND max_uses),
        revoked_ms INTEGER
    ) STRICT
    """,
    # name_key is the name while it is held; a removed node keeps its name for history and frees the key.
    """
    CREATE TABLE node (
        node_uid TEXT PRIMARY KEY,
        name TEXT NOT NULL,
        name_key TEXT UNIQUE,
        state TEXT NOT NULL
            CHECK (state IN ('joined', 'ready', 'suspect', 'down', 'left', 'revoked')),
        state_since_ms INTEGER NOT NULL,
        state_reason TEXT NOT NULL,
        availability TEXT NOT NULL CHECK (availability IN ('active', 'cordoned', 'draining')),
        profile TEXT NOT NULL,
        fingerprint TEXT,
        capabilities TEXT NOT NULL,
        labels TEXT NOT NULL,
        limits TEXT NOT NULL,
        version TEXT NOT NULL,
        boot_id TEXT NOT NULL,
        seen TEXT NOT NULL,
        joined_ms INTEGER NOT NULL,
        jti TEXT NOT NULL REFERENCES token (jti),
        serial TEXT NOT NULL,
        next_serial TEXT,
        not_after_ms INTEGER NOT NULL,
        replaced_by TEXT REFERENCES node (node_uid),
        removed_ms INTEGER,
        generation INTEGER NOT NULL DEFAULT 0,
        CHECK ((removed_ms IS NULL) = (name_key IS NOT NULL)),
        CHECK (removed_ms IS NULL OR state IN ('left', 'revoked')),
        CHECK (state <> 'revoked' OR removed_ms IS NOT NULL)
    ) STRICT
    """,
    "CREATE INDEX node_by_fingerprint ON node (fingerprint) WHERE fingerprint IS NOT NULL",
    "CREATE INDEX node_by_token ON node (jti)",
    # The number to try first when a name is taken; lower ones are all held.
    """
    CREATE TABLE suffix (
        base TEXT PRIMARY KEY,
        next INTEGER NOT NULL CHECK (next >= 2)
    ) STRICT, WITHOUT ROWID
    """,
    # chain is kept only while a renewed certificate waits for its first use.
    """
    CREATE TABLE certificate (
        serial TEXT PRIMARY KEY,
        node_uid TEXT NOT NULL REFERENCES node (node_uid),
        csr_key TEXT NOT NULL,
        not_after_ms INTEGER NOT NULL,
        chain BLOB
    ) STRICT, WITHOUT ROWID
    """,
    "CREATE INDEX certificate_by_node ON certificate (node_uid)",
    """
    CREATE TABLE denied (
        serial TEXT PRIMARY KEY,
        until_ms INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID
    """,
    "CREATE INDEX denied_by_time ON denied (until_ms)",
    """
    CREATE TABLE blocked (
        fingerprint TEXT PRIMARY KEY,
        node_uid TEXT NOT NULL REFERENCES node (node_uid)
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE admission (
        jti TEXT NOT NULL REFERENCES token (jti),
        csr_key TEXT NOT NULL,
        at_ms INTEGER NOT NULL,
        node_uid TEXT NOT NULL REFERENCES node (node_uid),
        answer BLOB NOT NULL,
        PRIMARY KEY (jti, csr_key)
    ) STRICT, WITHOUT ROWID
    """,
    "CREATE INDEX admission_by_time ON admission (at_ms)",
    """
    CREATE TABLE workload (
        workload_id TEXT PRIMARY KEY,
        name TEXT NOT NULL,
        spec TEXT NOT NULL,
        created_ms INTEGER NOT NULL,
        created_by TEXT NOT NULL,
        stopping INTEGER NOT NULL DEFAULT 0 CHECK (stopping IN (0, 1)),
        pending_reason TEXT NOT NULL DEFAULT ''
    ) STRICT
    """,
    "CREATE INDEX workload_by_name ON workload (name) WHERE stopping = 0",
    """
    CREATE TABLE assignment (
        assignment_id TEXT PRIMARY KEY, workload_id TEXT NOT NULL REFERENCES workload (workload_id), replica
        INTEGER NOT NULL CHECK (replica >= 0), epoch INTEGER NOT NULL CHECK (epoch >= 1), node_uid TEXT NOT
        NULL REFERENCES node (node_uid), stop INTEGER NOT NULL DEFAULT 0 CHECK (stop IN (0, 1)), state TEXT
        NOT NULL, ended INTEGER NOT NULL DEFAULT 0 CHECK (ended = (state IN ('succeeded', 'failed',
        'stopped', 'lost'))), sequence INTEGER NOT NULL DEFAULT 0, state_since_ms INTEGER NOT NULL, reason
        TEXT NOT NULL DEFAULT '', exit_code INTEGER, restarts INTEGER NOT NULL DEFAULT 0, created_ms INTEGER
        NOT NULL, UNIQUE (workload_id, replica, epoch)
    ) STRICT
    """,
    "CREATE INDEX assignment_live ON assignment (node_uid) WHERE ended = 0",
    "CREATE INDEX assignment_by_node ON assignment (node_uid)",
    """
    CREATE TABLE replica (
        workload_id TEXT NOT NULL REFERENCES workload (workload_id),
        replica INTEGER NOT NULL,
        epoch INTEGER NOT NULL,
        PRIMARY KEY (workload_id, replica)
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE idempotency (
        key TEXT PRIMARY KEY,
        at_ms INTEGER NOT NULL,
        intent BLOB NOT NULL,
        answer BLOB NOT NULL
    ) STRICT, WITHOUT ROWID
    """,
    "CREATE INDEX idempotency_by_time ON idempotency (at_ms)",
    """
    CREATE TABLE log (
        seq INTEGER PRIMARY KEY,
        at_ms INTEGER NOT NULL,
        actor TEXT NOT NULL,
        kind TEXT NOT NULL,
        audited INTEGER NOT NULL CHECK (audited IN (0, 1)),
        payload BLOB,
        digest BLOB NOT NULL,
        previous BLOB NOT NULL,
        hash BLOB NOT NULL
    ) STRICT
    """,
    "CREATE INDEX log_audited ON log (seq) WHERE audited = 1",
    """
    CREATE TABLE head (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        seq INTEGER NOT NULL,
        hash BLOB NOT NULL
    ) STRICT
    """,
    "INSERT INTO head (id, seq, hash) VALUES (1, 0, zeroblob(32))",
)

#: Each entry brings a file one ``user_version`` further, in one transaction.
MIGRATIONS: Final[tuple[tuple[str, ...], ...]] = (
    _FIRST,
    ("ALTER TABLE cluster ADD COLUMN pairing INTEGER NOT NULL DEFAULT 0 CHECK (pairing IN (0, 1))",),
)

VERSION: Final = len(MIGRATIONS)
