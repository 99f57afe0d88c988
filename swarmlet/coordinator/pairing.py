"""Pairing at the coordinator: what devices without a token ask, and what administrators decide. A shell.

The rules and the table are ``pairings.py``'s. What is approved is an ordinary token of one use, minted for
the key the device showed: from there on it joins as every other device does, through the same door.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

from swarmlet.clock import Clock
from swarmlet.coordinator.connections import Handler, Peer
from swarmlet.coordinator.limiter import source_of
from swarmlet.coordinator.minting import capability
from swarmlet.coordinator.pairings import Approval, Came, Pairing, Pairings, State
from swarmlet.coordinator.store.api import Result
from swarmlet.coordinator.store.commands import AnyCommand, SetPairing
from swarmlet.errors import SwarmletError, error
from swarmlet.link import messages as m
from swarmlet.model.pairing import RANDOM
from swarmlet.model.requests import MintRequest
from swarmlet.model.views import MintedView
from swarmlet.tokens.check import Refusal, portless

logger = logging.getLogger(__name__)

#: How often a waiting device asks, in milliseconds: a new connection each time, so that none is held open.
AGAIN_MS: Final = 2000
#: The token of an approved device lives this long, in seconds: it is used at once.
_TOKEN_S: Final = 600


#: Signs and records a token: wishes, who asks, idempotency key.
Mint = Callable[[MintRequest, str, str], Awaitable[MintedView]]


class Desk:
    """Where devices ask and administrators answer.

    Args:
        table: Who asks.
        key: Gives the SHA-256 of the cluster's public key, which devices pin.
        mint: Signs tokens.
        clock: For lives and limits.
        tasks: Owns decisions.
    """

    def __init__(
        self,
        table: Pairings,
        key: Callable[[], bytes],
        mint: Mint,
        clock: Clock,
        tasks: asyncio.TaskGroup,
    ) -> None:
        self._table = table
        self._key = key
        self._mint = mint
        self._clock = clock
        self._tasks = tasks
        #: One decision at a time: who approves or denies meanwhile is told what became of it.
        self._deciding = asyncio.Lock()

    # ---- devices

    @property
    def handlers(self) -> Mapping[type, Handler]:
        """What is done with each message that ``session.py`` lets through."""
        return {m.PairRequest: self._request, m.PairReveal: self._reveal, m.PairCollect: self._collect}

    async def _request(self, peer: Peer, asked: m.PairRequest) -> None:
        came = Came(
            source=source_of(peer.seen),
            seen=portless(peer.seen),
            exporter=peer.exporter,
            pairing_id=os.urandom(16).hex(),
            ours=os.urandom(RANDOM),
        )
        made = self._table.begin(asked, came, self._clock.boot())
        if isinstance(made, Refusal):
            self._refuse(peer, made)
            return
        peer.send(m.PairOffer(made.pairing_id, made.ours))

    async def _reveal(self, peer: Peer, told: m.PairReveal) -> None:
        now = self._clock.boot()
        found = self._table.reveal(told.pairing, told.random, peer.exporter, self._key(), now)
        if isinstance(found, Pairing):
            logger.info(
                "a device asks to be approved", extra={"device": found.asking.name, "peer": peer.seen}
            )
        self._answer(peer, found, now)

    async def _collect(self, peer: Peer, asked: m.PairCollect) -> None:
        now = self._clock.boot()
        self._answer(peer, self._table.collect(asked.pairing, now), now)

    def _answer(self, peer: Peer, found: Pairing | Refusal, now: float) -> None:
        if isinstance(found, Refusal):
            self._refuse(peer, found)
            return
        if found.state is State.APPROVED:
            peer.send(m.PairApproved(found.signed))
        else:
            peer.send(m.PairPending(found.left_ms(now), AGAIN_MS))
        peer.hang_up("closed")

    def _refuse(self, peer: Peer, refusal: Refusal) -> None:
        # Strangers shall not fill a log.
        logger.debug("a pairing was refused", extra={"code": refusal.code, "peer": peer.seen})
        peer.send(m.Refused(refusal.code, refusal.fields, self._clock.wall_ms(), portless(peer.seen)))
        peer.hang_up("closed")

    # ---- administrators

    @property
    def on(self) -> bool:
        """Whether devices without a token may ask."""
        return self._table.on

    def pending(self) -> Sequence[Pairing]:
        """Return who waits, oldest first."""
        return self._table.pending(self._clock.boot())

    def find(self, reference: str) -> Pairing:
        """Return who is meant by a code, an id or the beginning of an id.

        Raises:
            SwarmletError: ``SWL-618``, ``SWL-606``.
        """
        return self._table.find(reference, self._clock.boot())

    async def approve(self, one: Pairing, allow: tuple[str, ...], actor: str) -> None:
        """Mint a token for a device that waits, once; for one that was approved alike before, nothing more.

        Raises:
            SwarmletError: ``SWL-608`` ``allow`` has what there is not, or it was denied, or approved with
                another ``allow``, or pairing was turned off; ``SWL-618`` it is over; as the minter.
        """
        given = _capabilities(allow)
        # To its end, whatever becomes of the caller: a token that is minted and not given would be left.
        refused = await asyncio.shield(self._tasks.create_task(self._decided(one, given, actor)))
        if refused is not None:
            raise refused

    async def _decided(self, one: Pairing, allow: frozenset[str], actor: str) -> SwarmletError | None:
        """Approve; a failure is a value here, because an exception would end the task group."""
        try:
            async with self._deciding:
                refusal = self._table.over(one, allow)
                if refusal is not None:
                    return refusal.to_error()
                if one.state is not State.APPROVED:
                    await self._approve(one, allow, actor)
        except SwarmletError as refused:
            return refused
        except Exception as bug:
            logger.exception("an approval failed")
            return error("SWL-799", detail=f"an approval failed: {type(bug).__name__}")
        return None

    async def _approve(self, one: Pairing, allow: frozenset[str], actor: str) -> None:
        asks = one.asking
        wishes = MintRequest(
            public_key=asks.public_key,
            expires_s=_TOKEN_S,
            max_uses=1,
            node_classes=(asks.node_class,),
            allow=tuple(sorted(allow)),
            name_pattern=asks.name,
        )
        minted = await self._mint(wishes, actor, f"pairing:{one.pairing_id}")
        made = Approval(minted.signed, minted.jti, allow)
        if not self._table.approve(one, made, self._clock.boot()):
            # What was minted reaches nobody: only the device could use it, and it is not told.
            refusal = self._table.over(one, allow)
            raise refusal.to_error() if refusal is not None else error("SWL-618", name=one.code)
        logger.info("a device was approved", extra={"device": asks.name, "actor": actor})

    async def deny(self, one: Pairing) -> None:
        """Refuse a device that waits.

        Raises:
            SwarmletError: ``SWL-608``: it was approved already.
        """
        async with self._deciding:
            refusal = self._table.deny(one)
        if refusal is not None:
            raise refusal.to_error()

    def changed(self, command: AnyCommand, _result: Result) -> None:
        """Follow the log."""
        if isinstance(command, SetPairing):
            self._table.turn(on=command.on)


def _capabilities(allow: tuple[str, ...]) -> frozenset[str]:
    try:
        return frozenset(capability(word) for word in allow)
    except ValueError as bad:
        raise error("SWL-608", detail=str(bad), hint="stratoswarm nodes approve --help") from bad
