"""One request on its way through the API: who asks, for what, and what handlers may use to answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec

from swarmlet.clock import Clock
from swarmlet.coordinator.api.roles import Role
from swarmlet.coordinator.happenings import Happening
from swarmlet.coordinator.ledger import Ledger
from swarmlet.coordinator.pairings import Pairing
from swarmlet.coordinator.picture import Picture
from swarmlet.coordinator.planning import Planning
from swarmlet.coordinator.relay import Stream
from swarmlet.coordinator.store.api import Store
from swarmlet.errors import error
from swarmlet.link.messages import MeshMeasured
from swarmlet.model.health import Reading
from swarmlet.model.mesh import MeshView
from swarmlet.model.records import NodeRecord
from swarmlet.model.requests import MintRequest
from swarmlet.model.views import ClusterView, MintedView, View

_YES = frozenset({"true", "1", "yes"})
_NO = frozenset({"false", "0", "no", ""})


class Members(Protocol):
    """The connected nodes, as far as the API needs them."""

    def heartbeats(self, nodes: Sequence[str]) -> Mapping[str, tuple[int, Reading]]:
        """Return age in milliseconds and reading of each node's last heartbeat, where there is one."""
        ...

    def suspicions(self) -> Mapping[str, str]:
        """Return the nodes as which two devices seem to speak, and what gave them away."""
        ...

    def logs(
        self, node_uid: str, assignment_id: str, *, follow: bool, tail: int | None
    ) -> AbstractContextManager[Stream]:
        """Open the output of a replica; see :meth:`swarmlet.coordinator.relay.Relay.logs`."""
        ...


class Mint(Protocol):
    """Signs tokens."""

    async def __call__(self, wishes: MintRequest, actor: str, key: str) -> MintedView:
        """Sign and record a token; the same key gives the same token."""
        ...


class Desk(Protocol):
    """Devices that ask to join without a token."""

    @property
    def on(self) -> bool:
        """Whether they may ask."""
        ...

    def pending(self) -> Sequence[Pairing]:
        """Return who waits, oldest first."""
        ...

    def find(self, reference: str) -> Pairing:
        """Return who is meant by a code, an id or the beginning of an id; ``SWL-618`` for nobody."""
        ...

    async def approve(self, one: Pairing, allow: tuple[str, ...], actor: str) -> None:
        """Mint a token for a device that waits, once."""
        ...

    async def deny(self, one: Pairing) -> None:
        """Refuse a device that waits."""
        ...


class Mesh(Protocol):
    """The mesh, as far as the API needs it."""

    def members(self) -> Mapping[str, MeshView]:
        """Return what the coordinator's mesh knows of each member, by uid."""
        ...

    def events(self, after: int, most: int) -> Sequence[Happening]:
        """Return what happened after number ``after``, oldest first, the newest ``most`` of it."""
        ...

    def broadcast(self, text: str, key: str) -> None:
        """Tell every member an event, once for each ``key``; ``SWL-617`` when that cannot be."""
        ...

    async def measure(self, node: NodeRecord, other: NodeRecord) -> MeshMeasured:
        """Ask one node how it sees another; ``SWL-616`` when it cannot be asked."""
        ...


@dataclass(frozen=True, slots=True)
class Services:
    """What handlers may use."""

    clock: Clock
    store: Store
    picture: Picture
    ledger: Ledger
    planning: Planning
    members: Members
    mint: Mint
    cluster: Callable[[], ClusterView]
    mesh: Mesh
    desk: Desk
    stopping: asyncio.Event
    #: Sentences about what is wrong with the coordinator now.
    troubles: Callable[[], tuple[str, ...]] = tuple


@dataclass(frozen=True, slots=True)
class Call:
    """One request that passed authentication, authorisation and the checks of its shape."""

    services: Services
    uid: int
    role: Role
    #: Idempotency key, made unique to the caller and the route; empty for reads.
    key: str
    params: Mapping[str, str]
    query: Mapping[str, str]
    body: Any

    @property
    def actor(self) -> str:
        """Who asks, as commands and the audit log say it."""
        return f"uid:{self.uid}"

    def flag(self, name: str, *, default: bool = False) -> bool:
        """Return a yes-or-no query parameter.

        Raises:
            SwarmletError: ``SWL-608`` for anything else.
        """
        text = self.query.get(name)
        if text is None:
            return default
        if text.lower() in _YES | _NO:
            return text.lower() in _YES
        raise error(
            "SWL-608", detail=f"{name} is {text[:40]!r}: it may be true or false", hint=f"{name}=true"
        )

    def number(self, name: str, low: int, high: int) -> int | None:
        """Return a numeric query parameter, ``None`` when it is not there.

        Raises:
            SwarmletError: ``SWL-608`` when it is no whole number from ``low`` to ``high``.
        """
        text = self.query.get(name)
        if text is None:
            return None
        if text.isascii() and text.isdigit() and len(text) <= 18 and low <= int(text) <= high:
            return int(text)
        detail = f"{name} (--{name}) is {text[:40]!r}: it may be a whole number from {low} to {high}"
        raise error("SWL-608", detail=detail, hint=f"{name}={low}")


class Nothing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of a mutation that takes none: empty, or ``{}``."""


#: An answer: a view, or text as it comes.
Answer = View | AsyncGenerator[bytes, None]
