"""Looking at this device for the doctor: files, the agent, the engine's socket, the cluster's addresses.

It changes nothing and raises nothing for what it finds. It blocks here and there for up to a second; nothing
else runs in the doctor's process.
"""
# ruff: noqa: PTH112, PTH110, PTH120 - pathlib costs milliseconds at every start

from __future__ import annotations

import contextlib
import os
import socket

from swarmlet import _native
from swarmlet.agent import app, reach
from swarmlet.agent.lasting import how_fleeting
from swarmlet.agent.status import StatusView
from swarmlet.clock import SystemClock
from swarmlet.config import keys
from swarmlet.config.holders import holder_of
from swarmlet.config.keys import Config
from swarmlet.config.resolve import Resolution
from swarmlet.doctor import facts
from swarmlet.errors import SwarmletError
from swarmlet.hardware import engine, gather, parse_board, parse_sensors, probe
from swarmlet.hardware.facts import Facts
from swarmlet.hardware.reader import Reader
from swarmlet.identity.store import Vault
from swarmlet.model.address import parse_address

_THROTTLED = "/sys/devices/platform/soc/soc:firmware/get_throttled"
_HWMON = "/sys/class/hwmon"
_CLOCK = SystemClock()
#: The packet size of a connected socket's route (ip(7), ipv6(7)); the socket module names neither option.
_MTU_OPTION = {socket.AF_INET: (socket.IPPROTO_IP, 14), socket.AF_INET6: (socket.IPPROTO_IPV6, 24)}


async def look(config: Config, settings: Resolution, token: _native.Token | None) -> facts.Facts:
    """Return everything the doctor's checks want to know.

    Args:
        config: The settings to look with.
        settings: How they were found, bad ones included.
        token: A join token, if one was given: it tells the cluster's addresses and key.
    """
    reader = Reader()
    read = gather.gather(reader)
    agent = await _agent(config)
    return facts.Facts(
        settings=facts.Settings(tuple(map(str, settings.problems)), settings.warnings),
        disk=_disk(config.data_dir),
        membership=_membership(config.data_dir),
        ports=tuple(_ports(config, settings, agent)),
        network=(await _network(config, token, reader, read.route))._replace(gossip=_gossip(agent)),
        device=_device(reader, read),
        engine=engine.look(config.docker_host),
        user=facts.User(os.geteuid(), _CLOCK.wall_ms()),
    )


async def _agent(config: Config) -> StatusView | None:
    with contextlib.suppress(SwarmletError):
        return await app.status(config)
    return None


def _gossip(agent: StatusView | None) -> str | None:
    return None if agent is None or agent.gossip is None else agent.gossip.trouble


def _disk(path: str) -> facts.Disk:
    exists = os.path.isdir(path)
    place = path
    while not os.path.exists(place) and os.path.dirname(place) != place:
        place = os.path.dirname(place)
    sizes = os.statvfs(place)
    trouble = None
    if sizes.f_flag & os.ST_RDONLY:
        trouble = (f"{place} is on a read-only file system", "mount it writable, or set SWARM_DATA_DIR")
    elif not os.access(place, os.W_OK | os.X_OK, effective_ids=True):
        owner = f"{os.geteuid()}:{os.getegid()}"
        trouble = (f"{place} cannot be written by user {os.geteuid()}", f"sudo chown {owner} {place}")
    free, total = sizes.f_bavail * sizes.f_frsize, sizes.f_blocks * sizes.f_frsize
    lost = how_fleeting(path)
    return facts.Disk(path, exists, trouble, lost, free, total)


def _membership(path: str) -> facts.Membership:
    if not os.path.isdir(path):
        return facts.Membership()
    try:
        credentials = Vault(path).load()
    except SwarmletError as failure:
        return facts.Membership(trouble=(failure.what, failure.next))
    return facts.Membership(credentials.memory.name if credentials else None)


def _ports(config: Config, settings: Resolution, agent: StatusView | None) -> list[facts.Port]:
    wanted = {"api_port": config.api_port, "metrics_port": config.metrics_port}
    ours = {agent.api_port, agent.metrics_port} if agent else set()
    return [
        facts.Port(
            setting=f"{keys.PREFIX}{field.upper()}",
            number=number,
            chosen=settings.origins[field].kind != "default",
            holder=None if number in ours or _is_free(number) else holder_of(number),
            ours=number in ours,
        )
        for field, number in wanted.items()
        if number
    ]


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            one.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


async def _network(
    config: Config, token: _native.Token | None, reader: Reader, route: str | None
) -> facts.Network:
    reached: tuple[reach.ReachView, ...] = ()
    with contextlib.suppress(SwarmletError):  # no address is known
        reached = await reach.test_connection(config, reach.known(config, token))
    release = reader.text("/proc/sys/kernel/osrelease") or ""
    tried = next((seen.tried for seen in reached if seen.reached), None)
    return facts.Network(
        reached=reached,
        interface=route,
        mtu=(_route_mtu(tried) if tried else None) or _link_mtu(reader, route),
        desktop="linuxkit" in release,
    )


def _route_mtu(address: str) -> int | None:
    """Ask the kernel for its packet size towards an address; to connect a datagram socket sends nothing."""
    target = parse_address(address)
    family = socket.AF_INET6 if ":" in target.host else socket.AF_INET
    with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as one:
        one.connect((target.host, target.port))
        return one.getsockopt(*_MTU_OPTION[family])
    return None


def _link_mtu(reader: Reader, route: str | None) -> int | None:
    text = reader.text(f"/sys/class/net/{route}/mtu") if route else None
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 8 else None


def _device(reader: Reader, read: Facts) -> facts.Device:
    machine = os.uname().machine
    arm = machine.startswith(("arm", "aarch64"))
    kind = parse_board.device_type(read.signs)
    container = read.signs.container
    masked = arm and container and not (read.signs.model or read.signs.dmi)
    return facts.Device(
        kind=kind,
        container=container,
        tree_masked=masked,
        memory_controller=read.memory.controller,
        enforcement=probe.enforcement(),
        throttled=parse_sensors.parse_throttled(reader.text(_THROTTLED)),
        undervoltage=_undervoltage(reader),
        degrees=parse_sensors.parse_millidegrees(read.thermal.current),
        most_degrees=parse_sensors.throttle_point(read.thermal.trips, kind),
    )


def _undervoltage(reader: Reader) -> bool | None:
    for name in reader.names(_HWMON) or ():
        if reader.text(f"{_HWMON}/{name}/name") == "rpi_volt":
            alarm = reader.text(f"{_HWMON}/{name}/in0_lcrit_alarm")
            return None if alarm is None else alarm == "1"
    return None
