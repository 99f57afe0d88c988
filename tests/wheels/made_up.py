"""Wheels and shared libraries made by hand, right in everything but what a test bends."""

from __future__ import annotations

import base64
import hashlib
import json
import struct
from dataclasses import dataclass, field
from typing import Any

MACHINES = {"x86_64": 62, "aarch64": 183, "armv7l": 40}
RIGHT_SYMBOLS = ("PyModule_Create2", "PyList_New")


@dataclass(frozen=True)
class MadeUpLibrary:
    """What to write into a shared library."""

    arch: str = "x86_64"
    hard_float: bool = True
    needed: tuple[str, ...] = ("libc.so.6",)
    undefined: tuple[str, ...] = RIGHT_SYMBOLS
    defined: tuple[str, ...] = ("PyInit__native",)
    #: Names taken of the C library, each of a version of it.
    versioned: tuple[tuple[str, str], ...] = (("read", "GLIBC_2.17"),)
    runpath: str | None = None
    text_relocations: bool = False
    stack_flags: int | None = 6
    interpreter: str | None = None
    text: bytes = b""


class _Strings:
    def __init__(self) -> None:
        self.data = b"\0"

    def __call__(self, text: str) -> int:
        at = len(self.data)
        self.data += text.encode() + b"\0"
        return at


def elf(made: MadeUpLibrary) -> bytes:
    """Return the bytes of a shared library: headers, tables, nothing that could run."""
    wide, strings = made.arch != "armv7l", _Strings()
    word = "Q" if wide else "I"
    versions = sorted({version for _, version in made.versioned})
    symbols = [(name, True, 0) for name in made.undefined] + [(name, False, 1) for name in made.defined]
    symbols += [(name, True, 2 + versions.index(version)) for name, version in made.versioned]
    table = bytes(24 if wide else 16)
    for name, undefined, _ in symbols:
        section = 0 if undefined else 7
        table += (
            struct.pack("<IBBHQQ", strings(name), 18, 0, section, 0, 0)
            if wide
            else struct.pack("<IIIBBH", strings(name), 0, 0, 18, 0, section)
        )
    numbers = struct.pack(f"<{len(symbols) + 1}H", 0, *(number for _, _, number in symbols))
    needs = _needs(versions, strings)
    entries = [(1, strings(name)) for name in made.needed]
    entries += [(29, strings(made.runpath))] if made.runpath else []
    entries += [(22, 0)] if made.text_relocations else []
    dynamic = b"".join(struct.pack(f"<{word}{word}", *entry) for entry in [*entries, (0, 0)])
    sections: list[tuple[str, bytes, int, int]] = [
        (".dynstr", strings.data, 0, 0),
        (".dynsym", table, 1, 0),
        (".dynamic", dynamic, 1, 0),
        (".rodata", made.text, 0, 0),
    ]
    if versions:
        sections += [(".gnu.version", numbers, 2, 0), (".gnu.version_r", needs, 1, 1)]
    return _laid_out(made, sections, wide=wide)


def _needs(versions: list[str], strings: _Strings) -> bytes:
    body = struct.pack("<HHIII", 1, len(versions), strings("libc.so.6"), 16, 0)
    for index, version in enumerate(versions):
        last = index == len(versions) - 1
        body += struct.pack("<IHHII", 0, 0, 2 + index, strings(version), 0 if last else 16)
    return body


def _laid_out(made: MadeUpLibrary, sections: list[tuple[str, bytes, int, int]], *, wide: bool) -> bytes:
    """Put the file together: header, segments, sections' bodies, section table."""
    names = _Strings()
    titles = [names(name) for name, _, _, _ in sections]
    own_title = names(".shstrtab")
    sections = [*sections, (".shstrtab", names.data, 0, 0)]
    titles.append(own_title)
    segments = [(0x6474E551, made.stack_flags, 0)] if made.stack_flags is not None else []
    header, segment, entry = (64, 56, 64) if wide else (52, 32, 40)
    at = header + segment * (len(segments) + (made.interpreter is not None))
    if made.interpreter is not None:
        segments.append((3, 4, at))
    body = (made.interpreter or "").encode() + b"\0"
    rows = [bytes(entry)]
    for title, (_, data, link, entries) in zip(titles, sections, strict=True):
        row = (title, 1, 0, 0, at + len(body), len(data), link, entries, 0, 0)
        rows.append(struct.pack("<IIQQQQIIQQ" if wide else "<10I", *row))
        body += data
    heads = b"".join(
        struct.pack("<IIQQQQQQ", kind, flags, offset, 0, 0, 0, 0, 0)
        if wide
        else struct.pack("<8I", kind, offset, 0, 0, 0, 0, flags, 0)
        for kind, flags, offset in segments
    )
    flags = 0x5000400 if made.arch == "armv7l" and made.hard_float else 0
    last = (flags, header, segment, len(segments), entry, len(rows), len(rows) - 1)
    places = (1, 0, header, at + len(body))
    identity = b"\x7fELF" + bytes([2 if wide else 1, 1, 1]) + bytes(9)
    layout = "<HHIQQQIHHHHHH" if wide else "<HHIIIIIHHHHHH"
    return (
        identity + struct.pack(layout, 3, MACHINES[made.arch], *places, *last) + heads + body + b"".join(rows)
    )


@dataclass
class MadeUpWheel:
    """The entries of a wheel; a test changes them before `files` writes RECORD."""

    platform: str = "manylinux_2_28_x86_64"
    library: MadeUpLibrary = field(default_factory=MadeUpLibrary)
    version: str = "0.1.0"
    native: str = "digest"
    entries: dict[str, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.info = f"swarmlet-{self.version}.dist-info"
        bill = {
            "bomFormat": "CycloneDX",
            "metadata": {"properties": [{"name": "swarmlet:native-source", "value": self.native}]},
            "components": [component("ring", "0.17.14")],
        }
        self.entries = {
            "swarmlet/__init__.py": b'__version__ = "0.1.0"\n',
            "swarmlet/_native.abi3.so": elf(self.library),
            f"{self.info}/METADATA": f"Name: swarmlet\nVersion: {self.version}\n".encode(),
            f"{self.info}/WHEEL": f"Wheel-Version: 1.0\nTag: cp311-abi3-{self.platform}\n".encode(),
            f"{self.info}/sboms/swarmlet.cyclonedx.json": json.dumps(bill).encode(),
            **self.entries,
        }

    @property
    def file_name(self) -> str:
        return f"swarmlet-{self.version}-cp311-abi3-{self.platform}.whl"

    def files(self) -> dict[str, bytes]:
        """Return the entries with a RECORD that is right for them."""
        name = f"{self.info}/RECORD"
        lines = []
        for entry, body in self.entries.items():
            digest = base64.urlsafe_b64encode(hashlib.sha256(body).digest()).rstrip(b"=").decode()
            lines.append(f"{entry},sha256={digest},{len(body)}\n")
        return {**self.entries, name: ("".join(lines) + f"{name},,\n").encode()}


def component(name: str, version: str) -> dict[str, Any]:
    """Return a crate as a bill of materials lists it."""
    return {"type": "library", "name": name, "version": version, "purl": f"pkg:cargo/{name}@{version}"}
