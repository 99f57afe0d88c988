"""What a join starts from, and where it knocks. Values alone."""

from __future__ import annotations

import msgspec


class Plan(msgspec.Struct, frozen=True):
    """What a join starts from.

    Args:
        names: Addresses to try in order, ``host:port``: the given one first, then the token's.
        name: The node name asked for.
        cluster_id: The token's cluster, hex.
        pins: The token's CA pins.
        expires_s: The token's expiry, Unix seconds: only for the text of a refusal.
        data_dir: Where the identity goes: only for the text of step 4.
        connect_s: Patience with one connection in the first round, the second and later ones. Short first, so
            that a dead address costs little; long then, for slow links and busy coordinators.
        reply_s: Patience with a challenge or an answer. Above the coordinator's handshake limit of 5 s.
        patience_s: How long to knock, and how long after the first request to go on asking (T5: below the ten
            minutes for which the coordinator gives the same answer).
        timeout_s: How long to knock where nothing answers, when somebody said so.
        resumes: Whether another run would have the same token: only for the text of a failure.
    """

    names: tuple[str, ...]
    name: str
    cluster_id: str
    pins: tuple[bytes, ...]
    expires_s: int
    data_dir: str
    connect_s: tuple[float, ...] = (2.5, 10.0, 30.0)
    reply_s: float = 15.0
    patience_s: float = 60.0
    timeout_s: float | None = None
    resumes: bool = True


class Target(msgspec.Struct, frozen=True):
    """One address to dial and the name it came from."""

    name: str
    address: str

    @property
    def label(self) -> str:
        """How a person knows it."""
        return self.name if self.name == self.address else f"{self.name} ({self.address})"
