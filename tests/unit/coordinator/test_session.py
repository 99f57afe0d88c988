from __future__ import annotations

import msgspec
import pytest

from swarmlet.coordinator.session import (
    TABLE,
    Certificate,
    IllegalMessageError,
    Phase,
    advance,
    confirms_next,
    first_phase,
    objection,
)
from swarmlet.link import messages as m
from swarmlet.model.membership import NodeState
from tests.fakes.records import node

EVERY_MESSAGE = [
    kind
    for kind in vars(m).values()
    if isinstance(kind, type) and issubclass(kind, m.Message) and kind is not m.Message
]
FROM_COORDINATOR = {
    m.Challenge, m.Admitted, m.Refused, m.Welcome, m.Desired, m.ObservedAck, m.Renewed, m.LogsOpen,
    m.MeshGrant, m.MeshMeasure, m.PairOffer, m.PairPending, m.PairApproved,
}  # fmt: skip
#: What each phase listens to: the requirement, written down a second time (C3).
LISTENS = {
    Phase.ANONYMOUS: {m.JoinRequest, m.PairRequest, m.PairCollect, m.Goodbye},
    Phase.PAIRING: {m.PairReveal, m.Goodbye},
    Phase.SPENT: {m.Goodbye},
    Phase.EXPIRED: {m.RenewRequest, m.Goodbye},
    Phase.CERTIFIED: {m.Hello, m.RenewRequest, m.Leave, m.Goodbye},
    Phase.MEMBER: {
        m.Observed, m.Resync, m.RenewRequest, m.StreamClose, m.Problem, m.Leave, m.Goodbye,
        m.MeshHello, m.MeshBody, m.MeshMeasured,
    },
    Phase.ENDING: set(),
}  # fmt: skip


def blank(kind: type) -> m.Message:
    """A message of this kind; nothing but its kind matters here."""
    empty = {str: "", bytes: b"", int: 0, bool: False}
    required = [field for field in msgspec.structs.fields(kind) if field.required]
    return kind(**{field.name: empty.get(field.type, ()) for field in required})


@pytest.mark.parametrize("phase", Phase)
@pytest.mark.parametrize("kind", EVERY_MESSAGE, ids=lambda kind: kind.__name__)
def test_each_phase_listens_to_its_own_messages_and_no_other(phase, kind) -> None:
    if kind in LISTENS[phase]:
        assert isinstance(advance(phase, blank(kind)), Phase)
        return
    with pytest.raises(IllegalMessageError) as caught:
        advance(phase, blank(kind))
    assert phase.value in str(caught.value)
    assert kind.__name__ in str(caught.value)


def test_nothing_a_coordinator_says_is_listened_to() -> None:
    for row in TABLE.values():
        assert not FROM_COORDINATOR & row.keys()


def test_every_phase_has_a_row() -> None:
    assert set(TABLE) == set(Phase)


def certificate(**given) -> Certificate:
    return Certificate(
        **{"role": "node", "node_uid": "uid-n", "serial": "1", "not_after_ms": 9, "expired": False, **given}
    )


def test_the_first_phase_comes_from_the_certificate() -> None:
    assert first_phase(None) is Phase.ANONYMOUS
    assert first_phase(certificate()) is Phase.CERTIFIED
    assert first_phase(certificate(expired=True)) is Phase.EXPIRED


@pytest.mark.parametrize(
    ("shown", "row", "reason"),
    [
        (certificate(), node(), None),
        (certificate(serial="2"), node(next_serial="02"), None),
        (certificate(role="coordinator"), node(), "role"),
        (certificate(), None, "revoked"),
        (certificate(), node(state=NodeState.REVOKED), "revoked"),
        (certificate(), node(state=NodeState.LEFT), "revoked"),
        (certificate(), node(replaced_by="uid-x"), "revoked"),
        (certificate(serial="3"), node(next_serial="02"), "superseded-certificate"),
        (certificate(serial=""), node(), "superseded-certificate"),
    ],
)
def test_a_certificate_speaks_for_a_node_only_while_the_store_agrees(shown, row, reason) -> None:
    assert objection(shown, row) == reason


def test_the_first_use_of_the_next_certificate_is_noticed() -> None:
    row = node(serial="01", next_serial="02")
    assert confirms_next(certificate(serial="2"), row)
    assert not confirms_next(certificate(serial="1"), row)
