"""Lays out the root file system of an image as three layers, the one that changes least first.

Usage: assemble.py agent|coordinator INPUT OUT, where INPUT holds what the stages before made:
python/ (bin, library, builtin.txt), packages/, app/swarmlet, native.so, musl/ (as unpacked), launcher; for
the coordinator also coordinator/ (packages) and modules/ (of its interpreter).
"""

from __future__ import annotations

import _imp
import os
import shutil
import sys
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from modules import Source, reachable, sources, unknown, without
from pack import LOADER, pack

HERE = Path(__file__).parent
# 2026-01-01: no file says when it was built, or two builds would differ.
EPOCH = int(os.environ.get("SOURCE_DATE_EPOCH", "1767225600"))
HOME = "usr/lib/swarmlet"
MAIN = """\
import sys
sys.path.insert(1, "/usr/lib/swarmlet/packages.zip")
from {module} import main
sys.exit(main())
"""
USERS = "root:x:0:0:root:/:/{program}\nswarmlet:x:10001:10001:Swarmlet:/data:/{program}\n"
GROUPS = "root:x:0:\nswarmlet:x:10001:\n"
FOLDERS = {
    "tmp": 0o1777,
    "data": 0o700,
    "config": 0o755,
    "run": 0o755,
    "usr/lib/python3.13/lib-dynload": 0o755,
}
OWNED = ("data",)
USER = 10001


