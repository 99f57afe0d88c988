"""The doctor's judgement: one pure function a check, in the order they are shown.

A finding is *failed* when the device cannot join or run work because of it, a *warning* when it can but worse
than it should, *unknown* when it could not be looked at. Every finding but ``ok`` says what mends it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec

from swarmlet.agent.reach import ReachView
from swarmlet.doctor.facts import Facts, Port
from swarmlet.errors import error
from swarmlet.hardware.engine import Lack
from swarmlet.model.views import View

OK, WARNING, FAILED, UNKNOWN = "ok", "warning", "failed", "unknown"
_RANK = {OK: 0, UNKNOWN: 1, WARNING: 2, FAILED: 3}

#: IPv6's smallest link (RFC 8200, section 5); gossip packets of 1,200 bytes and TLS records fit into it.
SMALLEST_MTU = 1280
#: Free space below which workloads and the journal get into trouble, in bytes.
LITTLE_BYTES = 200_000_000
NO_BYTES = 10_000_000
#: A clock this far off makes logs and other programs' certificates wrong; joining works all the same.
SKEW_S = 5.0
#: 2024-01-01: no clock that was ever set shows an earlier time.
LONG_AGO_MS = 1_704_067_200_000
#: Bits of the Raspberry Pi firmware's get_throttled: now, and since the start.
UNDERVOLTAGE, CAPPED, THROTTLED, SOFT_LIMIT = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_SINCE = 16
_CODE_NO_NAME = "SWL-204"


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What one check found, and what mends it."""

    check: str
    state: str
    found: str
    fix: str = ""


class Report(View, frozen=True, kw_only=True):
    """All findings; ``state`` is the worst of them."""

    state: str
    findings: tuple[Finding, ...]


def examine(facts: Facts) -> Report:
    """Return the findings of every check that has something to look at."""
    findings = tuple(finding for check in CHECKS for finding in check(facts))
    return Report(state=max((one.state for one in findings), key=_RANK.__getitem__), findings=findings)


def settings(facts: Facts) -> Iterator[Finding]:
    """Are all settings usable?"""
    problems, warnings = facts.settings
    if problems:
        yield _finding("settings", FAILED, "; ".join(problems), "swarmlet config show --origin")
    elif warnings:
        yield _finding("settings", WARNING, "; ".join(warnings), "swarmlet config show --origin")
    else:
        yield _finding("settings", OK, "all can be used")


def data_directory(facts: Facts) -> Iterator[Finding]:
    """Can the identity be kept, and will it last?"""
    disk = facts.disk
    if disk.trouble:
        yield _finding("data directory", FAILED, *disk.trouble)
    elif disk.fleeting:
        yield _finding("data directory", WARNING, disk.fleeting.why, disk.fleeting.fix)
    else:
        made = "is kept" if disk.exists else "is made when joining"
        yield _finding("data directory", OK, f"{disk.path} {made}")


