"""What an agent does not load: every megabyte counts on a small device."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = (
    "ssl",
    "_hashlib",
    "docker",
    "psutil",
    "prometheus_client",
    "h11",
    "cryptography",
    "aiohttp",
    "rich",
    "yaml",
    "zeroconf",
    "dns",
)


def loaded(code: str) -> set[str]:
    probe = f"{code}\nimport sys\nprint(' '.join(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", probe], capture_output=True, text=True, check=True, timeout=60
    )
    return set(done.stdout.split())


@pytest.mark.parametrize("module", ["swarmlet.agent.app", "swarmlet.agent.leaving", "swarmlet.agent.joining"])
def test_starting_an_agent_loads_nothing_heavy(module):
    assert not loaded(f"import {module}") & set(HEAVY)


def test_a_member_does_not_load_what_only_a_join_needs():
    found = loaded("import swarmlet.agent.app")
    assert "swarmlet.join.machine" not in found
    assert "swarmlet.agent.joining" not in found


@pytest.mark.parametrize("words", [["join", "--help"], ["discover-and-join", "--help"], ["status", "--help"]])
def test_no_command_loads_what_finds_clusters_before_it_looks(words):
    code = f"from swarmlet.cli import node\ntry: node.main({words!r})\nexcept SystemExit: pass"
    assert not loaded(code) & {"zeroconf", "dns", "swarmlet.discovery.finder", "swarmlet.agent.searching"}


def test_finding_a_name_that_the_system_knows_does_not_load_mdns():
    code = (
        "import asyncio\nfrom swarmlet.discovery.direct import Resolver\n"
        "asyncio.run(Resolver().resolve('localhost:1'))"
    )
    assert not loaded(code) & {"zeroconf", "dns", "swarmlet.discovery.mdns"}


def test_whoever_needs_openssl_later_gets_it():
    assert "ssl" in loaded("import swarmlet.agent.app, ssl; ssl.create_default_context()")


def test_the_event_loop_works_without_it():
    loaded("import swarmlet.agent.app, asyncio; asyncio.run(asyncio.sleep(0))")
