"""The coordinator as a whole: opens what is on disk, wires the parts, runs until told to stop. Holds no rule.

Start: lock, keys, store, what was refused, who is expected, then the ports, then the admin socket; nobody is
answered before everything behind the answer is there. Stop: the same in reverse, within a few seconds.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import NamedTuple

from swarmlet._native import ServerTls, harden
from swarmlet.clock import Clock, SystemClock
from swarmlet.config.cluster_keys import ClusterConfig
from swarmlet.config.load import Loaded
from swarmlet.coordinator import descriptors, lock, socket_place
from swarmlet.coordinator.addresses import primary_address
from swarmlet.coordinator.announcing import Announcing
from swarmlet.coordinator.api.call import Services
from swarmlet.coordinator.api.server import served
from swarmlet.coordinator.ca import Authority
from swarmlet.coordinator.connections import Connections, Peer, node_bytes, node_text
from swarmlet.coordinator.door import Books as DoorBooks
from swarmlet.coordinator.door import Door
from swarmlet.coordinator.housekeeping import Housekeeping
from swarmlet.coordinator.hub import Hub, Voices
from swarmlet.coordinator.hub import Terms as MeshTerms
from swarmlet.coordinator.keys import Keys
from swarmlet.coordinator.leaf import Leaf
from swarmlet.coordinator.leases import Leases
from swarmlet.coordinator.ledger import Ledger
from swarmlet.coordinator.listening import Flood, Listening, Wish, listen
from swarmlet.coordinator.members import Members, Terms, World
from swarmlet.coordinator.minter import Books as MinterBooks
from swarmlet.coordinator.minter import Minter
from swarmlet.coordinator.overview import Facts, overview
from swarmlet.coordinator.pairing import Desk
from swarmlet.coordinator.pairings import Pairings
from swarmlet.coordinator.picture import Picture
from swarmlet.coordinator.planning import Planning
from swarmlet.coordinator.readings import Readings
from swarmlet.coordinator.registry import ACTOR, Registry
from swarmlet.coordinator.store.api import Result, Snapshot
from swarmlet.coordinator.store.commands import AnyCommand, NodeTransition, RenewIntermediate
from swarmlet.coordinator.store.reserve import RESERVE
from swarmlet.coordinator.store.sqlite import SqliteStore
from swarmlet.coordinator.timekeeper import Timekeeper
from swarmlet.errors import SwarmletError, error
from swarmlet.link import events as ev
from swarmlet.link.engine import Link
from swarmlet.link.messages import PROTOCOL_VERSION, Settings
from swarmlet.model import places
from swarmlet.model.address import is_loopback, parse_address
from swarmlet.model.announcement import Announcement
from swarmlet.model.views import ClusterView
from swarmlet.signals import asking_to_end

logger = logging.getLogger(__name__)


class CoordinatorConfig(NamedTuple):
    """What a coordinator is started with."""

    directory: Path
    wish: Wish
    terms: Terms = Terms()
    flood: Flood = Flood()
    accept_clock: bool = False
    announce: bool = False
    gossip_ms: int | None = None


def run_coordinator(loaded: Loaded[ClusterConfig], *, accept_clock: bool = False) -> int:
    """Run the coordinator with these settings until a signal asks to end; return its exit code.

    Args:
        loaded: The settings.
        accept_clock: Take this machine's clock as right, though the cluster recorded later times.

    Raises:
        SwarmletError: It cannot start, or its engine failed.
    """
    # Its memory holds the keys that sign certificates and tokens.
    unfinished = harden()
    if unfinished:
        logger.debug("this process could not be hardened", extra={"missing": unfinished})
    config = loaded.config
    asked = loaded.chosen("port") and config.port != 0
    wish = Wish(config.bind, config.port, asked, config.second_port, config.advertise)
    flood = Flood(max_unproven=config.max_unproven, max_per_address=config.max_per_address)
    started = CoordinatorConfig(
        Path(config.data_dir).resolve(),
        wish,
        flood=flood,
        accept_clock=accept_clock,
        announce=config.announce,
        gossip_ms=config.gossip_ms,
    )
    descriptors.take_all()
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(_until_signalled(started))
    except BaseExceptionGroup as failures:
        raise _first_of(failures) from None
    return 0


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    try:
        import uvloop  # noqa: PLC0415 - faster where it is installed
    except ImportError:
        return asyncio.new_event_loop
    return uvloop.new_event_loop


def _first_of(failures: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return what to tell a person: the catalogue's error where there is one among the failures."""
    known = failures.subgroup(SwarmletError)
    failure: BaseException = known or failures
    while isinstance(failure, BaseExceptionGroup):
        failure = failure.exceptions[0]
    return failure


