"""Answers discovery by broadcast: who asks on the link is told where the cluster is. Nobody else is.

An answer is never longer than the question, goes to who asked over the interface it came by, past no gateway,
and only when the question came over no router and its sender is on that link. What asks too often is not
answered; what is no question is dropped by the kernel. Whether to answer is decided in :class:`Answerer`; the
shell below it owns the sockets.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import sys
from collections import Counter
from collections.abc import Callable, Iterable

from swarmlet.clock import Clock
from swarmlet.coordinator.limiter import Bucket, Limiter, Rate, refill
from swarmlet.link import datagrams
from swarmlet.link.datagrams import Datagram
from swarmlet.link.interfaces import Interface, routes
from swarmlet.model import inquiry
from swarmlet.model.announcement import Announcement
from swarmlet.model.nearness import Route, is_on_link

logger = logging.getLogger(__name__)

#: Answers to one address, and to all: a device asks a few times in a search.
PER_SOURCE = Rate(2.0, 8.0)
ALTOGETHER = Rate(100.0, 200.0)
#: Addresses that are remembered.
SOURCES = 1024
#: Datagrams that are looked at, in all: beyond that the kernel's queue may run over.
READING = Rate(500.0, 500.0)
_BATCH = 32
_PAUSE_S = 0.1
_BROADCAST = "255.255.255.255"


class Answerer:
    """Decides what gets which answer, and counts. No socket, no clock.

    Args:
        bind: The IP address the coordinator listens on.
    """

    def __init__(self, bind: str) -> None:
        self._bind = bind
        self._anywhere = {"0.0.0.0": 4, "::": 6}.get(bind)  # noqa: S104 - compared, not bound
        self._limiter = Limiter(PER_SOURCE, ALTOGETHER, SOURCES)
        self.counts: Counter[str] = Counter()

    def answer(self, came: Datagram, what: Announcement, near: tuple[Route, ...], now: float) -> bytes | None:
        """Return the answer to a datagram, or ``None`` for none.

        Args:
            came: The datagram.
            what: The cluster; its port is told only to who can reach it at the address this came to.
            near: The networks of this machine's links.
            now: Seconds on a clock that only grows.
        """
        question = inquiry.read_question(came.data)
        reason = self._refused(came, question, what, near, now)
        self.counts[reason or "answered"] += 1
        if reason or question is None:
            return None
        told = what if self._serves(came) else _portless(what)
        return inquiry.write_answer(question.number, told)

    def _refused(
        self,
        came: Datagram,
        question: inquiry.Question | None,
        what: Announcement,
        near: tuple[Route, ...],
        now: float,
    ) -> str | None:
        if question is None:
            return "junk"
        if question.wanted not in ("", what.cluster_id):
            return "for_others"
        if came.hops != inquiry.HOPS:
            return "routed"
        if not is_on_link(came.host, came.interface, near, order=sys.byteorder):
            return "off_link"
        if self._limiter.wait_s(came.host, now) > 0 or not self._limiter.failed(came.host, now):
            return "too_often"
        return None

    def _serves(self, came: Datagram) -> bool:
        """Say whether the coordinator listens at the address an answer to this comes from."""
        if self._anywhere is not None:
            return self._anywhere == 6 or ":" not in came.host
        return bool(came.local) and came.local == self._bind


def _portless(what: Announcement) -> Announcement:
    return Announcement(
        cluster_id=what.cluster_id,
        cluster_name=what.cluster_name,
        key=what.key,
        protocol=what.protocol,
        endpoints=what.endpoints,
    )


class Responder:
    """The sockets: one for IPv4 broadcasts, one for IPv6 on each interface.

    Args:
        answerer: Decides.
        what: Gives what is announced now.
        ports: Where questions come to.
        clock: For limits.
    """

    def __init__(
        self, answerer: Answerer, what: Callable[[], Announcement], ports: Iterable[int], clock: Clock
    ) -> None:
        self._answerer = answerer
        self._what = what
        self._ports = tuple(dict.fromkeys(ports))
        self._clock = clock
        self._sockets: dict[tuple[int, int], socket.socket] = {}
        self._near: tuple[Route, ...] = ()
        self._reading = Bucket(READING.burst, clock.boot())
        self._paused: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()
        self._failed = ""

    def follow(self, present: tuple[Interface, ...]) -> str:
        """Listen on these interfaces from now on; return why that is not possible, or nothing."""
        self._failed = ""
        self._near = routes()
        wanted = {(0, port) for port in self._ports if any(one.address for one in present)}
        wanted |= {(one.number, port) for one in present if one.link_local for port in self._ports}
        for key in [key for key in self._sockets if key not in wanted]:
            self._close(key)
        for key in sorted(wanted - self._sockets.keys()):
            self._open(*key)
        return "" if self._sockets else self._failed

    def counts(self) -> dict[str, int]:
        """Return how many datagrams got an answer, and why the others did not."""
        lost = sum(datagrams.dropped(one) for one in self._sockets.values())
        return {**self._answerer.counts, "dropped_by_kernel": lost}

    def close(self) -> None:
        """Stop listening."""
        if self._paused is not None:
            self._paused.cancel()
            self._paused = None
        for key in list(self._sockets):
            self._close(key)

    def _open(self, number: int, port: int) -> None:
        try:
            if number:
                made = datagrams.open_ipv6(inquiry.GROUP, port, number, join=True)
            else:
                made = datagrams.open_ipv4(_BROADCAST, port)
        except OSError as fault:
            self._failed = (fault.strerror or str(fault)).lower()
            logger.debug("no discovery here", extra={"interface": number, "detail": self._failed})
            return
        with contextlib.suppress(OSError):  # then junk is read and refused here
            datagrams.refuse_junk(made, inquiry.MAGIC, inquiry.LENGTH, inquiry.LENGTH)
        self._sockets[number, port] = made
        if self._paused is None:
            self._loop.add_reader(made, self._read, made)

    def _close(self, key: tuple[int, int]) -> None:
        one = self._sockets.pop(key)
        self._loop.remove_reader(one)
        one.close()

    def _read(self, one: socket.socket) -> None:
        now = self._clock.boot()
        for _ in range(_BATCH):
            self._reading = refill(self._reading, READING, now)
            if self._reading.left < 1:
                self._pause()
                return
            try:
                came = datagrams.receive(one)
            except OSError:
                return  # its interface went; the next look closes it
            if came is None:
                return
            self._reading = self._reading._replace(left=self._reading.left - 1)
            answer = self._answerer.answer(came, self._what(), self._near, now)
            if answer is not None:
                # A full queue or a link that went: who asked asks again.
                with contextlib.suppress(OSError):
                    datagrams.send(one, answer, came.host, came.port, came.number)

    def _pause(self) -> None:
        for one in self._sockets.values():
            self._loop.remove_reader(one)
        self._paused = self._loop.call_later(_PAUSE_S, self._resume)

    def _resume(self) -> None:
        self._paused = None
        for one in self._sockets.values():
            self._loop.add_reader(one, self._read, one)
