"""The commands of the specification are taken word for word."""

from __future__ import annotations

import pytest

from swarmlet.cli import cluster, node
from swarmlet.cli.parser import parse

TOKEN = "swarm_join_abc123def456"


@pytest.mark.parametrize(
    "words",
    [
        ["cluster", "create-join-token", "--expires", "24h"],
        ["cluster", "create-join-token", "--node-type", "edge", "--expires", "1h"],
        ["cluster", "create-join-token", "--expires", "1h"],
    ],
)
def test_an_administrators_command_is_taken(words: list[str]) -> None:
    args, _ = parse(cluster.build(), words)
    assert callable(args.run)


@pytest.mark.parametrize(
    "words",
    [
        ["join", "--token", TOKEN, "--cluster", "192.168.1.100:7946"],
        ["join", "--token", TOKEN, "--cluster", "dev-cluster.local:7946"],
        ["join", "--token", TOKEN, "--cluster", "main-cluster.company.com:7946"],
        ["test-connection", "--cluster", "192.168.1.100:7946"],
        ["profile-hardware"],
        ["discover"],
        ["discover-and-join"],
        ["--help"],
    ],
)
def test_a_devices_command_is_taken(words: list[str]) -> None:
    if words == ["--help"]:
        with pytest.raises(SystemExit) as caught:
            parse(node.build(), words)
        assert caught.value.code == 0
        return
    args, _ = parse(node.build(), words)
    assert callable(args.run)
