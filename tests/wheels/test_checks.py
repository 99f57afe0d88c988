"""Each check of a wheel holds for a right one and names what is wrong with a wrong one."""

from __future__ import annotations

import dataclasses
import json
import re
import subprocess
from pathlib import Path

import checks
import elf
import pytest
from checks import Broken, Wheel

from tests.wheels.made_up import MadeUpLibrary, MadeUpWheel, component
from tests.wheels.made_up import elf as made_up_elf

ROOT = Path(__file__).parents[2]
SOURCE = {"swarmlet/__init__.py": b'__version__ = "0.1.0"\n'}
STABLE = frozenset((ROOT / "wheels/stable_abi_3.11.txt").read_text().split())
BESIDE = checks.Beside(STABLE, frozenset({("ring", "0.17.14")}), SOURCE, "digest")
X86, ARM, MUSL_X86 = "manylinux_2_28_x86_64", "manylinux_2_31_armv7l", "musllinux_1_2_x86_64"
BILL = "swarmlet-0.1.0.dist-info/sboms/swarmlet.cyclonedx.json"
MUSL = MadeUpLibrary(needed=("libc.so",), versioned=())
RIGHT = {
    "manylinux_2_28_x86_64": MadeUpLibrary(),
    "manylinux_2_28_aarch64": MadeUpLibrary(arch="aarch64"),
    "manylinux_2_31_armv7l": MadeUpLibrary(arch="armv7l"),
    "musllinux_1_2_x86_64": MUSL,
    "musllinux_1_2_aarch64": dataclasses.replace(MUSL, arch="aarch64"),
    "musllinux_1_2_armv7l": dataclasses.replace(MUSL, arch="armv7l"),
}


def wheel(made: MadeUpWheel, *, size: int = 1000) -> Wheel:
    return Wheel(made.file_name, size, made.files())


def answers(made: Wheel) -> dict[str, str]:
    """Return the reasons of the checks that do not hold."""
    found = {}
    for name, question in checks.checks(BESIDE).items():
        try:
            question(made)
        except Broken as wrong:
            found[name] = str(wrong)
    return found


@pytest.mark.parametrize("platform", RIGHT)
def test_a_right_wheel_of_every_platform_passes_every_check(platform: str) -> None:
    assert answers(wheel(MadeUpWheel(platform, RIGHT[platform]))) == {}


def library(**changes: object) -> MadeUpLibrary:
    return dataclasses.replace(MadeUpLibrary(), **changes)


@pytest.mark.parametrize(
    ("platform", "made", "check", "reason"),
    [
        (X86, library(arch="aarch64"), "tags", "is for aarch64, the file name says"),
        (ARM, library(arch="armv7l", hard_float=False), "tags", "is for arm,"),
        (X86, library(interpreter="/lib/ld-linux.so.2"), "tags", "is a program"),
        (X86, library(undefined=("_PyLong_Sign",)), "stable ABI", "_PyLong_Sign"),
        (X86, library(undefined=("PyUnstable_Code_New",)), "stable ABI", "PyUnstable"),
        (X86, library(undefined=()), "stable ABI", "takes nothing of Python's"),
        (X86, library(defined=()), "stable ABI", "PyInit__native is not exported"),
        (X86, library(versioned=(("fcntl64", "GLIBC_2.34"),)), "C library", "fcntl64 needs GLIBC_2.34"),
        (X86, library(versioned=(("f", "GLIBC_PRIVATE"),)), "C library", "GLIBC_PRIVATE"),
        (X86, library(versioned=()), "C library", "no version of glibc"),
        (X86, library(versioned=(("f", "GCC_3.0"),)), "C library", "asks for GCC_3.0"),
        (MUSL_X86, library(needed=("libc.so",)), "C library", "was linked to glibc"),
        (MUSL_X86, library(needed=("libc.so.6",)), "needed", "needs libc.so.6"),
        (X86, library(needed=("libc.so.6", "libssl.so.3")), "needed", "needs libssl.so.3"),
        (X86, library(needed=()), "needed", "names no C library"),
        (X86, library(runpath="/opt/lib"), "needed", "/opt/lib"),
        (X86, library(text_relocations=True), "loading", "relocations in its code"),
        (X86, library(stack_flags=7), "loading", "executable stack"),
        (X86, library(stack_flags=None), "loading", "executable stack"),
        (X86, library(text=b"failed/root/a/lib.rs"), "build paths", "/root/a/lib.rs"),
        (X86, library(text=b"at index.crates.io-1949cf8c/ring"), "build paths", "index.crates.io"),
        ("linux_x86_64", library(), "tags", "no manylinux or musllinux tag"),
    ],
)  # fmt: skip
def test_a_wrong_library_is_named_with_the_reason(
    platform: str, made: MadeUpLibrary, check: str, reason: str
) -> None:
    assert reason in answers(wheel(MadeUpWheel(platform, made)))[check]


def test_a_newer_glibc_is_refused_by_its_number_not_its_spelling() -> None:
    made = library(versioned=(("read", "GLIBC_2.4"), ("write", "GLIBC_2.28"), ("gone", "GLIBC_2.9")))
    assert checks.c_library(wheel(MadeUpWheel(library=made))) == "GLIBC_2.28 at most"


