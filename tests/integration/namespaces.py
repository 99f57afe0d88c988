"""Several hosts on one machine: network namespaces on a bridge that is in a namespace of its own.

Nothing of the machine's own network is touched: bridge, links and addresses exist inside namespaces that this
made and removes. Needs root.
"""

from __future__ import annotations

import secrets
import subprocess
from collections.abc import Sequence
from types import TracebackType
from typing import Self


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, timeout=20)


class Host:
    """One namespace with one address; ``command`` runs in it."""

    def __init__(self, net: Network, name: str, address: str) -> None:
        self._net = net
        self.namespace = f"{net.prefix}-{name}"
        self.port = f"v{net.prefix[-4:]}{name}"[:15]
        self.address = address

    def command(self, words: Sequence[str]) -> list[str]:
        """Return ``words`` made to run on this host."""
        return ["ip", "netns", "exec", self.namespace, *words]

    def unplug(self) -> None:
        """Pull the cable: nothing arrives, nobody is told."""
        _ip("-n", self._net.switch, "link", "set", self.port, "down")

    def plug(self) -> None:
        """Put the cable back."""
        _ip("-n", self._net.switch, "link", "set", self.port, "up")


class Network:
    """A switch and hosts ``10.77.0.1`` upwards."""

    def __init__(self) -> None:
        self.prefix = f"swl{secrets.token_hex(3)}"
        self.switch = f"{self.prefix}-sw"
        self.hosts: list[Host] = []

    def __enter__(self) -> Self:
        _ip("netns", "add", self.switch)
        _ip("-n", self.switch, "link", "add", "br0", "type", "bridge")
        _ip("-n", self.switch, "link", "set", "br0", "up")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for host in self.hosts:
            subprocess.run(
                ["ip", "netns", "del", host.namespace], check=False, capture_output=True, timeout=20
            )
        subprocess.run(["ip", "netns", "del", self.switch], check=False, capture_output=True, timeout=20)

    def host(self, name: str) -> Host:
        """Add a host, plugged in and up."""
        return self._plugged_in(name, f"10.77.0.{len(self.hosts) + 1}", self.switch, "br0")

    def behind(self, router: Host, names: Sequence[str]) -> list[Host]:
        """Add hosts ``192.168.7.2`` upwards on a switch of ``router``'s own, which they go out through."""
        _ip("-n", router.namespace, "link", "add", "home", "type", "bridge")
        _ip("-n", router.namespace, "addr", "add", "192.168.7.1/24", "dev", "home")
        _ip("-n", router.namespace, "link", "set", "home", "up")
        forward = router.command(["sysctl", "-qw", "net.ipv4.ip_forward=1"])
        subprocess.run(forward, check=True, capture_output=True, timeout=20)
        made = []
        for number, name in enumerate(names, start=2):
            host = self._plugged_in(name, f"192.168.7.{number}", router.namespace, "home")
            _ip("-n", host.namespace, "route", "add", "default", "via", "192.168.7.1")
            made.append(host)
        return made

    def _plugged_in(self, name: str, address: str, switch: str, bridge: str) -> Host:
        """Add a host on a bridge in the namespace ``switch``."""
        host = Host(self, name, address)
        self.hosts.append(host)
        _ip("netns", "add", host.namespace)
        _ip("-n", host.namespace, "link", "add", "eth0", "type", "veth", "peer", "name", host.port)
        _ip("-n", host.namespace, "link", "set", host.port, "netns", switch)
        _ip("-n", switch, "link", "set", host.port, "master", bridge)
        _ip("-n", switch, "link", "set", host.port, "up")
        _ip("-n", host.namespace, "addr", "add", f"{host.address}/24", "dev", "eth0")
        _ip("-n", host.namespace, "link", "set", "eth0", "up")
        _ip("-n", host.namespace, "link", "set", "lo", "up")
        return host
