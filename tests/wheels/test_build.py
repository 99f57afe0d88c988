"""A wheel's final form, and what the source distribution says on a machine that cannot build it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import finish
import pytest
import smoke

from tests.wheels.made_up import MadeUpWheel, component
from tests.wheels.test_verify import ROOT, WHEELS, written

HERE_WHEELS = sorted(WHEELS.glob(f"swarmlet-*-manylinux*_{os.uname().machine}.whl"))


def test_a_bill_of_materials_loses_the_folder_and_gains_what_was_linked() -> None:
    bill = {"bomFormat": "CycloneDX", "ref": "path+file:///home/me/native#swarmlet-native@0.1.0"}
    bill["components"] = [component("ring", "0.17.14")]
    text = finish.bill_of_materials(json.dumps(bill), "/home/me", "digest", {"rust-std": "1.85.1"})
    assert "/home/me" not in text
    assert "path+file:///swarmlet/native#swarmlet-native@0.1.0" in text
    assert [one["name"] for one in json.loads(text)["components"]] == ["ring", "rust-std"]


def test_the_same_entries_make_the_same_bytes_wherever_and_in_whatever_order_they_were_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "315532800")
    made = MadeUpWheel()
    found = []
    for place in ("one", "two"):
        source, into = tmp_path / place, tmp_path / f"{place}-done"
        source.mkdir()
        for name in ("Cargo.toml", "Cargo.lock"):
            (source / name).touch()
        into.mkdir()
        name = f"{made.info}/sboms/swarmlet.cyclonedx.json"
        bill = {"bomFormat": "CycloneDX", "ref": f"path+file://{source}/native", "components": []}
        made.entries[name] = json.dumps(bill).encode()
        done = finish.finish(written(source, made), into, str(source), {"rust-std": "1.85.1"})
        found.append(done.read_bytes())
        made.entries = dict(reversed(made.entries.items()))
    assert found[0] == found[1]
    with zipfile.ZipFile(tmp_path / "one-done" / made.file_name) as archive:
        assert archive.namelist()[-1] == f"{made.info}/RECORD"
        assert {info.date_time for info in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def tool(folder: Path, name: str, says: str = "") -> None:
    (folder / name).write_text(f"#!/bin/sh\necho '{says}'\n")
    (folder / name).chmod(0o755)


@pytest.mark.parametrize(
    ("tools", "reason"),
    [
        ({}, "cargo was not found"),
        ({"cargo": ""}, "rustc was not found"),
        ({"cargo": "", "rustc": "nothing of use"}, "rustc does not start"),
        ({"cargo": "", "rustc": "rustc 1.84.1 (abc)"}, "Rust 1.84 is too old; 1.85 or newer is needed"),
        ({"cargo": "", "rustc": "rustc 1.85.0 (abc)"}, "no C compiler was found"),
    ],
)  # fmt: skip
def test_a_build_from_source_says_what_is_missing_before_it_tries(
    tmp_path: Path, tools: dict[str, str], reason: str
) -> None:
    for name, says in tools.items():
        tool(tmp_path, name, says)
    program = "import backend; print(backend.get_requires_for_build_wheel())"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"PATH": str(tmp_path), "PYTHONPATH": str(WHEELS)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert f"swarmlet cannot be built here: {reason}" in done.stderr
    assert "next: " in done.stderr
    assert "Traceback" not in done.stderr


def test_a_build_from_source_needs_nothing_more_where_all_is_there(tmp_path: Path) -> None:
    for name, says in {"cargo": "", "rustc": "rustc 1.85.0 (abc)", "cc": ""}.items():
        tool(tmp_path, name, says)
    program = "import backend; print(backend.get_requires_for_build_wheel())"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"PATH": str(tmp_path), "PYTHONPATH": str(WHEELS)},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.strip() == "[]"


@pytest.mark.skipif(not HERE_WHEELS, reason="wheels/ holds no wheel for this machine: make wheels")
@pytest.mark.timeout(300)
def test_the_documented_command_installs_from_the_folder_alone() -> None:
    assert "swarmlet" in smoke.install(ROOT / "wheels")