@pytest.mark.parametrize(
    ("entry", "body", "check", "reason"),
    [
        ("swarmlet-0.1.0.dist-info/WHEEL", b"Tag: py3-none-any\n", "tags", "py3-none-any"),
        ("swarmlet-0.1.0.dist-info/METADATA", b"Name: swarmlet\nVersion: 9\n", "tags", "swarmlet 9"),
        (BILL, b"{", "SBOM", "cannot be read"),
        (BILL, b'{"bomFormat": "SPDX"}', "SBOM", "not CycloneDX"),
        ("swarmlet/_native.abi3.so", b"MZ", "tags", "not an ELF file"),
        ("swarmlet/__init__.py", b"", "contents", "another state of swarmlet/__init__.py"),
        ("swarmlet/left_over.py", b"", "contents", "holds swarmlet/left_over.py"),
    ],
)  # fmt: skip
def test_a_wrong_entry_is_named_with_the_reason(entry: str, body: bytes, check: str, reason: str) -> None:
    made = MadeUpWheel(entries={entry: body})
    assert reason in answers(wheel(made))[check]


def test_a_bill_of_materials_is_missing_or_lists_other_crates_than_the_lock() -> None:
    made = MadeUpWheel()
    name = next(entry for entry in made.entries if "/sboms/" in entry)
    bill = {"bomFormat": "CycloneDX", "components": [component("ring", "0.16.0")]}
    made.entries[name] = json.dumps(bill).encode()
    assert "ring 0.16.0, not in Cargo.lock" in answers(wheel(made))["SBOM"]
    made.entries[name] = json.dumps(bill | {"components": []}).encode()
    assert "names no crate" in answers(wheel(made))["SBOM"]
    del made.entries[name]
    assert "no bill of materials" in answers(wheel(made))["SBOM"]


def test_a_bill_of_materials_that_tells_a_folder_is_refused() -> None:
    made = MadeUpWheel()
    name = next(entry for entry in made.entries if "/sboms/" in entry)
    made.entries[name] = made.entries[name].replace(b"{", b'{"at": "path+file:///home/me/native#1", ', 1)
    assert "/home/me/native" in answers(wheel(made))["build paths"]


def test_a_library_of_another_state_of_the_source_is_found_out() -> None:
    made = wheel(MadeUpWheel(native="another"))
    assert answers(made)["contents"] == "the library was built from another state of native/; build it again"


def test_record_must_list_every_entry_and_no_other_each_as_it_is() -> None:
    right = MadeUpWheel().files()
    record = "swarmlet-0.1.0.dist-info/RECORD"
    name = MadeUpWheel().file_name
    unlisted = right | {"swarmlet/late.py": b""}
    assert "does not list swarmlet/late.py" in answers(Wheel(name, 1, unlisted))["record"]
    gone = right | {record: right[record] + b"swarmlet/gone.py,,\n"}
    assert "lists swarmlet/gone.py" in answers(Wheel(name, 1, gone))["record"]
    changed = right | {"swarmlet/__init__.py": b"changed"}
    assert "swarmlet/__init__.py is not what RECORD says" in answers(Wheel(name, 1, changed))["record"]


def test_a_wheel_over_three_megabytes_names_its_largest_files() -> None:
    said = answers(wheel(MadeUpWheel(), size=3_000_001))
    assert re.match(r"3,000,001 bytes, at most 3,000,000 .*_native\.abi3\.so", said["size"])
    assert "size" not in answers(wheel(MadeUpWheel(), size=3_000_000))


def test_another_name_than_the_projects_is_refused() -> None:
    with pytest.raises(Broken, match="the name is not swarmlet-VERSION-cp311-abi3-PLATFORM"):
        checks.platform("swarmlet-0.1.0-cp313-cp313-manylinux_2_28_x86_64.whl")


def test_a_library_cut_short_is_damaged_and_never_an_exception_of_another_kind() -> None:
    whole = made_up_elf(MadeUpLibrary())
    for length in range(len(whole)):
        with pytest.raises(elf.NotElfError):
            elf.read(whole[:length])


def test_a_real_library_is_read_as_the_systems_own_tool_reads_it() -> None:
    path = ROOT / "swarmlet/_native.abi3.so"
    found = elf.read(path.read_bytes())
    said = subprocess.run(["readelf", "-dW", path], capture_output=True, text=True, check=True).stdout
    assert list(found.needed) == re.findall(r"\(NEEDED\).*\[(.*)\]", said)
    said = subprocess.run(
        ["readelf", "-W", "--dyn-syms", path], capture_output=True, text=True, check=True
    ).stdout
    undefined = {name.split("@")[0] for name in re.findall(r" UND (\S+)", said)}
    assert {symbol.name for symbol in found.symbols if symbol.undefined} == undefined
    wanted = set(re.findall(r"@([A-Z]+_[\w.]+)", said))
    assert {symbol.version for symbol in found.symbols if symbol.version} == wanted
