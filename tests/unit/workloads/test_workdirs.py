"""Private directories: closed, owned, measured, and gone when they should be."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarmlet.workloads.workdirs import FIRST_UID, UIDS, WorkDirs, choose_uid

IS_ROOT = os.geteuid() == 0
needs_root = pytest.mark.skipif(not IS_ROOT, reason="only root can give files away")


def test_a_directory_is_private_and_has_one_for_temporary_files(tmp_path: Path) -> None:
    work = WorkDirs(str(tmp_path / "data" / "work"))
    work.make("w.0.1")
    directory = work.path("w.0.1")
    assert directory.stat().st_mode & 0o777 == 0o700
    assert (directory / "tmp").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "data" / "work").stat().st_mode & 0o777 == 0o711


@needs_root
def test_each_gets_a_user_of_its_own_and_keeps_it(tmp_path: Path) -> None:
    work = WorkDirs(str(tmp_path / "work"))
    users = [work.make(f"w{n}.0.1") for n in range(30)]
    assert len(set(users)) == 30
    assert [WorkDirs(str(tmp_path / "work")).make(f"w{n}.0.1") for n in range(30)] == users
    assert work.path("w3.0.1").stat().st_uid == users[3]


@needs_root
def test_workloads_may_pass_through_a_coordinators_directory_around_it(tmp_path: Path) -> None:
    """So ``stratoswarm up`` lays them out; without it a workload could not use its own HOME and TMPDIR."""
    above = tmp_path / "cluster"
    data = above / "node"
    data.mkdir(mode=0o700, parents=True)
    above.chmod(0o700)
    WorkDirs(str(data / "work")).make("w.0.1")
    assert above.stat().st_mode & 0o777 == 0o700  # it is nobody's that we know
    (above / "cluster.db").touch()
    WorkDirs(str(data / "work")).make("w.0.2")
    assert above.stat().st_mode & 0o777 == 0o711


@needs_root
def test_workloads_may_pass_through_what_a_strict_umask_closed(tmp_path: Path) -> None:
    """A service manager's umask; without it a workload could not use its own HOME and TMPDIR."""
    before = os.umask(0o077)
    try:
        WorkDirs(str(tmp_path / "data" / "work")).make("w.0.1")
    finally:
        os.umask(before)
    assert (tmp_path / "data" / "work").stat().st_mode & 0o777 == 0o711


@needs_root
def test_workloads_may_pass_through_the_data_directory_and_not_read_it(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    WorkDirs(str(data / "work")).make("w.0.1")
    assert data.stat().st_mode & 0o777 == 0o711


@given(st.text(min_size=1), st.sets(st.integers(FIRST_UID, FIRST_UID + UIDS - 1), max_size=50))
def test_a_taken_user_is_passed_over(name: str, taken: set[int]) -> None:
    uid = choose_uid(name, taken.__contains__)
    assert FIRST_UID <= uid < FIRST_UID + UIDS
    assert uid not in taken
    assert uid == choose_uid(name, taken.__contains__)


def test_when_all_are_taken_one_is_shared() -> None:
    assert FIRST_UID <= choose_uid("w", lambda _: True) < FIRST_UID + UIDS


def test_removal_takes_everything_and_follows_no_link(tmp_path: Path) -> None:
    treasure = tmp_path / "treasure"
    treasure.mkdir()
    (treasure / "gold").write_text("x")
    work = WorkDirs(str(tmp_path / "work"))
    work.make("w.0.1")
    directory = work.path("w.0.1")
    (directory / "link").symlink_to(treasure)
    (directory / "closed").mkdir()
    (directory / "closed" / "file").write_text("x")
    (directory / "closed").chmod(0)
    work.remove("w.0.1")
    work.remove("w.0.1")
    assert not directory.exists()
    assert (treasure / "gold").exists()


def test_usage_counts_what_is_on_disk_and_follows_no_link(tmp_path: Path) -> None:
    work = WorkDirs(str(tmp_path / "work"))
    assert work.usage() == {}
    work.make("a")
    work.make("b")
    (work.path("a") / "file").write_bytes(b"x" * 1_000_000)
    (work.path("b") / "link").symlink_to(work.path("a"))
    with (work.path("b") / "sparse").open("wb") as file:
        file.truncate(10**12)
    usage = work.usage()
    assert 1_000_000 <= usage["a"] < 1_100_000
    assert usage["b"] < 100_000


def test_a_temporary_directory_that_became_a_link_is_left_alone(tmp_path: Path) -> None:
    work = WorkDirs(str(tmp_path / "work"))
    work.make("w.0.1")
    outside = tmp_path / "outside"
    outside.mkdir()
    before = outside.stat()
    (work.path("w.0.1") / "tmp").rmdir()
    (work.path("w.0.1") / "tmp").symlink_to(outside)
    work.make("w.0.1")
    assert (outside.stat().st_uid, outside.stat().st_mode) == (before.st_uid, before.st_mode)
