"""The composition root of the agent, and its entry points: run, join once, leave, status, health.

Here the stages meet; nothing is decided. The command line renders progress through
:class:`~swarmlet.join.steps.Steps` and errors through the catalogue.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import random
import signal
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, NamedTuple, TypeVar

import msgspec

from swarmlet import _native
from swarmlet.agent import control, datadir, startup, words
from swarmlet.agent.api import Parts, Views
from swarmlet.agent.control import Command, ControlServer
from swarmlet.agent.events import Outcome
from swarmlet.agent.lifecycle import Crew, Life, Signals
from swarmlet.agent.making import look, supervisor
from swarmlet.agent.member import Member, Ties
from swarmlet.agent.node import Node, Roads, Self
from swarmlet.agent.notify import Notifier
from swarmlet.agent.pulse import Organs, Pulse
from swarmlet.agent.status import Standing, StatusView
from swarmlet.agent.threads import detached
from swarmlet.clock import SystemClock, process_began
from swarmlet.config.keys import Config
from swarmlet.config.load import outside
from swarmlet.discovery.direct import Resolver
from swarmlet.errors import Exit, SwarmletError, error
from swarmlet.identity import store as cr
from swarmlet.identity.store import Credentials, Vault
from swarmlet.join import steps as st
from swarmlet.join.steps import Silent, Steps
from swarmlet.link import events as link_events
from swarmlet.link.engine import Link
from swarmlet.mesh.gossiping import Gossiping, Place
from swarmlet.report.health import HealthBoard, HealthView
from swarmlet.report.http import LocalServer
from swarmlet.report.ports import Bound, bind_loopback
from swarmlet.report.readings import Sensors
from swarmlet.workloads.supervisor import Supervisor

T = TypeVar("T")

_log = logging.getLogger(__name__)

#: Gives the join token when it is needed; a device that is a member never asks.
TokenSource = Callable[[], _native.Token | None]


class Ask(NamedTuple):
    """Which cluster to ask, as it was found: its address, and the SHA-256 of the key it showed there."""

    address: str
    key: bytes


class Options(NamedTuple):
    """How to start.

    Args:
        once: End when joined, without running work.
        reset_identity: Give up an identity that is damaged and join anew.
        chosen: Fields of the config that a person chose (``api_port``, ``metrics_port``): a port that was
            chosen and is taken is an error, the default moves.
        notes: What was found before this, for ``swarmlet status`` to show.
        timeout_s: How long a first join may knock where nothing answers.
        ask: Which cluster to ask when there is no token.
    """

    once: bool = False
    reset_identity: bool = False
    chosen: frozenset[str] = frozenset()
    notes: tuple[str, ...] = ()
    timeout_s: float | None = None
    ask: Ask | None = None


async def run_agent(
    config: Config, token: TokenSource, *, steps: Steps | None = None, options: Options | None = None
) -> int:
    """Join if need be, then run work until told to end.

    Args:
        config: Checked settings.
        token: Gives the join token, if there is one.
        steps: Where the six steps go.
        options: How to start.

    Returns:
        0 after SIGTERM, SIGHUP or a leave; 130 after SIGINT, and when told to end before it had joined.

    Raises:
        SwarmletError: Why it cannot run: for one ``SWL-112`` no token, ``SWL-207`` removed, ``SWL-304`` port
            taken, ``SWL-306`` already running.
    """
    unfinished = _native.harden()
    if unfinished:
        _log.debug("this process could not be hardened", extra={"missing": unfinished})
    agent = Agent(config, token, steps or Silent(), options or Options())
    try:
        return await agent.run()
    except BaseExceptionGroup as group:
        raise _first(group) from group


async def join_once(
    config: Config, token: TokenSource, *, steps: Steps | None = None, options: Options | None = None
) -> int:
    """Join and return; arguments and errors as :func:`run_agent`."""
    chosen = (options or Options())._replace(once=True)
    return await run_agent(config, token, steps=steps, options=chosen)


async def status(config: Config) -> StatusView:
    """Return how the agent of this device stands.

    Raises:
        SwarmletError: ``SWL-307`` this device never joined, ``SWL-308`` no agent runs.
    """
    answer = await _ask(config, Command("status"), 5.0)
    return msgspec.convert(answer, StatusView)


async def health(config: Config) -> HealthView:
    """Return the health of the agent of this device; errors as :func:`status`."""
    answer = await _ask(config, Command("health"), 5.0)
    return msgspec.convert(answer, HealthView)


async def _ask(config: Config, command: Command, timeout_s: float) -> object:
    try:
        return await control.ask(config.data_dir, command, timeout_s)
    except SwarmletError as failure:
        if failure.code == "SWL-308" and Vault(config.data_dir).load() is None:
            raise error("SWL-307", path=config.data_dir) from None
        raise


class Agent:
    """One run of the program."""

    def __init__(self, config: Config, token: TokenSource, steps: Steps, options: Options) -> None:
        self._config = config
        self._token = token
        self._steps = steps
        self._options = options
        self._clock = SystemClock()
        self._started = process_began(self._clock)
        self._signals = Signals()
        self._vault = Vault(config.data_dir)
        self._standing = Standing(self._started)
        self._member: Member | None = None
        self._gossiping: Gossiping | None = None
        self._broken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._ready = False
        self._joined = False
        self._notes = list(self._options.notes)

    async def run(self) -> int:
        """Run from the lock to the last goodbye; see :func:`run_agent`."""
        claim = datadir.claim(self._config.data_dir)
        try:
            with self._signals.handled():
                return await self._locked()
        finally:
            if not self._joined:
                claim.undo()
            os.close(claim.lock)

    async def _locked(self) -> int:
        known = await asyncio.to_thread(self._load)
        self._joined = known is not None
        token = None
        if known is None:
            # It may be typed on a terminal: a signal must still be heard.
            token = await self._or_stopped(detached(self._token))
            if token is None and (self._options.ask is None or self._signals.stopped.is_set()):
                return self._no_token()
        me = await look(self._config, self._clock)
        self._steps.step(st.HARDWARE, "hardware", words.hardware(me.profile))
        engine = me.profile.container_engine
        for note in await asyncio.to_thread(startup.shortcomings, self._config, engine):
            self._note(note)
        ports = self._bind()
        try:
            async with self._linked() as link:
                roads = Roads(self._config, link, Resolver())
                if known is None:
                    known = await self._join(me, roads, token)
                else:
                    self._come_back(known, me)
                if known is None:
                    return Exit.INTERRUPTED
                if self._options.once:
                    self._steps.step(st.READY, "ready", "joined; to run work here: swarmlet run")
                    return Exit.DONE
                return await self._live(Node(me, roads, self._vault, known, self._standing), ports, me)
        finally:
            for bound in ports.values():
                bound.close()

    # ---- before it is a member

    def _load(self) -> Credentials | None:
        try:
            known = self._vault.load()
        except SwarmletError as failure:
            if failure.code == "SWL-300" and self._options.reset_identity:
                # Kept until a join has worked: saving what it gives moves the damaged files aside.
                return None
            raise
        if known is not None:
            # Of a join that was cut off after its identity was saved.
            self._vault.forget_joining()
        return known

    def _bind(self) -> dict[str, Bound]:
        """Take the local ports before a token is spent: one that is taken is an error of this device."""
        wanted = {"api_port": self._config.api_port, "metrics_port": self._config.metrics_port}
        if self._options.once:
            return {}
        ports: dict[str, Bound] = {}
        try:
            for field, port in wanted.items():
                if port is not None:
                    key = f"SWARM_{field.upper()}"
                    ports[field] = bind_loopback(port, key, insisted=field in self._options.chosen)
        except BaseException:
            for bound in ports.values():
                bound.close()
            raise
        return ports

    def _come_back(self, known: Credentials, me: Self) -> None:
        memory = known.memory
        cr.recall_time(memory, me.boot_id, self._clock, me.cluster_time)
        self._steps.note(
            f"this device is {memory.name} of the cluster {memory.settings.cluster_name} already;"
            " no token is needed or used"
        )

    async def _join(self, me: Self, roads: Roads, token: _native.Token | None) -> Credentials | None:
        # A member never joins again: a megabyte that most starts do without.
        from swarmlet.agent.joining import Newcomer, become_member  # noqa: PLC0415

        paired = token is None
        if token is None and self._options.ask is not None:
            from swarmlet.agent.pairing import approved  # noqa: PLC0415 - as above

            token = await self._or_stopped(approved(me, roads, self._options.ask, self._steps))
        if token is None:
            return None
        newcomer = Newcomer(me, roads, self._vault, token, self._options.timeout_s, paired)
        made = await self._or_stopped(become_member(newcomer, self._steps))
        self._joined = made is not None
        return made

    def _no_token(self) -> int:
        if self._signals.stopped.is_set():
            return Exit.INTERRUPTED
        raise error("SWL-112")

    async def _or_stopped(self, work: Coroutine[Any, Any, T]) -> T | None:
        """Return what ``work`` returns, or ``None`` when a signal came first."""
        task = asyncio.ensure_future(work)
        stop = asyncio.ensure_future(self._signals.stopped.wait())
        try:
            await asyncio.wait({task, stop}, return_when=asyncio.FIRST_COMPLETED)
            return task.result() if task.done() else None
        finally:
            for one in (task, stop):
                one.cancel()
            await asyncio.wait({task, stop})

    @contextlib.asynccontextmanager
    async def _linked(self) -> AsyncIterator[Link]:
        link = Link(self._on_link)
        try:
            yield link
        finally:
            await link.stop()

    def _on_link(self, event: link_events.Event) -> None:
        if isinstance(event, link_events.Lease) and self._member is not None:
            self._member.lease(held=event.state == "held")
        elif isinstance(event, (link_events.Gossip, link_events.GossipBody)):
            if self._gossiping is not None:
                self._gossiping.happened(event)
        elif isinstance(event, link_events.Failed) and not self._broken.done():
            self._broken.set_exception(error("SWL-799", detail=f"the link broke: {event.detail}"))
            self._broken.exception()  # a join that ends by it never looks here

    # ---- as a member

    async def _live(self, node: Node, ports: dict[str, Bound], me: Self) -> int:
        workloads = supervisor(self._config, node, self._clock)
        await workloads.start()
        try:
            crew = self._crew(node, workloads, ports)
            node.serve(workloads, lambda name: self._on_ready(name, me, crew))
            crew.notifier.ready("local work runs; connecting to the cluster")
            life = Life(crew)
            outcome = await life.run(self._control(life))
        finally:
            await workloads.close()
        if outcome is Outcome.REVOKED:
            raise error("SWL-207")
        return Exit.INTERRUPTED if self._signals.number == signal.SIGINT else Exit.DONE

    def _crew(self, node: Node, workloads: Supervisor, ports: dict[str, Bound]) -> Crew:
        link, clock, standing = node.link, self._clock, self._standing
        dice = random.Random()  # noqa: S311 - spreads reconnections
        member = Member(Ties(node, node, workloads, standing, clock, dice))
        self._member = member
        self._gossiping = node.gossiping = self._mesh(node, member)
        board = HealthBoard()
        notifier = Notifier(outside("NOTIFY_SOCKET"), outside("WATCHDOG_USEC"), outside("WATCHDOG_PID"))
        sensors = Sensors(self._config.data_dir)
        pulse = Pulse(Organs(node, member, workloads, link, sensors, board, standing, notifier, clock))
        views = Views(
            Parts(self._config, node, workloads, link, board, standing, pulse, clock, self._started)
        )
        return Crew(
            node=node,
            member=member,
            workloads=workloads,
            pulse=pulse,
            views=views,
            vault=self._vault,
            standing=standing,
            notifier=notifier,
            signals=self._signals,
            servers=tuple(self._servers(views, ports)),
            broken=self._broken,
        )

    def _mesh(self, node: Node, member: Member) -> Gossiping:
        memory = node.credentials.memory
        insisted = "discovery_port" in self._options.chosen
        port = self._config.discovery_port
        place = Place(memory.node_uid, memory.settings.cluster_id, port, insisted)
        return Gossiping(node.link.engine, place, member.mesh_says)

    def _servers(self, views: Views, ports: dict[str, Bound]) -> list[LocalServer]:
        servers = []
        for field, bound in ports.items():
            setattr(views, field, bound.port)
            routes = views.routes() if field == "api_port" else views.metrics_routes()
            servers.append(LocalServer(bound, routes))
            if bound.moved_from is not None:
                moved = f"port {bound.moved_from} is taken; the local API is on {bound.port} instead"
                self._note(moved)
        views.notes.extend(self._notes)
        return servers

    def _note(self, text: str) -> None:
        """Warn now, and keep it for ``swarmlet status``."""
        self._notes.append(text)
        self._steps.warn(text)

    def _control(self, life: Life) -> ControlServer | None:
        try:
            listener = control.bind(self._config.data_dir)
        except OSError as fault:
            # A full or read-only disk: the work matters more than the socket.
            detail = (fault.strerror or str(fault)).lower()
            _log.warning("swarmlet status and leave cannot reach this agent", extra={"detail": detail})
            return None
        return ControlServer(listener, life.command)

    def _on_ready(self, name: str, me: Self, crew: Crew) -> None:
        crew.notifier.status(f"{name} is connected and accepts work")
        if self._ready:
            return
        self._ready = True
        limits = self._config.limits()
        elapsed_s = self._clock.boot() - self._started
        self._steps.step(st.READY, "ready", words.ready(limits), elapsed_s=elapsed_s)
        for warning in words.unenforced(me.profile, limits):
            self._steps.warn(warning)
        self._steps.note("next: on the coordinator: stratoswarm nodes ls")


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return what went wrong, out of the groups that task groups put around it."""
    inner = group.exceptions[0]
    return _first(inner) if isinstance(inner, BaseExceptionGroup) else inner
