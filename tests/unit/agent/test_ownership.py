"""Giving the data directory away: all that is root's in it, and nothing that a link leads to."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from swarmlet.agent.ownership import own
from swarmlet.config.privilege import User
from swarmlet.errors import SwarmletError

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
AGENT = User(10001, 10002)


def owner(path) -> tuple[int, int]:
    found = path.lstat()
    return found.st_uid, found.st_gid


def test_it_is_made_closed_to_others_and_given(tmp_path):
    place = tmp_path / "a" / "data"
    own(str(place), AGENT)
    assert owner(place) == AGENT
    assert place.stat().st_mode & 0o777 == 0o700
    assert owner(tmp_path / "a") == (0, 0)


def test_what_is_roots_in_it_is_given_and_what_is_others_is_not(tmp_path):
    place = tmp_path / "data"
    for directory in ("identity", "work", "work/one", "theirs"):
        (place / directory).mkdir(parents=True)
    for file in ("agent.lock", "identity/a", "theirs/x", "work/one/deep"):
        (place / file).touch()
    os.chown(place / "theirs", 47001, 47001)
    os.chown(place / "work" / "one", 47002, 47002)
    own(str(place), AGENT)
    given = ("agent.lock", "identity", "identity/a", "work")
    assert {name: owner(place / name) for name in given} == dict.fromkeys(given, tuple(AGENT))
    assert owner(place / "theirs") == (47001, 47001)
    assert owner(place / "theirs" / "x") == (0, 0), "a directory of somebody else's is not entered"
    assert owner(place / "work" / "one") == (47002, 47002)


def test_again_changes_nothing_and_mends_what_root_left(tmp_path):
    place = tmp_path / "data"
    own(str(place), AGENT)
    (place / "identity").mkdir()
    os.chown(place / "identity", *AGENT)
    (place / "identity" / "b").touch()  # as a command of root's would leave it
    own(str(place), AGENT)
    assert owner(place / "identity" / "b") == AGENT


def test_no_link_leads_out_of_it(tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").touch()
    place = tmp_path / "data"
    place.mkdir()
    (place / "link").symlink_to(outside / "secret")
    (place / "folder").symlink_to(outside)
    os.link(outside / "secret", place / "hard")
    own(str(place), AGENT)
    assert owner(outside / "secret") == (0, 0)
    assert owner(outside) == (0, 0)


def test_a_link_in_its_place_is_refused(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "data").symlink_to("real")
    with pytest.raises(SwarmletError, match=r"SWL-301.*it is a link"):
        own(str(tmp_path / "data"), AGENT)
    assert owner(tmp_path / "real") == (0, 0)


@pytest.mark.parametrize("path", ["/", "/etc", "/var/lib"])
def test_a_directory_of_the_system_is_refused(path):
    before = Path(path).stat()
    with pytest.raises(SwarmletError, match=r"SWL-301.*directory of the system"):
        own(path, AGENT)
    assert Path(path).stat().st_uid == before.st_uid


def test_a_directory_of_another_user_is_left_to_that_user(tmp_path):
    place = tmp_path / "data"
    place.mkdir()
    os.chown(place, 1234, 1234)
    own(str(place), AGENT)
    assert owner(place) == (1234, 1234)
