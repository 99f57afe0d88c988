"""The shell around one session: it receives, does what the session asks, keeps one timer. No rule is here.

Messages are handled one after the other, so that desired state is applied in the order it came. Local news
(a new observation, a lapsed lease, a request to leave) comes in through :meth:`Conversation.post` and waits
at most for the message in hand.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from typing import Protocol

import msgspec

from swarmlet._native import KIND_CONTROL, KIND_CREDIT
from swarmlet.agent.events import (
    Acknowledge,
    Action,
    Applied,
    Apply,
    Closed,
    CloseStream,
    End,
    Event,
    Flush,
    Garbled,
    Hangup,
    Learn,
    MeshSays,
    MeshTold,
    Note,
    Observations,
    Opened,
    OpenLogs,
    Outcome,
    Ready,
    Received,
    Requested,
    RequestRenewal,
    SayHello,
    Send,
    SetTimer,
    Store,
    Stored,
    TimedOut,
)
from swarmlet.agent.ports import Workloads
from swarmlet.agent.session import Session
from swarmlet.agent.streams import Streams
from swarmlet.errors import SwarmletError
from swarmlet.link.engine import Connection, ConnectionClosedError
from swarmlet.link.events import Frame
from swarmlet.link.messages import (
    Desired,
    Hello,
    LogsOpen,
    MeshAnswer,
    MeshHello,
    MeshWord,
    Renewed,
    Settings,
    StreamClose,
    decode,
    encode,
)

_log = logging.getLogger(__name__)

#: Messages that were received and not handled yet; beyond it the connection is not read.
MOST_WAITING = 64
#: What the mesh may have to say at once; the oldest gives way, for all of it is asked for again.
MOST_MESH = 16
#: The connection's own waits end with it or with the session's timer; this is for their own sake.
_LONG_S = 86_400.0


class Duties(Protocol):
    """What a session needs done by its node."""

    def learn(self, time_ms: int) -> None:
        """Take the coordinator's time."""
        ...

    def hello(self) -> Hello:
        """Return what this node says first."""
        ...

    def welcomed(self, name: str, settings: Settings) -> None:
        """The session is established."""
        ...

    def mesh_hello(self) -> MeshHello | None:
        """Return what asks to gossip, or ``None`` when this node does not."""
        ...

    def mesh_told(self, message: MeshAnswer) -> None:
        """Take what the coordinator tells the mesh."""
        ...

    async def request_renewal(self) -> bytes:
        """Make a new key and return its CSR."""
        ...

    async def store(self, renewed: Renewed) -> bool:
        """Save the identity of the new key; false when it could not be saved."""
        ...


