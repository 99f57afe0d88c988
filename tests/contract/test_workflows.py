"""What runs elsewhere is held here: the workflows' rules, and that what they call and build is there."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
ACTIONS = sorted((ROOT / ".github" / "actions").glob("*/action.yml"))
PINS = ROOT / ".github" / "requirements"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
CIBUILDWHEEL = PROJECT["tool"]["cibuildwheel"]


def load(name: str) -> dict[str, Any]:
    # YAML 1.1 reads the key `on` as true; nothing here needs it.
    return yaml.safe_load((ROOT / ".github" / "workflows" / name).read_text())  # type: ignore[no-any-return]


def jobs() -> list[tuple[str, dict[str, Any]]]:
    return [
        (f"{path.name}: {name}", job) for path in WORKFLOWS for name, job in load(path.name)["jobs"].items()
    ]


def steps(job: dict[str, Any]) -> list[dict[str, Any]]:
    return job.get("steps", [])  # type: ignore[no-any-return]


def scripts() -> list[tuple[str, str]]:
    ours = [(path.parent.name, yaml.safe_load(path.read_text())["runs"]) for path in ACTIONS]
    return [(name, step["run"]) for name, job in [*jobs(), *ours] for step in steps(job) if "run" in step]


def platforms() -> list[str]:
    said = subprocess.run([ROOT / "wheels/build.sh", "--list"], capture_output=True, text=True, check=True)
    return said.stdout.split()


# ---- rules


def test_there_is_a_workflow_for_each_purpose() -> None:
    assert [path.stem for path in WORKFLOWS] == ["audit", "ci", "images", "release", "wheels"]


@pytest.mark.parametrize("path", WORKFLOWS + ACTIONS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_an_action_is_pinned_by_its_full_hash_and_says_its_version(path: Path) -> None:
    used = re.findall(r"^\s*(?:- )?uses: (.+)$", path.read_text(), re.MULTILINE)
    assert used
    for line in used:
        local = line.startswith("./") and (ROOT / line).exists()
        assert local or re.fullmatch(r"[\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line), line


def test_an_action_has_one_pin_everywhere() -> None:
    pins: dict[str, set[str]] = {}
    for path in WORKFLOWS + ACTIONS:
        for action, pin in re.findall(r"uses: ([\w./-]+)@(\S+ # \S+)", path.read_text()):
            pins.setdefault(action, set()).add(pin)
    assert {action: pin for action, pin in pins.items() if len(pin) > 1} == {}


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_nothing_is_permitted_that_a_job_does_not_ask_for(path: Path) -> None:
    workflow = load(path.name)
    assert workflow["permissions"] == {}
    assert workflow["concurrency"]["group"].startswith(f"{path.stem}-")


def test_every_job_says_what_it_may_and_when_it_is_given_up() -> None:
    for name, job in jobs():
        assert isinstance(job["permissions"], dict), name
        assert "uses" in job or 0 < job["timeout-minutes"] <= 120, name


def test_only_what_publishes_may_write_or_speak_for_the_project() -> None:
    """A job that runs for a proposed change is not among them."""
    asking = {name for name, job in jobs() if "write" in job["permissions"].values()}
    assert asking == {
        "images.yml: push",
        "images.yml: publish",
        "release.yml: images",
        "release.yml: pypi",
        "release.yml: github",
    }
    for name in ("push", "publish"):
        assert load("images.yml")["jobs"][name]["if"] == "inputs.publish"


def test_no_credential_stays_in_a_checkout() -> None:
    for name, job in jobs():
        for step in steps(job):
            if step.get("uses", "").startswith("actions/checkout@"):
                assert step["with"]["persist-credentials"] is False, name


def test_no_expression_is_pasted_into_a_script() -> None:
    assert [name for name, script in scripts() if "${{" in script] == []


# ---- what they call


@pytest.mark.parametrize(("name", "script"), scripts())
def test_what_a_step_calls_is_in_the_repository(name: str, script: str) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for target in re.findall(r"\bmake ([a-z]+)", script):
        assert target in targets, f"{name}: make {target}"
    for word in shlex.split(script, comments=True):
        if re.match(r"(\.ci|\.github|wheels|image|scripts)/[\w./-]+$", word) and not word.endswith("/"):
            assert (ROOT / word).exists(), f"{name}: {word}"


def test_the_images_are_those_of_the_bake_file() -> None:
    text = (ROOT / "docker-bake.hcl").read_text()
    baked = {
        (target, platform)
        for target, listed in re.findall(r'target "(\w+)" \{[^}]*?platforms = \[([^]]*)\]', text, re.DOTALL)
        for platform in re.findall(r'"([^"]+)"', listed)
    }
    for job in ("build", "push"):
        matrix = load("images.yml")["jobs"][job]["strategy"]["matrix"]["include"]
        assert sorted((row["target"], row["platform"]) for row in matrix) == sorted(baked)
    published = load("images.yml")["jobs"]["publish"]["strategy"]["matrix"]["include"]
    assert {row["target"] for row in published} == {target for target, _ in baked}


def test_a_tool_has_one_version_everywhere() -> None:
    dev = dict(pin.split("==") for pin in PROJECT["dependency-groups"]["dev"])
    assert CIBUILDWHEEL["before-build"].endswith(f" maturin=={dev['maturin']}")
    assert f"maturin=={dev['maturin']} " in (ROOT / ".github/workflows/wheels.yml").read_text()
    ours = re.findall(r"--version (\S+) cargo-deny", (ROOT / ".ci/run").read_text())
    assert (
        re.findall(r"--version (\S+) cargo-deny", (ROOT / ".github/workflows/audit.yml").read_text()) == ours
    )


@pytest.mark.parametrize("path", sorted(PINS.glob("*.in")), ids=lambda path: path.stem)
def test_what_a_workflow_installs_is_pinned_with_hashes(path: Path) -> None:
    locked = path.with_suffix(".txt").read_text()
    for wanted in path.read_text().split():
        assert re.search(rf"^{re.escape(wanted)} \\\n +--hash=sha256:", locked, re.MULTILINE), wanted
    assert locked.count("==") <= locked.count("--hash=sha256:")
    used = f".github/requirements/{path.stem}.txt"
    assert any(used in script for _, script in scripts()), f"nothing installs {used}"


# ---- the wheels


def test_cibuildwheel_builds_each_wheel_of_the_matrix_once() -> None:
    """An identifier names no version of a C library; the image does, and together they are the tag."""
    assert CIBUILDWHEEL["linux"]["archs"] == ["x86_64", "aarch64", "armv7l"]
    tags = []
    for identifier in CIBUILDWHEEL["build"]:
        python, _, platform = identifier.partition("-")
        libc, _, arch = platform.partition("_")
        assert python == "cp311"
        tags.append(f"{CIBUILDWHEEL['linux'][f'{libc}-{arch}-image']}_{arch}")
    assert sorted(tags) == sorted(platforms())


def test_cibuildwheel_itself_says_so() -> None:
    beside = Path(sys.executable).parent
    program = shutil.which("cibuildwheel", path=os.pathsep.join([str(beside), os.environ["PATH"]]))
    if program is None:
        pytest.skip("cibuildwheel is not installed (pip install -r .github/requirements/cibuildwheel.txt)")
    words = [program, "--print-build-identifiers", "--platform", "linux", ROOT]
    said = subprocess.run(words, capture_output=True, text=True, check=True)
    assert sorted(said.stdout.split()) == sorted(CIBUILDWHEEL["build"])


def test_the_workflow_builds_each_of_them() -> None:
    matrix = load("wheels.yml")["jobs"]["wheel"]["strategy"]["matrix"]["include"]
    assert sorted(row["only"] for row in matrix) == sorted(CIBUILDWHEEL["build"])
    # An x86_64 machine emulating ARM takes hours; an ARM64 machine runs it, or emulates the 32-bit half.
    assert all(row["runner"].endswith("-arm") == ("x86_64" not in row["only"]) for row in matrix)


def test_a_container_is_prepared_for_each_platform_and_no_other(tmp_path: Path) -> None:
    script = ROOT / "wheels/cibuildwheel/prepare.sh"
    known = re.findall(r"^  ((?:many|musl)linux_\w+)\) +triple=", script.read_text(), re.MULTILINE)
    assert sorted(known) == sorted(platforms())
    refused = subprocess.run(
        ["sh", script, tmp_path], env={"PATH": "/usr/bin:/bin", "AUDITWHEEL_PLAT": "manylinux2014_i686"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert refused.returncode == 2
    assert "no wheel is built for the platform 'manylinux2014_i686'\n  next: " in refused.stderr
    assert list(tmp_path.iterdir()) == []


def test_what_unwinds_is_linked_in_and_other_words_stay_whole(tmp_path: Path) -> None:
    """The wrapper that `prepare.sh` writes, in front of a compiler that prints its words."""
    text = (ROOT / "wheels/cibuildwheel/prepare.sh").read_text()
    wrapper = re.search(r"<<'SH'\n(.*?)\nSH\n", text, re.DOTALL)
    assert wrapper is not None
    compiler = tmp_path / "gcc"
    compiler.write_text('#!/bin/sh\nprintf "<%s>" "$@"\n')
    compiler.chmod(0o755)
    words = ["-o", "a b.so", "-Wl,--as-needed", "-lgcc_s", "-lc", ""]
    said = subprocess.run(
        ["sh", "-c", wrapper[1], "linker", *words], env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert said.stdout == "<-o><a b.so><-Wl,--as-needed><-lgcc_eh><-lgcc><-lc><>"


def test_cargo_is_told_how_to_link_and_what_not_to_tell(tmp_path: Path) -> None:
    """`prepare.sh` with a compiler already there, a registry that holds one index, and nothing to fetch."""
    home, tools = tmp_path / "cargo", tmp_path / "bin"
    (home / "registry/src/index-1").mkdir(parents=True)
    tools.mkdir()
    for name, says in {"cargo": "", "rustc": str(tmp_path / "sysroot")}.items():
        (tools / name).write_text(f"#!/bin/sh\necho '{says}'\n")
        (tools / name).chmod(0o755)
    script, env = (
        ROOT / "wheels/cibuildwheel/prepare.sh",
        {"PATH": f"{tools}:/usr/bin:/bin", "CARGO_HOME": str(home)},
    )

    def prepare(platform: str) -> subprocess.CompletedProcess[str]:
        words = ["sh", str(script), str(ROOT)]
        return subprocess.run(
            words, env=env | {"AUDITWHEEL_PLAT": platform}, capture_output=True, text=True, check=False
        )

    for platform, triple in {
        "manylinux_2_28_aarch64": "aarch64-unknown-linux-gnu",
        "musllinux_1_2_x86_64": "x86_64-unknown-linux-musl",
    }.items():
        assert prepare(platform).returncode == 0
        ((named, settings),) = tomllib.loads((home / "config.toml").read_text())["target"].items()
        assert (named, os.access(settings["linker"], os.X_OK)) == (triple, True)
        assert "-Ctarget-feature=-crt-static" in settings["rustflags"]
        assert f"--remap-path-prefix={ROOT}=swarmlet" in settings["rustflags"]
        assert settings["rustflags"][-1] == f"--remap-path-prefix={home}/registry/src/index-1=crates"
    # Where the standard library is built along, its source has to be there.
    refused = prepare("musllinux_1_2_armv7l")
    assert refused.returncode == 2
    assert "the source of Rust's standard library is not in" in refused.stderr
