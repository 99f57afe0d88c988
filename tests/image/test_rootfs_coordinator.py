"""The coordinator's image: all of it works, and it is within its budget."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.image import rootfs
from wheels import elf

TAG = "stratoswarm/coordinator:latest"

pytestmark = [pytest.mark.docker, pytest.mark.image, pytest.mark.timeout(rootfs.PATIENCE_S)]


@pytest.fixture(scope="module", autouse=True)
def _image() -> None:
    if rootfs.docker("image", "inspect", TAG).returncode != 0:
        pytest.skip(f"no image {TAG} is here; scripts/image.sh coordinator here builds it")


def test_every_module_in_the_image_can_be_imported_there() -> None:
    told = rootfs.docker(
        "run",
        "--rm",
        "--interactive",
        "--entrypoint",
        "/usr/bin/python3",
        TAG,
        "-",
        stdin=rootfs.IMPORT_EVERYTHING,
    )
    assert told.returncode == 0, told.stderr
    found = json.loads(told.stdout)
    assert found["bad"] == {}
    assert found["count"] > 800


def test_it_founds_a_cluster_keeps_it_in_sqlite_and_makes_certificates() -> None:
    told = rootfs.docker("run", "--rm", "--network", "none", TAG, "cluster", "init")
    assert told.returncode == 0, told.stderr
    assert "was founded in /data" in told.stdout + told.stderr


def test_nothing_in_it_is_linked_to_glibc() -> None:
    for path, (_, body) in rootfs.files_of(TAG).items():
        if body[:4] != b"\x7fELF":
            continue
        library = elf.read(body)
        versions = [symbol.version or "" for symbol in library.symbols]
        assert not [version for version in versions if version.startswith("GLIBC")], path


def test_it_is_within_its_budget(tmp_path: Path) -> None:
    gate = rootfs.load("gate")
    archive = tmp_path / "image.tar"
    assert rootfs.docker("save", "--output", str(archive), TAG).returncode == 0
    verdict = gate.judge("coordinator", gate.read(archive), gate.BUDGETS["coordinator"])
    print("\n".join(verdict.lines))
    assert verdict.passed
