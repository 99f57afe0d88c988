"""Lets devices on the network find the cluster: by broadcast and by multicast DNS. Holds no rule.

What is announced is where the cluster is and which key it has: nothing secret, and nothing that anybody has
to believe (T12). A coordinator that only this machine can reach is not announced. Whatever fails here is said
and never keeps the coordinator from its work.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
from collections.abc import Callable

from swarmlet.clock import Clock
from swarmlet.coordinator import mdns
from swarmlet.coordinator.responder import Answerer, Responder
from swarmlet.link.interfaces import Interface, interfaces
from swarmlet.model import inquiry
from swarmlet.model.announcement import Announcement

logger = logging.getLogger(__name__)

#: Seconds between two looks at this machine's interfaces: cables and networks come and go.
LOOK_AGAIN_S = 15.0


class Announcing:
    """The announcements of one coordinator.

    Args:
        what: Gives what is announced; its port is the one that is bound.
        bind: The IP address the coordinator listens on.
        clock: For limits.
    """

    def __init__(self, what: Callable[[], Announcement], bind: str, clock: Clock) -> None:
        self._what = what
        self._bind = bind
        self._clock = clock
        self._responder: Responder | None = None
        self._published: mdns.Published | None = None
        self._place: mdns.Place | None = None
        #: Why somebody may not find the cluster; for people.
        self.notes: tuple[str, ...] = ()

    async def run(self) -> None:
        """Announce until cancelled."""
        if ipaddress.ip_address(self._bind).is_loopback:
            return
        port = self._what().port or inquiry.PORT
        self._responder = Responder(Answerer(self._bind), self._what, (inquiry.PORT, port), self._clock)
        try:
            while True:
                try:
                    self._tell(await self._follow(port))
                except Exception:
                    logger.exception("announcing the cluster failed; it is tried again")
                await asyncio.sleep(LOOK_AGAIN_S)
        finally:
            self._responder.close()
            await self._withdraw()

    def counts(self) -> dict[str, int]:
        """Return what became of the questions that came, by broadcast."""
        return {} if self._responder is None else self._responder.counts()

    async def _follow(self, port: int) -> tuple[str, ...]:
        present = interfaces()
        return (*self._broadcast(present), *await self._multicast(present, port))

    def _tell(self, notes: tuple[str, ...]) -> None:
        for note in notes:
            if note not in self.notes:
                logger.warning(note)
        self.notes = notes

    def _broadcast(self, present: tuple[Interface, ...]) -> list[str]:
        if self._responder is None or not present:
            return []
        trouble = self._responder.follow(present)
        return [f"the cluster cannot be found by broadcast: {trouble}"] if trouble else []

    async def _multicast(self, present: tuple[Interface, ...], port: int) -> list[str]:
        where = mdns.place(self._bind, present)
        if where == self._place:
            return []
        await self._withdraw()
        if not where.bound:
            return []
        try:
            self._published = await mdns.publish(self._what(), where, port)
        except ImportError:
            return ["the cluster cannot be found by mDNS: the package zeroconf is not installed"]
        except Exception as fault:  # noqa: BLE001 - a library's troubles are no reason to be without broadcasts
            detail = getattr(fault, "strerror", None) or str(fault) or type(fault).__name__
            return [f"the cluster cannot be found by mDNS: {detail.lower()}"]
        self._place = where
        return []

    async def _withdraw(self) -> None:
        published, self._published, self._place = self._published, None, None
        if published is not None:
            await published.withdraw()
