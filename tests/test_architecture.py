"""The tree's own rules, checked: what decides must not touch the world, one owner per outside thing."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "swarmlet"

#: Files that decide: values in, values out.
CORES = sorted(
    [
        *(PACKAGE / "model").glob("*.py"),
        *PACKAGE.glob("*/machine.py"),
        *(
            PACKAGE / name
            for name in (
                "agent/session.py",
                "agent/reconnect.py",
                "coordinator/admission.py",
                "coordinator/registry.py",
                "coordinator/scheduler.py",
                "coordinator/dispatcher.py",
                "identity/rotation.py",
                "discovery/sighting.py",
                "discovery/report.py",
                "workloads/limits.py",
                "cli/tables.py",
            )
        ),
    ]
)
WORLD = {"asyncio", "socket", "ssl", "os", "pathlib", "logging", "time", "random", "subprocess", "threading"}

#: An outside thing and the only places that may import it.
OWNERS = {
    "cryptography": {"coordinator/ca.py"},
    "docker": {"workloads/docker.py"},
    "sqlite3": {"coordinator/store"},
    "psutil": {"report/readings.py"},
    "prometheus_client": {"report/metrics.py", "coordinator/metrics.py"},
    "h11": {"report/http.py"},
    "aiohttp": {"coordinator/api"},
    "cffi": {"hardware/nvml.py"},
    "yaml": {"cli/render.py"},
    "segno": {"cli/commands_tokens.py"},
    "zeroconf": {"coordinator/mdns.py", "discovery/mdns.py", "link/multicast.py"},
    "dns": {"discovery/dns_txt.py"},
    "ssl": set(),
}


def imports_of(path: Path, *, typing_too: bool = True) -> set[str]:
    """Return the top-level names a file imports anywhere in it."""
    found: set[str] = set()
    tree = ast.parse(path.read_text())
    skipped: set[ast.AST] = set()
    if not typing_too:
        for node in ast.walk(tree):
            if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
                skipped.update(ast.walk(node))
    for node in ast.walk(tree):
        if node in skipped:
            continue
        if isinstance(node, ast.Import):
            found.update(alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found.add(node.module.split(".")[0])
    return found


@pytest.mark.parametrize("path", CORES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_what_decides_imports_nothing_that_touches_the_world(path: Path) -> None:
    touched = imports_of(path, typing_too=False) & WORLD
    if not re.search(r"\brandom\.(?!Random\b)", path.read_text()):
        touched -= {"random"}  # named only as the type of an argument: the caller owns the generator
    assert not touched


@pytest.mark.parametrize("thing", OWNERS)
def test_each_outside_thing_has_one_owner(thing: str) -> None:
    offenders = [
        str(path.relative_to(PACKAGE))
        for path in PACKAGE.rglob("*.py")
        if thing in imports_of(path)
        and not any(str(path.relative_to(PACKAGE)).startswith(owner) for owner in OWNERS[thing])
    ]
    assert offenders == []


def test_only_the_configuration_reads_the_environment() -> None:
    allowed = {"config", "cli", "agent/notify.py", "workloads/docker.py"}
    offenders = [
        str(path.relative_to(PACKAGE))
        for path in PACKAGE.rglob("*.py")
        if ("os.environ" in path.read_text() or "os.getenv" in path.read_text())
        and not any(str(path.relative_to(PACKAGE)).startswith(place) for place in allowed)
    ]
    assert offenders == []


def test_no_file_outgrows_a_reader() -> None:
    long = {
        str(path.relative_to(ROOT)): len(path.read_text().splitlines())
        for path in [*PACKAGE.rglob("*.py"), *(ROOT / "native").rglob("src/*.rs")]
        if len(path.read_text().splitlines()) > 450
        and path.name != "errors.py"  # a catalogue is as long as it is
    }
    assert long == {}
