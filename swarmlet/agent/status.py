"""How the agent stands with its cluster, for people and programs. Pure: ``now`` is boot time in seconds.

Every state says since when, why, and what to do: an agent that is only "red" helps nobody. Nothing here
decides anything: the lifecycle reports, this remembers.
"""

from __future__ import annotations

import msgspec

from swarmlet.errors import SwarmletError
from swarmlet.model.health import Health
from swarmlet.model.views import View


class ConnectionView(msgspec.Struct, frozen=True, kw_only=True):
    """The connection to the coordinator. ``retry_in_seconds`` counts down while ``state`` is ``waiting``."""

    state: str
    since_seconds: float
    coordinator: str | None = None
    reconnects: int = 0
    code: str | None = None
    why: str = ""
    next: str = ""
    retry_in_seconds: float | None = None


class GossipView(msgspec.Struct, frozen=True, kw_only=True):
    """How this node stands in the mesh. ``trouble`` says why UDP does not reach it; empty when it does."""

    address: str | None
    members: int
    alive: int
    trouble: str


class StatusView(View, frozen=True, kw_only=True):
    """The body of ``/cluster/status`` and of ``swarmlet status``. Unknown is ``null``."""

    node: str | None
    node_uid: str | None
    joined: bool
    connected: bool
    cluster: str | None
    cluster_id: str | None
    node_class: str | None
    connection: ConnectionView
    lease: str
    gossip: GossipView | None
    certificate_not_after_ms: int | None
    clock_skew_seconds: float | None
    workloads_active: int
    generation: int
    limits: dict[str, float]
    health: str
    api_port: int | None
    metrics_port: int | None
    data_dir: str
    pid: int
    version: str
    uptime_seconds: float
    notes: tuple[str, ...] = ()


class Standing:
    """What is known of the connection and the lease."""

    def __init__(self, now: float) -> None:
        self.state = "offline"
        self.since = now
        self.coordinator: str | None = None
        self.sessions = 0
        self.lease = "none"
        self.trouble: SwarmletError | None = None
        self.retry_at: float | None = None
        self.skew_s: float | None = None

    @property
    def connected(self) -> bool:
        """Whether a session is established."""
        return self.state == "connected"

    @property
    def reconnects(self) -> int:
        """Sessions after the first."""
        return max(0, self.sessions - 1)

    def connecting(self, address: str, now: float) -> None:
        """An attempt begins; what went wrong before stays shown until one succeeds."""
        self._enter("connecting", now)
        self.coordinator = address
        self.retry_at = None

    def welcomed(self, now: float) -> None:
        """A session is established."""
        self._enter("connected", now)
        self.sessions += 1
        self.trouble = None

    def lost(self, trouble: SwarmletError | None, retry_at: float | None, now: float) -> None:
        """A session or an attempt ended; the next begins at ``retry_at``."""
        self._enter("offline" if retry_at is None else "waiting", now)
        self.trouble = trouble if trouble is not None else self.trouble
        self.retry_at = retry_at

    def _enter(self, state: str, now: float) -> None:
        # From the outside, trying and waiting to try are one state: not connected, since one moment.
        if (state == "connected") != self.connected or self.state == "offline":
            self.since = now
        self.state = state

    def health(self) -> tuple[Health, str, str]:
        """Return how the part ``cluster`` of the node's health is, why, and what to do."""
        if self.connected:
            return Health.OK, "", ""
        if self.trouble is None:
            return Health.DEGRADED, "not connected to the cluster yet", ""
        return Health.DEGRADED, self.trouble.what, self.trouble.next

    def view(self, now: float) -> ConnectionView:
        """Return it for showing."""
        trouble = self.trouble
        return ConnectionView(
            state=self.state,
            since_seconds=round(now - self.since, 1),
            coordinator=self.coordinator,
            reconnects=self.reconnects,
            code=trouble.code if trouble else None,
            why=trouble.what if trouble else "",
            next=trouble.next if trouble else "",
            retry_in_seconds=None if self.retry_at is None else round(max(0.0, self.retry_at - now), 1),
        )