def listed(text: str) -> set[str]:
    """Return the names of ``stdlib.txt``."""
    return {line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")}


def agreed(found: Iterable[str], reviewed: Iterable[str]) -> None:
    """End the build when the library's reachable modules are others than the reviewed ones."""
    missing, surplus = sorted(set(found) - set(reviewed)), sorted(set(reviewed) - set(found))
    if surplus:
        print(
            f"image: image/stdlib.txt lists what nothing reaches any more: {' '.join(surplus)}",
            file=sys.stderr,
        )
    if missing:
        sys.exit(
            "image: modules of the standard library are reachable that image/stdlib.txt does not list:\n  "
            + "\n  ".join(missing)
            + "\n  next: add those lines to image/stdlib.txt, or say in image/manifest.toml why one stays out"
        )


def member(name: str, source: Source) -> str:
    """Return the path of a module inside a zip."""
    return name.replace(".", "/") + ("/__init__.py" if source.package else ".py")


def members(names: Iterable[str], known: Mapping[str, Source]) -> dict[str, bytes]:
    """Return the sources of ``names`` by their paths inside a zip."""
    return {member(name, known[name]): known[name].path.read_bytes() for name in names}


def nothing_lacks(lacking: Mapping[str, str]) -> None:
    """End the build when Swarmlet imports a package that no lock file brings."""
    if lacking:
        sys.exit(
            "image: packages are imported that the image would not have:\n  "
            + "\n  ".join(f"{package}, by {module}" for package, module in lacking.items())
            + "\n  next: add them to image/packages.lock, or say in image/manifest.toml why they stay out"
        )


class Layer:
    """A folder that becomes a layer."""

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir(parents=True)

    def put(self, path: str, source: Path | bytes, mode: int = 0o644) -> None:
        """Write one file."""
        to = self.root / path
        to.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(source, bytes):
            to.write_bytes(source)
        else:
            shutil.copyfile(source, to)
        to.chmod(mode)

    def zip(self, path: str, content: Mapping[str, bytes]) -> None:
        """Write one zip of modules."""
        to = self.root / path
        to.parent.mkdir(parents=True, exist_ok=True)
        pack(to, content)
        to.chmod(0o644)

    def extension(self, content: dict[str, bytes], module: str, source: Path) -> None:
        """Write a shared object, and into ``content`` the module that loads it."""
        path = f"{HOME}/{module}.so"
        self.put(path, source)
        content[module.replace(".", "/") + ".py"] = LOADER.format(path="/" + path).encode()

    def close(self) -> None:
        """Give everything one date."""
        for path in sorted(self.root.rglob("*"), reverse=True):
            os.utime(path, (EPOCH, EPOCH), follow_symlinks=False)
        os.utime(self.root, (EPOCH, EPOCH))


def base(layer: Layer, given: Path, library: Mapping[str, bytes], program: str) -> None:
    """The C library, the interpreter and its library, and what a bare root file system must have."""
    loader = next(path for path in sorted((given / "musl").rglob("ld-musl-*")) if path.parent.name == "lib")
    layer.put(f"lib/{loader.name}", next((given / "musl/usr/lib").rglob("libc.so")), 0o755)
    layer.put("usr/bin/python3", given / "python/bin/python3", 0o755)
    layer.zip("usr/lib/python313.zip", library)
    layer.put("etc/passwd", USERS.format(program=program).encode())
    layer.put("etc/group", GROUPS.encode())
    for name, mode in FOLDERS.items():
        (layer.root / name).mkdir(parents=True, exist_ok=True)
        (layer.root / name).chmod(mode)
    for name in OWNED:
        os.chown(layer.root / name, USER, USER)
    layer.put("usr/share/licenses.txt", licenses(given))
    for module in sorted((given / "modules").glob("*.so")):
        layer.put(f"usr/lib/python3.13/lib-dynload/{module.name}", module)


def licenses(given: Path) -> bytes:
    """Return the licences of everything that is shipped, one after another."""
    files = {"CPython": given / "python/licenses/cpython", "zlib": given / "python/licenses/zlib"}
    files["musl"] = given / "musl/usr/share/doc/musl/copyright"
    files["crates of the native extension"] = given / "crates.txt"
    for folder in ("packages", "coordinator"):
        files |= {path.name: path for path in sorted((given / folder).glob("licenses/*"))}
    parts = [
        b"==== " + name.encode() + b"\n" + path.read_bytes().strip() + b"\n" for name, path in files.items()
    ]
    return b"\n".join(parts)


def extensions(folders: Iterable[Path]) -> dict[str, Path]:
    """Return the shared objects of packages by the names under which they are imported."""
    found = {}
    for folder in folders:
        for path in sorted(folder.rglob("*.so")):
            inside = path.relative_to(folder)
            found[".".join((*inside.parts[:-1], path.name.split(".")[0]))] = path
    return found


def roots(
    target: Mapping[str, Any], library: Mapping[str, Any], known: Mapping[str, Source], built_in: set[str]
) -> list[str]:
    """Return what the walk begins with: the programs, the interpreter, the users, and whole packages."""
    whole = [name for name in known if name.split(".")[0] in target.get("whole", ())]
    wanted = [*target["roots"], *target.get("hidden", ()), *library["interpreter"], *library["users"]]
    return [name for name in wanted if name not in built_in] + whole


def main(target: str, given: Path, out: Path) -> None:
    """Make the layers of ``out`` from ``given``."""
    manifest = tomllib.loads((HERE / "manifest.toml").read_text(encoding="utf-8"))
    image, left_out = manifest[target], [*manifest["left_out"], *manifest.get(f"left_out_of_{target}", ())]
    folders = [given / "packages", given / "coordinator"]
    places = [HERE / "standins", given / "app", *folders, given / "python/library"]
    known = sources(places)
    built_in = set((given / "python/builtin.txt").read_text(encoding="ascii").split())
    found = reachable(roots(image, manifest["library"], known, built_in), known, left_out)

    def of(*folders: Path) -> set[str]:
        return {name for name in found if any(known[name].path.is_relative_to(folder) for folder in folders)}

    compiled = extensions(folders)
    whole_left_out = [name for name in left_out if "." not in name]
    nothing_lacks(unknown(of(given / "app"), known, [*built_in, *compiled, *whole_left_out]))
    library, standins = of(given / "python/library"), of(HERE / "standins")
    if target == "agent":
        agreed(library, listed((HERE / "stdlib.txt").read_text(encoding="ascii")))
    inside = set(_imp._frozen_module_names())  # noqa: SLF001 - the interpreter carries these itself
    codec = {name for name in standins if name.startswith("encodings.")}
    first = Layer(out / "base")
    base(first, given, members((library - inside) | codec, known), image["program"])

    second, content = Layer(out / "packages"), members(of(*folders) | (standins - codec), known)
    for name, path in compiled.items():
        if name.rpartition(".")[0] in {"", *found} and not without(name, left_out):
            second.extension(content, name, path)
    for path in sorted((given / "coordinator/lib").glob("*")):
        second.put(f"usr/lib/{path.name}", path)
    second.zip(f"{HOME}/packages.zip", content)

    third, content = Layer(out / "app"), members(of(given / "app"), known)
    third.extension(content, "swarmlet._native", given / "native.so")
    content["__main__.py"] = MAIN.format(module=image["main"]).encode()
    third.zip(f"{HOME}/app.zip", content)
    third.put(image["program"], given / "launcher", 0o755)
    for layer in (first, second, third):
        layer.close()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
