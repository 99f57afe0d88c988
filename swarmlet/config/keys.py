"""Every setting of ``swarmlet``, once. ``--help``, docs/operations.md and ``config show`` are made from this.

A key documents what it means, its unit and bounds, how to choose it and what it has to do with others. Its
name is ``SWARM_`` and the field in capitals; in ``swarmlet.toml`` it is the field; on the command line it is
``flag``. Nothing here reads anything.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from swarmlet.config import parse
from swarmlet.config.parse import Parser

PREFIX = "SWARM_"
#: Read when it exists and no ``--config`` was given: the spec's volume for configuration files.
DEFAULT_FILE = "/config/swarmlet.toml"


class Key(NamedTuple):
    """One setting. ``default`` is text, read by the same parser; ``None`` is "not set"."""

    field: str
    parser: Parser
    default: str | None
    meaning: str
    choose: str
    related: str = ""
    flag: str | None = None
    is_path: bool = False
    #: How the default reads in documents when it depends on the machine.
    default_shown: str = ""


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of a node, all of them checked. What each means is in :data:`KEYS`."""

    node_name: str | None = None
    log_level: str = "info"
    log_format: str = "auto"
    log_export: str = "none"
    data_dir: str = "/data"
    run_as: str | None = None
    cluster: str | None = None
    discovery_port: int = 7946
    bind_interface: str | None = None
    api_port: int = 8080
    metrics_port: int | None = None
    max_memory_mb: int | None = None
    max_cpu_cores: float | None = None
    max_storage_gb: float | None = None
    docker_host: str = "auto"
    tls_enabled: bool = True
    auth_token_file: str | None = None

    def limits(self) -> dict[str, float]:
        """Return what the owner lets the cluster use, as ``Hello.limits`` carries it; absent is unlimited."""
        asked = {
            "memory_mb": self.max_memory_mb,
            "cpu_cores": self.max_cpu_cores,
            "storage_gb": self.max_storage_gb,
        }
        return {name: float(value) for name, value in asked.items() if value is not None}


