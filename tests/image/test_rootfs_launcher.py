"""The launcher tells in time what would end in an illegal instruction: run on emulated old machines."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.image import rootfs

pytestmark = [pytest.mark.docker, pytest.mark.image, pytest.mark.timeout(rootfs.PATIENCE_S)]

EMULATORS = {
    "linux/amd64": "qemu-x86_64-static",
    "linux/arm64": "qemu-aarch64-static",
    "linux/arm/v7": "qemu-arm-static",
}


def launched(platform: str, folder: Path, **machine: str) -> subprocess.CompletedProcess[str]:
    """Run the image's launcher on an emulated machine, outside of the image."""
    tag, emulator = rootfs.tag_of(platform), shutil.which(EMULATORS[platform])
    if tag is None:
        pytest.skip(f"no image for {platform} is here; make images builds it")
    if emulator is None:
        pytest.skip(f"{EMULATORS[platform]} is not installed")
    program = folder / "swarmlet"
    program.write_bytes(rootfs.files_of(tag)["swarmlet"][1])
    program.chmod(0o755)
    return subprocess.run(
        [emulator, str(program), "--version"],
        env={**os.environ, **machine},
        capture_output=True,
        text=True,
        timeout=rootfs.PATIENCE_S,
        check=False,
    )


def test_a_processor_that_is_too_old_is_named_in_one_line(tmp_path: Path) -> None:
    told = launched("linux/arm/v7", tmp_path, QEMU_CPU="arm1176")
    assert told.returncode == 1
    assert told.stderr == (
        "swarmlet: this image needs an ARMv7 processor (this is ARMv6); nothing was started.  next: use"
        " a Raspberry Pi 2 or newer, or any other ARMv7 or ARM64 device\n"
    )


def test_a_processor_of_the_right_kind_is_not_refused(tmp_path: Path) -> None:
    told = launched("linux/arm/v7", tmp_path, QEMU_CPU="cortex-a7")
    assert "needs" not in told.stderr


@pytest.mark.parametrize("platform", sorted(EMULATORS))
def test_a_kernel_that_is_too_old_is_named_in_one_line(platform: str, tmp_path: Path) -> None:
    told = launched(platform, tmp_path, QEMU_UNAME="2.6.32-5")
    assert told.returncode == 1
    assert told.stderr == (
        "swarmlet: this image needs Linux 3.10 or newer (this is 2.6.32-5); nothing was started."
        "  next: update this device's system\n"
    )


@pytest.mark.parametrize("release", ["3.10.0", "4.9.337-x", "6.1", "unreadable"])
def test_a_kernel_that_is_new_enough_or_unknown_is_not_refused(release: str, tmp_path: Path) -> None:
    assert "needs Linux" not in launched("linux/amd64", tmp_path, QEMU_UNAME=release).stderr
