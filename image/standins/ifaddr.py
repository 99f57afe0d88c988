"""Stands where ifaddr would be, which asks libc through ctypes; here psutil is asked, there anyway."""

import ipaddress
import socket

import psutil


class IP:
    """One address: text for IPv4; for IPv6 a tuple of text, flow and scope."""

    def __init__(self, ip, network_prefix, nice_name):
        self.ip = ip
        self.network_prefix = network_prefix
        self.nice_name = nice_name
        self.is_IPv4 = not isinstance(ip, tuple)
        self.is_IPv6 = not self.is_IPv4


class Adapter:
    """One interface with its addresses."""

    def __init__(self, name, nice_name, ips, index=None):
        self.name = name
        self.nice_name = nice_name
        self.ips = ips
        self.index = index


def _prefix(netmask):
    return int(ipaddress.ip_address(netmask)).bit_count() if netmask else 0


def get_adapters(include_unconfigured=False):
    """Return the interfaces that have an address."""
    numbers = {name: index for index, name in socket.if_nameindex()}
    found = []
    for name, addresses in psutil.net_if_addrs().items():
        ips = []
        for one in addresses:
            if one.family == socket.AF_INET:
                ips.append(IP(one.address, _prefix(one.netmask), name))
            elif one.family == socket.AF_INET6:
                plain, _, scope = one.address.partition("%")
                ips.append(IP((plain, 0, numbers.get(scope, 0)), _prefix(one.netmask), name))
        if ips or include_unconfigured:
            found.append(Adapter(name, name, ips, index=numbers.get(name)))
    return found
