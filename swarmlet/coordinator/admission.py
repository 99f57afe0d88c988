"""Who may join, as what, and who may renew: verdicts over facts. Pure.

The order of the checks is part of the contract (T10). Before the token's signature *and* the proof of its
one-use key hold, there is one answer, :data:`UNPROVEN`, byte for byte the same whatever was wrong. Whoever
proved possession gets the exact reason. The coordinator's clock alone judges time (T6), the address of the
TCP peer alone the network (T7), and what a device says of itself is cut to its token's ceiling (T8).

What may change between this verdict and the transaction (uses, revocation, time, a twin's lease) is judged
again by the store. ``door.py`` does the verifying, signing and applying.
"""

from __future__ import annotations

import dataclasses
from typing import Final

import msgspec

from swarmlet.coordinator.store import laws
from swarmlet.coordinator.store.api import Admission, AdmissionFacts
from swarmlet.link.messages import Hello, JoinRequest, Refused
from swarmlet.model.classification import RULES, classify
from swarmlet.model.membership import PAST
from swarmlet.model.names import numbered_from, to_node_name
from swarmlet.model.profile import Classification, Profile
from swarmlet.model.records import NodeRecord
from swarmlet.tokens import check
from swarmlet.tokens.check import Refusal
from swarmlet.tokens.claims import CAPABILITIES, Claims
from swarmlet.tokens.durations import spoken

#: The answer to everybody who did not prove possession of a token of this cluster.
UNPROVEN: Final = Refused("SWL-100")

#: How long after its end a certificate may still ask for a new one (C5).
GRACE_MS: Final = laws.REMOVED_GRACE_MS

#: The longest profile that is recorded, encoded, and the longest version text.
MAX_PROFILE: Final = 8192
MAX_VERSION: Final = 64


@dataclasses.dataclass(frozen=True, slots=True)
class Ceiling:
    """What a token's nodes may be and be given, at most (T8)."""

    node_classes: tuple[str, ...]
    allow: tuple[str, ...]

    @classmethod
    def of(cls, claims: Claims) -> Ceiling:
        """Return the ceiling in a token's claims."""
        return cls(claims.node_classes, claims.allow)

    @classmethod
    def kept(cls, node: NodeRecord) -> Ceiling:
        """Return a ceiling that lets a node keep what it has, and no more."""
        return cls((node.profile.classification.node_class,), node.capabilities)


@dataclasses.dataclass(frozen=True, slots=True)
class Applicant:
    """A join request after the token's signature, the proof and the certification request were verified.

    Attributes:
        request: What was sent.
        claims: The token's, signature verified.
        facts: What the store knows that bears on it.
        seen: The TCP peer's address.
        now_ms: Unix milliseconds by the coordinator's clock.
    """

    request: JoinRequest
    claims: Claims
    facts: AdmissionFacts
    seen: str
    now_ms: int


@dataclasses.dataclass(frozen=True, slots=True)
class Admit:
    """Let it in, as this. ``clamped`` says in words what was cut to the token's ceiling."""

    name: str
    profile: Profile
    capabilities: tuple[str, ...]
    clamped: tuple[str, ...]
    replaces: str | None


@dataclasses.dataclass(frozen=True, slots=True)
class Repeat:
    """The same device asks again because the reply was lost: give it the same answer (T5)."""

    first: Admission


def judge(applicant: Applicant) -> Admit | Repeat | Refusal:
    """Decide about a device that proved possession of a token."""
    first = applicant.facts.first
    if first is not None and laws.may_repeat(first.at_ms, applicant.now_ms):
        return Repeat(first)
    refusal = _token_refusal(applicant) or _shape_refusal(applicant.request)
    if refusal is not None:
        return refusal
    name = to_node_name(applicant.request.name) or ""
    clamped = clamp(applicant.request.profile, Ceiling.of(applicant.claims))
    refusal = _device_refusal(applicant, name, clamped)
    if refusal is not None or clamped is None:
        return refusal or Refusal("SWL-100")
    profile, cut = clamped
    asked = frozenset(applicant.request.capabilities) & frozenset(CAPABILITIES)
    granted = asked & frozenset(applicant.claims.allow)
    cut += tuple(f"{one} was not granted" for one in sorted(asked - granted))
    profile = msgspec.structs.replace(profile, node_id=name)
    return Admit(name, profile, tuple(sorted(granted)), cut, _lapsed_twin(applicant, name))


