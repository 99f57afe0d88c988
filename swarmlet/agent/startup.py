"""What an agent does before anything else: started as root it owns its directory, and gives root up (T11).

Before the event loop, any thread and any socket. What to become is decided in ``config/privilege.py``,
whether the directory lasts in ``mounts.py``.
"""

from __future__ import annotations

import logging
import os

from swarmlet.agent.lasting import contained, how_fleeting
from swarmlet.agent.ownership import own
from swarmlet.config.becoming import become, engine_socket
from swarmlet.config.keys import Config
from swarmlet.config.privilege import Standing, agents_standing, lacking, user_of
from swarmlet.errors import SwarmletError
from swarmlet.hardware.engine import look, paths
from swarmlet.identity.store import Vault

_log = logging.getLogger(__name__)


def standing(config: Config) -> Standing | None:
    """Return what this process must become, or ``None`` when it stays who it is."""
    wanted = user_of(config.run_as)
    if wanted is None or os.geteuid() != 0:
        return None
    return agents_standing(wanted, engine_socket(paths(config.docker_host)))


def needs_token(config: Config, *, reset_identity: bool) -> bool:
    """Say whether a join token would be asked for: a member never reads one."""
    try:
        return Vault(config.data_dir).load() is None
    except SwarmletError:
        return reset_identity


def take(config: Config, wanted: Standing) -> tuple[str, ...]:
    """Give the data directory to the user of ``wanted`` and become it for good.

    Returns:
        What a person should know.

    Raises:
        SwarmletError: ``SWL-301`` the directory cannot be given; ``SWL-312`` the user cannot be changed.
            Nothing has been started then, and nothing may be.
    """
    own(config.data_dir, wanted.user)
    kept = become(wanted, config.data_dir, for_good=True)
    _log.info("became another user", extra={"user": str(wanted.user), "groups": list(wanted.groups)})
    if kept:
        _log.debug("of root's privileges this is left", extra={"kept": kept})
    return wanted.notes


def shortcomings(config: Config, engine: str | None) -> tuple[str, ...]:
    """Return what a person should know of the place this agent runs in, each with what mends it.

    It may ask the engine and so takes up to a second: not for an event loop.

    Args:
        config: Checked settings.
        engine: The container engine that the profile found.
    """
    lost = how_fleeting(config.data_dir)
    idle = _engine_trouble(config) if engine is None else None
    return tuple(str(one) for one in (lost, idle) if one)


def _engine_trouble(config: Config) -> str | None:
    """Return why an engine whose socket is here cannot be used."""
    socket = engine_socket(paths(config.docker_host))
    if socket is None:
        return None
    if not os.access(socket.path, os.W_OK, effective_ids=True):
        groups = (os.getegid(), *os.getgroups())
        return lacking(os.geteuid(), groups, socket, in_container=contained())
    found = look(config.docker_host)
    return None if found.version else f"containers cannot be run here: {found.reason}"
