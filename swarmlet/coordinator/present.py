"""From rows and readings to what people are shown (``model/views.py``). Pure; decides nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from swarmlet.coordinator.pairings import Pairing
from swarmlet.coordinator.picture import Picture, is_live
from swarmlet.coordinator.standing import standing
from swarmlet.model.health import Reading
from swarmlet.model.membership import Availability, NodeState
from swarmlet.model.mesh import MeshView, what_peers_say
from swarmlet.model.records import AssignmentRecord, NodeRecord, TokenRecord, WorkloadRecord
from swarmlet.model.views import (
    AssignmentView,
    MeshNodeView,
    NodeName,
    NodeView,
    PairingView,
    PlacementView,
    TokenState,
    TokenView,
    WorkloadView,
)
from swarmlet.tokens.claims import Claims

#: Heartbeats carry this when the temperature is not known.
_NO_TEMPERATURE = -32768
_HEALTH = {0: "ok", 1: "degraded", 2: "failing"}

#: What to do about a node that is not ready.
_NEXT_STEP = {
    NodeState.JOINED: "on the node run  swarmlet run",
    NodeState.SUSPECT: "wait for its lease to lapse or for it to come back",
    NodeState.DOWN: "check its power and network; on the node run  swarmlet status",
    NodeState.LEFT: "to have it back, join it again with a new token",
    NodeState.REVOKED: "to have it back, on the node run  swarmlet leave, then join it with a new token",
}


def node_view(
    node: NodeRecord,
    live: Iterable[AssignmentRecord],
    heartbeat: tuple[int, Reading] | None,
    twice: str | None = None,
    peers: MeshView | None = None,
) -> NodeView:
    """Return one node as it is shown.

    Args:
        node: Its row.
        live: Its assignments that have not ended.
        heartbeat: Age in milliseconds and reading of its last heartbeat, if one came since the start.
        twice: What says that two devices speak with its identity, if something does.
        peers: What the coordinator's mesh knows of it, if anything.
    """
    mesh = None if peers is None else _mesh_view(node, peers)
    reason = node.state_reason if mesh is None or not mesh.note else f"{node.state_reason}; {mesh.note}"
    hardware = node.profile.hardware
    age_ms, reading = heartbeat if heartbeat is not None else (None, None)
    return NodeView(
        node_uid=node.node_uid,
        name=node.name,
        state=node.state,
        since_ms=node.state_since_ms,
        reason=reason if twice is None else f"two devices seem to speak as this node: {twice}",
        next_step=_next_step(node) if twice is None else _FIND_THE_COPY.format(name=node.name),
        availability=node.availability,
        health=None if reading is None else _HEALTH.get(reading.health),
        node_class=node.profile.classification.node_class,
        suitability=node.profile.classification.suitability,
        class_reason=node.profile.classification.reason,
        arch=hardware.architecture,
        cpu_cores=hardware.cpu_cores,
        cpu_permille=None if reading is None else reading.cpu_permille,
        memory_used=(reading.memory_used if reading else 0) or None,
        memory_total=_memory_total(node, reading),
        temperature_c=_temperature(reading),
        disk_free=None if reading is None else reading.disk_free,
        net_rx=None if reading is None else reading.net_rx,
        net_tx=None if reading is None else reading.net_tx,
        workloads=sum(1 for _ in live),
        heartbeat_age_ms=age_ms,
        version=node.version,
        labels=node.labels,
        capabilities=node.capabilities,
        limits=node.limits,
        seen=node.seen,
        boot_id=node.boot_id,
        joined_ms=node.joined_ms,
        token=node.jti,
        certificate_serial=node.serial,
        certificate_expires_ms=node.not_after_ms,
        replaced_by=node.replaced_by,
        mesh=mesh,
        profile=node.profile,
    )


_FIND_THE_COPY = (
    "find the copy of its data directory and end it; if that may be a thief's: stratoswarm nodes rm {name},"
    " and join again"
)


def _mesh_view(node: NodeRecord, peers: MeshView) -> MeshNodeView:
    return MeshNodeView(
        state=peers.state,
        why=peers.why,
        age_ms=peers.age_ms,
        address=peers.address,
        udp=peers.udp,
        rtt_ms=peers.rtt_us / 1000 if peers.rtt_us else None,
        note=what_peers_say(node.state, peers),
    )


def _next_step(node: NodeRecord) -> str:
    if node.replaced_by is not None:
        return "none: the same device joined again as another node"
    if node.state is not NodeState.READY:
        return _NEXT_STEP[node.state]
    if node.availability is not Availability.ACTIVE:
        return f"to give it work again: stratoswarm nodes uncordon {node.name}"
    return ""


def _memory_total(node: NodeRecord, reading: Reading | None) -> int | None:
    if reading is not None and reading.memory_total:
        return reading.memory_total
    known_gb = node.profile.hardware.memory_gb
    return None if known_gb is None else int(known_gb * 1e9)


def _temperature(reading: Reading | None) -> float | None:
    if reading is None or reading.temperature_centi == _NO_TEMPERATURE:
        return None
    return reading.temperature_centi / 100


#: Decisions are explained from memory: they can be taken anew, and nothing depends on them.
_NOT_KEPT = (
    "why it was placed there is not known any more: the scores of decisions are kept in memory, since the"
    " coordinator's last start and for the newest 1000 workloads"
)


def workload_view(
    picture: Picture, workload: WorkloadRecord, placement: tuple[PlacementView, ...]
) -> WorkloadView:
    """Return one workload as it is shown; ``placement`` is the last decision about its replicas."""
    latest = picture.latest(workload.workload_id)
    records = picture.of_workload(workload.workload_id)
    now = standing(workload, latest, picture.nodes, records)
    current = [record for record in records if latest.get(record.replica) is record]
    past = [record for record in records if latest.get(record.replica) is not record]
    return WorkloadView(
        workload_id=workload.workload_id,
        name=workload.spec.name,
        state=now.state,
        since_ms=now.since_ms,
        reason=now.reason,
        wanted=workload.spec.replicas,
        running=now.running,
        exit_code=now.exit_code,
        created_ms=workload.created_ms,
        created_by=workload.created_by,
        spec=workload.spec,
        assignments=tuple(_assignment_view(record, picture.nodes) for record in current + past),
        placement=placement,
        placement_note=_NOT_KEPT if records and not placement else "",
    )


def _assignment_view(record: AssignmentRecord, nodes: Mapping[str, NodeRecord]) -> AssignmentView:
    node = nodes.get(record.node_uid)
    return AssignmentView(
        assignment_id=record.assignment_id,
        replica=record.replica,
        epoch=record.epoch,
        node=record.node_uid if node is None else node.name,
        node_uid=record.node_uid,
        state=record.state,
        since_ms=record.state_since_ms,
        reason=_assignment_reason(record, node),
        exit_code=record.exit_code,
        restarts=record.restarts,
        stop=record.stop,
    )


def _assignment_reason(record: AssignmentRecord, node: NodeRecord | None) -> str:
    if not is_live(record) or node is None or node.state in (NodeState.READY, NodeState.SUSPECT):
        return record.reason
    return f"last heard of before the node was {node.state}"


def pairing_view(one: Pairing, now: float) -> PairingView:
    """Return a device that asks without a token, as it stands at ``now`` (seconds on the boot clock)."""
    asks = one.asking
    return PairingView(
        pairing_id=one.pairing_id,
        code=one.code,
        state=one.state.value,
        name=asks.name,
        node_class=asks.node_class,
        hardware=asks.hardware,
        version=asks.version,
        seen=one.seen,
        left_ms=one.left_ms(now),
        silent_ms=one.silent_ms(now),
        token=one.jti,
    )


def token_view(token: TokenRecord, claims: Claims, nodes: Mapping[str, NodeRecord], now_ms: int) -> TokenView:
    """Return one token as it is shown, its limits taken from its claims."""
    return TokenView(
        jti=token.jti,
        state=token_state(token, now_ms),
        created_ms=token.created_ms,
        created_by=token.created_by,
        expires_ms=token.expires_ms,
        max_uses=token.max_uses,
        uses=token.uses,
        revoked_ms=token.revoked_ms,
        endpoints=claims.endpoints,
        node_classes=claims.node_classes,
        allow=claims.allow,
        cidrs=claims.cidrs,
        name_pattern=claims.name_pattern,
        nodes=tuple(_node_name(uid, nodes) for uid in token.nodes),
    )


def _node_name(node_uid: str, nodes: Mapping[str, NodeRecord]) -> NodeName:
    node = nodes.get(node_uid)
    if node is None:
        return NodeName(node_uid, node_uid, NodeState.REVOKED)
    return NodeName(node_uid, node.name, node.state)


def token_state(token: TokenRecord, now_ms: int) -> TokenState:
    """Say what a token is good for now."""
    if token.revoked_ms is not None:
        return TokenState.REVOKED
    if token.uses >= token.max_uses:
        return TokenState.USED_UP
    return TokenState.EXPIRED if now_ms >= token.expires_ms else TokenState.USABLE
