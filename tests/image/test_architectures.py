"""Each architecture is run, not only built: it joins, works, measures, comes back and leaves.

Foreign ones are emulated, with the file system and the kernel of this machine.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.image import rootfs, tiny
from tests.image.boxes import METRICS, NATIVE, Fleet, absent, fleet

pytestmark = [pytest.mark.docker, pytest.mark.image, pytest.mark.timeout(rootfs.PATIENCE_S)]

ARCHITECTURE = {"linux/amd64": "x86_64", "linux/arm64": "arm64", "linux/arm/v7": "armv7"}
BITS = {"linux/amd64": "64", "linux/arm64": "64", "linux/arm/v7": "32"}
PROGRAM = """
import asyncio, hashlib, json, struct, sys
async def add(): return sum(range(10))
print(json.dumps([asyncio.run(add()), struct.calcsize("P") * 8, hashlib.sha256(b"").hexdigest()[:8]]))
"""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    with fleet(tmp_path_factory.mktemp("architectures")) as made:
        yield made


@pytest.mark.parametrize("platform", ["linux/amd64", "linux/arm64", "linux/arm/v7"])
def test_a_device_joins_works_measures_comes_back_and_leaves(
    request: pytest.FixtureRequest, tmp_path: Path, platform: str
) -> None:
    reason = absent(platform)
    if reason:
        pytest.skip(reason)
    cluster: Fleet = request.getfixturevalue("cluster")
    name = f"device-{ARCHITECTURE[platform].replace('_', '-')}"
    data, tools = cluster.folder(name), tmp_path / "tools"
    tools.mkdir()
    (tools / "greet").write_bytes(tiny.program(platform, "hello from a static program"))
    (tools / "greet").chmod(0o755)
    mounts = ("--volume", f"{data}:/data", "--volume", f"{tools}:/opt/tools:ro")

    box = cluster.member(name, *mounts, on=platform)
    first = cluster.ready(name)
    assert first["profile"]["hardware"]["architecture"] == ARCHITECTURE[platform]

    told = json.loads(cluster.work(name, "/usr/bin/python3", "-c", PROGRAM))
    assert told == [45, int(BITS[platform]), "e3b0c442"]
    assert cluster.work(name, "/opt/tools/greet") == "hello from a static program\n"

    measured = cluster.get(box, "/metrics")
    assert set(METRICS) <= {line.split("{")[0].split(" ")[0] for line in measured.splitlines()}
    assert json.loads(cluster.get(box, "/health"))["status"] != "failed"

    assert rootfs.docker("restart", "--time", "30", box.name).returncode == 0
    box.says("no token is needed")
    assert cluster.ready(name)["node_uid"] == first["node_uid"]
    assert cluster.work(name, "/opt/tools/greet")

    left = box.run("leave")
    assert left.returncode == 0, left.stderr
    assert box.ends() == 0
    assert (cluster.node(name) or {"state": "left"})["state"] in {"left", "revoked"}
    assert not (data / "identity" / "a").exists()
    print(f"{platform}: {'native' if platform == NATIVE else 'emulated'}")
