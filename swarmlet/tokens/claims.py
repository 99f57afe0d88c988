"""What a join token says, by name. Pure; the bytes are coded and checked in ``native/core`` alone.

A claim is a statement of the cluster that signed it. Holding one proves nothing: possession of the token's
one-use key does (T4), and whether it still counts is judged by the coordinator.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from swarmlet._native import ClaimsTuple

#: The only version of the claims there is.
VERSION: Final = 1

#: Everything a token may let its nodes be given; the ceiling of a token is a subset (T8).
CAPABILITIES: Final = ("device", "docker", "exec", "gpu")


@dataclasses.dataclass(frozen=True, slots=True)
class Claims:
    """The signed part of a token, in wire order.

    Attributes:
        version: :data:`VERSION`.
        cluster_id: 16 bytes.
        cluster_name: For people; the pin is what names the cluster.
        jti: 16 random bytes, the token's name in the ledger.
        kid: Which key signed it, the first 8 bytes of SHA-256 of that key.
        issued_s: Unix seconds by the coordinator's clock.
        expires_s: Unix seconds; judged by the coordinator's clock alone (T6).
        ca_pins: One or two SHA-256 of the root's SubjectPublicKeyInfo (two during a change of root).
        endpoints: Up to four ``host:port``, best first.
        max_uses: How many nodes it may admit.
        cidrs: Networks it is valid from; none is any (T7).
        node_classes: Classes its nodes may have; none is any (T8).
        allow: Capabilities its nodes may be given, of :data:`CAPABILITIES`.
        name_pattern: A node's name must fit it (``*`` and ``?``); empty is any.
        public_key: The public half of the token's one-use key, 32 bytes.
    """

    version: int
    cluster_id: bytes
    cluster_name: str
    jti: bytes
    kid: bytes
    issued_s: int
    expires_s: int
    ca_pins: tuple[bytes, ...]
    endpoints: tuple[str, ...]
    max_uses: int
    cidrs: tuple[str, ...]
    node_classes: tuple[str, ...]
    allow: tuple[str, ...]
    name_pattern: str
    public_key: bytes

    @classmethod
    def from_tuple(cls, claims: ClaimsTuple) -> Claims:
        """Return the claims that ``native`` decoded."""
        return cls(*(tuple(item) if isinstance(item, list) else item for item in claims))  # type: ignore[arg-type]

    def to_tuple(self) -> ClaimsTuple:
        """Return the claims as ``native`` encodes them."""
        return (
            self.version,
            self.cluster_id,
            self.cluster_name,
            self.jti,
            self.kid,
            self.issued_s,
            self.expires_s,
            list(self.ca_pins),
            list(self.endpoints),
            self.max_uses,
            list(self.cidrs),
            list(self.node_classes),
            list(self.allow),
            self.name_pattern,
            self.public_key,
        )
