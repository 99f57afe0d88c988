"""What the rest of the coordinator may ask of durable state: commands in, snapshots and a log out.

This file is the whole interface; it names no database. ``SqliteStore`` in ``sqlite.py`` keeps
it on one coordinator. A later store may replicate the same commands to others and keep the same interface, so
nothing may depend on which one it is.

Laws every store keeps:

* When :meth:`Store.apply` returns, the command's effect and its audit record are on disk (N1). A read that
  begins after that sees them.
* A command is refused by raising the catalogue's :class:`~swarmlet.errors.SwarmletError`. A refused command
  changes nothing and leaves no record.
* Applying is deterministic: the state is a function of the log. The log holds exactly the commands that
  changed something, in order, each once.
* A node's *generation* grows by one or more with every command that changes what the node is asked to run.
  Equal generations mean an equal desired set.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

import msgspec

from swarmlet.coordinator.audit import AuditRecord, AuditVerdict, Head
from swarmlet.coordinator.store.commands import AnyCommand
from swarmlet.model.membership import NodeState
from swarmlet.model.records import AssignmentRecord, ClusterRecord, NodeRecord, TokenRecord, WorkloadRecord
from swarmlet.model.workload import Assignment


class Admission(msgspec.Struct, frozen=True):
    """What ``AdmitNode`` decided; ``chain`` is the *first* admission's when a lost reply is repeated."""

    node_uid: str
    name: str
    chain: tuple[bytes, ...]
    replaced: str | None  # uid of the row this node took the place of
    at_ms: int  # when the use was burnt