KEYS: tuple[Key, ...] = (
    Key(
        "node_name", parse.node_name(), None,
        "the name of this node in the cluster",
        "leave it unset to use the host's name; set it when hosts share one image. "
        "Capitals are taken as small letters. A name already taken gets a suffix from the cluster",
        flag="--node-name", default_shown="the host's name",
    ),
    Key(
        "log_level", parse.choice(("debug", "info", "warn", "error"), {"warning": "warn"}), "info",
        "the least important message that is logged",
        "at info every change of state is told, at debug also every message to and from the cluster, and "
        "never a secret",
        flag="--log-level",
    ),
    Key(
        "log_format", parse.choice(("auto", "json", "console")), "auto",
        "how log lines look",
        "with auto it is console lines on a terminal and JSON, one object a line, anywhere else",
        flag="--log-format",
    ),
    Key(
        "log_export", parse.choice(("none", "cluster")), "none",
        "where log lines go besides standard error",
        "leave it at none: cluster is accepted and has no effect yet, lines stay on this device, and a "
        "warning says so",
    ),
    Key(
        "data_dir", parse.path("directory"), None,
        "the directory for the node's identity and its journal of assignments",
        "must survive restarts: whoever loses it must join again with a new token. In a container mount a "
        "volume there. A few hundred kilobytes are enough; nothing is written to it while nothing changes",
        related="workloads get their private directories below it, see SWARM_MAX_STORAGE_GB",
        flag="--data-dir", is_path=True,
        default_shown="/data in a container that has it; else /var/lib/swarmlet for root; "
        "else ~/.local/state/swarmlet",
    ),
    Key(
        "run_as", parse.optional(parse.user(), "none"), None,
        "the user that an agent which was started as root becomes for good, as UID or UID:GID",
        "leave it as the image sets it. Before anything else the token file is read, the data directory "
        "given to that user, and the group of the container engine's socket taken. With none the agent stays "
        "root, which gives each process workload a user and a control group of its own. Started as another "
        "user it has no effect",
        related="what is in SWARM_DATA_DIR and belongs to root is given to this user",
        default_shown="none; 10001:10001 in the image",
    ),
    Key(
        "cluster", parse.peer(), None,
        "the address of a coordinator",
        "rarely needed: the join token carries addresses. Set it when this device reaches the coordinator by "
        "another one",
        related="the port may be left out; then it is SWARM_DISCOVERY_PORT",
        flag="--cluster", default_shown="from the token",
    ),
    Key(
        "discovery_port", parse.port(), "7946",
        "the cluster's port: TCP to the coordinator, UDP between members",
        "change it only together with the coordinator's STRATOSWARM_PORT. Docker Swarm uses 7946 too. For "
        "UDP a free port is used when this one is taken",
        related="used for every address that names no port, SWARM_CLUSTER among them",
        flag="--discovery-port",
    ),
    Key(
        "bind_interface", parse.interface(), None,
        "the network interface used towards the cluster",
        "for a device with several networks, of which one leads to the cluster. Without it the routing table "
        "decides",
        related="the local API stays on loopback whatever this is",
        flag="--bind-interface", default_shown="any",
    ),
    Key(
        "api_port", parse.port(free=True), "8080",
        "the TCP port of the local API: /health, /cluster/status, /metrics",
        "it listens on loopback only. Set to a port of your choice it must be free; the default moves to a "
        "free port when 8080 is taken, and says so",
        related="must differ from SWARM_METRICS_PORT",
        flag="--api-port",
    ),
    Key(
        "metrics_port", parse.optional(parse.port(free=True), "off"), "off",
        "a TCP port on loopback that serves /metrics and nothing else",
        "the customary one is 9090. Leave it off when the scraper can use /metrics of the local API",
        related="must differ from SWARM_API_PORT",
        flag="--metrics-port",
    ),
    Key(
        "max_memory_mb", parse.optional(parse.whole(16, 16_000_000, "megabytes (10^6 bytes)"), "none"), None,
        "the most memory all workloads together may use",
        "leave the system and the agent about 150 MB. Bounds each workload and their sum; work that does not "
        "fit is placed elsewhere or waits. A workload without --memory counts as all of it: give each one",
        related="enforced only where the kernel can: see enforcement in swarmlet profile-hardware",
        flag="--max-memory-mb", default_shown="none",
    ),
    Key(
        "max_cpu_cores", parse.optional(parse.decimal(0.1, 4096, "cores"), "none"), None,
        "the most processor time all workloads together may use, in cores",
        "a laptop in use does well with half of its cores; 0.5 is half of one. More than the device has is "
        "no limit. A workload without --cpu counts as all of it: give each one",
        flag="--max-cpu-cores", default_shown="none",
    ),
    Key(
        "max_storage_gb",
        parse.optional(parse.decimal(0.1, 1_000_000, "gigabytes (10^9 bytes)"), "none"), None,
        "the most disk the private directories of all workloads together may use",
        "keep a tenth of the disk free: a full one stops workloads, and SD cards wear faster when full",
        related="counted in the file system that holds SWARM_DATA_DIR",
        flag="--max-storage-gb", default_shown="none",
    ),
    Key(
        "docker_host", parse.engine(), "auto",
        "the unix socket of the container engine",
        "with auto it is the first of Docker's and Podman's usual sockets; with off container workloads are "
        "refused. A TCP "
        "address is refused: an engine on a network gives the machine to whoever reaches it",
        flag="--docker-host",
    ),
    Key(
        "tls_enabled", parse.truth(), "true",
        "whether the connection to the cluster is TLS 1.3",
        "leave it on. false is accepted for a coordinator on this very machine alone, and even there the "
        "connection is TLS all the same: a join is bound to it, and there is no mode without it",
        related="refused for any SWARM_CLUSTER that is not loopback",
    ),
    Key(
        "auth_token_file", parse.path("file"), None,
        "the path of a file that holds the join token",
        "for Docker and Kubernetes secrets. Read once, when the device has no identity yet. A file that "
        "others can write is refused, one they can read gives a warning. There is no variable for the token "
        "itself: an environment is inherited, listed and logged",
        flag="--token-file", is_path=True, default_shown="none",
    ),
)  # fmt: skip
