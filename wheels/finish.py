"""Put a wheel that maturin built into its final form.

A bill of materials without paths of the machine that built it, and with what was linked in besides crates;
every entry in one order, of one date; RECORD made anew.

``finish.py WHEEL... --into FOLDER --source ROOT --rust VERSION --zig VERSION``
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import os
import sys
import time
import zipfile
from pathlib import Path
from typing import Any

import source

#: Where the bill says that the project's own crates are: the same wherever it was built.
PLACE = "path+file:///swarmlet"


def bill_of_materials(text: str, root: str, native: str, linked: dict[str, str]) -> str:
    """Return a CycloneDX document that names no folder of this machine and what was linked besides crates.

    Args:
        text: What maturin wrote.
        root: The folder of the source it was built from.
        native: The digest of the native half's source.
        linked: Versions of the ready-made parts in the library, by name.
    """
    bill: dict[str, Any] = json.loads(text.replace(f"path+file://{root}", PLACE))
    parts = [
        {
            "type": "library",
            "bom-ref": f"linked:{name}@{version}",
            "name": name,
            "version": version,
            "scope": "required",
            "purl": f"pkg:generic/{name}@{version}",
        }
        for name, version in sorted(linked.items())
    ]
    bill["components"] = bill.get("components", []) + parts
    about = bill.setdefault("metadata", {})
    about["properties"] = [*about.get("properties", []), {"name": source.PROPERTY, "value": native}]
    return json.dumps(bill, indent=1, sort_keys=True) + "\n"


def record(entries: dict[str, bytes], name: str) -> bytes:
    """Return the RECORD file: each entry's digest and size, its own line without them."""
    lines = []
    for entry, body in entries.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(body).digest()).rstrip(b"=").decode()
        lines.append(f"{entry},sha256={digest},{len(body)}")
    return ("\n".join([*lines, f"{name},,"]) + "\n").encode()


def finish(wheel: Path, into: Path, root: str, linked: dict[str, str]) -> Path:
    """Rewrite one wheel; returns where it is now."""
    with zipfile.ZipFile(wheel) as archive:
        modes = {info.filename: info.external_attr for info in archive.infolist() if not info.is_dir()}
        entries = {name: archive.read(name) for name in modes}
    native = source.native_digest(Path(root))
    name = next(entry for entry in entries if entry.endswith(".dist-info/RECORD"))
    del entries[name]
    for entry, body in entries.items():
        if "/sboms/" in entry:
            entries[entry] = bill_of_materials(body.decode(), root, native, linked).encode()
    # The package first and what describes it last, as installers like to find it.
    ordered = dict(sorted(entries.items(), key=lambda item: (".dist-info/" in item[0], item[0])))
    ordered[name] = record(ordered, name)
    date = time.gmtime(max(int(os.environ.get("SOURCE_DATE_EPOCH", "0")), 315532800))[:6]
    done = into / wheel.name
    partial = done.with_suffix(".partial")
    with zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for entry, body in ordered.items():
            info = zipfile.ZipInfo(entry, date)
            info.compress_type, info.external_attr, info.create_system = zipfile.ZIP_DEFLATED, modes[entry], 3
            archive.writestr(info, body)
    partial.replace(done)
    return done


def main() -> int:
    """Finish the wheels that are named; prints each with its size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("wheels", nargs="+", type=Path)
    parser.add_argument("--into", type=Path, required=True)
    parser.add_argument("--source", required=True)
    parser.add_argument("--rust", required=True)
    parser.add_argument("--zig", required=True)
    asked = parser.parse_args()
    linked = {"rust-std": asked.rust, "llvm-libunwind-zig": asked.zig}
    for wheel in asked.wheels:
        done = finish(wheel, asked.into, asked.source, linked)
        sys.stdout.write(f"{done.stat().st_size:>9,} bytes  {done.name}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
