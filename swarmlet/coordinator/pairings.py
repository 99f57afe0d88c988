"""Devices that ask to join without a token, and what became of it. Pure: times and randomness are arguments.

The law:

1. A place is spent once the coordinator's random value is given to a device, and stays spent until its time
   is over, whatever becomes of the device: how many codes can be tried against a person's comparison is
   counted in time, not in open connections. :data:`MOST` in :data:`LIFE_S` makes one chance in 2^24 for
   whoever stands between the two all the while. An approval alone gives a place back: a person who compares
   codes is slower than any limit, and may have a box of devices behind one address.
2. Nothing is approved that was not revealed, and only while pairing is on. What is approved is one token for
   the key that the code was made of.
3. All of it is in memory: a coordinator that restarts forgets it, and devices ask again with another code.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from swarmlet.link.messages import PairRequest
from swarmlet.model.classification import parse_class
from swarmlet.model.names import is_node_name
from swarmlet.model.pairing import MOST_HARDWARE, RANDOM, Transcript, code_of, opens, read_code
from swarmlet.model.refs import Named, resolve
from swarmlet.model.text import printable
from swarmlet.tokens.check import Refusal

#: Seconds from a device's request to its end.
LIFE_S: Final = 300.0
#: Places in all, and of one source (an IPv4 address or an IPv6 /64).
MOST: Final = 64
MOST_OF_SOURCE: Final = 4
#: Seconds that an approved device is given at least to fetch its approval.
FETCH_S: Final = 60.0


class State(enum.Enum):
    """Where a pairing stands."""

    OFFERED = "offered"  # the coordinator's random value was given; no code yet
    PENDING = "pending"  # there is a code; somebody has to compare it
    APPROVED = "approved"
    DENIED = "denied"
    SPENT = "spent"  # it broke, or pairing was turned off; its place is taken all the same


#: States of a pairing that has a code, so that an administrator may mean it.
_COMPARED: Final = frozenset({State.PENDING, State.APPROVED, State.DENIED})


@dataclass(slots=True)
class Pairing:
    """One device that asks.

    Attributes:
        pairing_id: 32 hex digits, drawn at random; only the device knows it before there is a code.
        asking: What it says of itself: the word of a stranger, bound into the code.
        source: Whom its place is counted against.
        seen: Its IP address.
        exporter: TLS exporter of its first connection.
        ours: The coordinator's random value.
        began: Seconds on the boot clock.
        ends: Likewise.
        asked: When the device asked last, likewise.
        state: Where it stands.
        code: What both ends show, once there is one.
        signed: The approved claims with their signature.
        jti: The id of that token.
        allow: What that token lets the node be given.
        refused: Why it is over.
    """

    pairing_id: str
    asking: PairRequest
    source: str
    seen: str
    exporter: bytes
    ours: bytes
    began: float
    ends: float
    asked: float
    state: State = State.OFFERED
    code: str = ""
    signed: bytes = b""
    jti: str = ""
    allow: frozenset[str] = frozenset()
    refused: Refusal | None = None

    def silent_ms(self, now: float) -> int:
        """Return for how long the device has not asked, in milliseconds."""
        return max(0, int((now - self.asked) * 1000))

    def left_ms(self, now: float) -> int:
        """Return for how long it goes on, in milliseconds."""
        return max(0, int((self.ends - now) * 1000))


@dataclass(frozen=True, slots=True)
class Came:
    """How a request came in: from where, over which connection, with what the coordinator drew for it."""

    source: str
    seen: str
    exporter: bytes
    pairing_id: str
    ours: bytes


@dataclass(frozen=True, slots=True)
class Approval:
    """What an administrator's word made: signed claims, their token's id, what it lets the node be given."""

    signed: bytes
    jti: str
    allow: frozenset[str]


class Pairings:
    """The devices that ask.

    Args:
        cluster_id: 32 hex digits.
        on: Whether devices may ask at all.
    """

    def __init__(self, cluster_id: str, *, on: bool) -> None:
        self._cluster_id = cluster_id
        self._all: dict[str, Pairing] = {}
        self.on = on

    def turn(self, *, on: bool) -> None:
        """Let devices ask, or not; turned off, whoever waits is refused and its place stays spent."""
        self.on = on
        for one in self._all.values() if not on else ():
            if one.state in {State.OFFERED, State.PENDING}:
                one.state, one.refused = State.SPENT, Refusal("SWL-119")

    # ---- devices

    def begin(self, asking: PairRequest, came: Came, now: float) -> Pairing | Refusal:
        """Spend a place on a device, or refuse it."""
        self._expire(now)
        refusal = None if self.on else Refusal("SWL-119")
        refusal = refusal or _unfit(asking) or self._no_room(came.source, now)
        if refusal is not None:
            return refusal
        made = Pairing(
            pairing_id=came.pairing_id,
            asking=asking,
            source=came.source,
            seen=came.seen,
            exporter=came.exporter,
            ours=came.ours,
            began=now,
            ends=now + LIFE_S,
            asked=now,
        )
        self._all[made.pairing_id] = made
        return made

    def reveal(
        self, pairing_id: str, value: bytes, exporter: bytes, key: bytes, now: float
    ) -> Pairing | Refusal:
        """Take a device's random value; from then on there is a code.

        Args:
            pairing_id: Which.
            value: The random value.
            exporter: Of the connection it came over, which must be the first one's.
            key: SHA-256 of the cluster's public key.
            now: Seconds on the boot clock.
        """
        one = self._known(pairing_id, now)
        if isinstance(one, Refusal):
            return one
        if one.state is not State.OFFERED or one.exporter != exporter:
            return Refusal("SWL-121")
        if not opens(value, one.asking.commitment):
            one.state, one.refused = State.SPENT, Refusal("SWL-121")
            return one.refused
        asks = one.asking
        one.code = code_of(
            Transcript(
                cluster_id=self._cluster_id,
                key=key,
                public_key=asks.public_key,
                name=asks.name,
                node_class=asks.node_class,
                hardware=asks.hardware,
                exporter=exporter,
                theirs=value,
                ours=one.ours,
            )
        )
        one.state, one.asked = State.PENDING, now
        return one

    def collect(self, pairing_id: str, now: float) -> Pairing | Refusal:
        """Return how a device's request stands; it is pending or approved."""
        one = self._known(pairing_id, now)
        if isinstance(one, Refusal):
            return one
        one.asked = now
        return one if one.state in {State.PENDING, State.APPROVED} else Refusal("SWL-121")

    # ---- administrators

    def pending(self, now: float) -> tuple[Pairing, ...]:
        """Return who waits, oldest first."""
        self._expire(now)
        return tuple(one for one in self._all.values() if one.state is State.PENDING)

    def find(self, reference: str, now: float) -> Pairing:
        """Return the device that is meant by a code, an id or the beginning of one.

        What reads as a code is one, whole, and never the beginning of an id, though six hexadecimal digits
        may be both: whoever gives a code has compared it, and is not asked.

        Raises:
            SwarmletError: ``SWL-618`` nobody, ``SWL-606`` several.
        """
        self._expire(now)
        open_ones = [one for one in self._all.values() if one.state in _COMPARED]
        code = read_code(reference)
        if code is None:
            named = [Named(one.pairing_id, one.pairing_id) for one in open_ones]
        else:
            named = [Named(one.pairing_id, one.code) for one in open_ones if one.code == code]
        return self._all[resolve(code or reference, named, "SWL-618")]

    @staticmethod
    def over(one: Pairing, allow: frozenset[str]) -> Refusal | None:
        """Return why a device cannot be approved any more, though it could be named; with this ``allow``."""
        if one.state is State.APPROVED and one.allow != allow:
            given = f"--allow {','.join(sorted(one.allow))}" if one.allow else "no --allow"
            return Refusal(
                "SWL-608", {"detail": f"{one.code} was approved already, with {given}"} | _undo(one)
            )
        if one.state is State.DENIED:
            hint = "let the device ask again"
            return Refusal("SWL-608", {"detail": f"{one.code} was denied already", "hint": hint})
        if one.state is State.SPENT:
            hint = "stratoswarm cluster discovery on  and let the device ask again"
            return Refusal("SWL-608", {"detail": "devices may not ask any more", "hint": hint})
        return None

    def approve(self, one: Pairing, made: Approval, now: float) -> bool:
        """Give a device its claims; false when it is over meanwhile."""
        if one.state is not State.PENDING or now >= one.ends:
            return False
        one.state, one.signed, one.jti, one.allow = State.APPROVED, made.signed, made.jti, made.allow
        one.ends = max(one.ends, now + FETCH_S)
        return True

    @staticmethod
    def deny(one: Pairing) -> Refusal | None:
        """Refuse a device; its place stays spent. One that was approved has its token by now."""
        if one.state is State.APPROVED:
            return Refusal("SWL-608", {"detail": f"{one.code} was approved already"} | _undo(one))
        one.state, one.refused = State.DENIED, Refusal("SWL-120")
        return None

    # ---- places

    def _known(self, pairing_id: str, now: float) -> Pairing | Refusal:
        self._expire(now)
        one = self._all.get(pairing_id)
        if one is None:
            return Refusal("SWL-121")
        return one.refused or one

    def _expire(self, now: float) -> None:
        for key in [key for key, one in self._all.items() if now >= one.ends]:
            del self._all[key]

    def _no_room(self, source: str, now: float) -> Refusal | None:
        spent = [one for one in self._all.values() if one.state is not State.APPROVED]
        own = [one for one in spent if one.source == source]
        if len(own) >= MOST_OF_SOURCE:
            return _busy(own, now)
        return _busy(spent, now) if len(spent) >= MOST else None


def _undo(one: Pairing) -> dict[str, str]:
    return {"hint": f"stratoswarm cluster token revoke {one.jti[:12]} --cascade"}


def _busy(taken: Iterable[Pairing], now: float) -> Refusal:
    return Refusal("SWL-122", {"seconds": str(int(min(one.ends for one in taken) - now) + 1)})


def _unfit(asking: PairRequest) -> Refusal | None:
    """Refuse what no device of ours says."""
    if len(asking.public_key) != 32 or len(asking.commitment) != RANDOM:
        return Refusal("SWL-608", {"detail": "a key of this request is none", "hint": "update swarmlet"})
    if not is_node_name(asking.name) or parse_class(asking.node_class) is None:
        detail = "the device has no name or class that fits here"
        return Refusal("SWL-608", {"detail": detail, "hint": "set SWARM_NODE_NAME"})
    described = asking.hardware, asking.version
    if len(asking.hardware) > MOST_HARDWARE or len(asking.version) > 64:
        return Refusal("SWL-608", {"detail": "its description is too long", "hint": "update swarmlet"})
    if any(text != printable(text) for text in described):
        return Refusal("SWL-608", {"detail": "its description cannot be shown", "hint": "update swarmlet"})
    return None
