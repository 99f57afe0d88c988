"""docs/operations.md, made from the tables that the programs run by. Pure: ``make docs`` writes the file."""
# ruff: noqa: E501 - rows of Markdown tables cannot be broken

from __future__ import annotations

from collections.abc import Sequence

from swarmlet.config import cluster_keys, keys
from swarmlet.config.keys import Key
from swarmlet.config.show import default_text
from swarmlet.model.classification import NODE_CLASSES, RULES, Rule

_INTRODUCTION = """\
# Operating a node and a cluster

Made by `make docs` from the tables in `swarmlet/config/` and `swarmlet/model/classification.py`; edit those, not this.

Every setting can be given in three places. **A flag wins over the environment, the environment over the file, the
file over the default**, and only the value that wins is judged. `swarmlet config show --origin` prints each setting,
its value and where it came from. All bad values are told at once, as one `SWL-401`, and nothing is started.

- An empty variable counts as not set.
- A variable that begins with `SWARM_` and is no setting is refused when it is nearly one (a misspelling), and gives a
  warning otherwise. What Kubernetes puts into a pod for a Service named `swarm...` is ignored.
- A configuration file is TOML: the names in small letters without their prefix, one `name = value` a line. A name in it
  that is no setting is refused. `--config PATH` names a file; without it the default one is read when it exists.
- Sizes are decimal: a megabyte is 10^6 bytes, a gigabyte 10^9.
"""

_TOKENS = """\
## The join token

There is **no variable for a token**, only for the file that holds it: an environment is inherited by every child,
listed in `/proc` and by `docker inspect`, and logged. `SWARM_TOKEN` and the like are refused, and their value is never
shown. The token's file (`SWARM_AUTH_TOKEN_FILE`, `--token-file`, `-` for standard input) is judged by its mode:

| others may | what happens |
|---|---|
| do nothing | it is read |
| read it | it is read, with a warning; Docker and Kubernetes secrets are like this |
| write it | it is refused (`SWL-113`): whoever can write it chooses the cluster |

Symbolic links are followed, since Kubernetes' secrets are links. Once the device has its identity the token is not read.
"""

_PLACES = """\
## Ports

| port | protocol | who listens | when |
|---|---|---|---|
| 7946 | TCP | the coordinator: joining, heartbeats, work, logs | always; nodes only connect outwards |
| 7946 | UDP | the coordinator and each agent, at one address of theirs: members' gossip | unless `STRATOSWARM_GOSSIP_MS=off` |
| 7946 | UDP, broadcasts and multicasts alone | the coordinator: who looks for a cluster on its links | unless `STRATOSWARM_ANNOUNCE=false` |
| 5353 | UDP | the coordinator, and a device while it looks for a cluster: mDNS | likewise |
| 8080 | TCP | the agent on loopback: `/health`, `/cluster/status`, `/metrics` | always |
| 9090 | TCP | the agent on loopback: `/metrics` alone | with `SWARM_METRICS_PORT=9090` |
| 443 | TCP | the coordinator: the same service as on 7946 | with `STRATOSWARM_SECOND_PORT=443` |

A default port that is taken moves to a free one, which is said; a port you chose must be free (`SWL-304`).
In a bridged container a published 8080 reaches nothing, because it listens on loopback inside: ask with
`docker exec swarmlet /swarmlet health`, or use `--network host`.

## Volumes

| mount | for |
|---|---|
| `-v /opt/swarmlet/data:/data` | the node's identity and journal; without it the node must join again with a new token |
| `-v /opt/swarmlet/config:/config` | `/config/swarmlet.toml` |
| `-v /var/run/docker.sock:/var/run/docker.sock` | container workloads; without it only process workloads run |
"""

_CONTAINER = """\
## In a container

The image starts as root to read the token file, to own `/data` and to learn the group of the engine's socket, and then is user
`SWARM_RUN_AS` for good. With capabilities taken away it still needs `CHOWN`, `DAC_OVERRIDE`, `SETGID` and `SETUID` for that moment.
With `--user 1234` it gives nothing up: `/data` and the token file must be that user's, and the engine's socket takes `--group-add`.
A data directory that is no volume, or is in memory, is warned of at each start and in `swarmlet status`.

`swarmlet health` is the image's health check:

| exit | when | what a restart would do |
|---|---|---|
| 0 | it works; or it is starting, joining or cut off from its cluster (*degraded*) | only cost time: it tries again by itself |
| 1 | a part is failing, the agent does not answer in 5 s, or none runs | help, perhaps |

A join that fails ends the container with the exit code of its error; `--restart unless-stopped` tries again. `docker stop` is heard from
the first moment: containers go on, processes are asked to end and after at most 8 s killed, all in under 10 s.
"""

_CLASSES = """\
## Node classes

A device is judged by its kind where that says enough, else by its size. The first row that fits decides;
`swarmlet profile-hardware` shows the class and the reason. A graphics processor adds `gpu_compute`.
A container limit counts as the size, but not for the boards of a known family.
"""

