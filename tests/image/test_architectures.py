"""Each architecture is run, not only built: it joins, works, measures, comes back and leaves.

Foreign ones are emulated, with the file system and the kernel of this machine.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.image import rootfs, tiny
from tests.image.boxes import METRICS, Fleet, absent, fleet
from tests.integration.harness import eventually

pytestmark = [pytest.mark.docker, pytest.mark.image, pytest.mark.timeout(rootfs.PATIENCE_S)]

ARCHITECTURE = {"linux/amd64": "x86_64", "linux/arm64": "arm64", "linux/arm/v7": "armv7"}
BITS = {"linux/amd64": "64", "linux/arm64": "64", "linux/arm/v7": "32"}
DMI = Path("/sys/class/dmi/id")
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
    mounts = ("--volume", f"{data}:/data", "--volume", f"{tools}:/opt/tools:ro", "--health-interval", "3s")

    box = cluster.member(name, *mounts, on=platform)
    first = cluster.ready(name)
    assert first["profile"]["hardware"]["architecture"] == ARCHITECTURE[platform]

    told = json.loads(cluster.work(name, "/usr/bin/python3", "-c", PROGRAM))
    assert told == [45, int(BITS[platform]), "e3b0c442"]
    assert cluster.work(name, "/opt/tools/greet") == "hello from a static program\n"

    measured = cluster.get(box, "/metrics")
    assert set(METRICS) <= {line.split("{")[0].split(" ")[0] for line in measured.splitlines()}
    assert json.loads(cluster.get(box, "/health"))["status"] != "failed"
    # The image's own check, more often than each minute; it starts an interpreter, under emulation too.
    eventually(
        lambda: box.inspect("{{.State.Health.Status}}") == "healthy", "the container being healthy", 120
    )

    assert rootfs.docker("restart", "--time", "30", box.name).returncode == 0
    box.says("no token is needed")
    assert cluster.ready(name)["node_uid"] == first["node_uid"]
    assert cluster.work(name, "/opt/tools/greet")

    left = box.run("leave")
    assert left.returncode == 0, left.stderr
    assert box.ends() == 0
    assert (cluster.node(name) or {"state": "left"})["state"] in {"left", "revoked"}
    assert not (data / "identity" / "a").exists()


@pytest.mark.parametrize("platform", ["linux/arm64", "linux/arm/v7"])
def test_a_board_whose_device_tree_docker_masks_is_told_and_what_is_said_to_mend_it_does(
    tmp_path: Path, platform: str
) -> None:
    reason = absent(platform)
    if reason:
        pytest.skip(reason)
    base = tmp_path / "firmware" / "devicetree" / "base"
    base.mkdir(parents=True)
    (base / "model").write_bytes(b"Raspberry Pi 4 Model B Rev 1.4\0")
    mounts = ["--volume", f"{tmp_path / 'firmware'}:/sys/firmware:ro"]
    if DMI.is_dir():  # no board has one: a PC's must not be seen
        (tmp_path / "empty").mkdir()
        mounts += ["--volume", f"{tmp_path / 'empty'}:{DMI}:ro"]

    masked = doctor(platform, *mounts)["device tree"]
    assert masked["state"] == "warning"
    assert "--security-opt systempaths=unconfined" in masked["fix"]
    assert "device tree" not in doctor(platform, *mounts, "--security-opt", "systempaths=unconfined")


def doctor(platform: str, *options: str) -> dict[str, dict[str, str]]:
    """Return what the doctor finds in a new container, by check."""
    tag = rootfs.tag_of(platform) or ""
    told = rootfs.docker("run", "--rm", "--platform", platform, *options, tag, "doctor", "-o", "json")
    return {one["check"]: one for one in json.loads(told.stdout)["findings"]}
