"""Handler of the cluster's metrics: one text, in Prometheus' format."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from swarmlet.coordinator.api.call import Call
from swarmlet.coordinator.metrics import Snapshot, exposition, merged


async def metrics(call: Call) -> AsyncGenerator[bytes, None]:
    """``GET /v1/metrics``: node states as lease and peers tell them, and what this coordinator counted."""
    services = call.services
    nodes = merged(services.picture.nodes.values(), services.mesh.members())
    text = exposition(Snapshot(services.cluster(), nodes, len(services.desk.pending())))

    async def once() -> AsyncGenerator[bytes, None]:
        yield text

    return once()
