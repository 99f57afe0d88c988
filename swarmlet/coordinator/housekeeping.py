"""Keeps the coordinator from growing for ever: once an hour, what is spent goes. Holds no rule.

What may go is ``retention.py``'s; that it goes is a command of the log like every other change, except for
payloads of frequent records, which no state depends on.
"""

from __future__ import annotations

import asyncio
import logging

from swarmlet.clock import Clock
from swarmlet.coordinator.ledger import Ledger
from swarmlet.coordinator.picture import Picture
from swarmlet.coordinator.registry import ACTOR
from swarmlet.coordinator.retention import spent
from swarmlet.coordinator.store.api import Store
from swarmlet.coordinator.store.commands import Prune
from swarmlet.errors import SwarmletError

#: How long the payloads of frequent records are kept.
LOG_KEPT_MS = 7 * 86_400_000
EVERY_S = 3600

logger = logging.getLogger(__name__)


class Housekeeping:
    """A loop."""

    def __init__(self, store: Store, ledger: Ledger, picture: Picture, clock: Clock) -> None:
        self._store = store
        self._ledger = ledger
        self._picture = picture
        self._clock = clock

    async def run(self) -> None:
        """Tidy up for ever."""
        while True:
            try:
                await self.once()
            except SwarmletError as failure:
                logger.warning("what is spent was kept", extra={"code": failure.code, "why": failure.what})
            await asyncio.sleep(EVERY_S)

    async def once(self) -> None:
        """Let go of everything that is spent now.

        Raises:
            SwarmletError: As :meth:`~swarmlet.coordinator.store.api.Store.apply`.
        """
        dropped = await self._store.prune(self._clock.wall_ms() - LOG_KEPT_MS)
        if dropped:
            logger.info("the command log was pruned", extra={"records": dropped})
        while True:
            now_ms = self._clock.wall_ms()
            chosen = spent(self._picture, now_ms)
            command = Prune(
                at_ms=now_ms, actor=ACTOR, workloads=chosen.workloads, assignments=chosen.assignments
            )
            result = await self._ledger.apply(command)
            if not (result.gone_workloads or result.gone_assignments):
                return
            logger.info("finished workloads were forgotten", extra={"workloads": len(result.gone_workloads)})
