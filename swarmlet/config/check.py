"""Judgements over settings that are each fine alone. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from swarmlet.config.resolve import Problem
from swarmlet.errors import ConfigError, error
from swarmlet.model.address import is_loopback, parse_address

_NOT_YET = (
    "SWARM_LOG_EXPORT=cluster has no effect yet: log lines stay on this device, where docker logs or "
    "journalctl shows them"
)
_TLS_STAYS = (
    "SWARM_TLS_ENABLED=false changes nothing: it is accepted for loopback, and even there "
    "the connection is TLS"
)


def port_clashes(values: Mapping[str, object], first: str, second: str, prefix: str) -> tuple[Problem, ...]:
    """Return a problem when two settings name the same port (0, "any free one", clashes with nothing)."""
    if not values.get(first) or values.get(first) != values.get(second):
        return ()
    other = f"a port other than {prefix}{first.upper()}"
    return (Problem(prefix + second.upper(), str(values[second]), "together", other),)


def complete_address(text: str, port: int) -> str:
    """Return ``text`` as ``host:port``, with ``port`` where it names none."""
    return str(parse_address(text, port))


def check_tls(*, tls_enabled: bool, address: str) -> None:
    """Refuse to speak to ``address`` (``host:port`` or a host) without TLS, unless it is this machine (C9).

    Raises:
        ConfigError: ``SWL-402``.
    """
    if not tls_enabled and not is_loopback(parse_address(address, 1).host):
        raise error("SWL-402", address=address)


def tls_problems(values: Mapping[str, object], prefix: str) -> tuple[Problem, ...]:
    """Return the refusal that speaking to the chosen cluster would meet, as a problem of the settings."""
    cluster = values.get("cluster")
    if values.get("tls_enabled") is not False or not isinstance(cluster, str):
        return ()
    try:
        check_tls(tls_enabled=False, address=cluster)
    except ConfigError as refusal:
        return (Problem(f"{prefix}TLS_ENABLED", "false", "together", str(refusal), refusal.next),)
    return ()


class Place(NamedTuple):
    """Where this program runs, as far as the default data directory depends on it."""

    has_data: bool  # /data is a directory
    in_container: bool
    is_root: bool
    home: str | None
    state_home: str | None  # XDG_STATE_HOME


def default_data_dir(program: str, place: Place) -> str:
    """Return the data directory of ``program`` when none was chosen.

    The state directory of a user is that of the XDG Base Directory Specification, version 0.8.
    """
    if place.has_data and place.in_container:
        return "/data"
    if place.is_root:
        return f"/var/lib/{program}"
    if place.state_home and place.state_home.startswith("/"):
        return f"{place.state_home}/{program}"
    if place.home and place.home.startswith("/"):
        return f"{place.home.rstrip('/')}/.local/state/{program}"
    return f"/var/lib/{program}"


def later(values: Mapping[str, object]) -> tuple[str, ...]:
    """Return a warning for each value that is accepted and has no effect yet."""
    warnings = []
    if values.get("log_export") == "cluster":
        warnings.append(_NOT_YET)
    if values.get("tls_enabled") is False:
        warnings.append(_TLS_STAYS)
    return tuple(warnings)
