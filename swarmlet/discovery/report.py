"""What a search found, for people and programs. Pure.

``DiscoveryView`` is what ``swarmlet discover -o json`` prints: fields may be added, never renamed or removed.
Names and keys that were only announced are shown where nothing better is known, and are nobody's word.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from swarmlet.discovery.finder import Outcome, Trial
from swarmlet.discovery.prove import Proof
from swarmlet.discovery.sighting import BROADCAST, MDNS
from swarmlet.discovery.ways import Way
from swarmlet.model.views import View

ANSWERED, SILENT, IDLE, FAILED = "answered", "silent", "idle", "failed"
#: Ways that end where a container's own network ends.
_LOCAL = (MDNS, BROADCAST)
_BRIDGED = "this container has a network of its own, which ends at its host: start it with --network host"


class FoundView(msgspec.Struct, frozen=True, kw_only=True):
    """One address where a cluster answered.

    Args:
        cluster: Its name: its own word when ``trusted`` is true, else as announced.
        cluster_id: Likewise.
        address: ``host:port``.
        tried: The same as ``ip:port``.
        ways: How it was found.
        ms: From the first packet to the end of the handshake, in milliseconds.
        key: SHA-256 of its public key: ``SHA256:`` and 64 hex digits, what a token pins.
        trusted: Whether that is the key of the token or identity; ``None`` when there is neither.
        problem: What is wrong with it; empty when nothing is.
    """

    cluster: str
    cluster_id: str
    address: str
    tried: str
    ways: tuple[str, ...]
    ms: float | None
    key: str
    trusted: bool | None
    problem: str = ""


class UnreachedView(msgspec.Struct, frozen=True, kw_only=True):
    """One address that was announced or given and where no cluster answered, and why."""

    address: str
    ways: tuple[str, ...]
    problem: str


class WayView(msgspec.Struct, frozen=True, kw_only=True):
    """How one way of discovery went.

    Args:
        way: Its name.
        state: ``answered``, ``silent`` (it looked), ``idle`` (nothing to look at), ``failed`` (it could not).
        addresses: How many addresses it told.
        why: Why it was silent, idle or failed.
        ignored: What came and was of no use, by reason.
    """

    way: str
    state: str
    addresses: int
    why: str = ""
    ignored: dict[str, int] = {}


class DiscoveryView(View, frozen=True, kw_only=True):
    """A search: clusters that answered, nearest first and trusted before others; the rest; how it went."""

    found: tuple[FoundView, ...]
    unreached: tuple[UnreachedView, ...]
    ways: tuple[WayView, ...]
    seconds: float

    @property
    def usable(self) -> tuple[FoundView, ...]:
        """What may be the cluster that is looked for."""
        return tuple(one for one in self.found if one.trusted is not False)


def report(outcome: Outcome, ways: Sequence[Way], *, seconds: float, bridged: bool) -> DiscoveryView:
    """Return what a search found.

    Args:
        outcome: What it found.
        ways: Where it looked.
        seconds: For how long it looked at most.
        bridged: Whether this is a container with a network of its own.
    """
    found = [_found(trial, trial.proof) for trial in outcome.trials if trial.proof and _answered(trial.proof)]
    found.sort(key=lambda one: (one.trusted is not True, one.trusted is False, one.ms or 0.0))
    unreached = [
        _unreached(trial) for trial in outcome.trials if not (trial.proof and _answered(trial.proof))
    ]
    return DiscoveryView(
        found=tuple(found),
        unreached=tuple(unreached),
        ways=tuple(_way(way, outcome, seconds, bridged=bridged) for way in ways),
        seconds=seconds,
    )


def _answered(proof: Proof) -> bool:
    return proof.trusted is not None or bool(proof.key)


def _found(trial: Trial, proof: Proof) -> FoundView:
    said = trial.sightings
    keys = {one.key for one in said if one.key}
    problem = proof.problem
    if not problem and keys and proof.key and proof.key not in keys:
        problem = "it was announced with another key than it has"
    return FoundView(
        cluster=proof.cluster_name or _first(one.cluster_name for one in said),
        cluster_id=proof.cluster_id or _first(one.cluster_id for one in said),
        address=proof.address,
        tried=proof.tried,
        ways=tuple(one.way for one in said),
        ms=None if proof.ms is None else round(proof.ms, 1),
        key=f"SHA256:{proof.key}" if proof.key else "",
        trusted=proof.trusted,
        problem=problem,
    )


def _unreached(trial: Trial) -> UnreachedView:
    problem = "there was no time to try it" if trial.proof is None else trial.proof.problem
    address = trial.sightings[0].address
    return UnreachedView(address=address, ways=tuple(one.way for one in trial.sightings), problem=problem)


def _way(way: Way, outcome: Outcome, seconds: float, *, bridged: bool) -> WayView:
    seen = sum(any(one.way == way.name for one in trial.sightings) for trial in outcome.trials)
    ignored = dict(way.ignored)
    if outcome.too_many[way.name]:
        ignored["too many addresses"] = outcome.too_many[way.name]
    state, why = ANSWERED, ""
    if not seen:
        state = IDLE if way.idle else FAILED if way.trouble else SILENT
        why = way.trouble or f"nothing answered in {seconds:g} s"
        if bridged and way.name in _LOCAL:
            why = f"{why}; {_BRIDGED}"
    return WayView(way=way.name, state=state, addresses=seen, why=why, ignored=ignored)


def _first(texts: Iterable[str]) -> str:
    return next(filter(None, texts), "")
