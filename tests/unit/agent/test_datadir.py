"""The data directory: checked before a token is spent, one agent at a time."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys

import pytest

from swarmlet.agent import datadir
from swarmlet.errors import SwarmletError

ROOT = os.geteuid() == 0


def test_it_is_made_for_this_user_alone(tmp_path):
    path = tmp_path / "a" / "b"
    datadir.make(str(path))
    assert path.stat().st_mode & 0o777 == 0o700
    datadir.make(str(path))


def test_a_file_in_its_place_is_an_error_of_the_catalogue(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(SwarmletError) as caught:
        datadir.make(str(tmp_path / "file" / "data"))
    assert caught.value.code == "SWL-301"


def test_the_check_leaves_nothing_behind(tmp_path):
    datadir.check_writable(str(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_a_missing_directory_is_told(tmp_path):
    with pytest.raises(SwarmletError) as caught:
        datadir.check_writable(str(tmp_path / "gone"))
    assert (caught.value.code, caught.value.fields["detail"]) == ("SWL-301", "no such file or directory")


@pytest.mark.skipif(ROOT, reason="root writes anywhere")
def test_a_directory_without_permission_is_told(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(SwarmletError) as caught:
        datadir.check_writable(str(tmp_path))
    assert caught.value.code == "SWL-301"


def _mounted(tmp_path, *options):
    made = subprocess.run(
        ["mount", "-t", "tmpfs", *options, "none", str(tmp_path)], check=False, capture_output=True
    )
    if made.returncode != 0:
        pytest.skip("no file system can be mounted here")


@pytest.mark.skipif(not ROOT, reason="mounting needs root")
def test_a_full_disk_is_told_and_still_locked(tmp_path):
    _mounted(tmp_path, "-o", "size=32k")
    try:
        with pytest.raises(SwarmletError) as caught:
            datadir.check_writable(str(tmp_path))
        assert caught.value.code == "SWL-302"
        assert list(tmp_path.iterdir()) == []
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


@pytest.mark.skipif(not ROOT, reason="mounting needs root")
def test_a_read_only_disk_is_told_and_can_be_locked(tmp_path):
    _mounted(tmp_path, "-o", "ro")
    try:
        with pytest.raises(SwarmletError) as caught:
            datadir.check_writable(str(tmp_path))
        assert (caught.value.code, caught.value.fields["detail"]) == ("SWL-301", "read-only file system")
        fd = datadir.lock(str(tmp_path))
        with pytest.raises(SwarmletError, match="SWL-306"):
            datadir.lock(str(tmp_path))
        os.close(fd)
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


def test_the_second_agent_is_told_who_is_first(tmp_path):
    fd = datadir.lock(str(tmp_path))
    with pytest.raises(SwarmletError) as caught:
        datadir.lock(str(tmp_path))
    assert caught.value.code == "SWL-306"
    assert f"(process {os.getpid()})" in caught.value.what
    os.close(fd)
    os.close(datadir.lock(str(tmp_path)))


def test_the_lock_ends_with_its_process_however_it_ends(tmp_path):
    code = (
        "import sys, time; from swarmlet.agent import datadir; datadir.lock(sys.argv[1]);"
        "print(1, flush=True); time.sleep(60)"
    )
    holder = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE)
    try:
        assert holder.stdout.readline()
        with pytest.raises(SwarmletError) as caught:
            datadir.lock(str(tmp_path))
        assert caught.value.fields["pid"] == str(holder.pid)
    finally:
        holder.send_signal(signal.SIGKILL)
        holder.wait(10)
        holder.stdout.close()
    os.close(datadir.lock(str(tmp_path)))


def test_no_descriptor_leaks_over_many_refusals(tmp_path):
    fd = datadir.lock(str(tmp_path))
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    for _ in range(min(soft, 2000) + 10):
        with pytest.raises(SwarmletError):
            datadir.lock(str(tmp_path))
    os.close(fd)


def test_a_claim_that_is_undone_leaves_nothing_that_was_not_there(tmp_path):
    path = tmp_path / "state" / "data"
    claim = datadir.claim(str(path))
    assert (path / "agent.lock").exists()
    with pytest.raises(SwarmletError, match="SWL-306"):
        datadir.claim(str(path))
    assert path.exists(), "whoever was refused undid nothing"
    claim.undo()
    os.close(claim.lock)
    assert list(tmp_path.iterdir()) == []


def test_what_was_there_before_or_holds_something_by_now_stays(tmp_path):
    claim = datadir.claim(str(tmp_path / "new"))
    (tmp_path / "new" / "kept").write_text("x")
    claim.undo()
    os.close(claim.lock)
    assert [one.name for one in (tmp_path / "new").iterdir()] == ["kept"]
    old = tmp_path / "old"
    old.mkdir()
    (old / "agent.lock").write_text("1\n")
    claim = datadir.claim(str(old))
    claim.undo()
    os.close(claim.lock)
    assert [one.name for one in old.iterdir()] == ["agent.lock"]


def test_a_lock_on_a_file_that_went_meanwhile_is_none(tmp_path, monkeypatch):
    first = datadir.claim(str(tmp_path))
    flock, opened = datadir.fcntl.flock, []

    def slow(fd, how):
        opened.append(fd)
        if len(opened) == 1:  # between the opening and the locking the first one undoes its claim and ends
            first.undo()
            os.close(first.lock)
        flock(fd, how)

    monkeypatch.setattr(datadir.fcntl, "flock", slow)
    second = datadir.claim(str(tmp_path))
    assert len(opened) == 2
    assert os.path.samestat((tmp_path / "agent.lock").stat(), os.fstat(second.lock))
    with pytest.raises(SwarmletError, match="SWL-306"):
        datadir.claim(str(tmp_path))
    os.close(second.lock)
