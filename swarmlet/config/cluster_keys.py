"""Every setting of the coordinator, once, by the same machinery as the node's (``keys.py``)."""

from __future__ import annotations

import msgspec

from swarmlet.config import parse
from swarmlet.config.keys import Key

PREFIX = "STRATOSWARM_"
DEFAULT_FILE = "/config/stratoswarm.toml"


class ClusterConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of a coordinator, all of them checked. What each means is in :data:`KEYS`."""

    data_dir: str = "/data"
    bind: str = "0.0.0.0"  # noqa: S104 - a coordinator is there to be reached; every connection is judged
    port: int = 7946
    second_port: int | None = None
    advertise: tuple[str, ...] = ()
    max_unproven: int = 256
    max_per_address: int = 32
    announce: bool = True
    gossip_ms: int | None = 1000
    log_level: str = "info"
    log_format: str = "auto"


KEYS: tuple[Key, ...] = (
    Key(
        "data_dir", parse.path("directory"), None,
        "the directory for the cluster's database, its certificate authority and its keys",
        "keep it on a disk that survives, and back it up with stratoswarm stopped: it is the cluster. Only "
        "its owner may enter it; the admin socket is in it too",
        flag="--data-dir", is_path=True,
        default_shown="/data in a container that has it; else /var/lib/stratoswarm for root; "
        "else ~/.local/state/stratoswarm",
    ),
    Key(
        "bind", parse.local_ip(), "0.0.0.0",  # noqa: S104 - as above
        "the IP address the coordinator listens on",
        "with 0.0.0.0 it is every IPv4 address of this machine, with :: those of both kinds; name one to "
        "serve one network only",
        related="what nodes are told is STRATOSWARM_ADVERTISE",
        flag="--bind",
    ),
    Key(
        "port", parse.port(free=True), "7946",
        "the port of the cluster, TCP now and UDP for members' gossip",
        "the default moves to a free port when it is taken (Docker Swarm uses 7946 too), and says so; a port "
        "of your choice must be free",
        related="nodes need the same number in SWARM_DISCOVERY_PORT only for addresses that name no port",
        flag="--port",
    ),
    Key(
        "second_port", parse.optional(parse.port(), "off"), "off",
        "a second TCP port with the same service",
        "use 443 for networks that let nothing else out; ports below 1024 need CAP_NET_BIND_SERVICE",
        related="must differ from STRATOSWARM_PORT",
        flag="--second-port",
    ),
    Key(
        "advertise", parse.peers(4), None,
        "the addresses that tokens and nodes are given, best first",
        "needed behind NAT, in a bridged container, or when a name is better than a number. Without it the "
        "machine's own addresses are used",
        related="a port left out is STRATOSWARM_PORT",
        flag="--advertise", default_shown="this machine's addresses",
    ),
    Key(
        "max_unproven", parse.whole(1, 65_536, "connections"), "256",
        "the most connections at a time on which no node is admitted yet",
        "the default bounds what strangers can cost to 16 MB; what comes on top waits in the kernel. Raise "
        "it for a thousand devices that join in one moment",
        related="counts all addresses together, STRATOSWARM_MAX_PER_ADDRESS each of them",
    ),
    Key(
        "max_per_address", parse.whole(1, 65_536, "connections"), "32",
        "the most such connections of one IP address",
        "raise it when many devices come through one address (NAT); what comes on top is closed",
        related="no more than STRATOSWARM_MAX_UNPROVEN has an effect",
    ),
    Key(
        "announce", parse.truth(), "true",
        "whether devices on the same network can find the cluster, by broadcast and by mDNS",
        "leave it on for  swarmlet discover-and-join. What is told is the cluster's name, id, key and "
        "addresses; joining takes a token all the same. With false nothing is sent and nothing is answered",
        related="needs UDP 7946 and 5353 on the host's own network; a STRATOSWARM_BIND on loopback is never "
        "announced",
        flag="--announce",
    ),
    Key(
        "gossip_ms", parse.optional(parse.whole(200, 60_000, "milliseconds"), "off"), "1000",
        "how often each member probes another by gossip (UDP)",
        "a crash is known to all after about three of these intervals, and each member sends some 18 MB a "
        "day at 1000 and receives as much, in inverse proportion: choose 10000 where traffic costs money, "
        "off for none at all. What a node may run follows from its lease alone",
        related="uses UDP at STRATOSWARM_PORT here and SWARM_DISCOVERY_PORT on nodes",
        flag="--gossip-ms",
    ),
    Key(
        "log_level", parse.choice(("debug", "info", "warn", "error"), {"warning": "warn"}), "info",
        "the least important message that is logged",
        "at info every change of state is told, at debug also every message to and from nodes, "
        "and never a secret",
        flag="--log-level",
    ),
    Key(
        "log_format", parse.choice(("auto", "json", "console")), "auto",
        "how log lines look",
        "with auto it is console lines on a terminal and JSON, one object a line, anywhere else",
        flag="--log-format",
    ),
)  # fmt: skip
