"""Lists every file of an image (kind, mode, owner, size, SHA-256, date), and compares two such images.

Usage: listing.py ARCHIVE [OTHER], archives as ``docker save`` writes them. With OTHER it prints what differs
and returns 1 when anything does: two builds of one commit must not.
"""

from __future__ import annotations

import hashlib
import io
import sys
import tarfile
from collections.abc import Sequence
from pathlib import Path

from layers import layers


def lines(archive: Path) -> dict[str, str]:
    """Return one line for each path of an image; later layers win."""
    found: dict[str, str] = {}
    for layer in layers(archive):
        with tarfile.open(fileobj=io.BytesIO(layer)) as files:
            for entry in files:
                inner = files.extractfile(entry) if entry.isfile() else None
                digest = hashlib.sha256(inner.read()).hexdigest() if inner else entry.linkname or "-"
                kind = "file" if entry.isfile() else "folder" if entry.isdir() else "link"
                owner = f"{entry.uid}:{entry.gid}"
                found[entry.name] = (
                    f"{kind} {entry.mode & 0o7777:04o} {owner} {entry.size} {digest} {int(entry.mtime)}"
                )
    return found


def differences(one: dict[str, str], other: dict[str, str]) -> list[str]:
    """Return what differs, as lines that name the path."""
    return [
        f"{path}\n  {one.get(path, 'absent')}\n  {other.get(path, 'absent')}"
        for path in sorted({*one, *other})
        if one.get(path) != other.get(path)
    ]


def main(argv: Sequence[str]) -> int:
    """Print a listing, or the differences of two."""
    first = lines(Path(argv[0]))
    if len(argv) == 1:
        print("\n".join(f"{path} {line}" for path, line in sorted(first.items())))
        return 0
    differing = differences(first, lines(Path(argv[1])))
    print("\n".join(differing) or f"the same: {len(first)} paths")
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
