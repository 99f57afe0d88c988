"""What the tests of the images share: which images are here, their files, and programs run inside them."""

from __future__ import annotations

import importlib.util
import io
import struct
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).parents[2]
IMAGE = ROOT / "image"
#: What `make images` leaves in the engine, by platform.
TAGS = {
    "linux/amd64": ("stratoswarm/swarmlet:latest-amd64", "stratoswarm/swarmlet:latest"),
    "linux/arm64": ("stratoswarm/swarmlet:latest-arm64", "stratoswarm/swarmlet:latest"),
    "linux/arm/v7": ("stratoswarm/swarmlet:latest-armv7", "stratoswarm/swarmlet:latest"),
}
#: Under emulation everything takes many times as long.
PATIENCE_S = 600

#: Where the modules are.
ZIPS = ("usr/lib/python313.zip", "usr/lib/swarmlet/packages.zip", "usr/lib/swarmlet/app.zip")
#: Imports each of them, and what is built in; prints as JSON what failed and how many there are.
IMPORT_EVERYTHING = """
import importlib, json, sys, warnings, zipfile
warnings.simplefilter("error")
zips = ["/" + name for name in %r]
sys.path[:0] = zips[1:]
bad = {}
names = [name for path in zips for name in zipfile.ZipFile(path).namelist()]
names = [name[:-4].replace("/", ".").removesuffix(".__init__") for name in names]
names = [name for name in names if not name.endswith("__main__")] + list(sys.builtin_module_names)
for name in names:
    try:
        importlib.import_module(name)
    except BaseException as failure:
        bad[name] = repr(failure)
print(json.dumps({"bad": bad, "count": len(names)}))
""" % (ZIPS,)  # noqa: UP031 - braces are the program's own

_COPY = {62: 5, 183: 1024, 40: 20}
_REL, _RELA = 9, 4


def load(name: str) -> ModuleType:
    """Import a program of ``image/`` by its file, as its siblings import one another."""
    if str(IMAGE) not in sys.path:
        sys.path.insert(0, str(IMAGE))
    spec = importlib.util.spec_from_file_location(name, IMAGE / f"{name}.py")
    assert spec
    assert spec.loader
    module = sys.modules.setdefault(name, importlib.util.module_from_spec(spec))
    spec.loader.exec_module(module)
    return module


def docker(*words: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run the client and return what it said; failing is the caller's business."""
    return subprocess.run(
        ["docker", *words], input=stdin, capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )


@cache
def tag_of(platform: str) -> str | None:
    """Return the tag under which the engine has the image of ``platform``, if it has one."""
    for tag in TAGS[platform]:
        told = docker(
            "image", "inspect", "--format", "{{.Os}}/{{.Architecture}}{{with .Variant}}/{{.}}{{end}}", tag
        )
        if told.returncode == 0 and told.stdout.strip() == platform:
            return tag
    return None


@cache
def runs(platform: str) -> str:
    """Return why programs of ``platform`` do not run here, or nothing."""
    tag = tag_of(platform)
    if tag is None:
        return f"no image for {platform} is here; make images builds it"
    told = docker("run", "--rm", "--platform", platform, tag, "--version")
    return "" if told.returncode == 0 else f"{platform} does not run here: {told.stderr.strip()[-200:]}"


def python(platform: str, program: str, *options: str) -> str:
    """Run a program with the image's interpreter and return what it printed."""
    tag = tag_of(platform)
    assert tag
    told = docker(
        "run",
        "--rm",
        "--interactive",
        "--platform",
        platform,
        *options,
        "--entrypoint",
        "/usr/bin/python3",
        tag,
        "-",
        stdin=program,
    )
    assert told.returncode == 0, told.stdout + told.stderr
    return told.stdout


@cache
def files_of(tag: str) -> dict[str, tuple[tarfile.TarInfo, bytes]]:
    """Return everything in the image: each path with what it is and its bytes."""
    made = docker("create", tag)
    assert made.returncode == 0, made.stderr
    container = made.stdout.strip()
    try:
        exported = subprocess.run(
            ["docker", "export", container], capture_output=True, timeout=PATIENCE_S, check=True
        )
    finally:
        docker("rm", container)
    return dict(_entries(exported.stdout))


def _entries(data: bytes) -> Iterator[tuple[str, tuple[tarfile.TarInfo, bytes]]]:
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        for entry in archive:
            inner = archive.extractfile(entry) if entry.isfile() else None
            yield entry.name.removeprefix("./"), (entry, inner.read() if inner else b"")


def copy_relocations(elf: bytes) -> int:
    """Return how many relocations of a program copy a symbol of a library into it: a PIE has none."""
    wide = elf[4] == 2
    machine = struct.unpack_from("<H", elf, 18)[0]
    (table,) = struct.unpack_from("<Q" if wide else "<I", elf, 40 if wide else 32)
    size, count = struct.unpack_from("<HH", elf, 58 if wide else 46)
    found = 0
    for index in range(count):
        at = table + index * size
        (kind,) = struct.unpack_from("<I", elf, at + 4)
        if kind not in {_REL, _RELA}:
            continue
        offset, length = struct.unpack_from("<QQ" if wide else "<II", elf, at + (24 if wide else 16))
        step = (24 if kind == _RELA else 16) if wide else (12 if kind == _RELA else 8)
        for place in range(offset, offset + length, step):
            (info,) = struct.unpack_from("<Q" if wide else "<I", elf, place + (8 if wide else 4))
            found += (info & 0xFFFFFFFF if wide else info & 0xFF) == _COPY[machine]
    return found
