"""Binds the cluster's ports, moves the default one when it is taken, and says where the cluster is reached.

Several coordinators on one machine are normal: a taken port that nobody asked for moves to a free one,
which is remembered in the directory, because tokens and nodes know the address. A port that was asked for
is an error that names its holder.
"""

from __future__ import annotations

import contextlib
import ipaddress
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from swarmlet._native import Engine, NativeError, ServerTls
from swarmlet.config.holders import holder_of
from swarmlet.coordinator.addresses import primary_address
from swarmlet.errors import SwarmletError, error, from_native
from swarmlet.model.address import Address, is_loopback, parse_address

_REMEMBERED = "port"
_PORT_KEY = "STRATOSWARM_PORT"
_SECOND_KEY = "STRATOSWARM_SECOND_PORT"
#: A token holds at most so many addresses.
MOST_ENDPOINTS = 4


class Wish(NamedTuple):
    """What is to be bound.

    Attributes:
        bind: The IP address.
        port: The port; 0 is any.
        asked: Whether somebody chose it; any is no choice.
        second: A second port with the same service, if any.
        advertise: What nodes are told, when somebody said; a port left out is the cluster's.
    """

    bind: str
    port: int
    asked: bool
    second: int | None
    advertise: tuple[str, ...]


class Flood(NamedTuple):
    """Limits of unproven connections (D1); the excess waits in the backlog."""

    max_unproven: int = 256
    max_per_address: int = 32
    handshake_ms: int = 5000


class Listening(NamedTuple):
    """What was bound: listener numbers, their addresses, what nodes are told, what is worth saying."""

    listeners: tuple[int, ...]
    bound: tuple[str, ...]
    endpoints: tuple[str, ...]
    notes: tuple[str, ...]


def listen(engine: Engine, tls: ServerTls, wish: Wish, flood: Flood, directory: Path) -> Listening:
    """Bind what is wished.

    Raises:
        SwarmletError: ``SWL-304``, ``SWL-305``, or ``SWL-313`` for an address that is not this machine's.
    """

    def bind(port: int) -> tuple[int, str]:
        return engine.listen(str(Address(wish.bind, port)), tls, **flood._asdict())

    listener, address, notes = _first(bind, wish, directory)
    listeners, bound = [listener], [address]
    if wish.second is not None:
        number, second = _asked(bind, wish.second, _SECOND_KEY)
        listeners.append(number)
        bound.append(second)
    ports = [parse_address(one).port for one in bound]
    endpoints = advertised(wish, ports, primary_address())
    if not wish.advertise and all(is_loopback(parse_address(one).host) for one in endpoints):
        notes.append(
            "only this machine can reach the cluster: no other address was found (STRATOSWARM_ADVERTISE)"
        )
    return Listening(tuple(listeners), tuple(bound), endpoints, tuple(notes))


def _first(bind: Callable[[int], tuple[int, str]], wish: Wish, directory: Path) -> tuple[int, str, list[str]]:
    """Bind the cluster's port: the one asked for, the one of last time, the default, or a free one."""
    if wish.asked:
        listener, address = _asked(bind, wish.port, _PORT_KEY)
        _remember(directory, None)
        return listener, address, []
    remembered = _remembered(directory)
    for port in filter(None, (remembered, wish.port)):
        with contextlib.suppress(NativeError):
            return _settled(*bind(port), wish, directory)
    return _settled(*_asked(bind, 0, _PORT_KEY), wish, directory)


def _settled(listener: int, address: str, wish: Wish, directory: Path) -> tuple[int, str, list[str]]:
    """Remember a port that is not the usual one, and say what is unusual about it."""
    port, remembered = parse_address(address).port, _remembered(directory)
    _remember(directory, port if port != wish.port else None)
    notes = []
    if wish.port and port == remembered != wish.port:
        notes.append(f"the cluster listens on port {port}, as last time, not on {wish.port}")
    elif wish.port not in (0, port):
        notes.append(
            f"port {wish.port} is taken{holder_of(wish.port)}; the cluster listens on {port} instead"
        )
    if remembered not in (None, port):
        notes.append(
            f"nodes know port {remembered}, which is taken{holder_of(remembered)}: free it and start again"
        )
    return listener, address, notes


def _asked(bind: Callable[[int], tuple[int, str]], port: int, key: str) -> tuple[int, str]:
    try:
        return bind(port)
    except NativeError as failure:
        kind, detail = failure.args
        if kind == "address-unavailable":
            raise _not_ours(detail) from None
        raise from_native(
            kind, detail, port=str(port), key=key, holder=holder_of(port), address=detail
        ) from None


def _not_ours(detail: str) -> SwarmletError:
    """Return the error for an address that cannot be bound; ``detail`` is ``ADDRESS:PORT: WHY``."""
    place, _, why = detail.partition(": ")
    return error("SWL-313", address=place.rpartition(":")[0], detail=why)


def _remembered(directory: Path) -> int | None:
    try:
        text = (directory / _REMEMBERED).read_text().strip()
    except (OSError, UnicodeDecodeError):
        return None
    return int(text) if text.isascii() and text.isdigit() and 0 < int(text) < 65536 else None


def _remember(directory: Path, port: int | None) -> None:
    """Keep a port that is not the usual one; losing this file costs a note, so it is not synced."""
    path = directory / _REMEMBERED
    with contextlib.suppress(OSError):
        if port is None:
            path.unlink(missing_ok=True)
        elif _remembered(directory) != port:
            path.write_text(f"{port}\n")


def advertised(wish: Wish, ports: list[int], primary: str) -> tuple[str, ...]:
    """Return what nodes are told to connect to, best first.

    Args:
        wish: What was wished.
        ports: What was bound, the cluster's port first.
        primary: This machine's address on its default route.
    """
    if wish.advertise:
        given = [parse_address(text, ports[0]) for text in wish.advertise]
        return tuple(map(str, given[:MOST_ENDPOINTS]))
    host = primary if ipaddress.ip_address(wish.bind).is_unspecified else wish.bind
    return tuple(str(Address(host, port)) for port in ports)