class Conversation:
    """One connection of a member, from dialling to its end."""

    def __init__(
        self, session: Session, connection: Connection, duties: Duties, workloads: Workloads
    ) -> None:
        self._session = session
        self._connection = connection
        self._duties = duties
        self._workloads = workloads
        self._deadline: float | None = None
        self._inbox: asyncio.Queue[Event | Frame | None] = asyncio.Queue(MOST_WAITING)
        self._local: dict[type[Event], Event] = {}
        self._mesh: deque[MeshSays] = deque(maxlen=MOST_MESH)
        self._dirty = False
        self._follow_ups: deque[Event] = deque()
        self._sending = asyncio.Lock()
        self._streams: Streams | None = None
        self._end: End | None = None
        #: Cleared when the agent ends: what would be started now would only be stopped.
        self.takes_work = True
        #: The connection before a renewal: it goes once this one is welcomed.
        self.replaces: Connection | None = None

    def post(self, event: Event) -> None:
        """Take local news; of each kind only the newest is kept until it is handled."""
        self._local[type(event)] = event
        self._wake()

    def mesh_says(self, messages: tuple[MeshWord, ...]) -> None:
        """Pass on what the mesh has for the coordinator, in order."""
        self._mesh.append(MeshSays(messages))
        self._wake()

    def changed(self) -> None:
        """There are new observations."""
        self._dirty = True
        self._wake()

    def _wake(self) -> None:
        with contextlib.suppress(asyncio.QueueFull):  # then it is awake and looks by itself
            self._inbox.put_nowait(None)

    async def run(self) -> End:
        """Hold the conversation; return how it ended.

        The connection is closed when it returns, unless the end was a renewal without a hangup: then nobody
        listens to it any more, but its heartbeats go on until whoever replaces it closes it.
        """
        async with asyncio.TaskGroup() as group:
            streams = self._streams = Streams(self._workloads, self._send_frame, group)
            reader = group.create_task(self._read())
            try:
                while self._end is None:
                    await self._handle(await self._next(streams))
            finally:
                if self._end is None or self._end.outcome is not Outcome.RENEWED:
                    self._connection.close()
                reader.cancel()
                streams.close_all()
        return self._end

    async def _next(self, streams: Streams) -> Event:
        while True:
            if self._follow_ups:
                return self._follow_ups.popleft()
            if self._local:
                return self._local.pop(next(iter(self._local)))
            if self._mesh:
                return self._mesh.popleft()
            if self._dirty:
                self._dirty = False
                return Observations(self._workloads.unacknowledged())
            try:
                async with asyncio.timeout_at(self._deadline):
                    event = await self._inbox.get()
            except TimeoutError:
                self._deadline = None
                return TimedOut()
            if isinstance(event, Frame):
                await streams.grant(event.stream, event.payload)
            elif event is not None:
                return event

    async def _read(self) -> None:
        """Turn what comes over the connection into events; ends with it."""
        try:
            await self._connection.opened(_LONG_S)
            await self._inbox.put(Opened())
            while True:
                frame = await self._connection.receive_frame(_LONG_S)
                if frame.kind == KIND_CREDIT:
                    await self._inbox.put(frame)  # in turn: the stream it is for may not be open yet
                elif frame.kind == KIND_CONTROL:
                    await self._inbox.put(_understand(frame.payload))
        except ConnectionClosedError as end:
            await self._inbox.put(Closed(end.closed.reason, end.closed.detail))
        except TimeoutError:
            await self._inbox.put(Closed("timed-out", "nothing came for a day"))

    # ---- actions

    async def _handle(self, event: Event) -> None:
        for action in self._session.handle(event):
            if isinstance(action, End):
                self._end = action
            else:
                await self._do(action)

    async def _do(self, action: Action) -> None:
        match action:
            case Send(message):
                await self._send_frame(KIND_CONTROL, 0, encode(message))
            case SayHello():
                await self._send_frame(KIND_CONTROL, 0, encode(self._duties.hello()))
            case Apply(desired):
                await self._apply(desired)
            case Acknowledge(taken):
                await self._workloads.acknowledge(taken)
            case RequestRenewal():
                self._follow_ups.append(Requested(await self._duties.request_renewal()))
            case Store(renewed):
                self._follow_ups.append(Stored(await self._duties.store(renewed)))
            case OpenLogs(request):
                await self._open_logs(request)
            case _:
                self._do_now(action)

    def _do_now(self, action: Action) -> None:
        match action:
            case SetTimer(seconds):
                self._deadline = None if seconds is None else asyncio.get_running_loop().time() + seconds
            case Learn(time_ms):
                self._duties.learn(time_ms)
            case Ready(name, settings):
                if self.replaces is not None:
                    self.replaces.close()
                self._duties.welcomed(name, settings)
                self._greet_mesh()
            case MeshTold(message):
                self._duties.mesh_told(message)
            case Flush():
                self._dirty = True
            case CloseStream(stream) if self._streams is not None:
                self._streams.close(stream)
            case Note(text):
                _log.warning("the coordinator is at odds with this node", extra={"detail": text})
            case Hangup(reason):
                self._connection.close(reason)

    def _greet_mesh(self) -> None:
        self._mesh.clear()
        hello = self._duties.mesh_hello()
        if hello is not None:
            self._mesh.append(MeshSays((hello,)))

    async def _apply(self, desired: Desired) -> None:
        if not self.takes_work:
            return
        try:
            ok = await self._workloads.apply(desired)
        except SwarmletError as failure:
            # It is applied and being journalled again; a snapshot would meet the same disk.
            _log.warning("desired state could not be journalled yet", extra={"code": failure.code})
            ok = True
        self._follow_ups.append(Applied(ok, self._workloads.generation))

    async def _open_logs(self, request: LogsOpen) -> None:
        if self._streams is not None and not self._streams.open(request):
            refusal = StreamClose(request.stream, "SWL-608")
            await self._send_frame(KIND_CONTROL, 0, encode(refusal))

    async def _send_frame(self, kind: int, stream: int, payload: bytes) -> None:
        """Send in turn. A connection that takes nothing is over; its reader tells when it broke by itself."""
        async with self._sending:
            try:
                await self._connection.send_frame(kind, stream, payload)
            except TimeoutError:
                self._connection.close("timed-out")
            except ConnectionClosedError:
                if stream:
                    raise


def _understand(payload: bytes) -> Event:
    try:
        return Received(decode(payload))
    except msgspec.MsgspecError as fault:
        return Garbled(str(fault)[:200])
