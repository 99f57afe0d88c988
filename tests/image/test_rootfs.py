"""What is inside the agent image, and that all of it works: most of what can go wrong there is silent."""

from __future__ import annotations

import json
import re
import stat
import zipfile
from io import BytesIO
from pathlib import Path

import pytest

from tests.image import rootfs
from wheels import elf

pytestmark = [pytest.mark.docker, pytest.mark.image, pytest.mark.timeout(rootfs.PATIENCE_S)]

LOADER = {
    "linux/amd64": "ld-musl-x86_64.so.1",
    "linux/arm64": "ld-musl-aarch64.so.1",
    "linux/arm/v7": "ld-musl-armhf.so.1",
}
ARCH = {"linux/amd64": "x86_64", "linux/arm64": "aarch64", "linux/arm/v7": "armv7l"}


def test_every_module_in_the_image_can_be_imported_there(platform: str) -> None:
    told = json.loads(rootfs.python(platform, rootfs.IMPORT_EVERYTHING))
    assert told["bad"] == {}
    assert told["count"] > 500


def test_every_hash_that_python_promises_is_there(platform: str) -> None:
    told = rootfs.python(
        platform,
        "import hashlib, hmac\n"
        "[hashlib.new(name, b'x') for name in hashlib.algorithms_guaranteed]\n"
        "print(hashlib.sha256(b'').hexdigest(), hashlib.blake2b(b'', key=b'k').hexdigest(),"
        " hmac.digest(b'k', b'', 'sha512').hex())",
    )
    assert told.startswith("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 ")


def test_a_host_name_of_text_is_looked_up(platform: str) -> None:
    assert rootfs.python(platform, "import socket; print(socket.gethostbyname('localhost'))") == "127.0.0.1\n"


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("bücher.example", "host names in ASCII only; write the name in its xn-- form"),
        ("a..b", "label empty or too long"),
        ("device.local", "Name does not resolve|Try again"),  # the latter where no resolver answers
    ],
)
def test_a_name_that_cannot_be_looked_up_says_why(platform: str, name: str, wanted: str) -> None:
    told = rootfs.python(
        platform,
        f"import socket\ntry:\n    socket.getaddrinfo({name!r}, 80)\n"
        "except (OSError, UnicodeError) as failure:\n    print(failure)",
        "--network",
        "none",
    )
    assert re.search(wanted, told)


def test_using_openssl_says_that_there_is_none(platform: str) -> None:
    told = rootfs.python(
        platform,
        "import sys\ntry:\n    import ssl\nexcept ModuleNotFoundError as failure:\n    print(failure)\n"
        "sys.path.insert(0, '/usr/lib/swarmlet/packages.zip')\nimport ssl\n"
        "try:\n    ssl.create_default_context().wrap_socket(None)\n"
        "except ssl.SSLError as failure:\n    print(failure)",
    )
    assert told == "No module named 'ssl'\nthis image has no OpenSSL: Python's own TLS cannot be used in it\n"


def test_time_zones_and_authorities_are_absent_and_nothing_needs_them(platform: str, tag: str) -> None:
    paths = rootfs.files_of(tag)
    assert not [path for path in paths if "zoneinfo" in path or path.startswith("etc/ssl")]
    told = rootfs.python(
        platform, "import time; print(time.strftime('%Z', time.localtime(0)), time.localtime(0).tm_hour)"
    )
    assert told == "UTC 0\n"


def test_the_interpreter_is_usable_alone(platform: str) -> None:
    told = rootfs.docker(
        "run",
        "--rm",
        "--platform",
        platform,
        "--network",
        "none",
        "--read-only",
        "--user",
        "12345:12345",
        "--entrypoint",
        "python3",
        rootfs.tag_of(platform) or "",
        "-c",
        "import sys, json; print(json.dumps(sys.prefix), sys.executable)",
    )
    assert (told.stdout, told.stderr) == ('"/usr" /usr/bin/python3\n', "")


def test_programs_are_linked_to_musl_alone_and_no_symbol_is_copied(platform: str, tag: str) -> None:
    files = rootfs.files_of(tag)
    programs = {path: body for path, (_, body) in files.items() if body[:4] == b"\x7fELF"}
    assert {
        "swarmlet",
        "usr/bin/python3",
        f"lib/{LOADER[platform]}",
        "usr/lib/swarmlet/swarmlet._native.so",
    } <= set(programs)
    for path, body in programs.items():
        library = elf.read(body)
        assert library.arch == ARCH[platform], path
        assert not [
            symbol.version for symbol in library.symbols if (symbol.version or "").startswith("GLIBC")
        ], path
        assert set(library.needed) <= {"libc.so"}, path
        assert rootfs.copy_relocations(body) == 0, path
    interpreter = programs["usr/bin/python3"]
    assert interpreter[16] == 3, "the interpreter must be position independent (ET_DYN)"
    assert elf.read(interpreter).interpreter == f"/lib/{LOADER[platform]}"
    assert elf.read(programs["swarmlet"]).interpreter is None, "the launcher must be static"


def test_the_image_holds_the_agent_and_nothing_of_the_cluster(tag: str) -> None:
    files = rootfs.files_of(tag)
    names = {name for path in rootfs.ZIPS for name in zipfile.ZipFile(BytesIO(files[path][1])).namelist()}
    assert "swarmlet/agent/app.pyc" in names
    assert not [name for name in names if name.startswith(("swarmlet/coordinator", "swarmlet/cli/cluster"))]
    assert not [name for name in names if not name.endswith(".pyc")], "bytecode alone"
    assert not [path for path in files if path.endswith((".py", ".pyc"))]


def test_users_folders_and_owners_are_what_a_bare_root_needs(tag: str) -> None:
    files = rootfs.files_of(tag)
    modes = {path: stat.S_IMODE(files[path][0].mode) for path in ("tmp", "data", "config")}
    assert modes == {"tmp": 0o1777, "data": 0o700, "config": 0o755}
    assert (files["data"][0].uid, files["data"][0].gid) == (10001, 10001)
    assert b"swarmlet:x:10001:10001:" in files["etc/passwd"][1]
    assert b"swarmlet:x:10001:" in files["etc/group"][1]
    inside = [path for path in files if not path.startswith(("dev", "proc", "sys", "etc/"))]
    assert not [path for path in inside if files[path][0].mode & 0o6000], "nothing sets a user on execution"


def test_the_configuration_says_how_it_is_run(tag: str) -> None:
    told = json.loads(rootfs.docker("image", "inspect", tag).stdout)[0]["Config"]
    assert told["Entrypoint"] == ["/swarmlet"]
    assert told["StopSignal"] == "SIGTERM"
    assert told["Healthcheck"]["Test"] == ["CMD", "/swarmlet", "health"]
    assert not told.get("Volumes"), "an anonymous volume would hide that /data is not mounted"
    assert not told.get("User"), "it starts as root and drops to SWARM_RUN_AS itself"
    assert {"SWARM_DATA_DIR=/data", "SWARM_RUN_AS=10001:10001", "PATH=/usr/bin:/bin"} <= set(told["Env"])
    labels = told["Labels"]
    assert labels["org.opencontainers.image.licenses"] == "Apache-2.0"
    assert labels["org.opencontainers.image.version"]


def test_it_is_within_its_budget(platform: str, tag: str, tmp_path: Path) -> None:
    gate = rootfs.load("gate")
    archive = tmp_path / "image.tar"
    assert rootfs.docker("save", "--output", str(archive), tag).returncode == 0
    verdict = gate.judge(platform, gate.read(archive), gate.BUDGETS["agent"])
    print("\n".join(verdict.lines))
    assert verdict.passed
