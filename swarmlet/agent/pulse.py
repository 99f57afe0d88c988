"""What happens at every heartbeat interval: read the device, judge its health, see what is due.

The heartbeats themselves are native and never wait for this. Nothing is written while nothing changes.
"""

from __future__ import annotations

import asyncio
import logging
from typing import NamedTuple

from swarmlet.agent.events import RenewalDue
from swarmlet.agent.member import Member
from swarmlet.agent.node import Node
from swarmlet.agent.notify import Notifier
from swarmlet.agent.ports import Workloads
from swarmlet.agent.status import Standing
from swarmlet.clock import Clock
from swarmlet.link.engine import Link
from swarmlet.model.health import Health
from swarmlet.report.health import HealthBoard
from swarmlet.report.readings import Sample, Sensors, judge, to_reading

_log = logging.getLogger(__name__)

#: Bounds of the interval, in seconds, whatever the cluster says.
LEAST_S = 0.5
MOST_S = 60.0


class Organs(NamedTuple):
    """What a pulse looks at and tells."""

    node: Node
    member: Member
    workloads: Workloads
    link: Link
    sensors: Sensors
    board: HealthBoard
    standing: Standing
    notifier: Notifier
    clock: Clock


class Pulse:
    """Beats until cancelled."""

    def __init__(self, organs: Organs) -> None:
        self._organs = organs
        self.sample: Sample | None = None

    async def run(self) -> None:
        """Beat for ever."""
        organs = self._organs
        while True:
            await self.beat()
            interval_s = organs.node.credentials.memory.settings.heartbeat_ms / 1000
            await asyncio.sleep(min(max(interval_s, LEAST_S), MOST_S))

    async def beat(self) -> None:
        """Look once."""
        organs = self._organs
        self.sample = await asyncio.to_thread(organs.sensors.read)
        self._judge(self.sample)
        reading = to_reading(
            self.sample,
            health=device_health(organs.board),
            workloads=organs.workloads.active,
        )
        organs.link.engine.set_reading(reading)
        if organs.node.renewal_is_due:
            organs.member.post(RenewalDue())
        organs.member.remind()
        await organs.node.save_news()

    def _judge(self, sample: Sample) -> None:
        verdict = judge(sample)
        self._report("device", verdict.health, verdict.why, verdict.next)
        trouble = self._organs.workloads.trouble()
        health = Health.OK if trouble is None else Health.DEGRADED
        self._report("workloads", health, trouble or "", "")
        health, why, next_step = self._organs.standing.health()
        if self._report("cluster", health, why, next_step):
            name = self._organs.node.credentials.memory.name
            self._organs.notifier.status(why or f"{name} is connected and accepts work")

    def _report(self, name: str, health: Health, why: str, next_step: str) -> bool:
        now = self._organs.clock.boot()
        changed = self._organs.board.report(name, health, now, why=why, next_step=next_step)
        if changed and why:
            # The cluster part has its own log lines, with the time of the next attempt.
            level = logging.DEBUG if name == "cluster" else logging.WARNING
            _log.log(level, "%s: %s", name, why, extra={"next": next_step})
        return changed


def device_health(board: HealthBoard) -> Health:
    """Return what a heartbeat says: everything but the connection, which speaks for itself by arriving."""
    return max((one.health for one in board.checks() if one.name != "cluster"), default=Health.OK)
