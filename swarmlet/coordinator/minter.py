"""Signs and records tokens: the shell of ``minting.py``. The token's one-use key is never seen here.

Recording comes first and the answer after it, so a token that somebody holds is always in the ledger.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from swarmlet import _native
from swarmlet.clock import Clock
from swarmlet.coordinator.ca import Authority
from swarmlet.coordinator.minting import Mint, build_claims, intent
from swarmlet.coordinator.store.api import Result
from swarmlet.coordinator.store.commands import AnyCommand, MintToken
from swarmlet.errors import error, from_native
from swarmlet.model.records import TokenRecord
from swarmlet.model.requests import MintRequest
from swarmlet.model.views import MintedView
from swarmlet.tokens.claims import Claims


class Books(NamedTuple):
    """What the minter writes and reads. ``apply`` is the ledger's."""

    apply: Callable[[AnyCommand], Awaitable[Result]]
    token: Callable[[str], Awaitable[TokenRecord | None]]


class Minter:
    """Callable as the API's ``mint``.

    Args:
        books: Writes and reads.
        key: The token key, another one than the authority's (T2).
        authority: For the cluster's id and the root's pin.
        cluster_name: For people.
        endpoints: Where nodes reach the cluster, asked at every token.
        clock: The coordinator's.
        random: Source of token ids.
    """

    def __init__(  # noqa: PLR0913 - one collaborator each
        self,
        books: Books,
        key: _native.SigningKey,
        authority: Authority,
        clock: Clock,
        *,
        cluster_name: str,
        endpoints: Callable[[], tuple[str, ...]],
        random: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self._books = books
        self._key = key
        self._authority = authority
        self._cluster_name = cluster_name
        self._endpoints = endpoints
        self._clock = clock
        self._random = random

    async def __call__(self, wishes: MintRequest, actor: str, key: str) -> MintedView:
        """Sign and record a token; the same idempotency key gives the same token.

        Args:
            wishes: What was asked for.
            actor: Who asked.
            key: The request's idempotency key, or empty.

        Raises:
            SwarmletError: As :func:`~swarmlet.coordinator.minting.build_claims` and the store's ``apply``.
        """
        now_ms = self._clock.wall_ms()
        claims = build_claims(wishes, self._mint(now_ms // 1000))
        encoded = self._encode(claims)
        command = MintToken(
            at_ms=now_ms,
            actor=actor,
            key=key,
            intent=intent(wishes),
            jti=claims.jti.hex(),
            claims=encoded,
            expires_ms=claims.expires_s * 1000,
            max_uses=claims.max_uses,
        )
        result = await self._books.apply(command)
        if result.repeated:
            encoded = await self._first(result.tokens[0])
        signed = self._key.sign_claims(encoded)
        return self._view(signed)

    def _mint(self, now_s: int) -> Mint:
        return Mint(
            cluster_id=self._authority.cluster_id,
            cluster_name=self._cluster_name,
            kid=self._key.kid,
            ca_pins=(self._authority.pin,),
            endpoints=self._endpoints(),
            jti=self._random(16),
            now_s=now_s,
        )

    def _encode(self, claims: Claims) -> bytes:
        try:
            return _native.encode_claims(claims.to_tuple())
        except _native.NativeError as failure:
            kind, detail = failure.args
            if kind == "token-claims":
                hint = "ask for fewer or shorter endpoints, networks and names"
                raise error("SWL-608", detail=f"the token cannot hold that: {detail}", hint=hint) from failure
            raise from_native(kind, detail) from failure

    async def _first(self, jti: str) -> bytes:
        """Return the claims of the first time; an Ed25519 signature over them is the same every time."""
        found = await self._books.token(jti)
        if found is None:
            raise error("SWL-604", name=jti)
        return found.claims

    def _view(self, signed: bytes) -> MintedView:
        claims = Claims.from_tuple(_native.decode_claims(signed))
        return MintedView(
            signed=signed,
            jti=claims.jti.hex(),
            cluster_id=claims.cluster_id.hex(),
            cluster_name=claims.cluster_name,
            expires_ms=claims.expires_s * 1000,
            endpoints=claims.endpoints,
            fingerprint=f"SHA256:{claims.ca_pins[0].hex()}",
            max_uses=claims.max_uses,
            node_classes=claims.node_classes,
            allow=claims.allow,
            cidrs=claims.cidrs,
            name_pattern=claims.name_pattern,
        )
