"""What an administrator pastes to make a device a member: docker, compose, systemd, cloud-init. Pure.

Every form is one command to paste, so that a prompt for a password takes no line of it for an answer. The
token goes into a file that only root can read, never into an argument list, which every user of the device
can see; the one line of the specification is there too, said to be the visible one. The files of ``deploy/``
that these forms share are written from here (``make docs``).
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from typing import Final, NamedTuple

IMAGE: Final = "stratoswarm/swarmlet:latest"
#: Where the token lies on the device, and the virtual environment of the pip form. Neither is in
#: ``/opt/swarmlet``, which is the data directory of the container form.
TOKEN_FILE: Final = "/etc/swarmlet/token"  # noqa: S105 - a path
VENV: Final = "/usr/local/lib/swarmlet"
UNIT_FILE: Final = "/etc/systemd/system/swarmlet.service"
DROP_IN_FILE: Final = f"{UNIT_FILE}.d/containers.conf"
#: Docker's socket for the agent's container: what it takes to run containers there.
SOCKET_MOUNT: Final = "/var/run/docker.sock:/var/run/docker.sock"
_BESIDE: Final = "containers.conf"
#: What that means, wherever it is given.
SOCKET_MEANS: Final = "who may use Docker is root on this device"


class Invitation(NamedTuple):
    """What a recipe is made of.

    Args:
        token: The join token.
        cluster: The address devices reach first, as ``host:port``.
        expires: When the token ends, as people read it.
        devices: How many it admits, as people read it.
        containers: Whether its nodes may be given containers, which takes Docker's socket on the device.
    """

    token: str
    cluster: str
    expires: str
    devices: str
    containers: bool = False


#: The unit of the agent. Its hardening goes as far as a workload of a stranger may still be given to it.
AGENT_UNIT: Final = f"""\
# {UNIT_FILE}
# Runs what pip installed into {VENV}. To change it: systemctl edit swarmlet. It needs systemd 247 or newer.
[Unit]
Description=Swarmlet, this device as a member of a StratoSwarm cluster
# Not network-online.target: work that was assigned before a restart starts before there is any network.
After=network.target
# Before it, a workload cannot be told from the agent it runs as by the filters on it.
AssertKernelVersion=>=5.9
StartLimitIntervalSec=0

[Service]
# The agent says READY when local work runs, WATCHDOG while it does, STOPPING when it ends.
Type=notify
NotifyAccess=main
WatchdogSec=30
# A first join may wait for its cluster.
TimeoutStartSec=300
ExecStart={VENV}/bin/swarmlet join --token-file ${{CREDENTIALS_DIRECTORY}}/token
# Read while there is no identity. A device that joined starts without the file; another is refused (4).
LoadCredential=token:{TOKEN_FILE}
SetCredential=token:there-is-none
# Settings, one SWARM_NAME=value a line (docs/operations.md).
EnvironmentFile=-/etc/swarmlet/swarmlet.env
Environment=SWARM_DATA_DIR=%S/swarmlet

# What starting again cannot mend ends it: it left (0), a setting is wrong (2), the cluster refused it (4).
Restart=always
RestartSec=5
RestartPreventExitStatus=0 2 4
# The agent ends its process workloads itself; what is left after it dies with it.
KillMode=mixed
TimeoutStopSec=30

# The agent and its process workloads share these. A workload that runs out of memory is no end of the agent.
OOMPolicy=continue
Delegate=cpu memory pids
# To bound the agent and its processes together: MemoryMax=75%. SWARM_MAX_MEMORY_MB bounds workloads alone.

# A user of its own, without an account to keep. Workloads that are processes run as it, in a sandbox each.
DynamicUser=yes
User=swarmlet
StateDirectory=swarmlet
StateDirectoryMode=0700
UMask=0077
# For workloads that are containers see deploy/containers.conf. SupplementaryGroups=docker does it too; then
# no process workload may make a unix socket, as by one it would have Docker.
# For workloads that are given devices:
#   PrivateDevices=no
#   DeviceAllow=/dev/gpiomem rw

CapabilityBoundingSet=
AmbientCapabilities=
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
PrivateDevices=yes
ProtectClock=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
LockPersonality=yes
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
SystemCallArchitectures=native
# Landlock by name: older systemd has it in no set, and without it workloads could read what the agent can.
SystemCallFilter=@system-service landlock_create_ruleset landlock_add_rule landlock_restrict_self
SystemCallErrorNumber=EPERM
# Left open, as the work needs it: control groups (limits of workloads), other processes in /proc (who asks
# over the control socket is judged by it), memory that is written and then executed (interpreters that
# compile), the network (to the cluster, and the workloads' own).

