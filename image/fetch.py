"""Fetches what ``sources.lock`` lists into a folder and believes no byte that has another hash.

Usage: fetch.py LOCK FOLDER [PART], where only files whose name holds PART are fetched.
"""

from __future__ import annotations

import hashlib
import os
import sys
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import NamedTuple

POOL = "http://deb.debian.org/debian"
SNAPSHOT = "http://snapshot.debian.org/archive/debian"
TIMEOUT_S = 60


class Lock(NamedTuple):
    """What is to be fetched, and of which day a file is that the pool has no more."""

    snapshot: str
    files: tuple[tuple[str, str], ...]


def parse(text: str) -> Lock:
    """Return what a lock file says; every line but a comment is two words."""
    snapshot, files = "", []
    for line in text.splitlines():
        if not line or line.startswith("#"):
            continue
        first, second = line.split()
        if first == "snapshot":
            snapshot = second
        else:
            files.append((first, second))
    return Lock(snapshot, tuple(files))


def places(path: str, snapshot: str, pool: str) -> tuple[str, str]:
    """Return the addresses of a file of the pool, in the order in which they are to be asked."""
    quoted = urllib.parse.quote(path)
    return f"{pool}/{quoted}", f"{SNAPSHOT}/{snapshot}/{quoted}"


def fetched(path: str, wanted: str, addresses: tuple[str, ...]) -> bytes:
    """Return the file whose hash is ``wanted``; exit with one line when no address has it."""
    said = []
    for address in addresses:
        try:
            with urllib.request.urlopen(address, timeout=TIMEOUT_S) as answer:  # noqa: S310 - addresses are ours
                data: bytes = answer.read()
        except (urllib.error.URLError, OSError) as failure:
            said.append(f"{address}: {failure}")
            continue
        found = hashlib.sha256(data).hexdigest()
        if found == wanted:
            return data
        said.append(f"{address}: another file answers, of hash {found}")
    sys.exit(f"image: cannot fetch {path}\n  " + "\n  ".join(said) + "\n  next: see image/sources.lock")


def main(lock: Path, folder: Path, part: str = "") -> None:
    """Fetch everything ``lock`` lists, and whose name holds ``part``, into ``folder``."""
    wanted = parse(lock.read_text(encoding="ascii"))
    folder.mkdir(parents=True, exist_ok=True)
    pool = os.environ.get("DEBIAN_MIRROR", POOL)
    for digest, path in wanted.files:
        if part not in path:
            continue
        data = fetched(path, digest, places(path, wanted.snapshot, pool))
        (folder / Path(path).name).write_bytes(data)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:])