def _token_refusal(applicant: Applicant) -> Refusal | None:
    """Judge the token: known, not revoked, in time, with a use left."""
    token = applicant.facts.token
    if token is None:
        # Signed by our key, yet not in the ledger: minted after the backup this database came from.
        return Refusal("SWL-100")
    return (
        check.revoked(token.jti, token.revoked_ms)
        or check.expired(applicant.claims.expires_s, applicant.now_ms / 1000)
        or check.used_up(token.jti, token.uses, token.max_uses)
    )


def _shape_refusal(request: JoinRequest) -> Refusal | None:
    if to_node_name(request.name) is None:
        return _cannot_take("the node's name has no letter or digit", "set SWARM_NODE_NAME")
    return shape_refusal(request.profile, request.version)


def shape_refusal(profile: Profile, version: str) -> Refusal | None:
    """Refuse a profile or version text that no device has: both are kept, shown and reckoned with."""
    if len(version) > MAX_VERSION or len(msgspec.json.encode(profile)) > MAX_PROFILE:
        return _cannot_take("the profile is too long", "update swarmlet on the device")
    impossible = _impossible(profile)
    if impossible is not None:
        return _cannot_take(f"no device has the {impossible} of the profile", "update swarmlet on the device")
    return None


def _impossible(profile: Profile) -> str | None:
    """Return the name of a number that no device has: one without end would spoil every list of nodes."""
    hardware, capabilities = profile.hardware, profile.capabilities
    thermal = capabilities.thermal_constraints
    told: dict[str, tuple[float | None, float, float]] = {
        "cpu_cores": (hardware.cpu_cores, 0, 65_536),
        "memory_gb": (hardware.memory_gb, 0, 1e7),
        "storage_gb": (hardware.storage_gb, 0, 1e9),
        "gpu_count": (capabilities.gpu_count, 0, 4096),
        "network_bandwidth_mbps": (capabilities.network_bandwidth_mbps, 0, 1e9),
        "max_temp_celsius": (thermal.max_temp_celsius, -300, 10_000),
        "current_temp_celsius": (thermal.current_temp_celsius, -300, 10_000),
    }
    # What is no number at all (NaN) is within no bounds.
    known = ((name, value, least, most) for name, (value, least, most) in told.items() if value is not None)
    return next((name for name, value, least, most in known if not least <= value <= most), None)


def _cannot_take(detail: str, hint: str) -> Refusal:
    return Refusal("SWL-608", {"detail": detail, "hint": hint})


def _device_refusal(
    applicant: Applicant, name: str, clamped: tuple[Profile, tuple[str, ...]] | None
) -> Refusal | None:
    """Judge the device: its network, its name, its class, its hardware."""
    claims = applicant.claims
    refusal = check.outside(claims.cidrs, applicant.seen) or check.misnamed(claims.name_pattern, name)
    if refusal is not None:
        return refusal
    if clamped is None:
        profile = applicant.request.profile
        found = classify(profile.hardware, profile.capabilities).node_class.lower()
        return Refusal("SWL-108", {"allowed": ", ".join(claims.node_classes), "found": found})
    if applicant.facts.blocked is not None:
        return Refusal("SWL-111", {"name": applicant.facts.blocked})
    return None


