"""What a wheel must be, one question a function: values in, an answer out, no file or program touched.

A check returns what it saw, in words for the report; where the wheel does not hold it raises `Broken`.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from email.parser import BytesParser
from typing import Any

import elf
import source

MAX_BYTES = 3 * 1000 * 1000
LIBRARY = "swarmlet/_native.abi3.so"
#: What each C library's wheels may ask to be loaded: the C library itself, in its parts, and its loader.
GLIBC_LIBRARIES = re.compile(
    r"(libc|libm|libdl|libpthread|librt)\.so\.\d+|ld-linux(-x86-64|-aarch64|-armhf)\.so\.\d"
)
MUSL_LIBRARIES = re.compile(r"libc\.so")
_FILE_NAME = re.compile(r"(?P<name>\w+)-(?P<version>[^-]+)-cp311-abi3-(?P<platform>\w+)\.whl")
_PLATFORM = re.compile(r"(?P<libc>many|musl)linux_(?P<major>\d+)_(?P<minor>\d+)_(?P<arch>\w+)")
#: A source file where builds happen. Texts lie end to end in a library: only well-known places can be told.
_BUILD_PATH = re.compile(
    rb"/(?:root|home|tmp|builds?|source|work|workspace|github|__w|mnt|opt|project|Users|\.cargo|registry/src)"
    rb"/[\w.+@/-]*?\.(?:rs|c|h|S)\b|index\.crates\.io-\w+"
)


class Broken(Exception):  # noqa: N818 - it is an answer, and reads as one
    """The wheel does not hold what it must; the text says what and why."""


@dataclass(frozen=True)
class Wheel:
    """A wheel as read: its file name, its size in bytes, and its entries."""

    file_name: str
    size: int
    entries: dict[str, bytes]

    @property
    def info(self) -> str:
        """The folder that describes it."""
        return "-".join(self.file_name.split("-")[:2]) + ".dist-info"

    def entry(self, name: str) -> bytes:
        """Return one entry; raises `Broken` when it is not there."""
        try:
            return self.entries[name]
        except KeyError:
            raise Broken(f"has no {name}") from None

    def library(self) -> elf.Library:
        """Return the native extension; raises `Broken` when there is none."""
        try:
            return elf.read(self.entry(LIBRARY))
        except elf.NotElfError as wrong:
            raise Broken(f"{LIBRARY} is {wrong}") from wrong


@dataclass(frozen=True)
class Platform:
    """A platform tag: whose C library, of which version at least, on which machine."""

    tag: str
    musl: bool
    version: tuple[int, int]
    arch: str


def platform(file_name: str) -> Platform:
    """Read the tags in a wheel's file name; raises `Broken` when they promise something else."""
    named = _FILE_NAME.fullmatch(file_name)
    if named is None:
        raise Broken("the name is not swarmlet-VERSION-cp311-abi3-PLATFORM.whl")
    tag = _PLATFORM.fullmatch(named["platform"])
    if tag is None:
        raise Broken(f"{named['platform']} is no manylinux or musllinux tag: no index takes it")
    return Platform(tag[0], tag["libc"] == "musl", (int(tag["major"]), int(tag["minor"])), tag["arch"])


def tags(wheel: Wheel) -> str:
    """The file name, WHEEL, METADATA and the library agree on version, Python, ABI and machine."""
    wanted, library = platform(wheel.file_name), wheel.library()
    name, version = wheel.file_name.split("-")[:2]
    said = BytesParser().parsebytes(wheel.entry(f"{wheel.info}/WHEEL"))
    if said.get_all("Tag") != [f"cp311-abi3-{wanted.tag}"]:
        raise Broken(f"WHEEL says {said.get_all('Tag')}, the file name cp311-abi3-{wanted.tag}")
    about = BytesParser().parsebytes(wheel.entry(f"{wheel.info}/METADATA"))
    if (about["Name"], about["Version"]) != (name, version):
        raise Broken(f"METADATA is of {about['Name']} {about['Version']}, the file name of {name} {version}")
    if library.arch != wanted.arch:
        raise Broken(f"the library is for {library.arch}, the file name says {wanted.arch}")
    if library.interpreter is not None:
        raise Broken("the library is a program")
    return f"cp311-abi3-{wanted.tag}, {library.bits} bit"


