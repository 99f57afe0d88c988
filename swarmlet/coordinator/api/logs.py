"""Handler of a workload's output: text as it comes from the node that runs the replica."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from swarmlet.coordinator.api import lookup
from swarmlet.coordinator.api.call import Call
from swarmlet.coordinator.relay import BrokenStreamError
from swarmlet.errors import SwarmletError, error
from swarmlet.model.records import AssignmentRecord, WorkloadRecord

_MOST_LINES = 1_000_000


async def logs(call: Call) -> AsyncGenerator[bytes, None]:
    """``GET /v1/workloads/{ref}/logs``: what the newest assignment of a replica wrote."""
    row = lookup.workload(call)
    replica = call.number("replica", 0, row.spec.replicas - 1) or 0
    follow = call.flag("follow")
    tail = call.number("tail", 0, _MOST_LINES)
    record = call.services.picture.latest(row.workload_id).get(replica)
    if record is None:
        detail = row.pending_reason or "it has no node yet"
        raise error("SWL-500", workload=row.spec.name, reasons=detail)
    return _relayed(call, row, record, follow=follow, tail=tail)


async def _relayed(
    call: Call, row: WorkloadRecord, record: AssignmentRecord, *, follow: bool, tail: int | None
) -> AsyncGenerator[bytes, None]:
    try:
        opened = call.services.members.logs(record.node_uid, record.assignment_id, follow=follow, tail=tail)
        with opened as stream:
            async for chunk in stream.read():
                yield chunk
    except BrokenStreamError as broken:
        raise _unreachable(call, row, record, broken) from broken


def _unreachable(
    call: Call, row: WorkloadRecord, record: AssignmentRecord, broken: BrokenStreamError
) -> SwarmletError:
    node = call.services.picture.nodes.get(record.node_uid)
    name = record.node_uid if node is None else node.name
    return error("SWL-509", workload=row.spec.name, node=name, detail=str(broken))
