"""What `verify.py` prints and ends with, and how it finds what runs an interpreter."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import smoke
import source
from checks import Broken, Platform

from tests.wheels.made_up import MadeUpLibrary, MadeUpWheel
from tests.wheels.made_up import elf as made_up_elf

ROOT = Path(__file__).parents[2]
WHEELS = ROOT / "wheels"
NATIVE = source.native_digest(ROOT)


def written(folder: Path, made: MadeUpWheel) -> Path:
    path = folder / made.file_name
    with zipfile.ZipFile(path, "w") as archive:
        for name, body in made.files().items():
            archive.writestr(name, body)
    return path


def verified(*words: str | Path) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, WHEELS / "verify.py", *words], capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout + done.stderr


def whole(made: MadeUpWheel) -> MadeUpWheel:
    """Return the wheel with the package as it is in the source."""
    made.entries |= source.package(ROOT)
    return made


def test_a_right_wheel_passes_and_what_did_not_run_is_said(tmp_path: Path) -> None:
    library = MadeUpLibrary(arch="aarch64", needed=("libc.so",), versioned=())
    status, said = verified(
        written(tmp_path, whole(MadeUpWheel("musllinux_1_2_aarch64", library, native=NATIVE)))
    )
    assert status == 0, said
    assert "not run here: no interpreter for aarch64 with musl" in said
    assert "1 wheels, 0 checks failed" in said


def test_one_wrong_wheel_among_right_ones_ends_with_one_and_its_reason(tmp_path: Path) -> None:
    library = MadeUpLibrary(arch="aarch64")
    right = written(tmp_path, whole(MadeUpWheel("manylinux_2_28_aarch64", library, native=NATIVE)))
    (tmp_path / "wrong").mkdir()
    wrong = written(tmp_path / "wrong", MadeUpWheel("manylinux_2_28_aarch64", library))
    status, said = verified(right, wrong)
    assert status == 1
    assert said.count("FAIL") == 1
    assert "FAIL  contents     lacks swarmlet/" in said


@pytest.mark.parametrize("body", [b"", b"PK\x03\x04 cut short"])
def test_a_file_that_is_no_wheel_is_named(tmp_path: Path, body: bytes) -> None:
    path = tmp_path / MadeUpWheel().file_name
    path.write_bytes(body)
    status, said = verified(path)
    assert status == 1
    assert "cannot be read" in said


def test_an_extension_that_does_not_load_fails_the_import(tmp_path: Path) -> None:
    here = smoke.interpreter(Path(sys.executable))
    made = MadeUpWheel(f"manylinux_2_28_{here.arch}", MadeUpLibrary(arch=here.arch))
    with pytest.raises(Broken, match="ended with 1"):
        smoke.run(written(tmp_path, made), here)


def test_the_extension_of_this_tree_does_what_the_smoke_asks(tmp_path: Path) -> None:
    here = smoke.interpreter(Path(sys.executable))
    made = MadeUpWheel()
    made.entries["swarmlet/_native.abi3.so"] = (ROOT / "swarmlet/_native.abi3.so").read_bytes()
    assert "imported and used by CPython" in smoke.run(written(tmp_path, made), here)


def test_an_interpreter_is_told_by_its_own_header(tmp_path: Path) -> None:
    here = smoke.interpreter(Path(sys.executable))
    assert here.arch == platform.machine()
    assert here.fits(Platform("", here.musl, (2, 28), here.arch))
    assert not here.fits(Platform("", not here.musl, (2, 28), here.arch))
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\n")
    with pytest.raises(Broken, match="is no interpreter"):
        smoke.interpreter(python)


def test_a_foreign_interpreter_runs_under_qemu_with_the_folder_its_loader_is_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, tools = tmp_path / "root", tmp_path / "tools"
    for folder in (root / "lib", root / "usr/bin", tools):
        folder.mkdir(parents=True)
    loader = "/lib/ld-linux-armhf.so.3"
    (root / loader.lstrip("/")).touch()
    python = root / "usr/bin/python3"
    python.write_bytes(made_up_elf(MadeUpLibrary(arch="armv7l", interpreter=loader)))
    monkeypatch.setenv("PATH", str(tools))
    found = smoke.interpreter(python)
    with pytest.raises(Broken, match="qemu-arm is missing"):
        smoke.command(found, "x86_64")
    qemu = tools / "qemu-arm-static"
    qemu.touch(mode=0o755)
    assert smoke.command(found, "x86_64") == [str(qemu), "-L", str(root), str(python)]


def test_an_unknown_platform_is_refused_with_the_ones_there_are() -> None:
    done = subprocess.run(
        [WHEELS / "build.sh", "manylinux_2_28_s390x"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "there is no wheel for the platform manylinux_2_28_s390x" in done.stderr
    assert "manylinux_2_31_armv7l" in done.stderr


@pytest.mark.parametrize(("absent", "words"), [("cargo", "no Rust toolchain"), ("maturin", "maturin is not")])
def test_the_build_says_what_is_missing(tmp_path: Path, absent: str, words: str) -> None:
    tools = {"bash", "dirname", "readlink", "env"} | ({"python3"} if absent != "python3" else set())
    for name in tools:
        (tmp_path / name).symlink_to(subprocess.check_output(["which", name], text=True).strip())
    if absent != "cargo":
        for name in ("cargo", "rustc"):
            (tmp_path / name).write_text("#!/bin/sh\n")
            (tmp_path / name).chmod(0o755)
        (tmp_path / "python3").unlink()
        (tmp_path / "python3").write_text("#!/bin/sh\nexit 1\n")
        (tmp_path / "python3").chmod(0o755)
    done = subprocess.run(
        [WHEELS / "build.sh", "musllinux_1_2_x86_64"],
        env={"PATH": str(tmp_path), "HOME": os.environ.get("HOME", "/")},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert words in done.stderr
    assert "next: " in done.stderr
