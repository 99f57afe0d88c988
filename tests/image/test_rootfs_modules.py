"""What decides on the modules in the image: the walk over imports, the manifest, the pins."""

from __future__ import annotations

import marshal
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from tests.image.rootfs import IMAGE, ROOT, load

modules = load("modules")
pack = load("pack")
fetch = load("fetch")
MANIFEST = tomllib.loads((IMAGE / "manifest.toml").read_text(encoding="utf-8"))
LEFT_OUT = [*MANIFEST["left_out"], *MANIFEST["left_out_of_agent"]]


def tree(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        path = folder / (
            name.replace("__", "/", 1) if "__init" not in name else name.replace("__init", "/__init__")
        )
        path = path.with_suffix(".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


def reach(folder: Path, root: str, left_out: tuple[str, ...] = ()) -> set[str]:
    found: set[str] = modules.reachable([root], modules.sources([folder]), left_out)
    return found


def test_lazy_conditional_and_relative_imports_are_all_found(tmp_path: Path) -> None:
    tree(
        tmp_path,
        a="def f():\n    import b\ntry:\n    from p.q import name\nexcept ImportError:\n    import c\n",
        b="",
        c="",
        p__init="from . import r",
        p__q="",
        p__r="from .s import x",
        p__s="",
        unused="",
    )
    assert reach(tmp_path, "a") == {"a", "b", "c", "p", "p.q", "p.r", "p.s"}


def test_what_only_type_checkers_or_programs_import_is_not_found(tmp_path: Path) -> None:
    tree(
        tmp_path,
        a="import typing\nif typing.TYPE_CHECKING:\n    import b\nelse:\n    import c\n"
        "if __name__ == '__main__':\n    import d\n",
        b="",
        c="",
        d="",
        typing="TYPE_CHECKING = False",
    )
    assert reach(tmp_path, "a") == {"a", "c", "typing"}


def test_a_submodule_named_after_from_is_found_and_a_plain_name_is_not_required(tmp_path: Path) -> None:
    tree(tmp_path, a="from p import q, nothing", p__init="", p__q="")
    assert reach(tmp_path, "a") == {"a", "p", "p.q"}


def test_what_is_left_out_is_not_followed(tmp_path: Path) -> None:
    tree(tmp_path, a="import p.q", p__init="import b", p__q="import c", b="", c="")
    assert reach(tmp_path, "a", ("p.q",)) == {"a", "p", "b"}
    assert reach(tmp_path, "a", ("p",)) == {"a"}


def test_a_root_that_does_not_exist_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(KeyError):
        reach(tmp_path, "absent")


def test_the_walk_finds_what_the_agent_imports_lazily_and_nothing_of_the_coordinator() -> None:
    found = modules.reachable(MANIFEST["agent"]["roots"], modules.sources([ROOT]), LEFT_OUT)
    assert {"swarmlet.workloads.docker", "swarmlet.report.metrics", "swarmlet.agent.app"} <= found
    assert not [name for name in found if name.startswith(("swarmlet.coordinator", "swarmlet.cli.cluster"))]


def test_everything_that_is_left_out_or_stood_in_for_has_a_reason() -> None:
    for part in ("left_out", "left_out_of_agent", "standins"):
        assert all(reason.strip() for reason in MANIFEST[part].values())
    present = {path.stem for path in (IMAGE / "standins").glob("*.py")}
    assert present == set(MANIFEST["standins"])


def test_the_list_of_library_modules_names_each_once_and_none_that_is_left_out() -> None:
    names = [
        line
        for line in (IMAGE / "stdlib.txt").read_text(encoding="ascii").splitlines()
        if line and line[0] != "#"
    ]
    assert len(names) == len(set(names)) > 200
    assert names == sorted(names)
    assert not [name for name in names if modules.without(name, LEFT_OUT)]


def test_the_same_sources_give_the_same_zip_whatever_the_hash_seed(tmp_path: Path) -> None:
    program = (
        "import sys; sys.path.insert(0, sys.argv[1]); import pack, pathlib;"
        "pack.pack(pathlib.Path(sys.argv[2]), {'b.py': b'y = x in {\"a\", \"b\"}', 'a/__init__.py': b'1'})"
    )
    written = []
    for seed in ("1", "2"):
        path = tmp_path / seed
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        subprocess.run([sys.executable, "-c", program, str(IMAGE), str(path)], env=environment, check=True)
        written.append(path.read_bytes())
    assert written[0] == written[1]


def test_a_zip_holds_optimised_bytecode_that_no_source_is_compared_with(tmp_path: Path) -> None:
    path = tmp_path / "it.zip"
    pack.pack(path, {"m.py": b'"""Doc."""\nassert False\nx = 1\n'})
    with zipfile.ZipFile(path) as archive:
        assert archive.namelist() == ["m.pyc"]
        assert archive.getinfo("m.pyc").date_time == (1980, 1, 1, 0, 0, 0)
        data = archive.read("m.pyc")
    assert data[4:8] == b"\x01\x00\x00\x00"
    space: dict[str, object] = {}
    exec(marshal.loads(data[16:]), space)  # noqa: S102, S302 - we compiled it
    assert space["x"] == 1
    assert space.get("__doc__") is None


@pytest.mark.parametrize(
    ("lock", "target"), [("packages.lock", "agent"), ("coordinator.lock", "coordinator")]
)
def test_the_packages_in_the_image_are_those_of_the_lock_file(lock: str, target: str) -> None:
    locked = (ROOT / "requirements.lock").read_text(encoding="ascii").split()
    listed = [line.split() for line in (IMAGE / lock).read_text(encoding="ascii").splitlines()]
    pinned = [words for words in listed if words and "==" in words[0]]
    assert {words[0] for words in pinned} <= set(locked)
    assert all(word.startswith("--hash=sha256:") for words in pinned for word in words[1:])
    assert all(len(words) > 1 for words in pinned)
    assert {words[0].split("==")[0] for words in pinned} == set(MANIFEST[target]["packages"])


def test_a_lock_file_says_where_to_look_next_when_the_pool_moved_on() -> None:
    lock = fetch.parse("# comment\nsnapshot 20260101T000000Z\nabc pool/a/a_1+2~3.deb\n")
    assert lock == ("20260101T000000Z", (("abc", "pool/a/a_1+2~3.deb"),))
    first, second = fetch.places("pool/a/a_1+2~3.deb", lock.snapshot, "http://mirror/debian")
    assert first == "http://mirror/debian/pool/a/a_1%2B2~3.deb"
    assert second == "http://snapshot.debian.org/archive/debian/20260101T000000Z/pool/a/a_1%2B2~3.deb"


def test_a_file_with_another_hash_is_not_believed(tmp_path: Path) -> None:
    (tmp_path / "it").write_bytes(b"something else")
    with pytest.raises(SystemExit, match="another file answers"):
        fetch.fetched("it", "0" * 64, ((tmp_path / "it").as_uri(),))


@pytest.mark.parametrize("name", ["sources.lock", "sqlite.lock", "buildx.lock"])
def test_every_pin_is_a_hash_of_a_file_in_the_pool(name: str) -> None:
    lock = fetch.parse((IMAGE / name).read_text(encoding="ascii"))
    assert lock.files
    assert all(len(digest) == 64 and path.startswith("pool/main/") for digest, path in lock.files)


def test_a_package_that_nothing_brings_is_named_with_who_imports_it(tmp_path: Path) -> None:
    tree(tmp_path, a="import b, math\ndef f():\n    from absent.part import x\n", b="import c", c="")
    known = modules.sources([tmp_path])
    assert modules.unknown(known, known, ["math"]) == {"absent": "a"}
    assert modules.unknown(known, known, ["math", "absent"]) == {}


def test_every_package_the_agent_depends_on_is_brought() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    needed = {re.split(r"[<>=!~ ]", name)[0].lower().replace("-", "_") for name in project["dependencies"]}
    assert needed <= {name.lower().replace("-", "_") for name in MANIFEST["agent"]["packages"]}
