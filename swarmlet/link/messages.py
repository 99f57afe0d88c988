"""Every control message, the same file on both sides.

A control frame carries one msgpack map with the tag ``t``. Unknown fields are ignored, so a newer peer may
say more; an unknown tag is answered with :class:`Problem`. Depth, counts and lengths were checked by the
native extension before a byte reaches this file (D3). ``docs/protocol.md`` gives the bytes. At the level
debug every message is logged by its kind; never its content, which may be somebody's secret.
"""

from __future__ import annotations

import logging

import msgspec

from swarmlet.model.profile import Profile
from swarmlet.model.workload import Assignment, Observation

#: Version of the control protocol; grows only when a message changes its meaning.
PROTOCOL_VERSION = 1


class Message(msgspec.Struct, frozen=True, tag_field="t", omit_defaults=True):
    """Base of every control message."""


# ---- coordinator to node, before admission


class Challenge(Message, frozen=True, tag="challenge"):
    """First message of every connection: which cluster this is and what time it is.

    The connection is pinned TLS 1.3, so ``time_ms`` (Unix milliseconds) is authentic; ``seen`` is the
    address the coordinator sees the peer at, for people behind NAT.
    """

    protocol: int
    cluster_id: str
    cluster_name: str
    time_ms: int
    seen: str


class Settings(msgspec.Struct, frozen=True):
    """What a node needs to know of its cluster. ``endpoints`` are ``host:port``, best first."""

    cluster_id: str
    cluster_name: str
    endpoints: tuple[str, ...]
    ca_pins: tuple[bytes, ...]
    heartbeat_ms: int
    lease_ms: int


class Admitted(Message, frozen=True, tag="admitted"):
    """The join succeeded, durably: the node's certificate and everything it needs to come back.

    ``chain`` is DER, leaf first, root last. ``name`` may carry a suffix when the asked one was taken.
    ``gossip_credential`` and ``gossip_epoch`` are reserved and not used: see :class:`MeshGrant`.
    """

    node_uid: str
    name: str
    chain: tuple[bytes, ...]
    settings: Settings
    time_ms: int
    node_class: str
    suitability: tuple[str, ...]
    reason: str
    peers: tuple[str, ...] = ()
    replaced: str | None = None
    gossip_credential: bytes | None = None
    gossip_epoch: bytes | None = None


class Refused(Message, frozen=True, tag="refused"):
    """The request failed. ``code`` is a catalogue code (``SWL-104``).

    Until possession was proven every refusal is byte-identical: ``SWL-100`` and nothing else (T10).
    """

    code: str
    detail: dict[str, str] = msgspec.field(default_factory=dict)
    time_ms: int | None = None
    seen: str | None = None
    retry_after_ms: int | None = None


# ---- node to coordinator, before admission


class JoinRequest(Message, frozen=True, tag="join"):
    """Ask for admission: claims with their signature, a CSR, and proof of the token's one-use key (T4)."""

    claims: bytes  # claims || signature, as in the token; never the seed
    csr: bytes
    proof: bytes
    name: str
    profile: Profile
    version: str
    capabilities: tuple[str, ...] = ()


# ---- pairing: a device without a token, before admission


class PairRequest(Message, frozen=True, tag="pair"):
    """Node to coordinator: ask to be approved by a person who compares a code (``model/pairing.py``).

    ``public_key`` is the public half of the key that the token is to be made for; ``commitment`` binds the
    random value that :class:`PairReveal` tells. The rest is for people, and bound into the code.
    """

    public_key: bytes
    commitment: bytes
    name: str
    node_class: str
    hardware: str
    version: str


class PairOffer(Message, frozen=True, tag="pair-offer"):
    """Coordinator to node: its random value, and under which id (32 hex digits) to go on."""

    pairing: str
    random: bytes


class PairReveal(Message, frozen=True, tag="pair-reveal"):
    """Node to coordinator, over the same connection: the random value that was committed to."""

    pairing: str
    random: bytes


class PairCollect(Message, frozen=True, tag="pair-collect"):
    """Node to coordinator, over any later connection: was it approved?"""

    pairing: str


class PairPending(Message, frozen=True, tag="pair-pending"):
    """Coordinator to node: a person has to decide; ask again in ``again_ms``, for ``left_ms`` at most."""

    left_ms: int
    again_ms: int


class PairApproved(Message, frozen=True, tag="pair-approved"):
    """Coordinator to node: claims of a token for its key, with their signature; nothing of it is secret."""

    signed: bytes


# ---- node to coordinator, as a member


class Hello(Message, frozen=True, tag="hello"):
    """First message of a member: who speaks, since which boot, and what it has applied.

    ``observed`` lists the last observation of every assignment in the node's journal.
    """

    protocol: int
    version: str
    boot_id: str
    name: str
    profile: Profile
    generation: int
    limits: dict[str, float] = msgspec.field(default_factory=dict)
    observed: tuple[Observation, ...] = ()


class Observed(Message, frozen=True, tag="observed"):
    """Observations since the last ones that were acknowledged; sent again until :class:`ObservedAck`."""

    observations: tuple[Observation, ...]


class RenewRequest(Message, frozen=True, tag="renew"):
    """Ask for a new certificate for a new key (C4)."""

    csr: bytes