[Install]
WantedBy=multi-user.target
"""

#: Beside the unit where the agent may use Docker.
CONTAINERS_UNIT: Final = f"""\
# {DROP_IN_FILE}
# For workloads that are containers. Who may use Docker is root on this device, so the agent may as well be
# root, with few capabilities: then each workload that is a process gets a user of its own, which Docker does
# not serve.
[Service]
DynamicUser=no
User=root
CapabilityBoundingSet=CAP_CHOWN CAP_DAC_OVERRIDE CAP_FOWNER CAP_KILL CAP_SETGID CAP_SETUID
"""

_SOCKET_OFF: Final = f"""\
      # For workloads that are containers ({SOCKET_MEANS}):
      # - {SOCKET_MOUNT}
"""
_SOCKET_ON: Final = f"""\
      # For workloads that are containers, which the token allows ({SOCKET_MEANS}):
      - {SOCKET_MOUNT}
"""

COMPOSE: Final = f"""\
# One device as a member of a StratoSwarm cluster. The token is in a file that only root can read:
#   stratoswarm cluster create-join-token -q |
#     ssh DEVICE "sudo sh -c 'umask 077; mkdir -p /etc/swarmlet; cat >{TOKEN_FILE}'"
# It is read while the device has no identity in /opt/swarmlet; leave the file where it is afterwards.
services:
  swarmlet:
    image: {IMAGE}
    container_name: swarmlet
    command: ["join", "--token-file", "/run/secrets/token"]
    # For the cluster's discovery. On Docker Desktop leave this line out: there the host is a virtual machine.
    network_mode: host
    restart: unless-stopped
    stop_grace_period: 20s
    volumes:
      - /opt/swarmlet:/data
{_SOCKET_OFF}\
    secrets:
      - token
    # It starts as root to read the token and to own /data, and drops to a user of its own for good.
    cap_drop: ["ALL"]
    cap_add: ["CHOWN", "DAC_OVERRIDE", "FOWNER", "SETGID", "SETUID"]
    security_opt: ["no-new-privileges:true"]
    # environment:
    #   SWARM_NODE_NAME: garden-sensor-01
    #   SWARM_MAX_MEMORY_MB: "256"
secrets:
  token:
    file: {TOKEN_FILE}
"""

#: Only where the memory controller is off; the kernel reads it at its next start. cloud-init makes one script
#: of all commands, so none of them may end it.
_MEMORY_CGROUP: Final = """\
if ! grep -qsw memory /sys/fs/cgroup/cgroup.controllers /proc/self/cgroup; then
  for file in /boot/firmware/cmdline.txt /boot/cmdline.txt; do
    grep -qs root= "$file" || continue
    grep -q cgroup_enable=memory "$file" && break
    sed -i '1s/$/ cgroup_enable=memory/' "$file"
    echo "swarmlet: cgroup_enable=memory is in $file now; this device restarts once for it"
    touch /run/swarmlet-restart
    break
  done
