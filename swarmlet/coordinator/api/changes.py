"""Handlers that change something. Each is one command with the request's key: a repeat changes nothing."""

from __future__ import annotations

import hashlib
import secrets

import msgspec

from swarmlet.coordinator.api import lookup
from swarmlet.coordinator.api.call import Call
from swarmlet.coordinator.api.reads import show_node, show_pairing, show_token, show_workload
from swarmlet.coordinator.requests import workload_spec
from swarmlet.coordinator.store.commands import (
    AllowHardware,
    LabelNode,
    RemoveNode,
    RevokeToken,
    SetAvailability,
    SetPairing,
    StopWorkload,
    SubmitWorkload,
)
from swarmlet.errors import error
from swarmlet.model.requests import (
    ApproveRequest,
    AvailabilityRequest,
    EventRequest,
    LabelsRequest,
    MintRequest,
    PairingRequest,
    RevokeRequest,
    SubmitRequest,
)
from swarmlet.model.views import (
    ClusterView,
    EventList,
    MintedView,
    NodeView,
    PairingView,
    TokenView,
    WorkloadView,
)


async def mint(call: Call) -> MintedView:
    """``POST /v1/tokens``: sign and record a token."""
    wishes: MintRequest = call.body
    return await call.services.mint(wishes, call.actor, call.key)


async def revoke_token(call: Call) -> TokenView:
    """``POST /v1/tokens/{jti}/revoke``."""
    wishes: RevokeRequest = call.body
    row = await lookup.token(call)
    await call.services.ledger.apply(
        RevokeToken(at_ms=_now(call), actor=call.actor, key=call.key, jti=row.jti, cascade=wishes.cascade)
    )
    return show_token(call, await call.services.store.token(row.jti) or row)


async def set_pairing(call: Call) -> ClusterView:
    """``POST /v1/cluster/pairing``: let devices without a token ask to be approved, or not."""
    wishes: PairingRequest = call.body
    await call.services.ledger.apply(
        SetPairing(at_ms=_now(call), actor=call.actor, key=call.key, on=wishes.on)
    )
    return call.services.cluster()


async def approve(call: Call) -> PairingView:
    """``POST /v1/pairings/{ref}/approve``: mint a token for a device that waits."""
    wishes: ApproveRequest = call.body
    one = call.services.desk.find(call.params["ref"])
    await call.services.desk.approve(one, wishes.allow, call.actor)
    return show_pairing(call, one)


async def deny(call: Call) -> PairingView:
    """``POST /v1/pairings/{ref}/deny``. No command: the log has nothing of what strangers ask (D4)."""
    one = call.services.desk.find(call.params["ref"])
    await call.services.desk.deny(one)
    return show_pairing(call, one)


async def tell(call: Call) -> EventList:
    """``POST /v1/events``: tell every member once. No command: the log has nothing of it."""
    wishes: EventRequest = call.body
    call.services.mesh.broadcast(wishes.text, call.key)
    return EventList(items=())


async def remove_node(call: Call) -> NodeView:
    """``DELETE /v1/nodes/{ref}``; with ``block`` its hardware may not come back until it is allowed."""
    row = await lookup.node(call)
    await call.services.ledger.apply(
        RemoveNode(
            at_ms=_now(call), actor=call.actor, key=call.key, node_uid=row.node_uid, block=call.flag("block")
        )
    )
    return show_node(call, await call.services.store.node(row.node_uid) or row)


async def allow_node(call: Call) -> NodeView:
    """``POST /v1/nodes/{ref}/allow``: take back the block of a removed node's hardware."""
    row = await lookup.removed(call)
    await call.services.ledger.apply(
        AllowHardware(at_ms=_now(call), actor=call.actor, key=call.key, node_uid=row.node_uid)
    )
    return show_node(call, row)


async def label_node(call: Call) -> NodeView:
    """``PATCH /v1/nodes/{ref}/labels``."""
    wishes: LabelsRequest = call.body
    row = await lookup.member(call)
    await call.services.ledger.apply(
        LabelNode(
            at_ms=_now(call), actor=call.actor, key=call.key, node_uid=row.node_uid, labels=wishes.labels
        )
    )
    return show_node(call, call.services.picture.nodes[row.node_uid])


async def set_availability(call: Call) -> NodeView:
    """``POST /v1/nodes/{ref}/availability``."""
    wishes: AvailabilityRequest = call.body
    row = await lookup.member(call)
    await call.services.ledger.apply(
        SetAvailability(
            at_ms=_now(call),
            actor=call.actor,
            key=call.key,
            node_uid=row.node_uid,
            availability=wishes.availability,
        )
    )
    return show_node(call, call.services.picture.nodes[row.node_uid])


async def submit(call: Call) -> WorkloadView:
    """``POST /v1/workloads``."""
    wishes: SubmitRequest = call.body
    workload_id = secrets.token_hex(8)
    spec = workload_spec(wishes, workload_id)
    result = await call.services.ledger.apply(
        SubmitWorkload(
            at_ms=_now(call),
            actor=call.actor,
            key=call.key,
            intent=_intent(wishes),
            workload_id=workload_id,
            spec=spec,
        )
    )
    # A repeat answers with the workload of the first time.
    row = call.services.picture.workloads.get(result.workloads[0])
    if row is None:
        raise error("SWL-504", name=result.workloads[0])
    return show_workload(call, row)


async def stop(call: Call) -> WorkloadView:
    """``POST /v1/workloads/{ref}/stop``."""
    row = lookup.workload(call)
    await call.services.ledger.apply(
        StopWorkload(at_ms=_now(call), actor=call.actor, key=call.key, workload_id=row.workload_id)
    )
    return show_workload(call, call.services.picture.workloads[row.workload_id])


def _intent(wishes: SubmitRequest) -> str:
    """Return what tells this request from another with the same key; the name may be made up anew."""
    return hashlib.sha256(msgspec.json.encode(wishes)).hexdigest()


def _now(call: Call) -> int:
    return call.services.clock.wall_ms()
