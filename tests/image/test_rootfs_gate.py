"""The size gate: what it says and when it refuses."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from pathlib import Path

import pytest

from tests.image.rootfs import load

gate = load("gate")
BUDGET = gate.Budget(fail=1000, fail_gzip=500, warn=600, warn_gzip=300)


def layer(packed: int, **files: int) -> object:
    return gate.Layer(tuple(files.items()), packed)


def test_a_small_image_passes_and_its_layers_and_files_are_told() -> None:
    verdict = gate.judge("it", [layer(100, a=200), layer(50, b=300)], BUDGET)
    assert verdict.passed
    text = "\n".join(verdict.lines)
    assert "it: layer 1: 0.00 MB, 0.00 MB gzip, 1 files" in text
    assert "within budget" in text
    assert text.index("  b") < text.index("  a"), "the largest comes first"


@pytest.mark.parametrize(
    ("layers", "wanted"),
    [
        ([layer(10, big=1001)], "of files, more than"),
        ([layer(501, big=10)], "gzip, more than"),
    ],
)
def test_over_budget_fails_and_names_the_largest_file(layers: list[object], wanted: str) -> None:
    verdict = gate.judge("it", layers, BUDGET)
    assert not verdict.passed
    assert wanted in "\n".join(verdict.lines)
    assert "over budget" in "\n".join(verdict.lines)
    assert verdict.lines[-1].endswith("  big")


def test_exactly_the_budget_passes() -> None:
    assert gate.judge("it", [layer(500, a=1000)], BUDGET).passed


def test_between_the_two_limits_it_warns_and_passes() -> None:
    verdict = gate.judge("it", [layer(10, a=601)], BUDGET)
    assert verdict.passed
    assert "it: warning" in "\n".join(verdict.lines)


def test_a_file_that_a_later_layer_replaces_counts_once() -> None:
    assert gate.judge("it", [layer(1, a=900), layer(1, a=100)], BUDGET).passed


def test_the_budgets_are_those_that_were_promised() -> None:
    assert gate.BUDGETS["agent"] == gate.Budget(20_000_000, 12_000_000, 12_000_000, 6_000_000)
    assert gate.BUDGETS["coordinator"].fail == 60_000_000


def archive(path: Path, layers: list[dict[str, bytes]], *, compressed: bool) -> Path:
    """Write what ``docker save`` would."""
    with tarfile.open(path, "w") as outer:

        def add(name: str, body: bytes, to: tarfile.TarFile) -> None:
            entry = tarfile.TarInfo(name)
            entry.size = len(body)
            to.addfile(entry, io.BytesIO(body))

        names = []
        for number, files in enumerate(layers):
            data = io.BytesIO()
            with tarfile.open(fileobj=data, mode="w") as inner:
                inner.addfile(tarfile.TarInfo("folder"))
                for name, body in files.items():
                    add(name, body, inner)
            names.append(f"{number}/layer.tar")
            add(names[-1], gzip.compress(data.getvalue()) if compressed else data.getvalue(), outer)
        add("manifest.json", json.dumps([{"Layers": names}]).encode(), outer)
    return path


@pytest.mark.parametrize("compressed", [False, True])
def test_an_archive_of_the_engine_is_read_layer_by_layer(tmp_path: Path, compressed: bool) -> None:
    found = gate.read(archive(tmp_path / "it", [{"a": b"12"}, {"b": b"345"}], compressed=compressed))
    assert [dict(one.files)[name] for one, name in zip(found, ("a", "b"), strict=True)] == [2, 3]
    assert all(one.gzip > 0 for one in found)


def test_the_program_fails_when_the_image_is_over_budget(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = archive(tmp_path / "it", [{"huge": bytes(20_000_001)}], compressed=False)
    assert gate.main(["--platform", "agent linux/test", str(path)]) == 1
    assert "huge" in capsys.readouterr().err


def test_two_images_are_compared_file_by_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    listing = load("listing")
    one = archive(tmp_path / "one", [{"a": b"1", "b": b"2"}], compressed=False)
    same = archive(tmp_path / "same", [{"a": b"0"}, {"a": b"1", "b": b"2"}], compressed=True)
    other = archive(tmp_path / "other", [{"a": b"1", "b": b"3"}], compressed=False)
    assert listing.main([str(one), str(same)]) == 0
    assert listing.main([str(one), str(other)]) == 1
    assert capsys.readouterr().out.splitlines()[-3] == "b"
