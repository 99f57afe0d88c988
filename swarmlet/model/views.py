"""Response bodies of the admin API: what a command line or dashboard shows, stable and versioned.

Every body that is sent on its own carries ``apiVersion``. Fields may be added under one version, never
renamed or removed. Times are Unix milliseconds by the coordinator's clock, sizes are bytes, unknown is
``null``. Bytes are base64 in JSON. Nothing here is secret, and nothing here decides: these values are made
by ``coordinator/present.py`` from records and readings.
"""

from __future__ import annotations

import enum

import msgspec

from swarmlet.model.membership import Availability, NodeState
from swarmlet.model.profile import Profile
from swarmlet.model.workload import AssignmentState, WorkloadSpec

API_VERSION = "swarmlet/v1"


class View(msgspec.Struct, frozen=True, kw_only=True):
    """Base of every body that is sent on its own."""

    api_version: str = msgspec.field(name="apiVersion", default=API_VERSION)


# ---- cluster


class ClusterView(View, frozen=True, kw_only=True):
    """The cluster and the coordinator that answers.

    ``fingerprint`` is ``SHA256:<hex>`` of the root's public key, the one a token pins. ``endpoints`` are
    what nodes are told to connect to, ``listeners`` what is bound. ``notes`` are sentences about what is
    unusual now: a port that moved, a socket in another place, reassignment suspended. ``nodes`` counts by
    state, ``workloads`` by state. ``pairing`` says whether devices without a token may ask to be approved.
    """

    cluster_id: str
    name: str
    fingerprint: str
    endpoints: tuple[str, ...]
    listeners: tuple[str, ...]
    version: str
    directory: str
    created_ms: int
    started_ms: int
    now_ms: int
    heartbeat_ms: int
    lease_ms: int
    nodes: dict[str, int]
    workloads: dict[str, int]
    notes: tuple[str, ...] = ()
    reassignment_suspended: str | None = None
    pairing: bool = False
    stats: dict[str, int] = msgspec.field(default_factory=dict)


# ---- tokens


class TokenState(enum.StrEnum):
    """What a token is good for now."""

    USABLE = "usable"
    USED_UP = "used-up"
    EXPIRED = "expired"
    REVOKED = "revoked"


class MintedView(View, frozen=True, kw_only=True):
    """A token that was just signed; ``signed`` is ``claims || signature``, to be assembled with the seed."""

    signed: bytes
    jti: str
    cluster_id: str
    cluster_name: str
    expires_ms: int
    endpoints: tuple[str, ...]
    fingerprint: str
    max_uses: int
    node_classes: tuple[str, ...] = ()
    allow: tuple[str, ...] = ()
    cidrs: tuple[str, ...] = ()
    name_pattern: str = ""


class NodeName(msgspec.Struct, frozen=True):
    """A node as others mention it."""

    node_uid: str
    name: str
    state: NodeState


class TokenView(View, frozen=True, kw_only=True):
    """One join token, its limits and who came with it."""

    jti: str
    state: TokenState
    created_ms: int
    created_by: str
    expires_ms: int
    max_uses: int
    uses: int
    revoked_ms: int | None = None
    endpoints: tuple[str, ...] = ()
    node_classes: tuple[str, ...] = ()
    allow: tuple[str, ...] = ()
    cidrs: tuple[str, ...] = ()
    name_pattern: str = ""
    nodes: tuple[NodeName, ...] = ()


class TokenList(View, frozen=True, kw_only=True):
    """Every token, newest first."""

    items: tuple[TokenView, ...]


# ---- pairing


class PairingView(View, frozen=True, kw_only=True):
    """One device that asks to join without a token.

    Attributes:
        pairing_id: 32 hex digits.
        code: What the device shows too, when nobody stands between the two.
        state: pending, approved or denied.
        name: The name it asks for; its own word, like the next three.
        node_class: The class it found itself to be.
        hardware: What it says it is.
        version: Of its program.
        seen: The IP address it came from.
        left_ms: How long the code is good for, in milliseconds.
        silent_ms: How long ago it asked last, in milliseconds; it asks every two seconds.
        token: Id of the token that was minted for it; empty before it is approved.
    """

    pairing_id: str
    code: str
    state: str
    name: str
    node_class: str
    hardware: str
    version: str
    seen: str
    left_ms: int
    silent_ms: int
    token: str = ""


class PairingList(View, frozen=True, kw_only=True):
    """The devices that wait, oldest first. ``on`` says whether more may ask."""

    items: tuple[PairingView, ...]
    on: bool


# ---- nodes


class NodeView(View, frozen=True, kw_only=True):
    """One node: its state since when and why, what it is, what it does now.

    ``cpu_permille`` is of all cores together. ``heartbeat_age_ms`` is ``None`` when no heartbeat was seen
    since this coordinator started. ``class_reason`` says why it has its class. ``next_step`` says what to
    do about a state that is not ready.
    """

    node_uid: str
    name: str
    state: NodeState
    since_ms: int
    reason: str
    next_step: str
    availability: Availability
    health: str | None
    node_class: str
    suitability: tuple[str, ...]
    class_reason: str
    arch: str | None
    cpu_cores: float | None
    cpu_permille: int | None
    memory_used: int | None
    memory_total: int | None
    temperature_c: float | None
    disk_free: int | None
    net_rx: int | None
    net_tx: int | None
    workloads: int
    heartbeat_age_ms: int | None
    version: str
    labels: dict[str, str]
    capabilities: tuple[str, ...]
    limits: dict[str, float]
    seen: str
    boot_id: str
    joined_ms: int
    token: str
    certificate_serial: str
    certificate_expires_ms: int
    replaced_by: str | None
    mesh: MeshNodeView | None
    profile: Profile


