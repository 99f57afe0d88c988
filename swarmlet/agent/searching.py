"""Finding a cluster from this device: wires the ways of discovery to the link. Holds no rule.

Nothing of it runs in an agent that knows where its cluster is.
"""

from __future__ import annotations

from typing import NamedTuple

from swarmlet._native import ClientTls
from swarmlet.agent.lasting import contained
from swarmlet.agent.node import Roads
from swarmlet.agent.reach import Known
from swarmlet.clock import SystemClock
from swarmlet.config.keys import Config
from swarmlet.discovery.broadcast import Broadcast
from swarmlet.discovery.direct import Resolver, candidates
from swarmlet.discovery.dns_txt import Dns
from swarmlet.discovery.finder import Finder, Given
from swarmlet.discovery.mdns import Multicast
from swarmlet.discovery.prove import Prover
from swarmlet.discovery.report import DiscoveryView, report
from swarmlet.discovery.ways import Way
from swarmlet.link.engine import Connection, Link
from swarmlet.link.interfaces import bridged
from swarmlet.model.inquiry import PORT


class Search(NamedTuple):
    """How to look.

    Args:
        timeout_s: For how many seconds.
        domains: Domains with a TXT record; ``None`` for the system's search domains.
        until_trusted: End with the first address that proves to be of the expected cluster.
    """

    timeout_s: float
    domains: tuple[str, ...] | None = None
    until_trusted: bool = False


async def search(config: Config, expected: Known, how: Search) -> DiscoveryView:
    """Look for clusters, or for the one that is expected, by every way there is.

    Args:
        config: Settings.
        expected: What a token or an identity tells of the cluster; empty for any.
        how: How to look.
    """
    link = Link(lambda _event: None)
    resolver = Resolver()
    roads = Roads(config, link, resolver)

    def dial(address: str, pins: tuple[bytes, ...], timeout_s: float) -> Connection:
        return roads.dial(address, ClientTls(pins, None, expected.cluster_id, None), timeout_s)

    try:
        ways = _ways(config, expected, how)
        prover = Prover(expected.pins, dial, resolver.resolve, SystemClock())
        finder = Finder(ways, expected.pins, prover)
        outcome = await finder.search(how.timeout_s, until_trusted=how.until_trusted)
    finally:
        await link.stop()
    return report(outcome, ways, seconds=how.timeout_s, bridged=contained() and bridged())


def _ways(config: Config, expected: Known, how: Search) -> tuple[Way, ...]:
    given = () if config.cluster is None else (config.cluster,)
    told = candidates(config.discovery_port, given, expected.endpoints)
    return (
        Given([(address, "settings" if address in given else "token or identity") for address in told]),
        Dns(how.domains),
        Multicast(config.bind_interface),
        Broadcast((PORT, config.discovery_port), config.bind_interface, expected.cluster_id),
    )
