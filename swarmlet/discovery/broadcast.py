"""Asking everybody on the link: a broadcast on each interface, and IPv6 multicast beside it.

Questions and answers are ``model/inquiry.py``. Only answers over no router, from the link they came by, to
the number that was asked with, are looked at.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys
from collections import Counter
from typing import Final

from swarmlet.discovery.sighting import BROADCAST, Sighting
from swarmlet.discovery.ways import Tell
from swarmlet.link import datagrams
from swarmlet.link.datagrams import Datagram
from swarmlet.link.interfaces import interfaces, routes
from swarmlet.model import inquiry
from swarmlet.model.address import Address, parse_address
from swarmlet.model.announcement import Announcement
from swarmlet.model.nearness import Route, is_on_link, is_worth_a_try

NO_NETWORK: Final = "no network: no interface but this machine's own is up with an address"
#: Seconds between questions: a datagram may be lost, and after that somebody may just be starting.
_PAUSES: Final = (0.2, 0.5, 1.0, 2.0)
_BROADCAST: Final = "255.255.255.255"
_BATCH: Final = 64
#: Answers that are looked at in one search.
MOST_ANSWERS: Final = 8192


class Broadcast:
    """Fits ``Way``.

    Args:
        ports: Where to ask; several, for a cluster may use another one than usual.
        interface: The name of the only one to ask on; ``None`` for all.
        wanted: The id of the only cluster that is to answer, hex; empty for all.
    """

    name = BROADCAST

    def __init__(self, ports: tuple[int, ...], interface: str | None, wanted: str = "") -> None:
        self.trouble = ""
        self.idle = False
        self.ignored: Counter[str] = Counter()
        self._ports = tuple(dict.fromkeys(ports))
        self._interface = interface
        self._question = inquiry.Question(os.urandom(inquiry.NUMBER_LENGTH), wanted)
        self._answers = 0
        self._near: tuple[Route, ...] = ()
        self._tell: Tell = _nobody

    async def look(self, tell: Tell) -> None:
        """Ask, and ask again, until cancelled."""
        self._tell = tell
        loop = asyncio.get_running_loop()
        opened: dict[tuple[int, int], socket.socket] = {}
        try:
            turn = 0
            while True:
                self._ask(opened, loop)
                await asyncio.sleep(_PAUSES[min(turn, len(_PAUSES) - 1)])
                turn += 1
        finally:
            for one in opened.values():
                loop.remove_reader(one)
                one.close()

    def _ask(self, opened: dict[tuple[int, int], socket.socket], loop: asyncio.AbstractEventLoop) -> None:
        """Ask once on every interface there is now: cables may come while this looks."""
        present = interfaces(self._interface)
        self._near = routes()
        faults = [] if present else [NO_NETWORK]
        sent = False
        for one in present:
            for family, there in ((4, one.address), (6, one.link_local)):
                if there is None:
                    continue
                try:
                    # One socket for all of IPv4; IPv6 groups need one for each link.
                    key = (family, one.number if family == 6 else 0)
                    if key not in opened:
                        opened[key] = self._open(family, one.number)
                        loop.add_reader(opened[key], self._read, opened[key])
                    self._send(opened[key], family, one.number)
                    sent = True
                except OSError as fault:
                    faults.append(f"blocked on {one.name}: {(fault.strerror or str(fault)).lower()}")
        self.trouble = "" if sent else "; ".join(dict.fromkeys(faults))

    @staticmethod
    def _open(family: int, number: int) -> socket.socket:
        ipv4 = family == 4
        made = datagrams.open_ipv4("", 0) if ipv4 else datagrams.open_ipv6("::", 0, number, join=False)
        with contextlib.suppress(OSError):  # then junk is read and refused here
            datagrams.refuse_junk(made, inquiry.MAGIC, 1, inquiry.LENGTH)
        return made

    def _send(self, one: socket.socket, family: int, number: int) -> None:
        target = _BROADCAST if family == 4 else inquiry.GROUP
        for port in self._ports:
            datagrams.send(one, inquiry.write_question(self._question), target, port, number)

    def _read(self, one: socket.socket) -> None:
        for _ in range(_BATCH):
            try:
                came = datagrams.receive(one)
            except OSError:
                return  # its link went; the next question says so
            if came is None:
                return
            self._answers += 1
            if self._answers > MOST_ANSWERS:
                asyncio.get_running_loop().remove_reader(one)
                self.ignored["too many answers"] += 1
                return
            self._take(came)

    def _take(self, came: Datagram) -> None:
        said = inquiry.read_answer(came.data, self._question.number)
        if said is None:
            self.ignored["no answer of ours"] += 1
        elif came.hops != inquiry.HOPS or not is_on_link(
            came.host, came.interface, self._near, order=sys.byteorder
        ):
            self.ignored["not from this link"] += 1
        else:
            for address in addresses_of(said, came.host):
                self._tell(
                    Sighting(address, BROADCAST, came.host, said.key, said.cluster_id, said.cluster_name)
                )


def addresses_of(said: Announcement, source: str) -> tuple[str, ...]:
    """Return where a stranger on the link says that a cluster is: its own address first."""
    own = [] if said.port is None else [Address(source, said.port)]
    told = [one for one in map(parse_address, said.endpoints) if is_worth_a_try(one)]
    return tuple(dict.fromkeys(str(one) for one in (*own, *told)))


def _nobody(_one: Sighting) -> None:
    """Take a sighting for which nobody waits."""