def _lapsed_twin(applicant: Applicant, name: str) -> str | None:
    """Return the row this device takes the place of: this machine's of the name it asks for, else none.

    Several agents may live on one machine, each under a name of its own: one that is stopped for a while must
    not lose its place to another. A row with a number behind the name counts only where no row of this
    machine has the name itself. A fingerprint can be forged, so a twin that holds its lease stays and the
    newcomer gets in beside it.
    """
    twins = applicant.facts.twins
    same = [twin for twin in twins if twin.name == name] or [
        twin for twin in twins if numbered_from(twin.name, name)
    ]
    lapsed = [twin for twin in same if laws.lease_lapsed(twin, applicant.now_ms)]
    return lapsed[0].node_uid if lapsed else None


# ---- the ceiling


def clamp(profile: Profile, ceiling: Ceiling) -> tuple[Profile, tuple[str, ...]] | None:
    """Cut what a device says of itself to what its token allows (T8).

    The class is not the device's word but the table's, over the hardware it reports.

    Returns:
        The profile to record and what was cut, in words; ``None`` when its class is below every allowed one.
    """
    cut: list[str] = []
    capabilities = profile.capabilities
    if capabilities.gpu_count and "gpu" not in ceiling.allow:
        cut.append(f"gpu_count {capabilities.gpu_count} to 0")
        capabilities = msgspec.structs.replace(capabilities, gpu_count=0)
    judged = classify(profile.hardware, capabilities)
    node_class = check.class_within(ceiling.node_classes, judged.node_class)
    if node_class is None:
        return None
    if node_class != judged.node_class:
        judged = _lowered(judged, node_class)
    if node_class != profile.classification.node_class:
        cut.append(f"class {profile.classification.node_class[:32]} to {node_class}")
    return msgspec.structs.replace(profile, capabilities=capabilities, classification=judged), tuple(cut)


def _lowered(judged: Classification, node_class: str) -> Classification:
    suits = next(rule.suitability for rule in RULES if rule.node_class == node_class)
    reason = f"its token allows no more; by itself it is {judged.node_class}: {judged.reason}"
    return Classification(node_class, suits, reason)


def judge_update(node: NodeRecord, hello: Hello, ceiling: Ceiling) -> tuple[Profile, tuple[str, ...]]:
    """Return what to record of a member's Hello and what was cut from it; nothing here lifts a node (T8).

    A member whose new profile is impossible or of a class its token never allowed keeps the one it has. Its
    fingerprint stays that of its admission: with another's it could have that device blocked in its place.
    """
    clamped = clamp(hello.profile, ceiling)
    if clamped is None:
        return node.profile, (f"class {hello.profile.classification.node_class[:32]} was not taken",)
    refusal = shape_refusal(hello.profile, hello.version)
    if refusal is not None:
        return node.profile, (f"{refusal.fields['detail']}: it was not taken",)
    profile, cut = clamped
    admitted_as = node.profile.fingerprint
    if profile.fingerprint != admitted_as:
        cut += ("another hardware fingerprint was not taken",)
    return msgspec.structs.replace(profile, node_id=node.name, fingerprint=admitted_as), cut


# ---- renewal


def judge_renewal(node: NodeRecord, now_ms: int, grace_ms: int = GRACE_MS) -> Refusal | None:
    """Say why a member may not have a new certificate, or ``None`` when it may (C4).

    That the certificate it came with is the current or the next one was judged when it connected, and that
    the key is a new one is judged in the transaction.

    Args:
        node: Its row.
        now_ms: Unix milliseconds by the coordinator's clock.
        grace_ms: How long after its end a certificate may still ask (C5).
    """
    if node.state in PAST or node.replaced_by is not None:
        return Refusal("SWL-207")
    over_ms = now_ms - node.not_after_ms
    if over_ms > grace_ms:
        detail = (
            f"it expired {spoken(over_ms / 1000)} ago, longer than the {spoken(grace_ms / 1000)} of grace"
        )
        return Refusal("SWL-203", {"detail": detail})
    return None
