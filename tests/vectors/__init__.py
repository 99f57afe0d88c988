"""Golden vectors: files of ``name = hex`` lines that the Rust and the Python tests both read.

``make.py`` writes them with an implementation of its own; a test fails when file, maker and product differ.
"""

from __future__ import annotations

from pathlib import Path

HERE = Path(__file__).parent


def read(file: str) -> dict[str, bytes]:
    """Return the vectors in one file of this directory."""
    lines = (HERE / file).read_text(encoding="ascii").splitlines()
    pairs = (line.split(" =") for line in lines if line and not line.startswith("#"))
    return {name: bytes.fromhex(value) for name, value in pairs}