_PROFILE = """\
## The hardware profile

`swarmlet profile-hardware` prints what the device is. What cannot be seen is `null`, never a guess.

| field | meaning |
|---|---|
| `node_id` | the node's name: `SWARM_NODE_NAME`, else the host's name, else `swarmlet-KIND-MARK` when that says nothing |
| `hardware.cpu_model` | the model; of ARM processors the core's name, two of them where there are two kinds |
| `hardware.cpu_cores` | cores that workloads may use: online, allowed to this process, within its cgroup's quota |
| `hardware.memory_gb` | memory the kernel has, or the least cgroup limit above this process, rounded down |
| `hardware.storage_gb` | size of the file system that holds the data directory |
| `hardware.architecture` | `x86_64`, `arm64`, `armv7`, `armv6`, `x86`, or the kernel's own name; of the program, not the kernel, where they differ |
| `hardware.device_type` | `raspberry_pi_4`, `jetson_orin_nano`, `laptop`, `desktop`, `server`, `embedded_pc`, `virtual_machine`, the model of another board, or `container` when nothing below it can be seen |
| `capabilities.gpu_count` | graphics processors to compute on: NVIDIA, AMD and Intel cards and a Tegra's; not what only shows pictures |
| `capabilities.network_bandwidth_mbps` | link speed of the interface of the default route; `null` on wireless and virtual ones |
| `capabilities.battery_powered` | whether it has a battery of its own |
| `capabilities.thermal_constraints` | where it slows down and how warm it is; of a Raspberry Pi the firmware's 85 degrees |
| `classification` | the class, what it suits, and the reason |
| `fingerprint` | SHA-256 over the board's serial numbers, else its makers' Ethernet addresses, else the machine id; tells devices apart, proves nothing |
| `container_engine` | what answers on the engine's socket |
| `enforcement` | what this kernel really enforces on workloads, or `unenforced` |
"""


def operations() -> str:
    """Return the whole of docs/operations.md."""
    return (
        "\n".join(
            (
                _INTRODUCTION,
                settings_table("Settings of a node", "swarmlet", keys.PREFIX, keys.DEFAULT_FILE, keys.KEYS),
                settings_table(
                    "Settings of a coordinator",
                    "stratoswarm",
                    cluster_keys.PREFIX,
                    cluster_keys.DEFAULT_FILE,
                    cluster_keys.KEYS,
                ),
                _TOKENS,
                _PLACES,
                _CONTAINER,
                classes_table(),
                _PROFILE,
            )
        ).rstrip()
        + "\n"
    )


def settings_table(title: str, program: str, prefix: str, default_file: str, table: Sequence[Key]) -> str:
    """Return the settings of one program: a table of values, then what there is to say about each."""
    lines = [
        f"## {title}",
        "",
        f"Read by `{program}`; the default file is `{default_file}`.",
        "",
        "| variable | flag | in the file | accepts | default |",
        "|---|---|---|---|---|",
    ]
    for key in table:
        flag = f"`{key.flag}`" if key.flag else ""
        cells = (
            f"`{prefix}{key.field.upper()}`",
            flag,
            f"`{key.field}`",
            key.parser.accepts,
            default_text(key),
        )
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    lines.append("")
    for key in table:
        related = f" *Related:* {key.related}." if key.related else ""
        lines.append(f"- **`{prefix}{key.field.upper()}`**: {key.meaning}. {sentence(key.choose)}{related}")
    return "\n".join((*lines, ""))


def sentence(text: str) -> str:
    """Return a text as a sentence."""
    return text[:1].upper() + text[1:] + "."


def classes_table() -> str:
    """Return the table of node classes in words."""
    lines = [
        _CLASSES,
        "| kinds of device | at least | class | suits |",
        "|---|---|---|---|",
    ]
    for rule in RULES:
        cells = (kinds_text(rule), least_text(rule), rule.node_class, ", ".join(rule.suitability))
        lines.append("| " + " | ".join(cells) + " |")
    names = ", ".join(f"`{name}`" for name in NODE_CLASSES)
    lines += ["", "Of what nothing is known is Edge."]
    lines += ["", f"A token's `--node-type` takes these names in any case: {names}.", ""]
    return "\n".join(lines)


def kinds_text(rule: Rule) -> str:
    """Return which devices a row is about."""
    if rule.kinds is None:
        families = [f"`{family}...`" for family in rule.families if family]
        return "boards: " + ", ".join(families) if families else "other boards"
    return ", ".join(f"`{kind}`" if kind else "unknown" for kind in rule.kinds)


def least_text(rule: Rule) -> str:
    """Return the sizes a row asks for."""
    parts = []
    if rule.cores:
        parts.append(f"{rule.cores:g} cores")
    if rule.memory_gb:
        parts.append(f"{rule.memory_gb:g} GB of memory")
    return " and ".join(parts)