class Leave(Message, frozen=True, tag="leave"):
    """The node goes for good; its certificate is to be revoked and its work moved."""


# ---- coordinator to member


class Welcome(Message, frozen=True, tag="welcome"):
    """The coordinator took the member's :class:`Hello`; heartbeats may start, desired state follows."""

    name: str
    settings: Settings
    time_ms: int


class Desired(Message, frozen=True, tag="desired"):
    """Desired state. A snapshot when ``full`` (anything not listed is to be stopped), else changes.

    ``generation`` grows with every change; a message whose ``base`` is not the generation the node has
    applied is dropped, and the node asks for a snapshot by :class:`Resync`. A snapshot too large for one
    frame comes in parts of one generation, in order: all but the last carry ``more``, and the node applies
    them together when the last is there. A change is always whole.
    """

    generation: int
    base: int
    full: bool
    assignments: tuple[Assignment, ...]
    removed: tuple[str, ...] = ()
    more: bool = False


class Resync(Message, frozen=True, tag="resync"):
    """Node to coordinator: send a full snapshot."""

    generation: int


class ObservedAck(Message, frozen=True, tag="observed-ack"):
    """The observations named are on the coordinator's disk: ``(assignment_id, epoch, sequence)``."""

    taken: tuple[tuple[str, int, int], ...]


class Renewed(Message, frozen=True, tag="renewed"):
    """A certificate for the new key; the old one stays valid until the new one is first used."""

    chain: tuple[bytes, ...]
    settings: Settings
    time_ms: int


class Goodbye(Message, frozen=True, tag="goodbye"):
    """The peer ends the connection on purpose: ``left``, ``revoked``, ``shutdown``, ``superseded``."""

    reason: str


# ---- the mesh


class MeshHello(Message, frozen=True, tag="mesh-hello"):
    """Node to coordinator: let this process gossip with these public keys (Ed25519 and X25519)."""

    signing: bytes
    exchange: bytes


class MeshGrant(Message, frozen=True, tag="mesh-grant"):
    """Coordinator to node: gossip, as this; again whenever the epoch turns.

    ``grant`` holds the credential and the keys of epochs, sealed for the process that asked. ``signing`` and
    ``exchange`` are the coordinator's public keys, ``host`` the IP address at which others reach the node.
    """

    grant: bytes
    signing: bytes
    exchange: bytes
    host: str
    probe_ms: int
    time_ms: int


class MeshBody(Message, frozen=True, tag="mesh-body"):
    """Either side: a piece of a body of anti-entropy; all but the last carry ``more``."""

    data: bytes
    more: bool = False


class MeshMeasure(Message, frozen=True, tag="mesh-measure"):
    """Coordinator to node: how do you see the member with this uid (16 bytes)?"""

    number: int
    node: bytes


class MeshMeasured(Message, frozen=True, tag="mesh-measured"):
    """The answer to the :class:`MeshMeasure` of this number; ``state`` is empty for a stranger."""

    number: int
    state: str
    rtt_us: int


# ---- streams


class LogsOpen(Message, frozen=True, tag="logs-open"):
    """Coordinator to node: send the output of an assignment as data frames on ``stream``.

    ``tail`` is the number of last lines to begin with (``None``: all that is kept).
    """

    stream: int
    assignment_id: str
    follow: bool = False
    tail: int | None = None


class StreamClose(Message, frozen=True, tag="stream-close"):
    """Either side: no more frames on ``stream``; ``error`` is a catalogue code when it failed."""

    stream: int
    error: str | None = None


class Problem(Message, frozen=True, tag="problem"):
    """A message could not be taken; the connection goes on."""

    code: str
    about: str = ""


AnyMessage = (
    Challenge
    | Admitted
    | Refused
    | JoinRequest
    | PairRequest
    | PairOffer
    | PairReveal
    | PairCollect
    | PairPending
    | PairApproved
    | Hello
    | Observed
    | RenewRequest
    | Leave
    | Welcome
    | Desired
    | Resync
    | ObservedAck
    | Renewed
    | Goodbye
    | MeshHello
    | MeshGrant
    | MeshBody
    | MeshMeasure
    | MeshMeasured
    | LogsOpen
    | StreamClose
    | Problem
)

#: What the mesh of a node says over its connection, and what it hears.
MeshWord = MeshHello | MeshBody | MeshMeasured
MeshAnswer = MeshGrant | MeshBody | MeshMeasure

_log = logging.getLogger(__name__)
_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[AnyMessage] = msgspec.msgpack.Decoder(AnyMessage)


def encode(message: AnyMessage) -> bytes:
    """Return the payload of a control frame for ``message``."""
    if _log.isEnabledFor(logging.DEBUG):
        _log.debug("message out", extra={"kind": type(message).__name__})
    return _encoder.encode(message)


def decode(payload: bytes) -> AnyMessage:
    """Return the message in a control frame's payload.

    Raises:
        msgspec.DecodeError: The payload is not msgpack.
        msgspec.ValidationError: The tag is unknown or a field has the wrong type.
    """
    message = _decoder.decode(payload)
    if _log.isEnabledFor(logging.DEBUG):
        _log.debug("message in", extra={"kind": type(message).__name__, "bytes": len(payload)})
    return message
