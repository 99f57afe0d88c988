"""Tests of the images run where `make image` was run before, else they say so."""

from __future__ import annotations

import pytest

from tests.image import rootfs


@pytest.fixture(scope="session", params=sorted(rootfs.TAGS))
def platform(request: pytest.FixtureRequest) -> str:
    """A platform whose image is here and runs."""
    name = str(request.param)
    reason = rootfs.runs(name)
    if reason:
        pytest.skip(reason)
    return name


@pytest.fixture(scope="session")
def tag(platform: str) -> str:
    """The image of that platform."""
    found = rootfs.tag_of(platform)
    assert found
    return found
