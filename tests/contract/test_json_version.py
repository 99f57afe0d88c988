"""Every JSON of a device's own commands says which version it is; the profile is the specification's own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from swarmlet.cli import node


@pytest.mark.parametrize(
    "words",
    [
        ["config", "show", "-o", "json"],
        ["doctor", "-o", "json"],
        ["test-connection", "--cluster", "127.0.0.1:9", "-o", "json"],
    ],
    ids=lambda words: words[0],
)
def test_a_json_carries_its_version(
    words: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SWARM_DATA_DIR", str(tmp_path))
    node.main(words)
    assert json.loads(capfd.readouterr().out)["apiVersion"] == "swarmlet/v1"