def stable_abi(wheel: Wheel, names: frozenset[str]) -> str:
    """Every name of Python's that the library takes is in the stable ABI of 3.11, and it gives the module."""
    library = wheel.library()
    taken = {one.name for one in library.symbols if one.undefined and re.match(r"_?Py", one.name)}
    if outside := sorted(taken - names):
        raise Broken(f"outside the stable ABI of 3.11: {_some(outside)}")
    if not any(one.name == "PyInit__native" and not one.undefined for one in library.symbols):
        raise Broken("PyInit__native is not exported")
    if not taken:
        raise Broken("it takes nothing of Python's: this is not the extension")
    return f"{len(taken)} names of Python's, all in the stable ABI of 3.11"


def c_library(wheel: Wheel) -> str:
    """No newer C library is needed than the file name says."""
    wanted = platform(wheel.file_name)
    versions = {one.version for one in wheel.library().symbols if one.version}
    numbers = {
        version: tuple(int(part) for part in version.removeprefix("GLIBC_").split("."))
        for version in versions
        if re.fullmatch(r"GLIBC_\d[\d.]*", version)
    }
    if wanted.musl:
        if versions:
            raise Broken(f"a musl wheel asks for {_some(sorted(versions))}: it was linked to glibc")
        return "musl, no symbol versions"
    if odd := sorted(versions - set(numbers)):
        raise Broken(f"asks for {_some(odd)}")
    if not numbers:
        raise Broken("asks for no version of glibc at all: it was linked to another C library")
    newest = max(numbers, key=lambda version: numbers[version])
    if numbers[newest] > wanted.version:
        late = sorted(one.name for one in wheel.library().symbols if one.version == newest)
        raise Broken(
            f"{_some(late)} needs {newest}, the file name promises {'.'.join(map(str, wanted.version))}"
        )
    return f"{newest} at most"


def needed(wheel: Wheel) -> str:
    """Nothing but the C library is loaded with it, and nowhere is searched for it."""
    library, wanted = wheel.library(), platform(wheel.file_name)
    allowed = MUSL_LIBRARIES if wanted.musl else GLIBC_LIBRARIES
    if foreign := [name for name in library.needed if not allowed.fullmatch(name)]:
        raise Broken(f"needs {_some(foreign)}")
    if not library.needed:
        raise Broken("names no C library: it is not linked to one")
    if library.search_paths:
        raise Broken(f"carries a search path of the machine that built it: {_some(library.search_paths)}")
    return ", ".join(library.needed)


def loading(wheel: Wheel) -> str:
    """It loads where memory is either writable or executable, as hardened systems want."""
    library = wheel.library()
    if library.text_relocations:
        raise Broken("has relocations in its code: hardened systems refuse to load it")
    if library.executable_stack:
        raise Broken("asks for an executable stack")
    return "no relocations in code, no executable stack"


def size(wheel: Wheel) -> str:
    """It fits the budget."""
    if wheel.size > MAX_BYTES:
        largest = sorted(((len(body), name) for name, body in wheel.entries.items()), reverse=True)[:3]
        named = ", ".join(f"{name} {count:,}" for count, name in largest)
        raise Broken(f"{wheel.size:,} bytes, at most {MAX_BYTES:,} are allowed; unpacked largest: {named}")
    return f"{wheel.size:,} bytes, the library {len(wheel.entry(LIBRARY)):,}"


def record(wheel: Wheel) -> str:
    """RECORD lists every entry with its digest and size, and no other."""
    name = f"{wheel.info}/RECORD"
    rows = {row[0]: row[1:] for row in csv.reader(io.StringIO(wheel.entry(name).decode())) if row}
    if missing := sorted(set(wheel.entries) - set(rows)):
        raise Broken(f"RECORD does not list {_some(missing)}")
    if absent := sorted(set(rows) - set(wheel.entries)):
        raise Broken(f"RECORD lists {_some(absent)}, not in the wheel")
    for entry, body in wheel.entries.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(body).digest()).rstrip(b"=").decode()
        if entry != name and rows[entry] != [f"sha256={digest}", str(len(body))]:
            raise Broken(f"{entry} is not what RECORD says it is")
    return f"{len(rows)} entries"