async def _until_signalled(config: CoordinatorConfig) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in asking_to_end():
        loop.add_signal_handler(number, stop.set)
    await serve(config, SystemClock(), stop)


async def serve(config: CoordinatorConfig, clock: Clock, stop: asyncio.Event) -> None:
    """Run a coordinator until ``stop`` is set.

    Raises:
        SwarmletError: ``SWL-601`` when no cluster was founded, and whatever keeps it from starting.
    """
    with lock.held(config.directory):
        keys = Keys.open(config.directory)
        database = config.directory / places.DATABASE
        async with await SqliteStore.open(database, clock, reserve=RESERVE) as store:
            snapshot = await store.snapshot()
            keys.check(snapshot.cluster, config.directory)
            async with asyncio.TaskGroup() as tasks:
                time = Timekeeper(clock, 0 if config.accept_clock else snapshot.recorded_ms)
                coordinator = Coordinator(config, keys, store, snapshot, time, tasks)
                async with coordinator.running():
                    await coordinator.until(stop)


class Coordinator:
    """The parts, wired. One constructor so that a reader finds every wire in one place."""

    def __init__(  # noqa: PLR0913, PLR0917 - the composition root takes what was opened before it
        self,
        config: CoordinatorConfig,
        keys: Keys,
        store: SqliteStore,
        snapshot: Snapshot,
        clock: Timekeeper,
        tasks: asyncio.TaskGroup,
    ) -> None:
        if snapshot.cluster is None:
            raise error("SWL-601", path=str(config.directory))
        self._config = config
        self._store = store
        self._clock = clock
        self._tasks = tasks
        self._denied = snapshot.denied
        self._started_ms = clock.wall_ms()
        self._stopping = False
        self._ended = asyncio.Event()
        self._failure: str | None = None
        self._listening = Listening((), (), (), ())
        self._notes: list[str] = []
        self._picture = picture = Picture(snapshot.cluster)
        picture.load(snapshot.nodes, snapshot.workloads, snapshot.assignments)
        for node_uid, generation in snapshot.generations.items():
            picture.put_generation(node_uid, generation)
        self._ledger = ledger = Ledger(store, picture, tasks)
        self._registry = registry = Registry(config.terms.lease_ms)
        self._leaf = Leaf(keys.authority, keys.files, clock)
        self._link = Link(self._on_event)
        engine = self._link.engine
        books = DoorBooks(ledger.apply, store.admission_facts, store.node)
        token_keys = snapshot.cluster.token_keys
        self._door = Door(books, keys.authority, token_keys, self._settings, clock)
        self._members = Members(World(engine, picture, ledger, registry, self._door, clock, config.terms))
        mesh = MeshTerms(config.directory, snapshot.cluster.cluster_id, config.gossip_ms)
        voices = Voices(self._members.speaking, self._connection)
        self._hub = hub = Hub(engine, mesh, clock, tasks, voices)
        self._members.on_removed(hub.removed)
        self._announcing = Announcing(self._announcement, config.wish.bind, clock)
        self._mint = Minter(
            MinterBooks(ledger.apply, store.token),
            keys.tokens,
            keys.authority,
            clock,
            cluster_name=snapshot.cluster.name,
            endpoints=lambda: self._listening.endpoints,
        )
        table = Pairings(snapshot.cluster.cluster_id, on=snapshot.cluster.pairing)
        self._desk = Desk(table, lambda: self._leaf.authority.pin, self._mint, clock, tasks)
        ledger.on_changed(self._desk.changed)
        handlers = {**self._members.handlers, **hub.handlers, **self._desk.handlers}
        self._connections = Connections(engine, picture, clock, tasks, handlers)
        self._leases = Leases(registry, picture, ledger, clock, tasks)
        readings = Readings(picture, self._members, clock)
        self._planning = Planning(picture, ledger, registry, clock, readings)
        self._housekeeping = Housekeeping(store, ledger, picture, clock)
        ledger.on_changed(self._on_change)

    # ---- life

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Be a coordinator for the length of an ``async with`` block."""
        loops: list[asyncio.Task[None]] = []
        try:
            await self._prepare()
            self._listen()
            path, notes = socket_place.prepare(self._config.directory)
            self._notes += [*self._listening.notes, *notes]
            loops.append(self._tasks.create_task(self._planning.run()))
            loops.append(self._tasks.create_task(self._leaf.keep(self._use_tls, self._use_authority)))
            loops.append(self._tasks.create_task(self._housekeeping.run()))
            loops.append(self._tasks.create_task(self._hub.run()))
            if self._config.announce:
                loops.append(self._tasks.create_task(self._announcing.run()))
            self._planning.wake()
            async with served(self._services(), path):
                self._say_ready()
                yield
                logger.info("the coordinator stops")
                self._members.say_goodbye()
        finally:
            self._stopping = True
            self._leases.stop()
            for loop in loops:
                loop.cancel()
            await self._link.stop()
            self._door.close()

    async def until(self, stop: asyncio.Event) -> None:
        """Wait until told to stop.

        Raises:
            SwarmletError: ``SWL-799`` when the engine failed.
        """
        told = asyncio.create_task(stop.wait())
        told.add_done_callback(lambda _: self._ended.set())
        try:
            await self._ended.wait()
        finally:
            told.cancel()
        if self._failure is not None:
            raise error("SWL-799", detail=f"the network engine ended: {self._failure}")

    async def _prepare(self) -> None:
        """Bring back what only memory knew: refused certificates, expected nodes, ceilings of tokens."""
        if await self._leaf.renew_intermediate():
            await self._use_authority(self._leaf.authority)
        engine = self._link.engine
        engine.deny([bytes.fromhex(serial) for serial in self._denied])
        self._door.remember(await self._store.tokens())
        for node_uid in await self._leases.restart():
            engine.expect(node_bytes(node_uid), self._config.terms.lease_ms)

    def _listen(self) -> None:
        config = self._config
        self._listening = listen(
            self._link.engine, self._leaf.fresh(), config.wish, config.flood, config.directory
        )
        self._hub.begin(self._listening.endpoints[0], primary_address())

    def _say_ready(self) -> None:
        listening = self._listening
        where = {"endpoints": ", ".join(listening.endpoints), "listeners": ", ".join(listening.bound)}
        logger.info("the coordinator is ready", extra=where)
        for note in (*self._notes, *self._troubles()):
            logger.warning(note)

    # ---- what parts ask of the whole

    def _settings(self) -> Settings:
        cluster, terms = self._picture.cluster, self._config.terms
        return Settings(
            cluster_id=cluster.cluster_id,
            cluster_name=cluster.name,
            endpoints=self._listening.endpoints,
            ca_pins=(self._leaf.authority.pin,),
            heartbeat_ms=terms.heartbeat_ms,
            lease_ms=terms.lease_ms,
        )

    def _announcement(self) -> Announcement:
        cluster, listening = self._picture.cluster, self._listening
        return Announcement(
            cluster_id=cluster.cluster_id,
            cluster_name=cluster.name,
            key=self._leaf.authority.pin.hex(),
            protocol=PROTOCOL_VERSION,
            port=parse_address(listening.bound[0]).port,
            endpoints=tuple(one for one in listening.endpoints if not is_loopback(parse_address(one).host)),
        )

    def _services(self) -> Services:
        return Services(
            clock=self._clock,
            store=self._store,
            picture=self._picture,
            ledger=self._ledger,
            planning=self._planning,
            members=self._members,
            mint=self._mint,
            cluster=self._overview,
            stopping=asyncio.Event(),
            troubles=self._troubles,
            mesh=self._hub,
            desk=self._desk,
        )

    def _overview(self) -> ClusterView:
        facts = Facts(
            directory=str(self._config.directory),
            fingerprint=f"SHA256:{self._leaf.authority.pin.hex()}",
            endpoints=self._listening.endpoints,
            listeners=self._listening.bound,
            notes=(*self._notes, *self._troubles()),
            started_ms=self._started_ms,
            heartbeat_ms=self._config.terms.heartbeat_ms,
            lease_ms=self._config.terms.lease_ms,
            pairing=self._desk.on,
        )
        return overview(facts, self._picture, self._planning, self._clock, self._stats)

    def _troubles(self) -> tuple[str, ...]:
        """Return what is wrong now and may be mended while this coordinator runs."""
        clock = () if self._clock.note is None else (self._clock.note,)
        troubles = [*clock, *self._announcing.notes, *self._hub.notes]
        if self._store.short_of_room:
            place, what = (
                self._config.directory,
                "removals, revocations, states of nodes and their certificates",
            )
            troubles.append(
                f"the disk that holds {place} is full: only {what} are recorded, from a reserve; free space"
            )
        return tuple(troubles)

    def _stats(self) -> dict[str, int]:
        stored = {f"store_{name}": value for name, value in self._store.stats().items()}
        asked = {f"discovery_{name}": count for name, count in self._announcing.counts().items()}
        return {**self._link.engine.stats(), **stored, **asked}

    def _use_tls(self, tls: ServerTls) -> None:
        for listener in self._listening.listeners:
            self._link.engine.set_tls(listener, tls)

    async def _use_authority(self, authority: Authority) -> None:
        # Used first: a record that a full disk refuses must not put its use off to the next start.
        self._door.use(authority)
        await self._ledger.apply(
            RenewIntermediate(at_ms=self._clock.wall_ms(), actor=ACTOR, intermediate=authority.intermediate)
        )

    def _on_change(self, command: AnyCommand, _result: Result) -> None:
        self._clock.recorded(command.at_ms)
        if isinstance(command, NodeTransition):
            self._hub.became(command.node_uid, command.state, command.reason)
        self._planning.wake()

    # ---- events of the engine

    def _on_event(self, event: ev.Event) -> None:
        match event:
            case ev.Frame():
                self._connections.frame(event.conn, event.kind, event.stream, event.payload)
            case ev.Opened():
                self._connections.opened(event.conn, event.address, event.exporter, event.peer)
            case ev.Closed() | ev.Drained():
                self._on_room(event)
            case ev.Lease() if self._stopping:
                pass  # it is this end that goes away; what it means is judged after the next start
            case ev.Lease():
                self._leases.changed(node_text(event.uid), event.state, event.age_ms)
            case ev.Health():
                self._leases.health(node_text(event.uid), event.health)
                self._planning.wake()
            case ev.Gossip() | ev.GossipBody():
                self._hub.happened(event)
            case ev.Failed():
                self._failure = event.detail
                self._ended.set()

    def _connection(self, conn: int) -> Peer | None:
        return self._connections.get(conn)

    def _on_room(self, event: ev.Closed | ev.Drained) -> None:
        """A connection ended, or has room again."""
        if isinstance(event, ev.Closed):
            closed = self._connections.closed(event.conn)
            if closed is not None:
                self._members.closed(closed, event.reason)
            return
        drained = self._connections.get(event.conn)
        if drained is not None:
            self._members.drained(drained)
