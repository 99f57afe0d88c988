"""What a failed attempt means: which catalogue entry, how telling it is, whether to try again. Pure."""

from __future__ import annotations

import math

import msgspec

from swarmlet.errors import CATALOGUE
from swarmlet.join import steps
from swarmlet.join.events import Closed
from swarmlet.link.events import keys_in
from swarmlet.link.messages import PROTOCOL_VERSION, Refused


class Failure(msgspec.Struct, frozen=True):
    """One attempt that failed.

    ``rank`` orders failures by how much they tell (higher is more), ``short`` is for the line that goes on to
    the next address. ``rounds`` is how often the address is worth trying while no request has left:
    :data:`PATIENT` is as long as the join has patience.
    """

    code: str
    fields: dict[str, str]
    rank: int
    short: str
    rounds: float = 1


#: A coordinator cuts connections that have not proven themselves once there are many from one address (D1):
#: whoever is cut may be in a crowd behind one router, and its turn comes.
PATIENT = math.inf
_CROWDED = frozenset({"reset", "closed"})
#: Nothing is there yet, or cannot be reached yet: the network, the name server or the coordinator may come.
PASSING = frozenset({"SWL-200", "SWL-204"})
#: A dead address says nothing at all; it must not cost a minute. One that takes connections and says nothing
#: may be a coordinator under a rush, whose kernel keeps those that it has no room for yet.
_ROUNDS = {"timed-out": 2, "silent": 3, **dict.fromkeys(_CROWDED, PATIENT)}

#: Characters of a key in a sentence: ``SHA256:`` and 16 digits.
_SHOWN_KEY = 23

#: Reasons that tell nothing beyond "cannot be reached": sentence and rank.
_UNREACHED: dict[str, tuple[str, int]] = {
    "unreachable": ("no route to it", 1),
    "address-unavailable": ("this machine has no address for it", 1),
    "connection-refused": ("nothing listens there", 2),
    "timed-out": ("it did not answer in time", 3),
    "reset": ("it cut the connection", 4),
    "closed": ("it closed the connection before it answered", 4),
}


#: What is known once a request has left; whether the next run has the same token.
_SENT = {
    True: "the token may have been used, and the same command within 10 minutes asks with the same key",
    False: "this device may be listed already, and the same command asks to be approved anew",
}


def unexpected(detail: str) -> Closed:
    """Return the end of a connection whose peer does not speak the protocol."""
    return Closed("protocol", detail)


def failure_of(
    event: Closed, address: str, *, asked: bool = False, proven: bool = False, resumes: bool = True
) -> Failure:
    """Return what the end of an attempt means.

    Args:
        event: How it ended.
        address: The address as a person knows it.
        asked: Whether a request has already left for the cluster in this join.
        proven: Whether the address has shown the cluster's key before, so that silence is no stranger's.
        resumes: Whether the next run would ask with the same token.
    """
    detail = steps.plain(event.detail)
    distrusted = _distrusted(event.reason, address, detail)
    if distrusted is not None:
        return distrusted
    if event.reason == "protocol-version":
        fields = {"address": address, "theirs": detail, "ours": str(PROTOCOL_VERSION)}
        return Failure("SWL-208", fields, 7, f"it speaks protocol version {detail}")
    if event.reason == "name-unresolved":
        host = address.rpartition(":")[0] or address
        return Failure("SWL-204", {"host": host, "detail": detail}, 1, "the name has no address")
    if event.reason == "silent" and (asked or proven):
        # It was the coordinator before; it is busy, stopped or cut off, not somebody else.
        event = msgspec.structs.replace(event, reason="timed-out")
    if event.reason in _UNREACHED:
        sentence, rank = _UNREACHED[event.reason]
        if asked and rank >= 3:
            sentence += f", after the request was sent; {_SENT[resumes]}"
        fields = {"address": address, "detail": sentence}
        return Failure("SWL-200", fields, rank, sentence, _ROUNDS.get(event.reason, 1))
    fields = {"address": address, "detail": detail or event.reason}
    return Failure("SWL-201", fields, 6, detail or event.reason, _ROUNDS.get(event.reason, 1))


def _distrusted(reason: str, address: str, detail: str) -> Failure | None:
    """Return what a certificate that was not taken means; ``None`` when that is not the reason."""
    if reason == "pin-mismatch":
        keys = {side: _short(text) for side, text in keys_in(detail).items()}
        fields = {"address": address, "found": "?", "expected": "?", **keys}
        return Failure("SWL-202", fields, 9, "its key is not the one in the token")
    if reason == "certificate-role":
        return Failure("SWL-206", {"address": address}, 8, "it is not a coordinator")
    if reason == "certificate-invalid":
        return Failure("SWL-211", {"address": address, "detail": detail}, 8, "its certificate does not hold")
    return None


def refusal(refused: Refused, expires_s: int, name: str) -> tuple[str, dict[str, str]]:
    """Return the catalogue code and fields for a refusal by the cluster.

    Times are the coordinator's: this machine's clock may say 1970 (T6).
    """
    fields = {
        key: steps.plain(value)
        for key, value in list(refused.detail.items())[:16]
        if key not in {"code", "self"}
    }
    fields.setdefault("name", name)
    if refused.seen:
        fields.setdefault("seen", steps.plain(refused.seen, 64))
    if refused.retry_after_ms is not None:
        fields.setdefault("seconds", str(-(-refused.retry_after_ms // 1000)))
    if refused.code == "SWL-104":
        from swarmlet.tokens.durations import instant, spoken  # noqa: PLC0415 - only a refusal needs a calendar

        fields.setdefault("at", instant(expires_s))
        if refused.time_ms is not None:
            fields.setdefault("ago", spoken(refused.time_ms / 1000 - expires_s))
    if refused.code not in CATALOGUE:
        return "SWL-115", {**fields, "theirs": steps.plain(refused.code, 20)}
    return refused.code, fields


def _short(keys: str) -> str:
    """Return the beginning of each key: enough to see that two differ."""
    return ", ".join(f"{key[:_SHOWN_KEY]}..." for key in keys.split(","))
