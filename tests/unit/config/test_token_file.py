"""A token file that others can write is refused; one they can read warns (T11)."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest

from swarmlet.config.token_file import judge_mode, open_token_file
from swarmlet.errors import LocalError, SwarmletError


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o700, 0o611])
def test_a_file_of_ones_own_is_fine(mode):
    verdict = judge_mode(stat.S_IFREG | mode)
    assert (verdict.refused, verdict.unusable, verdict.warning) == (False, "", "")


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666, 0o777])
def test_a_file_that_others_can_write_is_refused(mode):
    assert judge_mode(stat.S_IFREG | mode).refused


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o444, 0o644])
def test_a_file_that_others_can_read_warns(mode):
    verdict = judge_mode(stat.S_IFREG | mode)
    assert not verdict.refused
    assert "can be read by other users" in verdict.warning


@pytest.mark.parametrize("kind", [stat.S_IFIFO, stat.S_IFCHR, stat.S_IFSOCK])
def test_pipes_and_terminals_pass(kind):
    assert judge_mode(kind | 0o666) == judge_mode(stat.S_IFREG | 0o600)


@pytest.mark.parametrize("kind", [stat.S_IFDIR, stat.S_IFBLK])
def test_what_is_no_file_is_unusable(kind):
    assert judge_mode(kind | 0o600).unusable


def open_files():
    return len(list(Path("/proc/self/fd").iterdir()))


def write(path, mode, text=b"swarm_join_x\n"):
    path.write_bytes(text)
    path.chmod(mode)
    return str(path)


def test_an_open_file_can_be_read_by_its_descriptor(tmp_path):
    opened = open_token_file(write(tmp_path / "token", 0o600))
    assert opened.warnings == ()
    assert os.get_blocking(opened.fd)
    assert not os.get_inheritable(opened.fd)
    assert os.read(opened.fd, 100) == b"swarm_join_x\n"
    os.close(opened.fd)


def test_a_symbolic_link_as_kubernetes_makes_it_is_followed(tmp_path):
    (tmp_path / "..2024").mkdir()
    write(tmp_path / "..2024" / "token", 0o644)
    (tmp_path / "..data").symlink_to("..2024")
    (tmp_path / "token").symlink_to("..data/token")
    opened = open_token_file(str(tmp_path / "token"))
    os.close(opened.fd)
    assert opened.warnings == (
        f"the token file {tmp_path}/token can be read by other users; chmod go-r would stop that",
    )


def test_a_file_that_others_can_write_raises(tmp_path):
    before = open_files()
    with pytest.raises(LocalError) as caught:
        open_token_file(write(tmp_path / "token", 0o622))
    assert caught.value.code == "SWL-113"
    assert open_files() == before


@pytest.mark.parametrize("name", ["absent", ".", "a\0b"])
def test_what_cannot_be_read_raises(tmp_path, name):
    with pytest.raises(LocalError) as caught:
        open_token_file(f"{tmp_path}/{name}")
    assert caught.value.code == "SWL-114"


def test_t11_a_token_in_place_of_its_file_is_not_repeated():
    token = "swarm_join_" + "AQChnwHEECjGZ2ZHiSFJmN8PRDlpOYurc3RyYXRvc3dhcm3EENuGymecOVsu37Ph1Qc4s3bE"
    with pytest.raises(SwarmletError, match=r"SWL-114: .*the token itself") as caught:
        open_token_file(token)
    assert token[11:] not in str(caught.value.as_dict())
    with pytest.raises(SwarmletError, match=r"swarm_join_token\.txt"):
        open_token_file("/nowhere/swarm_join_token.txt")


def test_a_named_pipe_without_a_writer_is_empty_and_does_not_wait(tmp_path):
    os.mkfifo(tmp_path / "pipe", 0o600)
    opened = open_token_file(str(tmp_path / "pipe"))
    assert os.read(opened.fd, 1) == b""
    os.close(opened.fd)


def test_a_pipe_of_the_shell_is_read_to_its_end():
    reading, writing = os.pipe()
    opened = open_token_file(f"/dev/fd/{reading}")
    writer = threading.Thread(target=lambda: (os.write(writing, b"swarm_join_y"), os.close(writing)))
    writer.start()
    assert os.read(opened.fd, 100) == b"swarm_join_y"
    writer.join()
    os.close(opened.fd)
    os.close(reading)


def test_a_dash_is_standard_input(monkeypatch):
    opened = open_token_file("-")
    assert os.fstat(opened.fd).st_ino == os.fstat(0).st_ino
    os.close(opened.fd)
