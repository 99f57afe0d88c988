"""Which state of the source a wheel was built from: its package as it is, its native half by a digest."""

from __future__ import annotations

import hashlib
from pathlib import Path

#: What appears beside the source when it is run, and is no part of it.
BUILT = {".so", ".pyc"}
#: Where a bill of materials says it.
PROPERTY = "swarmlet:native-source"


def package(root: Path) -> dict[str, bytes]:
    """Return the files of the package, by their names in a wheel."""
    files = (path for path in (root / "swarmlet").rglob("*") if path.is_file() and path.suffix not in BUILT)
    return {str(path.relative_to(root)): path.read_bytes() for path in files}


def native_digest(root: Path) -> str:
    """Return the digest of all that the native half is compiled from, its locked crates included."""
    found = hashlib.sha256()
    native = (path for path in (root / "native").rglob("*") if path.suffix in {".rs", ".toml"})
    for path in sorted([*native, root / "Cargo.toml", root / "Cargo.lock"]):
        found.update(f"{path.relative_to(root)} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return found.hexdigest()
