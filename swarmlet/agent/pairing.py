"""Joining without a token: wires the exchange of ``join/pairing.py`` to this device; holds no rule."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from swarmlet import __version__
from swarmlet._native import ClientTls, Token
from swarmlet.agent import datadir, words
from swarmlet.agent.node import Roads, Self
from swarmlet.config.check import check_tls
from swarmlet.errors import error
from swarmlet.join.pairing import Asker, pair
from swarmlet.join.steps import Steps
from swarmlet.link.engine import Connection
from swarmlet.model.names import to_node_name
from swarmlet.model.pairing import MOST_HARDWARE
from swarmlet.model.text import printable

if TYPE_CHECKING:
    from swarmlet.agent.app import Ask


async def approved(me: Self, roads: Roads, ask: Ask, steps: Steps) -> Token:
    """Ask a cluster to take this device and return the token that a person's approval made for it.

    Raises:
        SwarmletError: As :func:`swarmlet.join.pairing.pair`.
    """
    # Before somebody is asked to compare a code, not after.
    check_tls(tls_enabled=roads.config.tls_enabled, address=ask.address)
    await asyncio.to_thread(datadir.check_writable, roads.config.data_dir)
    name = to_node_name(me.profile.node_id)
    if name is None:
        raise error("SWL-608", detail="this device has no name that fits", hint="set SWARM_NODE_NAME")
    asker = Asker(
        address=ask.address,
        key=ask.key,
        name=name,
        node_class=me.profile.classification.node_class,
        hardware=printable(words.hardware(me.profile), MOST_HARDWARE),
        version=__version__,
    )

    def dial(timeout_s: float) -> Connection:
        return roads.dial(ask.address, ClientTls((ask.key,), None, "", None), timeout_s)

    return await pair(asker, dial, me.clock, steps)
