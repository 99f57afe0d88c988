"""Every change of cluster state, as a value with all its inputs (DESIGN: commands).

Time and chosen identifiers are inputs, so that applying a command is deterministic; a command never holds a
secret, since it is written to the audit log. ``at_ms`` is Unix milliseconds by the coordinator's clock;
``actor`` says who asked (``uid:0``, ``node:<uid>``, ``coordinator``); ``key`` is an idempotency key: a
command whose key was applied before returns the first result and changes nothing (P3). Whether it is the
same command is judged by what was asked: kind, actor and fields without times and chosen identifiers, or
``intent`` (any digest of the request) where identifiers are mixed into a field, as in a token's claims.
"""

from __future__ import annotations

import msgspec

from swarmlet.model.membership import Availability, NodeState
from swarmlet.model.profile import Profile
from swarmlet.model.workload import Observation, WorkloadSpec


class Command(msgspec.Struct, frozen=True, kw_only=True, tag_field="c", omit_defaults=True):
    """Base of every command."""

    at_ms: int
    actor: str
    key: str = ""
    intent: str = ""


class InitCluster(Command, frozen=True, kw_only=True, tag="init-cluster"):
    """Found the cluster. ``certificates`` are public: root and intermediate, DER."""

    cluster_id: str
    name: str
    root: bytes
    intermediate: bytes
    token_kid: bytes
    token_key: bytes


class RenewIntermediate(Command, frozen=True, kw_only=True, tag="renew-intermediate"):
    """The root signed a new intermediate certificate (DER); it signs every certificate from now on."""

    intermediate: bytes


class SetPairing(Command, frozen=True, kw_only=True, tag="set-pairing"):
    """Let devices without a token ask to be approved, or not."""

    on: bool


class MintToken(Command, frozen=True, kw_only=True, tag="mint-token"):
    """Record a token that was signed. ``jti`` is hex; ``claims`` are canonical bytes, without signature."""

    jti: str
    claims: bytes
    expires_ms: int
    max_uses: int


class RevokeToken(Command, frozen=True, kw_only=True, tag="revoke-token"):
    """Refuse further uses; with ``cascade`` also revoke every node born from it (T9)."""

    jti: str
    cascade: bool = False


class AdmitNode(Command, frozen=True, kw_only=True, tag="admit-node"):
    """Burn one use and admit one node, in one transaction (T5).

    The certificate is signed first and is an input. ``csr_key`` is the hex SHA-256 of the CSR's public key:
    the same (jti, csr_key) within ten minutes returns the first admission. ``replaces`` names the row of the
    same fingerprint whose lease has lapsed, when there is one.
    """

    jti: str
    csr_key: str
    node_uid: str
    name: str
    asked_name: str
    chain: tuple[bytes, ...]
    serial: str
    not_after_ms: int
    profile: Profile
    capabilities: tuple[str, ...]
    clamped: tuple[str, ...]
    version: str
    seen: str
    replaces: str | None = None


class RefuseJoin(Command, frozen=True, kw_only=True, tag="refuse-join"):
    """Record that somebody who proved possession of a token was refused, and with which catalogue code.

    Refusals before that proof are never written: strangers may not fill the disk (D4).
    """

    jti: str
    code: str
    name: str
    seen: str


class RenewCertificate(Command, frozen=True, kw_only=True, tag="renew-certificate"):
    """Give a node its next certificate; ``current`` stays valid until ``next`` is first used (C4).

    ``csr_key`` is as in :class:`AdmitNode`: the key of the pending certificate gets that certificate again.
    """

    node_uid: str
    serial: str
    not_after_ms: int
    chain: tuple[bytes, ...]
    csr_key: str = ""


class ConfirmCertificate(Command, frozen=True, kw_only=True, tag="confirm-certificate"):
    """The node connected with its next certificate: it becomes current, the old serial is denied."""

    node_uid: str
    serial: str


