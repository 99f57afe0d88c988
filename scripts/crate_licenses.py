"""Writes native/THIRD-PARTY.txt: the licences of every crate that is linked into the extension.

Wheels and images carry it, for these licences ask that their text goes with the program. Of a choice of
licences the MIT one is taken, else every text of the crate; equal texts stand once.

``crate_licenses.py`` writes the file, ``--check`` fails when it is not what would be written.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "native/THIRD-PARTY.txt"
TARGETS = ("x86_64-unknown-linux-musl", "aarch64-unknown-linux-gnu", "armv7-unknown-linux-musleabihf")
NAMES = ("LICEN", "COPYING", "NOTICE")


def metadata() -> dict[str, Any]:
    """Return what cargo knows of the crates, for the targets together."""
    command = ["cargo", "metadata", "--locked", "--format-version", "1"]
    for target in TARGETS:
        command += ["--filter-platform", target]
    told = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout
    found: dict[str, Any] = json.loads(told)
    return found


def linked(meta: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the packages of others that are linked in: what runs in the compiler alone is not."""
    packages = {one["id"]: one for one in meta["packages"]}
    nodes = {one["id"]: one for one in meta["resolve"]["nodes"]}
    own = set(meta["workspace_members"])
    todo = [name for name in own if packages[name]["name"] == "swarmlet-native"]
    seen: set[str] = set()
    while todo:
        name = todo.pop()
        compiles = any("proc-macro" in target["kind"] for target in packages[name]["targets"])
        if name in seen or compiles:
            continue
        seen.add(name)
        todo += [
            one["pkg"]
            for one in nodes[name]["deps"]
            if any(kind["kind"] is None for kind in one["dep_kinds"])
        ]
    return sorted((packages[name] for name in seen - own), key=lambda one: (one["name"], one["version"]))


def texts(package: dict[str, Any]) -> Iterator[str]:
    """Yield the licence texts that go with a crate."""
    folder = Path(package["manifest_path"]).parent
    files = sorted(
        path for path in folder.iterdir() if path.name.upper().startswith(NAMES) and path.is_file()
    )
    chosen = [path for path in files if path.name == "LICENSE-MIT" and " AND " not in package["license"]]
    for path in chosen or files:
        yield "\n".join(line.rstrip() for line in path.read_text(encoding="utf-8").strip().splitlines())


def render(packages: list[dict[str, Any]]) -> str:
    """Return the file: each text once, under the crates it belongs to.

    Raises:
        SystemExit: A crate brings no text.
    """
    parts: dict[str, list[str]] = {}
    for package in packages:
        name = f"{package['name']} {package['version']} ({package['license']})"
        found = list(texts(package))
        if not found:
            sys.exit(f"crate licences: {name} brings no text\n  next: add it to this script")
        for text in found:
            parts.setdefault(text, []).append(name)
    return "\n\n".join("==== " + ", ".join(names) + "\n" + text for text, names in parts.items()) + "\n"


def main() -> None:
    """Write or check."""
    text = render(linked(metadata()))
    if "--check" not in sys.argv[1:]:
        OUT.write_text(text, encoding="utf-8")
    elif not OUT.is_file() or OUT.read_text(encoding="utf-8") != text:
        sys.exit(f"{OUT.relative_to(ROOT)} is not of these crates\n  next: python3 scripts/crate_licenses.py")


if __name__ == "__main__":
    main()
