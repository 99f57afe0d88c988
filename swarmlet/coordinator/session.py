"""Who may say what, when: the states of a connection to the coordinator, as a table. Pure.

Law: every message from a peer passes :func:`advance`, which answers the next phase or raises
:class:`IllegalMessageError` and changes nothing. What is not in :data:`TABLE` is illegal (deny by default).
The phase a connection begins in comes from its certificate, and before every message of one who has a
certificate :func:`objection` asks the store again (C3), so that a removed node is silenced at once.

::

    no certificate   ANONYMOUS --JoinRequest|PairCollect--> SPENT
                     ANONYMOUS --PairRequest--> PAIRING --PairReveal--> SPENT
    expired          EXPIRED --RenewRequest--> EXPIRED            (renew-only)
    valid            CERTIFIED --Hello--> MEMBER --...--> MEMBER --Leave|Goodbye--> ENDING
"""

from __future__ import annotations

import enum
from typing import NamedTuple

from swarmlet.link import messages as m
from swarmlet.model.membership import PAST
from swarmlet.model.records import NodeRecord

NODE_ROLE = "node"


class Phase(enum.Enum):
    """Where a connection stands."""

    ANONYMOUS = "anonymous"  # challenged, without a certificate: may ask for admission, once
    PAIRING = "pairing"  # asked to be approved without a token; has to reveal what it committed to
    SPENT = "spent"  # its request was taken; nothing more is listened to
    EXPIRED = "expired"  # a certificate whose time is over: may renew
    CERTIFIED = "certified"  # a valid certificate; has not said hello
    MEMBER = "member"
    ENDING = "ending"  # said goodbye, or was told to go


TABLE: dict[Phase, dict[type[m.Message], Phase]] = {
    Phase.ANONYMOUS: {
        m.JoinRequest: Phase.SPENT,
        m.PairRequest: Phase.PAIRING,
        m.PairCollect: Phase.SPENT,
        m.Goodbye: Phase.ENDING,
    },
    Phase.PAIRING: {m.PairReveal: Phase.SPENT, m.Goodbye: Phase.ENDING},
    Phase.SPENT: {m.Goodbye: Phase.ENDING},
    Phase.EXPIRED: {m.RenewRequest: Phase.EXPIRED, m.Goodbye: Phase.ENDING},
    Phase.CERTIFIED: {
        m.Hello: Phase.MEMBER,
        m.RenewRequest: Phase.CERTIFIED,
        m.Leave: Phase.ENDING,
        m.Goodbye: Phase.ENDING,
    },
    Phase.MEMBER: {
        m.Observed: Phase.MEMBER,
        m.Resync: Phase.MEMBER,
        m.RenewRequest: Phase.MEMBER,
        m.StreamClose: Phase.MEMBER,
        m.Problem: Phase.MEMBER,
        m.MeshHello: Phase.MEMBER,
        m.MeshBody: Phase.MEMBER,
        m.MeshMeasured: Phase.MEMBER,
        m.Leave: Phase.ENDING,
        m.Goodbye: Phase.ENDING,
    },
    Phase.ENDING: {},
}

#: Phases in which an illegal message ends the connection: nothing is owed to whoever is not a member.
STRICT = frozenset(Phase) - {Phase.MEMBER}


class IllegalMessageError(Exception):
    """A message came in a phase where it may not; the phase stays."""

    def __init__(self, phase: Phase, message: m.Message) -> None:
        self.phase = phase
        self.kind = type(message).__name__
        super().__init__(f"{self.kind} is not allowed while {phase.value}")


class Certificate(NamedTuple):
    """What the engine verified of a peer's certificate; ``serial`` is hex as :func:`plain_serial` has it."""

    role: str
    node_uid: str
    serial: str
    not_after_ms: int
    expired: bool


def advance(phase: Phase, message: m.Message) -> Phase:
    """Return the phase after ``message``.

    Raises:
        IllegalMessageError: The message may not be sent now.
    """
    after = TABLE[phase].get(type(message))
    if after is None:
        raise IllegalMessageError(phase, message)
    return after


def first_phase(certificate: Certificate | None) -> Phase:
    """Return the phase a connection begins in."""
    if certificate is None:
        return Phase.ANONYMOUS
    return Phase.EXPIRED if certificate.expired else Phase.CERTIFIED


def objection(certificate: Certificate, node: NodeRecord | None) -> str | None:
    """Return why a certificate does not speak for a node now, or ``None`` when it does (C3, C4).

    Args:
        certificate: What the handshake showed.
        node: The stored row of the node it names, or ``None`` when there is none.

    Returns:
        A reason of :class:`~swarmlet.link.messages.Goodbye`.
    """
    if certificate.role != NODE_ROLE:
        return "role"
    if node is None or node.state in PAST or node.replaced_by is not None:
        return "revoked"
    known = (node.serial, node.next_serial or node.serial)
    if certificate.serial not in map(plain_serial, known):
        return "superseded-certificate"
    return None


def confirms_next(certificate: Certificate, node: NodeRecord) -> bool:
    """Say whether this connection is the first use of the node's next certificate (C4)."""
    return node.next_serial is not None and certificate.serial == plain_serial(node.next_serial)


def plain_serial(serial: str) -> str:
    """Return a serial number in hex without leading zeros: a certificate has a number, a record 32 digits."""
    return serial.lower().lstrip("0")