def free_space(facts: Facts) -> Iterator[Finding]:
    """Is there room for work?"""
    free, total = facts.disk.free_bytes, facts.disk.total_bytes
    if free is None or total is None:
        return
    text = f"{free / 1e9:.1f} of {total / 1e9:.1f} GB free at {facts.disk.path}"
    fix = f"free some: du -xh --max-depth=2 {facts.disk.path} | sort -h | tail; docker image prune"
    if free < NO_BYTES:
        yield _finding("free space", FAILED, text, fix)
    elif free < min(LITTLE_BYTES, total // 10):
        yield _finding("free space", WARNING, text, fix)
    else:
        yield _finding("free space", OK, text)


def identity(facts: Facts) -> Iterator[Finding]:
    """Is this device a member?"""
    if facts.membership.trouble:
        yield _finding("identity", FAILED, *facts.membership.trouble)
    elif facts.membership.name is None:
        yield _finding("identity", OK, "none yet: this device has not joined a cluster")
    else:
        yield _finding("identity", OK, f"member {facts.membership.name}")


def ports(facts: Facts) -> Iterator[Finding]:
    """Are the local ports free, or ours already?"""
    for port in facts.ports:
        yield _port(port)


def _port(port: Port) -> Finding:
    name = f"port {port.number}"
    if port.ours:
        return _finding(name, OK, "held by this device's agent")
    if port.holder is None:
        return _finding(name, OK, "free")
    taken = f"taken{port.holder}"
    if port.chosen:
        return _finding(name, FAILED, taken, f"set {port.setting} to a free port, or end what holds it")
    moved = f"{taken}; the agent will take another one and say which"
    return _finding(name, WARNING, moved, f"set {port.setting} to a port of your choice")


def cluster(facts: Facts) -> Iterator[Finding]:
    """Does the cluster answer: name, TCP and TLS, key, clock?"""
    if not facts.network.reached:
        text = "no address is known: neither --cluster nor a token was given, and there is no identity"
        yield _finding("cluster", UNKNOWN, text, "swarmlet doctor --cluster HOST:PORT --token-file FILE")
    for seen in facts.network.reached:
        yield from _reached(seen)


def _reached(seen: ReachView) -> Iterator[Finding]:
    named = seen.address if seen.address == seen.tried else f"{seen.address} ({seen.tried})"
    if seen.code == _CODE_NO_NAME:
        yield _finding("name", FAILED, str(seen.problem), _name_fix(seen.address))
        return
    if not seen.reached:
        fix = f"check the address, that the coordinator runs, and firewalls between: TCP {seen.tried}"
        yield _finding("connection", FAILED, str(seen.problem), fix)
        return
    took = "" if seen.rtt_ms is None else f", {seen.rtt_ms:.0f} ms"
    yield _finding("connection", OK, f"{named} answers with TLS 1.3{took}")
    if seen.trusted is False:
        yield _finding("trust", FAILED, str(seen.problem), error(seen.code or "SWL-202").next)
    elif seen.trusted is None:
        fix = (
            "give the token (--token-file FILE), or compare it with the one that"
            "  stratoswarm cluster status  shows"
        )
        yield _finding("trust", UNKNOWN, f"no key to compare with; it shows {seen.key}", fix)
    else:
        key = "" if seen.key is None else f" {seen.key}"
        yield _finding("trust", OK, f"cluster {seen.cluster}, by its key{key}")
    if seen.skew_s is not None:
        yield _skew(seen.skew_s)


def _name_fix(address: str) -> str:
    if address.rpartition(":")[0].rstrip(".").endswith(".local"):
        return "nobody on this link answers to it by mDNS: check the name, or use the IP address instead"
    return "check /etc/resolv.conf and the name, or use the IP address instead"


def _skew(seconds: float) -> Finding:
    text = f"{abs(seconds):.1f} s {'ahead of' if seconds > 0 else 'behind'} the coordinator"
    if abs(seconds) < SKEW_S:
        return _finding("clock", OK, text)
    return _finding("clock", WARNING, f"{text}; joining works all the same", _SET_CLOCK)


_SET_CLOCK = "set the clock, for example by  systemctl enable --now systemd-timesyncd"


def clock(facts: Facts) -> Iterator[Finding]:
    """Was the clock ever set?"""
    if any(seen.skew_s is not None for seen in facts.network.reached):
        return  # it was compared with a better one
    if facts.user.wall_ms < LONG_AGO_MS:
        text = "it was never set; joining works all the same, log lines show wrong times"
        yield _finding("clock", WARNING, text, _SET_CLOCK)


def mtu(facts: Facts) -> Iterator[Finding]:
    """Do packets of the usual size fit?"""
    network = facts.network
    if network.mtu is None:
        return
    text = f"{network.mtu} bytes" + (f" on {network.interface}" if network.interface else "")
    if network.mtu < SMALLEST_MTU:
        fix = f"raise it to at least {SMALLEST_MTU}: ip link set dev {network.interface or 'DEVICE'} mtu 1280"
        yield _finding("packet size", WARNING, f"{text}: connections may stall", fix)
    else:
        yield _finding("packet size", OK, text)


def gossip(facts: Facts) -> Iterator[Finding]:
    """Do members reach the running agent by UDP?"""
    trouble = facts.network.gossip
    if trouble is None:
        return
    if trouble:
        fix = "let UDP through at SWARM_DISCOVERY_PORT, or leave it: the node is a full member without"
        yield _finding("gossip", WARNING, f"members do not reach this node by UDP: {trouble}", fix)
    else:
        yield _finding("gossip", OK, "members reach this node by UDP")


def engine(facts: Facts) -> Iterator[Finding]:
    """Can container workloads run?"""
    seen = facts.engine
    if seen.version is None:
        broken = seen.lack not in (Lack.OFF, Lack.ABSENT)
        fix = _engine_fix(seen.lack, in_container=facts.device.container)
        text = f"{seen.reason}; only process workloads can run here"
        yield _finding("container engine", WARNING if broken else OK, text, fix if broken else "")
        return
    yield _finding("container engine", OK, f"{seen.version} at {seen.path}")


def _engine_fix(lack: Lack | None, *, in_container: bool) -> str:
    if lack is Lack.OLD:
        return "update the engine (apt-get install docker.io)"
    if lack is Lack.FORBIDDEN:
        if in_container:
            return "start the container as root (no --user): it takes the socket's group, then drops root"
        return "sudo usermod -aG docker $USER, then log in again; or run as root"
    return "systemctl status docker; or set SWARM_DOCKER_HOST to the socket, or to off"


def desktop(facts: Facts) -> Iterator[Finding]:
    """Does the host's network mean what it says?"""
    if facts.network.desktop and facts.device.container:
        text = "this is Docker Desktop: --network host is the network of its virtual machine"
        yield _finding("host network", WARNING, text, "leave --network host out, or install by pip")


def memory_limits(facts: Facts) -> Iterator[Finding]:
    """Does the kernel bound the memory of workloads?"""
    controller = facts.device.memory_controller
    if controller is None:
        return
    if controller != "off":
        yield _finding("memory limits", OK, f"the memory cgroup is on ({controller})")
        return
    text = "the memory cgroup is off: the memory of workloads cannot be bounded by the kernel"
    fix = "add  cgroup_enable=memory cgroup_memory=1  to the kernel's command line and reboot"
    if (facts.device.kind or "").startswith("raspberry_pi"):
        fix = (
            "add  cgroup_enable=memory cgroup_memory=1  to the end of the one line of"
            " /boot/firmware/cmdline.txt (before Raspberry Pi OS 12: /boot/cmdline.txt) and reboot"
        )
    yield _finding("memory limits", WARNING, text, fix)


def isolation(facts: Facts) -> Iterator[Finding]:
    """What can this kernel enforce on a workload?"""
    by_name = msgspec.structs.asdict(facts.device.enforcement)
    missing = [name for name, how in by_name.items() if how == "unenforced"]
    if not missing:
        yield _finding("isolation", OK, ", ".join(f"{name}: {how}" for name, how in by_name.items()))
        return
    text = f"not enforced on workloads here: {', '.join(missing)}"
    fixes = dict.fromkeys(_isolation_fix(name, facts) for name in missing)
    yield _finding("isolation", WARNING, text, "; ".join(fixes))


def _isolation_fix(name: str, facts: Facts) -> str:
    if name == "files":
        return "files: use a kernel of 5.13 or newer with Landlock"
    if name == "syscalls":
        return "syscalls: use a kernel with CONFIG_SECCOMP_FILTER"
    if name == "engine":
        return "engine: keep the agent's user out of the engine's group, or SWARM_DOCKER_HOST=off"
    if facts.device.container:
        return "cgroups: a container cannot set them; install by pip and systemd (deploy/README.md)"
    if facts.user.uid:
        return "cgroups: run the agent by its systemd unit, or as root"
    return "cgroups: mount them (mount -t cgroup2 none /sys/fs/cgroup)"


def device_tree(facts: Facts) -> Iterator[Finding]:
    """Can a container see which board it runs on?"""
    if facts.device.tree_masked:
        text = "the device tree is masked: the kind of board may be unknown"
        fix = "give the device a class by the token (--node-type), or --security-opt systempaths=unconfined"
        yield _finding("device tree", WARNING, text, fix)


def power(facts: Facts) -> Iterator[Finding]:
    """Does a Raspberry Pi get enough power, and does it stay cool?"""
    bits = facts.device.throttled
    low = facts.device.undervoltage or bool((bits or 0) & UNDERVOLTAGE)
    if bits is None and facts.device.undervoltage is None:
        return
    if low or (bits or 0) >> _SINCE & UNDERVOLTAGE:
        when = "now" if low else "since the start"
        fix = "use the board's own power supply and a short cable"
        yield _finding("power", WARNING, f"too little voltage {when}", fix)
    elif bits is not None and (bits | bits >> _SINCE) & (CAPPED | THROTTLED | SOFT_LIMIT):
        now = bits & (CAPPED | THROTTLED | SOFT_LIMIT)
        text = f"slowed down by heat {'now' if now else 'since the start'}"
        yield _finding("power", WARNING, text, "give it a heat sink or a fan")
    else:
        yield _finding("power", OK, "enough voltage, not slowed down")


def temperature(facts: Facts) -> Iterator[Finding]:
    """Is the processor about to slow down?"""
    degrees, most = facts.device.degrees, facts.device.most_degrees
    if degrees is None:
        return
    text = f"{degrees:.0f} C" + (f", slows down at {most:.0f} C" if most is not None else "")
    if most is not None and degrees >= most - 5:
        yield _finding("temperature", WARNING, text, "give it a heat sink or a fan, or less work")
    else:
        yield _finding("temperature", OK, text)


def _finding(check: str, state: str, found: str, fix: str = "") -> Finding:
    return Finding(check=check, state=state, found=found, fix=fix)


CHECKS: tuple[Callable[[Facts], Iterator[Finding]], ...] = (
    settings, data_directory, free_space, identity, ports, cluster, clock, mtu, gossip, desktop, engine,
    memory_limits, isolation, device_tree, power, temperature,
)  # fmt: skip
