"""The local API of a running agent: what each path shows, from what the parts know. Read-only."""

from __future__ import annotations

import os
from collections import Counter
from typing import NamedTuple

from swarmlet import __version__, _native
from swarmlet.agent.node import Node
from swarmlet.agent.ports import Workloads
from swarmlet.agent.pulse import Pulse
from swarmlet.agent.status import GossipView, Standing, StatusView
from swarmlet.clock import Clock
from swarmlet.config.keys import Config
from swarmlet.link.engine import Link
from swarmlet.mesh.gossiping import Gossiping
from swarmlet.model.health import Health
from swarmlet.report.health import HealthBoard, HealthView
from swarmlet.report.metrics import Exposition, Snapshot
from swarmlet.report.readings import Sample, written
from swarmlet.report.requests import Request, Response, Route, json_response


class Parts(NamedTuple):
    """What the views are made from."""

    config: Config
    node: Node
    workloads: Workloads
    link: Link
    board: HealthBoard
    standing: Standing
    pulse: Pulse
    clock: Clock
    started: float


class Views:
    """Makes each view when it is asked for."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._exposition = Exposition()
        self._target = _native.build_info().get("target", "unknown")
        self.api_port: int | None = None
        self.metrics_port: int | None = None
        self.notes: list[str] = []

    def routes(self) -> dict[str, Route]:
        """Return the paths of the local API."""
        return {"/health": self._health, "/cluster/status": self._status, "/metrics": self._metrics}

    def metrics_routes(self) -> dict[str, Route]:
        """Return the one path of the metrics port."""
        return {"/metrics": self._metrics}

    def health(self) -> HealthView:
        """Return the body of ``/health``."""
        parts, now = self._parts, self._parts.clock.boot()
        name = parts.node.credentials.memory.name
        return parts.board.view(now, node=name, version=__version__, uptime_s=now - parts.started)

    def status(self) -> StatusView:
        """Return the body of ``/cluster/status``."""
        parts, now = self._parts, self._parts.clock.boot()
        memory = parts.node.credentials.memory
        skew = parts.standing.skew_s
        return StatusView(
            node=memory.name,
            node_uid=memory.node_uid,
            joined=True,
            connected=parts.standing.connected,
            cluster=memory.settings.cluster_name,
            cluster_id=memory.settings.cluster_id,
            node_class=memory.node_class,
            connection=parts.standing.view(now),
            lease=parts.standing.lease,
            gossip=_gossip(parts.node.gossiping),
            certificate_not_after_ms=parts.node.credentials.identity.not_after_ms,
            clock_skew_seconds=None if skew is None else round(skew, 3),
            workloads_active=parts.workloads.active,
            generation=parts.workloads.generation,
            limits=parts.config.limits(),
            health=parts.board.overall().name.lower(),
            api_port=self.api_port,
            metrics_port=self.metrics_port,
            data_dir=parts.config.data_dir,
            pid=os.getpid(),
            version=__version__,
            uptime_seconds=round(now - parts.started, 1),
            notes=tuple(self.notes),
        )

    def snapshot(self) -> Snapshot:
        """Return the values of the metrics."""
        parts = self._parts
        sample = parts.pulse.sample or Sample()
        known = parts.pulse.sample is not None
        stats = parts.link.engine.stats()
        standing = parts.standing
        return Snapshot(
            version=__version__,
            target=self._target,
            uptime_s=parts.clock.boot() - parts.started,
            cpu_percent=sample.cpu_percent if known else None,
            memory_used=sample.memory_used if known else None,
            memory_total=sample.memory_total if known else None,
            net_rx=sample.net_rx if known else None,
            net_tx=sample.net_tx if known else None,
            workloads_active=parts.workloads.active,
            heartbeat_success=standing.connected and standing.lease == "held",
            connected=standing.connected,
            reconnects=standing.reconnects,
            heartbeats_sent=stats.get("heartbeats_out", 0),
            heartbeats_acked=stats.get("heartbeats_acked", 0),
            heartbeats_acked_us=stats.get("heartbeats_acked_us", 0),
            link_rx=stats.get("bytes_in", 0),
            link_tx=stats.get("bytes_out", 0),
            gossip_members=_by_state(parts.node.gossiping),
            gossip_rx=stats.get("gossip_in", 0),
            gossip_tx=stats.get("gossip_out", 0),
            gossip_dropped=stats.get("gossip_dropped", 0),
            certificate_expiry_s=parts.node.credentials.identity.not_after_ms / 1000,
            clock_skew_s=standing.skew_s,
            temperature_c=sample.temperature_c,
            disk_free=sample.disk_free,
            disk_written=written(),
            resident_memory=sample.resident if known else None,
            health=int(parts.board.overall()),
        )

    def _health(self, _request: Request) -> Response:
        # Cut off from the cluster is not failing: whoever restarts an agent for that only loses time.
        failing = self._parts.board.overall() is Health.FAILING
        return json_response(self.health(), 503 if failing else 200)

    def _status(self, _request: Request) -> Response:
        return json_response(self.status())

    def _metrics(self, request: Request) -> Response:
        accept = ",".join(request.all("accept"))
        content_type, body = self._exposition.render(self.snapshot(), accept)
        return Response(200, content_type, body)


def _by_state(mesh: Gossiping | None) -> dict[str, int]:
    return {} if mesh is None else dict(Counter(one.state for one in mesh.members()))


def _gossip(mesh: Gossiping | None) -> GossipView | None:
    if mesh is None:
        return None
    members = mesh.members()
    return GossipView(
        address=mesh.address,
        members=len(members),
        alive=sum(one.state == "alive" for one in members),
        trouble=mesh.trouble,
    )