class Result(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a command changed, so that memory beside the store can follow without reading everything again.

    Attributes:
        seq: The command's place in the log; 0 when it changed nothing and has none.
        repeated: The answer is that of an earlier command (same idempotency key, or the same device asking
            again with the same token); nothing was changed now.
        tokens: Ids of tokens whose rows changed.
        nodes: Uids of nodes whose rows changed.
        workloads: Ids of workloads whose rows changed.
        assignments: Ids of assignments whose rows changed.
        generations: New desired generation of each node whose desired set changed; tell those nodes.
        denied: Serials (hex) that are refused from now on; give them to the engine at once (C7).
        forgiven: Serials (hex) that need no refusing any more: their certificates expired long ago.
        gone_workloads: Ids of workloads whose rows are gone.
        gone_assignments: Ids of assignments whose rows are gone.
        taken: For ``ReportObserved``: ``(assignment_id, epoch, sequence)`` of every observation that needs no
            sending again: those taken now, those taken before, and those that nobody will ever want.
        admission: For ``AdmitNode``.
        chain: For ``RenewCertificate``: the chain to answer with, the first one when a request is repeated.
    """

    seq: int = 0
    repeated: bool = False
    tokens: tuple[str, ...] = ()
    nodes: tuple[str, ...] = ()
    workloads: tuple[str, ...] = ()
    assignments: tuple[str, ...] = ()
    generations: dict[str, int] = msgspec.field(default_factory=dict)
    denied: tuple[str, ...] = ()
    forgiven: tuple[str, ...] = ()
    gone_workloads: tuple[str, ...] = ()
    gone_assignments: tuple[str, ...] = ()
    taken: tuple[tuple[str, int, int], ...] = ()
    admission: Admission | None = None
    chain: tuple[bytes, ...] = ()

    @property
    def changed(self) -> bool:
        """Whether this command changed anything now."""
        return self.seq > 0 and not self.repeated


class Desired(msgspec.Struct, frozen=True):
    """What one node is asked to run, all of one generation: every assignment that has not ended yet."""

    generation: int
    assignments: tuple[Assignment, ...]


class Snapshot(msgspec.Struct, frozen=True):
    """The whole state at one moment, for a coordinator that starts.

    ``generations`` is by node uid; ``recorded_ms`` is the time of the newest command, 0 before the first.
    """

    cluster: ClusterRecord | None
    nodes: tuple[NodeRecord, ...]
    generations: dict[str, int]
    workloads: tuple[WorkloadRecord, ...]
    assignments: tuple[AssignmentRecord, ...]
    denied: tuple[str, ...]
    head: Head
    recorded_ms: int = 0


class Touched(msgspec.Struct, frozen=True):
    """The rows that a result names, as they are now, of one moment."""

    nodes: tuple[NodeRecord, ...]
    workloads: tuple[WorkloadRecord, ...]
    assignments: tuple[AssignmentRecord, ...]


class AdmissionFacts(msgspec.Struct, frozen=True):
    """What is known that bears on one join, read at one moment.

    Attributes:
        token: The token's row (its ``nodes`` left empty), or ``None`` when this cluster never recorded it.
        first: The admission of the same (jti, CSR key) that is still remembered, when there is one.
        twins: Nodes of the same hardware fingerprint that were neither removed nor replaced, newest first.
        blocked: The fingerprint was blocked by an administrator; the name of the node it was blocked with.
    """

    token: TokenRecord | None
    first: Admission | None
    twins: tuple[NodeRecord, ...]
    blocked: str | None


class Store(Protocol):
    """Durable state of one cluster. Every method may be called from any task of the event loop."""

    async def apply(self, command: AnyCommand, late: Callable[[Result], None] | None = None) -> Result:
        """Apply one command durably.

        Commands of one caller that awaits each are applied in that order; commands that are under way
        together share a transaction and a sync of the disk (group commit).

        Args:
            command: What to do.
            late: Called when the command turns out to have been applied after this call had ended without a
                result, so that memory beside the store can follow all the same.

        Raises:
            SwarmletError: The command is refused (its code says why), the disk is full (``SWL-302``), the
                database is damaged (``SWL-602``), or the wait was too long (``SWL-205``: whether the command
                was applied is not known then; ask again with the same ``key``).
        """
        ...

    async def cluster(self) -> ClusterRecord | None:
        """Return the cluster, or ``None`` before ``InitCluster``."""
        ...

    async def snapshot(self) -> Snapshot:
        """Return everything a starting coordinator needs, of one moment."""
        ...

    async def touched(self, result: Result) -> Touched:
        """Return the rows that ``result`` names, so that memory beside the store can follow it."""
        ...

    async def nodes(self, *, removed: bool = False) -> tuple[NodeRecord, ...]:
        """Return all nodes by join time; with ``removed`` also those revoked, replaced or gone for good."""
        ...

    async def node(self, node_uid: str) -> NodeRecord | None:
        """Return one node, removed or not."""
        ...

    async def nodes_by_fingerprint(self, fingerprint: str) -> tuple[NodeRecord, ...]:
        """Return the nodes of one hardware fingerprint, removed ones included, newest first."""
        ...

    async def nodes_in_state(self, state: NodeState) -> tuple[NodeRecord, ...]:
        """Return the nodes in ``state`` by join time."""
        ...

    async def tokens(self) -> tuple[TokenRecord, ...]:
        """Return all tokens, newest first."""
        ...

    async def token(self, jti: str) -> TokenRecord | None:
        """Return one token by its full id (hex)."""
        ...

    async def admission_facts(self, jti: str, csr_key: str, fingerprint: str | None) -> AdmissionFacts:
        """Return what bears on one join (:class:`AdmissionFacts`)."""
        ...

    async def workloads(self) -> tuple[WorkloadRecord, ...]:
        """Return all workloads, newest first."""
        ...

    async def workload(self, workload_id: str) -> WorkloadRecord | None:
        """Return one workload."""
        ...

    async def assignments(
        self, *, node_uid: str | None = None, workload_id: str | None = None, live: bool = False
    ) -> tuple[AssignmentRecord, ...]:
        """Return assignments by workload, replica and epoch; with ``live`` only those that have not ended."""
        ...

    async def desired(self, node_uid: str) -> Desired | None:
        """Return what a node is asked to run and the generation of it; ``None`` for an unknown node."""
        ...

    async def generation(self, node_uid: str) -> int:
        """Return a node's desired generation; 0 for an unknown node or one never asked to run anything."""
        ...

    async def epoch(self, workload_id: str, replica: int) -> int:
        """Return the highest epoch ever given to a replica; 0 before the first."""
        ...

    async def denied_serials(self) -> tuple[str, ...]:
        """Return every serial (hex) that is to be refused in handshakes."""
        ...

    async def audit(
        self, *, before: int | None = None, limit: int = 100, everything: bool = False
    ) -> tuple[AuditRecord, ...]:
        """Return audit records, newest first.

        Args:
            before: Only records with a lower sequence number, for paging.
            limit: At most this many.
            everything: Also the frequent records that are in the log only (transitions, observations).
        """
        ...

    async def verify_audit(self, trusted: Iterable[Head] = ()) -> AuditVerdict:
        """Check the whole chain, and that it passes through the ``trusted`` heads kept elsewhere (U1)."""
        ...

    async def head(self) -> Head:
        """Return the sequence number and hash of the newest record."""
        ...

    async def prune(self, before_ms: int) -> int:
        """Drop the payloads of frequent records older than ``before_ms``; return how many were dropped."""
        ...

    def stats(self) -> dict[str, int]:
        """Return counters since start: commands, refused, commits, largest batch, slowest commit in us."""
        ...

    async def close(self) -> None:
        """Finish what was taken, checkpoint, close; idempotent. Commands after this are refused."""
        ...
