"""Reads the layers of an image that ``docker save`` wrote."""

from __future__ import annotations

import gzip
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path


def layers(archive: Path) -> Iterator[bytes]:
    """Yield the tar of each layer, lowest first, none of them compressed."""
    with tarfile.open(archive) as outer:
        for name in json.loads(_member(outer, "manifest.json"))[0]["Layers"]:
            data = _member(outer, name)
            yield gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data


def _member(outer: tarfile.TarFile, name: str) -> bytes:
    found = outer.extractfile(name)
    if found is None:
        raise KeyError(name)
    return found.read()
