"""Every route of the admin API as data: deny by default (P1). What has no row here does not exist.

A test drives every row with every role and refuses a row without a role. The very same table will serve the
remote API, where roles come from certificates instead of the kernel.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from swarmlet.coordinator.api import changes, logs, metrics, reads
from swarmlet.coordinator.api.call import Answer, Call, Nothing
from swarmlet.coordinator.api.roles import Audience, Role
from swarmlet.model import requests

Handler = Callable[[Call], Awaitable[Answer]]

#: Methods that change nothing; every other one needs an Idempotency-Key (P3).
SAFE = frozenset({"GET"})


class Route(NamedTuple):
    """One row. ``query`` names the parameters that are taken; any other is refused, as unknown fields are."""

    method: str
    path: str
    role: Role
    handler: Handler
    body: type[Any] | None = None
    query: frozenset[str] = frozenset()
    audience: Audience = Audience.HUMAN


def _read(path: str, handler: Handler, *query: str) -> Route:
    return Route("GET", path, Role.VIEWER, handler, query=frozenset(query))


_ADMIN, _OPERATOR = Role.ADMIN, Role.OPERATOR

ROUTES: tuple[Route, ...] = (
    _read("/v1/cluster", reads.cluster),
    _read("/v1/metrics", metrics.metrics),
    Route("POST", "/v1/cluster/pairing", _ADMIN, changes.set_pairing, requests.PairingRequest),
    _read("/v1/pairings", reads.pairings),
    Route("POST", "/v1/pairings/{ref}/approve", _ADMIN, changes.approve, requests.ApproveRequest),
    Route("POST", "/v1/pairings/{ref}/deny", _ADMIN, changes.deny, Nothing),
    _read("/v1/tokens", reads.tokens),
    _read("/v1/tokens/{jti}", reads.token),
    Route("POST", "/v1/tokens", _ADMIN, changes.mint, requests.MintRequest),
    Route("POST", "/v1/tokens/{jti}/revoke", _ADMIN, changes.revoke_token, requests.RevokeRequest),
    _read("/v1/nodes", reads.nodes, "all"),
    _read("/v1/nodes/{ref}", reads.node),
    Route("DELETE", "/v1/nodes/{ref}", _ADMIN, changes.remove_node, Nothing, frozenset({"block"})),
    Route("POST", "/v1/nodes/{ref}/allow", _ADMIN, changes.allow_node, Nothing),
    Route("PATCH", "/v1/nodes/{ref}/labels", _OPERATOR, changes.label_node, requests.LabelsRequest),
    Route(
        "POST",
        "/v1/nodes/{ref}/availability",
        _OPERATOR,
        changes.set_availability,
        requests.AvailabilityRequest,
    ),
    _read("/v1/nodes/{ref}/rtt/{other}", reads.round_trip),
    _read("/v1/events", reads.events, "after", "limit"),
    Route("POST", "/v1/events", _OPERATOR, changes.tell, requests.EventRequest),
    _read("/v1/workloads", reads.workloads, "all"),
    _read("/v1/workloads/{ref}", reads.workload),
    _read("/v1/workloads/{ref}/logs", logs.logs, "follow", "tail", "replica"),
    Route("POST", "/v1/workloads", _OPERATOR, changes.submit, requests.SubmitRequest),
    Route("POST", "/v1/workloads/{ref}/stop", _OPERATOR, changes.stop, Nothing),
    _read("/v1/audit", reads.audit, "before", "limit", "all", "verify"),
)  # fmt: skip