class RemoveNode(Command, frozen=True, kw_only=True, tag="remove-node"):
    """Revoke a node's certificates and end its assignments; ``left`` when it asked itself.

    With ``block`` its hardware fingerprint is refused at later joins, until :class:`AllowHardware`.
    """

    node_uid: str
    left: bool = False
    block: bool = False


class AllowHardware(Command, frozen=True, kw_only=True, tag="allow-hardware"):
    """Let the hardware of a removed node join again."""

    node_uid: str


class LabelNode(Command, frozen=True, kw_only=True, tag="label-node"):
    """Set (``value``) or remove (``None``) labels."""

    node_uid: str
    labels: dict[str, str | None]


class SetAvailability(Command, frozen=True, kw_only=True, tag="set-availability"):
    """Cordon, drain or reactivate a node."""

    node_uid: str
    availability: Availability


class NodeTransition(Command, frozen=True, kw_only=True, tag="node-transition"):
    """A node's lease changed its state, with the reason a person can read."""

    node_uid: str
    state: NodeState
    reason: str


class UpdateNode(Command, frozen=True, kw_only=True, tag="update-node"):
    """What a member said in its Hello, after clamping to its token's ceiling (T8): ``clamped`` says what."""

    node_uid: str
    boot_id: str
    version: str
    profile: Profile
    limits: dict[str, float]
    seen: str
    clamped: tuple[str, ...] = ()


class SuspectClone(Command, frozen=True, kw_only=True, tag="suspect-clone"):
    """Record that two devices seem to speak with one node's identity, and what gave them away (C5)."""

    node_uid: str
    why: str


class SubmitWorkload(Command, frozen=True, kw_only=True, tag="submit-workload"):
    """Ask for a workload to run."""

    workload_id: str
    spec: WorkloadSpec


class StopWorkload(Command, frozen=True, kw_only=True, tag="stop-workload"):
    """Ask for a workload to end."""

    workload_id: str


class Place(msgspec.Struct, frozen=True):
    """One replica put on one node."""

    assignment_id: str
    workload_id: str
    replica: int
    epoch: int
    node_uid: str


class PlanAssignments(Command, frozen=True, kw_only=True, tag="plan-assignments"):
    """The scheduler's decisions, taken together: placements, stops, losses, and why others wait."""

    place: tuple[Place, ...] = ()
    stop: tuple[str, ...] = ()
    lose: tuple[str, ...] = ()
    pending: dict[str, str] = msgspec.field(default_factory=dict)


class ReportObserved(Command, frozen=True, kw_only=True, tag="report-observed"):
    """What a node saw; older sequences and foreign assignments change nothing (N2)."""

    node_uid: str
    observations: tuple[Observation, ...]


class Prune(Command, frozen=True, kw_only=True, tag="prune"):
    """Forget finished workloads with all their assignments, and ended assignments that are not the newest.

    With them go refusals and remembered answers whose time is over at ``at_ms``. What has not ended stays.
    """

    workloads: tuple[str, ...] = ()
    assignments: tuple[str, ...] = ()


AnyCommand = (
    InitCluster
    | RenewIntermediate
    | SetPairing
    | MintToken
    | RevokeToken
    | AdmitNode
    | RefuseJoin
    | RenewCertificate
    | ConfirmCertificate
    | RemoveNode
    | AllowHardware
    | LabelNode
    | SetAvailability
    | NodeTransition
    | UpdateNode
    | SuspectClone
    | SubmitWorkload
    | StopWorkload
    | PlanAssignments
    | ReportObserved
    | Prune
)

#: What is recorded even on a full disk, from the reserve (N9): whom the cluster refuses, which nodes are
#: there and with which certificates, and what makes room. Each is small.
URGENT = (
    RevokeToken,
    RemoveNode,
    NodeTransition,
    RenewCertificate,
    ConfirmCertificate,
    RenewIntermediate,
    SetPairing,
    SetAvailability,
    StopWorkload,
)