fi
"""


#: The start of the specification's line.
DOCKER_RUN: Final = (
    "docker run -d --restart unless-stopped --network host --name swarmlet -v /opt/swarmlet:/data"
)


def docker(invitation: Invitation) -> str:
    """Return the container form, and below it, as a comment, the one line of the specification."""
    start = DOCKER_RUN + (f" -v {SOCKET_MOUNT}" if invitation.containers else "")
    join = f"{IMAGE} join"
    filed = (
        f"{start} \\\n  -v {TOKEN_FILE}:/run/secrets/token:ro \\\n"
        f"  {join} --token-file /run/secrets/token --cluster {invitation.cluster}\n"
    )
    plain = f"# {start} {join} --token {invitation.token} --cluster {invitation.cluster}\n"
    note = (
        "# The same in one line, with the token for every user of the device to see (ps, docker inspect):\n"
    )
    return _head(invitation, "Docker") + _as_root(_token(invitation) + filed) + note + plain


def compose(invitation: Invitation) -> str:
    """Return the container form as a compose file with the token as its secret, and its start."""
    place = "/etc/swarmlet/compose.yaml"
    start = f"docker compose -f {place} up -d </dev/null\n"
    text = COMPOSE.replace(_SOCKET_OFF, _SOCKET_ON) if invitation.containers else COMPOSE
    body = _token(invitation) + _file(place, text) + start
    return _head(invitation, "Docker with its compose plugin") + _as_root(body)


def systemd(invitation: Invitation) -> str:
    """Return the form without containers: pip into a virtual environment, a unit, its credential."""
    body = (
        _token(invitation)
        + "".join(f"{line} </dev/null\n" for line in _install())
        + _file(UNIT_FILE, AGENT_UNIT)
        + (_drop_in() if invitation.containers else "")
        + "systemctl daemon-reload\nsystemctl enable --now swarmlet.service\n"
    )
    needs = "Python 3.11 or newer with venv (apt-get install python3-venv)"
    return _head(invitation, needs, _BESIDE) + _as_root(body)


def cloud_init(invitation: Invitation) -> str:
    """Return user data for the first boot: the same as :func:`systemd`, and the memory control group."""
    unit = "\n".join(line for line in AGENT_UNIT.splitlines() if not line.startswith("#"))
    start = "[ -e /run/swarmlet-restart ] || systemctl start --no-block swarmlet.service"
    commands = [*_install(), "systemctl daemon-reload", "systemctl enable swarmlet.service", start]
    lines = [
        "#cloud-config",
        "# User data for Raspberry Pi OS (the file user-data on the boot partition) and other systems with",
        "# cloud-init. The first boot makes the device a member. Where the memory control group is off, as",
        "# Raspberry Pi OS has it, it is put on in cmdline.txt, and the device restarts once.",
        f"# The token admits {invitation.devices} until {invitation.expires}.",
        *([f"# {_allows(_BESIDE)}"] if invitation.containers else []),
        "package_update: true",
        "packages: [python3-venv]",
        "write_files:",
        *_written(TOKEN_FILE, "0600", invitation.token),
        *_written(UNIT_FILE, "0644", unit),
        *(_written(DROP_IN_FILE, "0644", CONTAINERS_UNIT) if invitation.containers else []),
        "runcmd:",
        *_block("  - ", _MEMORY_CGROUP),
        *_block("  - ", "set -e\n" + "\n".join(commands)),
        "power_state:",
        "  mode: reboot",
        "  message: swarmlet needs the memory control group that was just put on",
        "  condition: test -e /run/swarmlet-restart",
    ]
    return "\n".join(lines) + "\n"


#: The forms by the word that ``--output`` takes.
RECIPES: Final[dict[str, Callable[[Invitation], str]]] = {
    "docker": docker,
    "compose": compose,
    "systemd": systemd,
    "cloud-init": cloud_init,
}


def _install() -> list[str]:
    return [
        f"python3 -m venv {VENV}",
        f"{VENV}/bin/pip install --quiet swarmlet",
        f"ln -sf {VENV}/bin/swarmlet /usr/local/bin/swarmlet",
    ]


def _head(invitation: Invitation, needs: str, given: str = "its socket") -> str:
    allows = f"# {_allows(given)}\n" if invitation.containers else ""
    return (
        f"# Paste this into a shell of the device. It needs {needs}.\n"
        f"# The token admits {invitation.devices} until {invitation.expires}.\n{allows}"
    )


def _allows(given: str) -> str:
    return f"It allows containers, so that the agent gets Docker ({given}): {SOCKET_MEANS}."


def _drop_in() -> str:
    return f"mkdir -p {UNIT_FILE}.d\n" + _file(DROP_IN_FILE, CONTAINERS_UNIT)


def _as_root(body: str) -> str:
    """One command, so that a password prompt does not take the next line for its answer."""
    return f"sudo sh -eu <<'SWARMLET'\n{body}SWARMLET\n"


def _token(invitation: Invitation) -> str:
    return (
        f"umask 077\nmkdir -p /etc/swarmlet\nrm -f {TOKEN_FILE}\n"
        + _file(TOKEN_FILE, invitation.token)
        + "umask 022\n"
    )


def _file(path: str, text: str) -> str:
    return f"cat >{path} <<'END'\n{text.rstrip()}\nEND\n"


def _written(path: str, mode: str, text: str) -> list[str]:
    return [f"  - path: {path}", f"    permissions: '{mode}'", *_block("    content: ", text)]


def _block(key: str, text: str) -> list[str]:
    """Return a literal block of YAML under ``key``."""
    depth = " " * (len(key) - len(key.lstrip()) + 2)
    return [f"{key}|", *textwrap.indent(text.rstrip(), depth).splitlines()]
