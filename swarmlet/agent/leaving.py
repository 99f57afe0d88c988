"""Leaving the cluster: through the running agent, or alone when none runs.

Either the cluster confirms, and then everything that made this device a member is removed; or it cannot be
told, and then nothing is removed unless that was forced.
"""

from __future__ import annotations

import asyncio
import os
import random

import msgspec

from swarmlet.agent import control, datadir
from swarmlet.agent.control import Command
from swarmlet.agent.events import Outcome
from swarmlet.agent.lifecycle import LEAVE_S, forget
from swarmlet.agent.making import look, supervisor
from swarmlet.agent.member import Member, Ties
from swarmlet.agent.node import Node, Roads
from swarmlet.agent.status import Standing
from swarmlet.clock import SystemClock
from swarmlet.config.keys import Config
from swarmlet.discovery.direct import Resolver
from swarmlet.errors import SwarmletError, error
from swarmlet.identity.store import Credentials, Vault, recall_time
from swarmlet.link.engine import Link
from swarmlet.model.views import View
from swarmlet.workloads.supervisor import Supervisor

#: Patience with a running agent: it ends its workloads within their grace first.
AGENT_S = 90.0


_DAMAGED = (
    "its identity was damaged, so that nobody could be told which node left:  stratoswarm nodes rm NAME"
)


class LeaveView(View, frozen=True, kw_only=True):
    """What a leave did. ``told`` is false when it was forced and the cluster still lists the node."""

    left: bool
    node: str | None
    told: bool
    detail: str = ""


async def leave(config: Config, *, force: bool = False) -> LeaveView:
    """Leave the cluster and remove identity, journal and workloads from this device.

    Args:
        config: Checked settings.
        force: Remove them even when the cluster cannot be told, or the identity is damaged.

    Raises:
        SwarmletError: ``SWL-209`` the cluster could not be told and nothing was removed; ``SWL-307`` this
            device is no member; ``SWL-300`` the identity is damaged; ``SWL-310`` the disk does not let it go.
    """
    try:
        answer = await control.ask(config.data_dir, Command("leave", force=force), AGENT_S, stay=True)
    except SwarmletError as failure:
        if failure.code != "SWL-308":
            raise
        return await _leave_alone(config, force=force)
    return msgspec.convert(answer, LeaveView)


async def _leave_alone(config: Config, *, force: bool) -> LeaveView:
    vault = Vault(config.data_dir)
    if await asyncio.to_thread(_is_nobody, vault):
        # Of a join that was never answered: its key is of no use to a device that wants out.
        await asyncio.to_thread(vault.forget_joining)
        raise error("SWL-307", path=config.data_dir)
    lock = datadir.lock(config.data_dir)
    try:
        known = await asyncio.to_thread(_load, vault, force=force)
        if known is None:
            await asyncio.to_thread(vault.wipe)
            return LeaveView(left=True, node=None, told=False, detail=_DAMAGED)
        return await _Leaving(config, vault, known).run(force=force)
    finally:
        os.close(lock)


def _is_nobody(vault: Vault) -> bool:
    """Say whether there is no identity at all, not even a damaged one."""
    try:
        return vault.load() is None
    except SwarmletError:
        return False


def _load(vault: Vault, *, force: bool) -> Credentials | None:
    """Return who this is; ``None`` for an identity that is damaged and to be removed all the same."""
    try:
        return vault.load()
    except SwarmletError as failure:
        if force and failure.code == "SWL-300":
            return None
        raise


class _Leaving:
    def __init__(self, config: Config, vault: Vault, known: Credentials) -> None:
        self._config = config
        self._vault = vault
        self._known = known
        self._clock = SystemClock()
        self._standing = Standing(self._clock.boot())
        self._workloads: Supervisor | None = None

    async def run(self, *, force: bool) -> LeaveView:
        name = self._known.memory.name
        told = await self._tell()
        trouble = self._standing.trouble
        detail = trouble.what if trouble is not None else "it did not confirm in time"
        if not told and not force:
            raise error("SWL-209", detail=detail, name=name)
        await self._remove(told=told)
        return LeaveView(left=True, node=name, told=told, detail="" if told else detail)

    async def _tell(self) -> bool:
        """Tell the cluster; false when that was not possible."""
        clock = self._clock
        me = await look(self._config, clock)
        recall_time(self._known.memory, me.boot_id, clock, me.cluster_time)
        link = Link(lambda _event: None)
        try:
            roads = Roads(self._config, link, Resolver())
            node = Node(me, roads, self._vault, self._known, self._standing)
            self._workloads = supervisor(self._config, node, clock)
            dice = random.Random()  # noqa: S311 - spreads reconnections
            member = Member(Ties(node, node, self._workloads, self._standing, clock, dice))
            member.leave()
            async with asyncio.timeout(LEAVE_S):
                # A node that was removed already has nothing to tell.
                return await member.run() in {Outcome.LEFT, Outcome.REVOKED}
        except TimeoutError:
            return False
        finally:
            await link.stop()

    async def _remove(self, *, told: bool) -> None:
        """End what outlived the last agent (containers do), then remove the identity, last of all."""
        if self._workloads is not None:
            await self._workloads.start()
            try:
                await self._workloads.stop_all("the node left the cluster")
            finally:
                await self._workloads.close()
        await forget(self._vault, told=told)
