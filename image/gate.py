"""Measures an image and fails when it is over budget, naming the files that weigh most.

Usage: gate.py [--platform NAME] [--budget agent|coordinator] ARCHIVE, written by ``docker save``.
"""

from __future__ import annotations

import argparse
import gzip
import io
import sys
import tarfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from layers import layers

MB = 1_000_000
SHOWN = 8


@dataclass(frozen=True)
class Budget:
    """Bytes an image may have; over ``warn`` it is told, over ``fail`` it is refused."""

    fail: int
    fail_gzip: int
    warn: int
    warn_gzip: int


BUDGETS = {
    "agent": Budget(fail=20 * MB, fail_gzip=12 * MB, warn=12 * MB, warn_gzip=6 * MB),
    "coordinator": Budget(fail=60 * MB, fail_gzip=40 * MB, warn=50 * MB, warn_gzip=25 * MB),
}


@dataclass(frozen=True)
class Layer:
    """One layer: its files with their sizes in bytes, and how large it is compressed."""

    files: tuple[tuple[str, int], ...]
    gzip: int

    @property
    def size(self) -> int:
        """The sum of its files."""
        return sum(size for _, size in self.files)


@dataclass(frozen=True)
class Verdict:
    """What the gate says, and whether the image may go on."""

    lines: tuple[str, ...]
    passed: bool


def mb(size: int) -> str:
    """Return ``size`` bytes as people read it."""
    return f"{size / MB:.2f} MB"


def merged(layers: Iterable[Layer]) -> dict[str, int]:
    """Return the files of an image: where layers share a path, the later one has it."""
    return {path: size for layer in layers for path, size in layer.files}


def judge(name: str, layers: Sequence[Layer], budget: Budget) -> Verdict:
    """Return what is to be said of an image, and whether it passes.

    Args:
        name: How the image is called in the lines.
        layers: Its layers, lowest first.
        budget: What it may weigh.
    """
    files = merged(layers)
    total, packed = sum(files.values()), sum(layer.gzip for layer in layers)
    lines = [
        f"{name}: layer {number}: {mb(layer.size)}, {mb(layer.gzip)} gzip, {len(layer.files)} files"
        for number, layer in enumerate(layers, 1)
    ]
    lines.append(f"{name}: {mb(total)} in {len(files)} files, {mb(packed)} gzip")
    largest = sorted(files.items(), key=lambda item: (-item[1], item[0]))[:SHOWN]
    named = [f"  {mb(size):>9}  {path}" for path, size in largest]
    over = _over(total, packed, budget.fail, budget.fail_gzip)
    if over:
        return Verdict((*lines, f"{name}: over budget: {over}; the largest files:", *named), passed=False)
    near = _over(total, packed, budget.warn, budget.warn_gzip)
    if near:
        return Verdict((*lines, f"{name}: warning: {near}; the largest files:", *named), passed=True)
    return Verdict((*lines, f"{name}: within budget; the largest files:", *named), passed=True)


def _over(total: int, packed: int, limit: int, limit_gzip: int) -> str:
    said = []
    if total > limit:
        said.append(f"{mb(total)} of files, more than {mb(limit)}")
    if packed > limit_gzip:
        said.append(f"{mb(packed)} gzip, more than {mb(limit_gzip)}")
    return " and ".join(said)


def layer_of(plain: bytes) -> Layer:
    """Return a layer from its tar."""
    with tarfile.open(fileobj=io.BytesIO(plain)) as archive:
        files = tuple((entry.name, entry.size) for entry in archive if entry.isfile())
    return Layer(files, len(gzip.compress(plain, 9, mtime=0)))


def read(archive: Path) -> tuple[Layer, ...]:
    """Return the layers of an image that ``docker save`` wrote, lowest first."""
    return tuple(map(layer_of, layers(archive)))


def main(argv: Sequence[str] | None = None) -> int:
    """Print the verdict; return 1 when the image is over budget."""
    parser = argparse.ArgumentParser(prog="gate.py", description=__doc__)
    parser.add_argument("--platform", default="image", help="how to call it")
    parser.add_argument("--budget", choices=sorted(BUDGETS), default="agent")
    parser.add_argument("archive", type=Path)
    args = parser.parse_args(argv)
    verdict = judge(args.platform, read(args.archive), BUDGETS[args.budget])
    print("\n".join(verdict.lines), file=sys.stdout if verdict.passed else sys.stderr)
    return 0 if verdict.passed else 1


if __name__ == "__main__":
    sys.exit(main())
