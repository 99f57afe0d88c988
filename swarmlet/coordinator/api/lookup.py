"""From what a person wrote in a path to the row that is meant."""

from __future__ import annotations

from swarmlet.coordinator.api.call import Call
from swarmlet.errors import error
from swarmlet.model.membership import PAST
from swarmlet.model.records import NodeRecord, TokenRecord, WorkloadRecord
from swarmlet.model.refs import Named, matches, resolve


async def token(call: Call) -> TokenRecord:
    """Return the token meant by ``{jti}``.

    Raises:
        SwarmletError: ``SWL-604``, ``SWL-606``.
    """
    found = {row.jti: row for row in await call.services.store.tokens()}
    return found[resolve(call.params["jti"], [Named(jti, jti) for jti in found], "SWL-604")]


async def node(call: Call, name: str = "ref") -> NodeRecord:
    """Return the node meant by ``{ref}``; one of the past only when no member is, of one name the newest.

    Args:
        call: The request.
        name: The part of the path that means it.

    Raises:
        SwarmletError: ``SWL-605``, ``SWL-606``.
    """
    reference = call.params[name]
    known = call.services.picture.nodes.get(reference)
    if known is not None:
        return known
    rows = {row.node_uid: row for row in await call.services.store.nodes(removed=True)}
    return rows[resolve(reference, [_named(row) for row in rows.values()], "SWL-605")]


async def removed(call: Call) -> NodeRecord:
    """Return the removed node meant by ``{ref}``; a member only when none is, as another may have its name.

    Raises:
        SwarmletError: ``SWL-605``, ``SWL-606``.
    """
    rows = {row.node_uid: row for row in await call.services.store.nodes(removed=True)}
    past = [_named(row) for row in rows.values() if row.state in PAST]
    if not matches(call.params["ref"], past):
        return await node(call)
    return rows[resolve(call.params["ref"], past, "SWL-605")]


def _named(row: NodeRecord) -> Named:
    return Named(row.node_uid, row.name, row.state not in PAST, row.joined_ms)


async def member(call: Call, name: str = "ref") -> NodeRecord:
    """Return the node meant by ``{ref}``, which must not be of the past.

    Raises:
        SwarmletError: As :func:`node`, and ``SWL-605`` for one of the past.
    """
    found = await node(call, name)
    if found.state in PAST:
        raise error("SWL-605", name=f"{call.params[name]} any more: it is {found.state}")
    return found


def workload(call: Call) -> WorkloadRecord:
    """Return the workload meant by ``{ref}``; of several with one name the newest.

    Raises:
        SwarmletError: ``SWL-504``, ``SWL-606``.
    """
    rows = call.services.picture.workloads
    reference = call.params["ref"]
    if reference in rows:
        return rows[reference]
    newest: dict[str, WorkloadRecord] = {}
    for row in rows.values():
        # A name is free again once its workload is over, so several may have had it.
        other = newest.get(row.spec.name)
        if other is None or row.created_ms >= other.created_ms:
            newest[row.spec.name] = row
    named = [Named(row.workload_id, row.spec.name, newest[row.spec.name] is row) for row in rows.values()]
    return rows[resolve(reference, named, "SWL-504")]
