"""The caller's side of the control socket: what answers, what does not, and who holds the lock."""

from __future__ import annotations

import fcntl
import os
import socket
import threading

import pytest

from swarmlet.errors import SwarmletError
from swarmlet.report import local
from swarmlet.report.local import Command

LOCKS = (
    "1: FLOCK  ADVISORY  WRITE 12 fd:01:4242 0 EOF\n"
    "2: POSIX  ADVISORY  WRITE 13 fd:01:77 0 EOF\n"
    "3: FLOCK  ADVISORY  READ  14 fd:01:99 0 EOF\n"
    "3: -> FLOCK  ADVISORY  WRITE  14 fd:01:98 0 EOF\n"
)


@pytest.mark.parametrize(
    ("inode", "held"), [(4242, True), (242, False), (77, False), (99, False), (98, False), (1, False)]
)
def test_only_a_whole_file_lock_for_writing_counts(inode, held):
    assert local.holds_lock(LOCKS, inode) == held


@pytest.mark.parametrize("locks", ["", "nonsense", "1: FLOCK", "\x00"])
def test_no_text_of_locks_makes_it_fail(locks):
    assert not local.holds_lock(locks, 1)


def test_an_agent_that_does_not_answer_yet_is_known_by_its_lock(tmp_path):
    file = tmp_path / "agent.lock"
    file.touch()
    assert not local.is_starting(str(tmp_path))
    handle = os.open(file, os.O_RDWR)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        assert local.is_starting(str(tmp_path))
        assert local.is_starting(str(tmp_path))  # looking changes nothing
    finally:
        os.close(handle)
    assert not local.is_starting(str(tmp_path))


def test_on_a_read_only_disk_the_lock_is_on_the_directory(tmp_path):
    handle = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        assert local.is_starting(str(tmp_path))
    finally:
        os.close(handle)


def serve(path, answer):
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(1)

    def run():
        with listener:
            one, _ = listener.accept()
            with one:
                one.recv(4096)
                if answer is None:
                    one.recv(1)  # until the caller gives up
                else:
                    one.sendall(answer)

    thread = threading.Thread(target=run)
    thread.start()
    return thread


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (b'{"code":"SWL-701","fields":{"user":"7","role":"owner of the agent"}}\n', "SWL-701"),
        (b"", "SWL-308"),
        (b"nonsense\n", "SWL-308"),
        (b"x" * (local.MOST_ANSWER + 1), "SWL-308"),
        (None, "SWL-205"),
    ],
)
def test_what_is_no_answer_is_an_error_of_the_catalogue(tmp_path, answer, code):
    thread = serve(str(tmp_path / "agent.sock"), answer)
    with pytest.raises(SwarmletError) as caught:
        local.ask(str(tmp_path), Command("health"), 0.3 if answer is None else 10)
    thread.join(20)
    assert caught.value.code == code


def test_an_answer_is_returned(tmp_path):
    thread = serve(str(tmp_path / "agent.sock"), b'{"result":{"status":"ok"}}\n')
    assert local.ask(str(tmp_path), Command("health"), 10) == {"status": "ok"}
    thread.join(20)


def test_where_no_agent_runs_nothing_answers(tmp_path):
    with pytest.raises(SwarmletError, match="SWL-308"):
        local.ask(str(tmp_path), Command("health"), 10)
