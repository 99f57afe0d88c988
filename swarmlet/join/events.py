"""What can happen to a join, and what it may ask the world to do. Values only.

Structs rather than dataclasses: joining is on the start-up path of a small device and these cost a fifth of
the time to define.
"""

from __future__ import annotations

import msgspec

from swarmlet.link.messages import Admitted, AnyMessage


class Started(msgspec.Struct, frozen=True):
    """Begin. ``wall_ms`` is this machine's own idea of the time, only ever a hint to the reader (T6)."""

    wall_ms: int


class Resolved(msgspec.Struct, frozen=True):
    """The name last asked for has these addresses, as ``ip:port``, best first."""

    addresses: tuple[str, ...]


class Unresolved(msgspec.Struct, frozen=True):
    """The name last asked for has no address."""

    detail: str


class Opened(msgspec.Struct, frozen=True):
    """The pinned handshake succeeded. ``exporter`` binds the proof to this connection (T4)."""

    exporter: bytes


class Received(msgspec.Struct, frozen=True):
    """A message came. ``wall_ms`` is this machine's own idea of the time, for telling the skew."""

    message: AnyMessage
    wall_ms: int


class Garbled(msgspec.Struct, frozen=True):
    """A frame came that is no message of ours."""

    detail: str


class Closed(msgspec.Struct, frozen=True):
    """The connection could not be made or is gone; ``reason`` is a slug of the link."""

    reason: str
    detail: str


class TimedOut(msgspec.Struct, frozen=True):
    """The timer set last ran out."""


class Saved(msgspec.Struct, frozen=True):
    """The identity is on disk, fsynced."""

    not_after_ms: int


class LocalFailure(msgspec.Struct, frozen=True):
    """This machine failed; ``code`` is of the catalogue."""

    code: str
    fields: dict[str, str]


Event = (
    Started | Resolved | Unresolved | Opened | Received | Garbled | Closed | TimedOut | Saved | LocalFailure
)


class Resolve(msgspec.Struct, frozen=True):
    """Find the addresses of ``name`` (``host:port``); :class:`Resolved` or :class:`Unresolved` follows."""

    name: str


class Dial(msgspec.Struct, frozen=True):
    """Connect to ``address`` with the token's pins and no identity."""

    address: str
    timeout_s: float


class SetTimer(msgspec.Struct, frozen=True):
    """Replace the timer; ``None`` clears it."""

    seconds: float | None


class SendRequest(msgspec.Struct, frozen=True):
    """Send the join request with a proof over ``exporter``; the key is the same in every attempt (T5)."""

    exporter: bytes


class Save(msgspec.Struct, frozen=True):
    """Make the identity durable; :class:`Saved` or :class:`LocalFailure` follows."""

    admitted: Admitted


class Forget(msgspec.Struct, frozen=True):
    """Remove the key of this join from disk: the cluster has decided, and asking again with it is no use."""


class Hangup(msgspec.Struct, frozen=True):
    """Close the connection; nothing of it is reported any more."""


class Report(msgspec.Struct, frozen=True):
    """A step of the join is done."""

    number: int
    text: str


class Note(msgspec.Struct, frozen=True):
    """Something a person should know, between the steps."""

    text: str


class Fail(msgspec.Struct, frozen=True):
    """The join failed for good."""

    code: str
    fields: dict[str, str]


class Finish(msgspec.Struct, frozen=True):
    """The join succeeded and is on disk."""

    admitted: Admitted


Action = Resolve | Dial | SetTimer | SendRequest | Save | Forget | Hangup | Report | Note | Fail | Finish