def bill_of_materials(wheel: Wheel, locked: frozenset[tuple[str, str]]) -> str:
    """A CycloneDX document names what is inside; its crates are those of Cargo.lock."""
    found = [name for name in wheel.entries if name.startswith(f"{wheel.info}/sboms/")]
    if not found:
        raise Broken(f"has no bill of materials in {wheel.info}/sboms/")
    count = 0
    for name in found:
        crates = _crates(name, wheel.entries[name])
        if unknown := sorted(f"{crate} {version}" for crate, version in crates - locked if locked):
            raise Broken(f"{name} names {_some(unknown)}, not in Cargo.lock")
        count += len(crates)
    if not count:
        raise Broken(f"{_some(found)} names no crate")
    return f"CycloneDX, {count} crates"


def _crates(name: str, body: bytes) -> set[tuple[str, str]]:
    try:
        components = _bill(name, body)["components"]
        return {(one["name"], one["version"]) for one in components if one["purl"].startswith("pkg:cargo/")}
    except (KeyError, TypeError) as wrong:
        raise Broken(f"{name} cannot be read as CycloneDX: {wrong!r}") from wrong


def _bill(name: str, body: bytes) -> dict[str, Any]:
    try:
        bill = json.loads(body)
    except ValueError as wrong:
        raise Broken(f"{name} cannot be read as CycloneDX: {wrong}") from wrong
    if not isinstance(bill, dict) or bill.get("bomFormat") != "CycloneDX":
        raise Broken(f"{name} is not CycloneDX")
    return bill


def no_build_paths(wheel: Wheel) -> str:
    """Nothing inside tells where it was built."""
    told = [path.decode() for path in _BUILD_PATH.findall(wheel.entry(LIBRARY))]
    for name, body in wheel.entries.items():
        if "/sboms/" in name:
            told += [
                path
                for path in re.findall(r"file://(/[^\s\"#]+)", body.decode())
                if not path.startswith("/swarmlet")
            ]
    if told:
        raise Broken(f"tells where it was built: {_some(sorted(set(told)))}")
    return "none"


def contents(wheel: Wheel, package: dict[str, bytes], native: str) -> str:
    """The package is the one beside it, whole: not stale, no module forgotten, nothing smuggled in."""
    inside = {
        name: body
        for name, body in wheel.entries.items()
        if not name.startswith(f"{wheel.info}/") and name != LIBRARY
    }
    if missing := sorted(set(package) - set(inside)):
        raise Broken(f"lacks {_some(missing)}")
    if extra := sorted(set(inside) - set(package)):
        raise Broken(f"holds {_some(extra)}, which the source does not")
    if changed := sorted(name for name in inside if inside[name] != package[name]):
        raise Broken(f"was built from another state of {_some(changed)}; build it again")
    bills = [
        _bill(name, body) for name, body in wheel.entries.items() if name.startswith(f"{wheel.info}/sboms/")
    ]
    properties = [one for bill in bills for one in bill.get("metadata", {}).get("properties", [])]
    if native not in {one.get("value") for one in properties if one.get("name") == source.PROPERTY}:
        raise Broken("the library was built from another state of native/; build it again")
    return f"{len(inside)} files and the native half, as in the source"


def _some(names: Iterable[str], most: int = 4) -> str:
    listed = list(names)
    return ", ".join(listed[:most]) + (f" and {len(listed) - most} more" if len(listed) > most else "")


@dataclass(frozen=True)
class Beside:
    """What lies beside the wheels and they are held against; empty where only a wheel is at hand."""

    stable_abi: frozenset[str]
    locked: frozenset[tuple[str, str]]
    package: dict[str, bytes]
    native_digest: str


def checks(beside: Beside) -> dict[str, Callable[[Wheel], str]]:
    """Return every check of a wheel as a file, by the name in the report."""
    found: dict[str, Callable[[Wheel], str]] = {
        "tags": tags,
        "record": record,
        "stable ABI": lambda wheel: stable_abi(wheel, beside.stable_abi),
        "C library": c_library,
        "needed": needed,
        "loading": loading,
        "size": size,
        "SBOM": lambda wheel: bill_of_materials(wheel, beside.locked),
        "build paths": no_build_paths,
    }
    if beside.package:
        found["contents"] = lambda wheel: contents(wheel, beside.package, beside.native_digest)
    return found