class NodeList(View, frozen=True, kw_only=True):
    """Every node by name; revoked, replaced and departed ones only when asked for.

    ``notes`` are sentences about what is wrong with the coordinator now, such as a full disk.
    """

    items: tuple[NodeView, ...]
    notes: tuple[str, ...] = ()


# ---- workloads


class WorkloadState(enum.StrEnum):
    """Where a workload stands, told from its replicas."""

    PENDING = "pending"  # at least one replica has no node, and the reason says why
    STARTING = "starting"  # being placed or made ready, not all run yet
    RUNNING = "running"  # every replica runs, or ran to success with others still running
    STOPPING = "stopping"  # asked to end, not all ended, or a node that is away has not said so
    SUCCEEDED = "succeeded"  # every replica ended with 0
    FAILED = "failed"  # every replica ended, one of them badly
    STOPPED = "stopped"  # ended because someone asked


#: States a workload does not leave.
FINISHED: frozenset[WorkloadState] = frozenset(
    {WorkloadState.SUCCEEDED, WorkloadState.FAILED, WorkloadState.STOPPED}
)


class ScoreView(msgspec.Struct, frozen=True):
    """How one node that could take a replica was judged; the highest ``total`` won."""

    node: str
    total: float
    parts: dict[str, float]


class RefusalView(msgspec.Struct, frozen=True):
    """Why one node could not take a replica: the filter that refused it, and its words."""

    node: str
    filter: str
    reason: str


class PlacementView(msgspec.Struct, frozen=True):
    """One decision about one replica: ``node`` is ``None`` while nothing fits."""

    replica: int
    at_ms: int
    node: str | None
    scores: tuple[ScoreView, ...] = ()
    refused: tuple[RefusalView, ...] = ()


class AssignmentView(msgspec.Struct, frozen=True):
    """One replica on one node, newest epoch first within a replica."""

    assignment_id: str
    replica: int
    epoch: int
    node: str
    node_uid: str
    state: AssignmentState
    since_ms: int
    reason: str
    exit_code: int | None
    restarts: int
    stop: bool


class WorkloadView(View, frozen=True, kw_only=True):
    """One workload: what was asked, where it stands and why.

    ``exit_code`` is set once it finished: 0, or the code of the first replica that failed; it is ``None``
    when none of those that failed ever ran, and ``reason`` says why. ``assignments`` holds current ones
    first, then older epochs. ``placement`` is the last decision about each replica, for those decided since
    this coordinator started; ``placement_note`` says so where that is none of them.
    """

    workload_id: str
    name: str
    state: WorkloadState
    since_ms: int
    reason: str
    wanted: int
    running: int
    exit_code: int | None
    created_ms: int
    created_by: str
    spec: WorkloadSpec
    assignments: tuple[AssignmentView, ...] = ()
    placement: tuple[PlacementView, ...] = ()
    placement_note: str = ""


class WorkloadList(View, frozen=True, kw_only=True):
    """Every workload, newest first; finished ones only when asked for."""

    items: tuple[WorkloadView, ...]


# ---- audit


class AuditView(msgspec.Struct, frozen=True):
    """One line of the audit chain; ``hash`` covers it and ``previous``."""

    sequence: int
    at_ms: int
    actor: str
    action: str
    subject: str
    detail: str
    previous: str
    hash: str


class AuditList(View, frozen=True, kw_only=True):
    """Audit lines, newest first; ``intact`` says whether the whole chain holds, ``None`` when not checked."""

    items: tuple[AuditView, ...]
    intact: bool | None = None
    broken: str | None = None


# ---- the mesh


class MeshNodeView(msgspec.Struct, frozen=True, kw_only=True):
    """What the coordinator's mesh knows of a node; advice beside its lease.

    ``state`` is alive, suspect, unreachable or left, for ``age_ms``, as ``why`` says: itself, members or
    coordinator. ``udp`` tells whether UDP reaches it, ``rtt_ms`` the smoothed round trip from the
    coordinator. ``note`` is what that adds to its state, in words.
    """

    state: str
    why: str
    age_ms: int
    address: str
    udp: bool
    rtt_ms: float | None
    note: str


class RoundTripView(View, frozen=True, kw_only=True):
    """How one node sees another; ``None`` for a stranger, and for what was never measured."""

    node: str
    to: str
    state: str | None
    rtt_ms: float | None


class EventView(msgspec.Struct, frozen=True, kw_only=True):
    """What happened to a node, or an event that somebody told; ``source`` is lease or gossip."""

    sequence: int
    at_ms: int
    source: str
    what: str
    node: str
    detail: str


class EventList(View, frozen=True, kw_only=True):
    """Events, oldest first."""

    items: tuple[EventView, ...]


# ---- errors


class ErrorBody(msgspec.Struct, frozen=True):
    """``SwarmletError.as_dict()`` as a value."""

    code: str
    what: str
    unchanged: str
    next: str
    exit_code: int
    fields: dict[str, str] = msgspec.field(default_factory=dict)


class ErrorView(View, frozen=True, kw_only=True):
    """The body of every response that is not 2xx."""

    error: ErrorBody
