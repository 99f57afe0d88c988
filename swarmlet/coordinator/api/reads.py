"""Handlers that only look: cluster, tokens, nodes, workloads, audit."""

from __future__ import annotations

from swarmlet import _native
from swarmlet.coordinator.api import lookup
from swarmlet.coordinator.api.call import Call
from swarmlet.coordinator.audit_words import audit_view
from swarmlet.coordinator.pairings import Pairing
from swarmlet.coordinator.present import node_view, pairing_view, token_view, workload_view
from swarmlet.model.membership import PAST
from swarmlet.model.records import NodeRecord, TokenRecord, WorkloadRecord
from swarmlet.model.views import (
    FINISHED,
    AuditList,
    ClusterView,
    EventList,
    EventView,
    NodeList,
    NodeView,
    PairingList,
    PairingView,
    RoundTripView,
    TokenList,
    TokenView,
    WorkloadList,
    WorkloadView,
)
from swarmlet.tokens.claims import Claims

_SIGNATURE = 64
_AUDIT_PAGE = 100
_AUDIT_MOST = 1000
_EVENTS_PAGE = 100
_EVENTS_MOST = 1000


async def cluster(call: Call) -> ClusterView:
    """``GET /v1/cluster``."""
    return call.services.cluster()


async def tokens(call: Call) -> TokenList:
    """``GET /v1/tokens``."""
    found = await call.services.store.tokens()
    return TokenList(items=tuple([show_token(call, token) for token in found]))


async def token(call: Call) -> TokenView:
    """``GET /v1/tokens/{jti}``."""
    return show_token(call, await lookup.token(call))


async def pairings(call: Call) -> PairingList:
    """``GET /v1/pairings``: devices without a token that wait to be approved."""
    desk = call.services.desk
    return PairingList(items=tuple(show_pairing(call, one) for one in desk.pending()), on=desk.on)


async def nodes(call: Call) -> NodeList:
    """``GET /v1/nodes``: members, and with ``all`` those of the past."""
    if call.flag("all"):
        found = list(await call.services.store.nodes(removed=True))
    else:
        found = [node for node in call.services.picture.nodes.values() if node.state not in PAST]
    shown = show_nodes(call, sorted(found, key=lambda node: (node.name, node.joined_ms)))
    suspicions = call.services.members.suspicions()
    twice = [f"{one.name}: {one.reason}" for one in shown if one.node_uid in suspicions]
    return NodeList(items=tuple(shown), notes=(*call.services.troubles(), *twice))


async def node(call: Call) -> NodeView:
    """``GET /v1/nodes/{ref}``."""
    return show_node(call, await lookup.node(call))


async def round_trip(call: Call) -> RoundTripView:
    """``GET /v1/nodes/{ref}/rtt/{other}``: how one node sees another."""
    asked, other = await lookup.member(call), await lookup.member(call, "other")
    answer = await call.services.mesh.measure(asked, other)
    return RoundTripView(
        node=asked.name,
        to=other.name,
        state=answer.state or None,
        rtt_ms=answer.rtt_us / 1000 if answer.rtt_us else None,
    )


async def events(call: Call) -> EventList:
    """``GET /v1/events``: what happened to nodes since this coordinator started, oldest first."""
    services = call.services
    most = call.number("limit", 1, _EVENTS_MOST) or _EVENTS_PAGE
    found = services.mesh.events(call.number("after", 0, 2**62) or 0, most)
    items = [
        EventView(
            sequence=one.sequence,
            at_ms=one.at_ms,
            source=one.source,
            what=one.what,
            node=_name_of(call, one.node_uid),
            detail=one.detail,
        )
        for one in found
    ]
    return EventList(items=tuple(items))


def _name_of(call: Call, node_uid: str) -> str:
    row = call.services.picture.nodes.get(node_uid)
    return node_uid if row is None else row.name


async def workloads(call: Call) -> WorkloadList:
    """``GET /v1/workloads``: what is not finished, and with ``all`` the rest."""
    picture = call.services.picture
    rows = sorted(picture.workloads.values(), key=lambda row: (-row.created_ms, row.workload_id))
    shown = [show_workload(call, row) for row in rows]
    if not call.flag("all"):
        shown = [one for one in shown if one.state not in FINISHED]
    return WorkloadList(items=tuple(shown))


async def workload(call: Call) -> WorkloadView:
    """``GET /v1/workloads/{ref}``."""
    return show_workload(call, lookup.workload(call))


async def audit(call: Call) -> AuditList:
    """``GET /v1/audit``: newest first; the whole chain is checked unless ``verify=false``."""
    store = call.services.store
    records = await store.audit(
        before=call.number("before", 1, 2**62),
        limit=call.number("limit", 1, _AUDIT_MOST) or _AUDIT_PAGE,
        everything=call.flag("all"),
    )
    items = tuple(audit_view(record) for record in records)
    if not call.flag("verify", default=True):
        return AuditList(items=items)
    verdict = await store.verify_audit()
    broken = None if verdict.intact else f"record {verdict.broken}: {verdict.problem}"
    return AuditList(items=items, intact=verdict.intact, broken=broken)


# ---- shared with the handlers that change something


def show_token(call: Call, row: TokenRecord) -> TokenView:
    """Return a token's view."""
    services = call.services
    # The record has no signature; the decoder reads claims in the form in which they travel, with one.
    claims = Claims.from_tuple(_native.decode_claims(row.claims + bytes(_SIGNATURE)))
    return token_view(row, claims, services.picture.nodes, services.clock.wall_ms())


def show_pairing(call: Call, one: Pairing) -> PairingView:
    """Return the view of a device that asks."""
    return pairing_view(one, call.services.clock.boot())


def show_nodes(call: Call, rows: list[NodeRecord]) -> list[NodeView]:
    """Return the views of several nodes."""
    services = call.services
    heard = services.members.heartbeats([row.node_uid for row in rows])
    twice, peers = services.members.suspicions(), services.mesh.members()
    return [
        node_view(
            row,
            services.picture.live_on(row.node_uid),
            heard.get(row.node_uid),
            twice.get(row.node_uid),
            peers.get(row.node_uid),
        )
        for row in rows
    ]


def show_node(call: Call, row: NodeRecord) -> NodeView:
    """Return a node's view."""
    return show_nodes(call, [row])[0]


def show_workload(call: Call, row: WorkloadRecord) -> WorkloadView:
    """Return a workload's view."""
    services = call.services
    return workload_view(services.picture, row, services.planning.placement(row.workload_id))
