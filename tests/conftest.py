"""Shared by all tests: the seed, and what this machine can do."""

from __future__ import annotations

import os
import random
import subprocess

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("ci", max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile(
    "slow", max_examples=2000, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--seed", type=int, default=None, help="seed of simulations and randomised tests")


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    """A seed, printed when the test fails; fixed by ``--seed``."""
    given = request.config.getoption("--seed")
    chosen = random.SystemRandom().randrange(2**32) if given is None else int(given)
    print(f"seed: {chosen}  (replay with --seed {chosen})")
    return chosen


def _engine_answers() -> bool:
    try:
        found = subprocess.run(["docker", "version"], capture_output=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return found.returncode == 0


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip, with the reason, what this machine cannot do."""
    wanted = {mark.name for item in items for mark in item.iter_markers()}
    no_engine = "docker" in wanted and not _engine_answers()
    no_namespaces = os.geteuid() != 0
    for item in items:
        if no_engine and item.get_closest_marker("docker"):
            item.add_marker(pytest.mark.skip(reason="no Docker Engine answers"))
        if no_namespaces and item.get_closest_marker("netns"):
            item.add_marker(pytest.mark.skip(reason="network namespaces need root"))
