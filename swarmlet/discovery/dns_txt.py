"""DNS: the TXT records of ``_stratoswarm.DOMAIN``, for the search domains or those that were named.

The node's owner of ``dnspython``, loaded only while discovering. What a name server says is a hint like any
other; unlike a neighbour's it may name hosts.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from functools import partial
from typing import Final, NamedTuple, TypeVar

from swarmlet.discovery.sighting import DNS, Sighting
from swarmlet.discovery.ways import Tell
from swarmlet.model.announcement import DNS_LABEL, from_strings

T = TypeVar("T")

#: Domains that are asked; resolv.conf(5) once allowed as many.
MOST_DOMAINS: Final = 6
#: Records of one domain that are read.
MOST_RECORDS: Final = 16
#: Seconds a domain's name servers get.
LIFETIME_S: Final = 5.0


class Answer(NamedTuple):
    """What became of one domain: its records, or why there are none."""

    records: tuple[tuple[bytes, ...], ...] = ()
    why: str = ""


#: Asks for the records of a name; blocks.
Ask = Callable[[str], Answer]


class Dns:
    """Fits ``Way``.

    Args:
        domains: The domains to ask; ``None`` for the system's search domains.
        ask: Asks name servers; for tests.
    """

    name = DNS

    def __init__(self, domains: tuple[str, ...] | None, ask: Ask | None = None) -> None:
        self.trouble = ""
        self.idle = False
        self.ignored: Counter[str] = Counter()
        self._domains = domains
        self._ask = ask or _ask

    async def look(self, tell: Tell) -> None:
        """Ask each domain once."""
        domains = self._domains
        if domains is None:
            found = await _detached(_search_domains)
            if isinstance(found, str):
                self.trouble = found
                return
            domains = found
        if not domains:
            self.idle = True
            self.trouble = "the system has no search domain; name one with --domain"
            return
        names = [f"{DNS_LABEL}.{domain.strip('.')}" for domain in domains[:MOST_DOMAINS]]
        answers = await asyncio.gather(*(_detached(partial(self._ask, name)) for name in names))
        self.trouble = "; ".join(answer.why for answer in answers if answer.why)
        for name, answer in zip(names, answers, strict=True):
            self._take(name, answer.records, tell)

    def _take(self, name: str, records: Iterable[tuple[bytes, ...]], tell: Tell) -> None:
        for number, strings in enumerate(records):
            said = from_strings(strings) if number < MOST_RECORDS else None
            if said is None or not said.endpoints:
                self.ignored["a record that names no address"] += 1
                continue
            for address in said.endpoints:
                tell(Sighting(address, DNS, f"{name} {number}", said.key, said.cluster_id, said.cluster_name))


def _search_domains() -> tuple[str, ...] | str:
    """Return the system's search domains, or why they are not known."""
    try:
        import dns.resolver  # noqa: PLC0415 - only here
    except ImportError:
        return "the package dnspython is not installed"
    try:
        system = dns.resolver.Resolver()
    except dns.exception.DNSException:
        return "the system names no name server (/etc/resolv.conf)"
    names = [*system.search, system.domain]
    texts = dict.fromkeys(name.to_text(omit_final_dot=True) for name in names if len(name.labels) > 1)
    return tuple(texts)


def _ask(name: str) -> Answer:
    """Ask the system's name servers for the TXT records of ``name``."""
    try:
        import dns.exception  # noqa: PLC0415 - only here
        import dns.resolver  # noqa: PLC0415 - only here
    except ImportError:
        return Answer(why="the package dnspython is not installed")
    try:
        system = dns.resolver.Resolver()
        system.lifetime = LIFETIME_S
        found = system.resolve(name, "TXT", search=False)
        return Answer(tuple(tuple(record.strings) for record in list(found)[: 2 * MOST_RECORDS]))
    except dns.resolver.NoResolverConfiguration:
        return Answer(why="the system names no name server (/etc/resolv.conf)")
    except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
        return Answer(why=f"{name} has no TXT record")
    except dns.exception.Timeout:
        return Answer(why=f"no name server answered for {name}")
    except (dns.exception.DNSException, OSError, UnicodeError, ValueError) as fault:
        return Answer(why=f"{name} cannot be asked for: {type(fault).__name__}")


async def _detached(work: Callable[[], T]) -> T:
    """Run what blocks in a daemon thread: a hanging name server keeps no program from ending."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def settle(found: T) -> None:
        if not future.done():
            future.set_result(found)

    def run() -> None:
        found = work()
        with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile
            loop.call_soon_threadsafe(settle, found)

    threading.Thread(target=run, name="dns", daemon=True).start()
    return await future
