"""What the mesh adds to a lease: words, never a state (G5)."""

from __future__ import annotations

import pytest

from swarmlet.model.membership import NodeState
from swarmlet.model.mesh import MeshView, what_peers_say


def view(state: str, *, udp: bool = True) -> MeshView:
    return MeshView.of((bytes(15) + b"\x07", state, "members", 10, "10.0.0.7:7946", udp, 0))


@pytest.mark.parametrize(
    ("lease", "peers", "word"),
    [
        (NodeState.DOWN, view("alive"), "cut off from the coordinator"),
        (NodeState.SUSPECT, view("alive"), "cut off from the coordinator"),
        (NodeState.READY, view("unreachable"), "by UDP"),
    ],
)
def test_what_differs_is_said(lease, peers, word):
    assert word in what_peers_say(lease, peers)


@pytest.mark.parametrize(
    ("lease", "peers"),
    [
        (NodeState.READY, view("alive")),
        (NodeState.READY, view("suspect")),
        (NodeState.DOWN, view("unreachable")),
        (NodeState.DOWN, None),
        (NodeState.DOWN, view("alive", udp=False)),
        (NodeState.READY, view("unreachable", udp=False)),
        (NodeState.REVOKED, view("alive")),
    ],
)
def test_what_agrees_or_is_not_known_is_not(lease, peers):
    assert what_peers_say(lease, peers) == ""


def test_a_uid_is_shown_as_everywhere_else():
    assert view("alive").node_uid == "00000000-0000-0000-0000-000000000007"
