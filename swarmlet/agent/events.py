"""What can happen in a member's connection, and what it may ask of the world. Values only."""

from __future__ import annotations

import enum

import msgspec

from swarmlet.link.messages import (
    AnyMessage,
    Desired,
    LogsOpen,
    MeshAnswer,
    MeshWord,
    Renewed,
    Settings,
)
from swarmlet.model.workload import Observation


class Opened(msgspec.Struct, frozen=True):
    """The mutual handshake succeeded."""


class Received(msgspec.Struct, frozen=True):
    """A message came."""

    message: AnyMessage


class Garbled(msgspec.Struct, frozen=True):
    """A control frame came that is no message this version knows."""

    detail: str


class Closed(msgspec.Struct, frozen=True):
    """The connection could not be made or is gone; ``reason`` is a slug of the link."""

    reason: str
    detail: str


class TimedOut(msgspec.Struct, frozen=True):
    """The timer set last ran out."""


class Applied(msgspec.Struct, frozen=True):
    """The desired state last asked for is on disk (``ok``), or did not fit what was there."""

    ok: bool
    generation: int


class Observations(msgspec.Struct, frozen=True):
    """What the coordinator has not acknowledged yet, oldest first."""

    unacknowledged: tuple[Observation, ...]


class RenewalDue(msgspec.Struct, frozen=True):
    """The certificate should be renewed."""


class Requested(msgspec.Struct, frozen=True):
    """The renewal request asked for is made: a key exists and this is its CSR."""

    csr: bytes


class Stored(msgspec.Struct, frozen=True):
    """The renewed identity is on disk (``ok``), or could not be put there."""

    ok: bool


class LeaseLapsed(msgspec.Struct, frozen=True):
    """No heartbeat was acknowledged for a whole lease."""


class LeaveAsked(msgspec.Struct, frozen=True):
    """A person asked this node to leave the cluster."""


class StopAsked(msgspec.Struct, frozen=True):
    """The agent ends; the node stays a member."""


class MeshSays(msgspec.Struct, frozen=True):
    """The mesh has something for the coordinator."""

    messages: tuple[MeshWord, ...]


Event = (
    Opened
    | Received
    | Garbled
    | Closed
    | TimedOut
    | Applied
    | Observations
    | RenewalDue
    | Requested
    | Stored
    | LeaseLapsed
    | LeaveAsked
    | StopAsked
    | MeshSays
)


class Outcome(enum.Enum):
    """How a session ended."""

    LOST = "lost"  # connect again
    RENEWED = "renewed"  # connect again at once, with the new identity; this connection may stay until then
    SUPERSEDED = "superseded"  # another connection took this node's place
    REVOKED = "revoked"  # this node was removed
    REFUSED = "refused"  # its certificate is not taken, for another reason than removal
    LEFT = "left"  # it asked to leave, and the cluster confirmed
    STOPPED = "stopped"


class SetTimer(msgspec.Struct, frozen=True):
    """Replace the timer; ``None`` clears it."""

    seconds: float | None


class Learn(msgspec.Struct, frozen=True):
    """Take the coordinator's time as cluster time (C10)."""

    time_ms: int


class SayHello(msgspec.Struct, frozen=True):
    """Send this node's ``Hello``."""


class Send(msgspec.Struct, frozen=True):
    """Send a message."""

    message: AnyMessage


class Ready(msgspec.Struct, frozen=True):
    """The node is a member in good standing from now on; ``name`` is what the cluster calls it."""

    name: str
    settings: Settings


class Flush(msgspec.Struct, frozen=True):
    """Report what is unacknowledged, as :class:`Observations`."""


class Apply(msgspec.Struct, frozen=True):
    """Make ``desired`` durable and real; :class:`Applied` follows before any other message is taken."""

    desired: Desired


class Acknowledge(msgspec.Struct, frozen=True):
    """These observations are durable on the coordinator."""

    taken: tuple[tuple[str, int, int], ...]


class RequestRenewal(msgspec.Struct, frozen=True):
    """Make a new key and its CSR; :class:`Requested` follows."""


class Store(msgspec.Struct, frozen=True):
    """Save the renewed identity; :class:`Stored` follows."""

    renewed: Renewed


class OpenLogs(msgspec.Struct, frozen=True):
    """Begin to send the output of an assignment."""

    request: LogsOpen


class CloseStream(msgspec.Struct, frozen=True):
    """The coordinator wants no more of this stream."""

    stream: int


class MeshTold(msgspec.Struct, frozen=True):
    """Hand the mesh what the coordinator told it."""

    message: MeshAnswer


class Note(msgspec.Struct, frozen=True):
    """Something worth a log line."""

    text: str


class Hangup(msgspec.Struct, frozen=True):
    """Close the connection with ``reason``; nothing of it is reported any more."""

    reason: str


class End(msgspec.Struct, frozen=True):
    """The session is over."""

    outcome: Outcome
    reason: str
    detail: str


Action = (
    SetTimer
    | Learn
    | SayHello
    | Send
    | Ready
    | Flush
    | Apply
    | Acknowledge
    | RequestRenewal
    | Store
    | OpenLogs
    | CloseStream
    | MeshTold
    | Note
    | Hangup
    | End
)
