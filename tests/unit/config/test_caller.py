"""Who calls over a unix socket, and that a workload is told from its own user's other programs."""

from __future__ import annotations

import os
import select
import socket
import subprocess
import sys

import pytest

from swarmlet import _native
from swarmlet.config.caller import Caller, Confinement, caller_of, is_confined, read_confinement

CONNECT = "import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); s.recv(1)"


@pytest.fixture
def listener(tmp_path):
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(tmp_path / "s"))
        one.listen()
        one.settimeout(20)
        yield one


def test_the_kernel_tells_who_calls():
    ours, theirs = socket.socketpair(socket.AF_UNIX)
    with ours, theirs:
        assert caller_of(ours) == Caller(os.getpid(), os.geteuid())
        assert not is_confined(caller_of(ours))


def test_a_program_of_the_same_user_is_heard_until_it_is_gone(listener):
    with subprocess.Popen([sys.executable, "-c", CONNECT, listener.getsockname()]) as program:
        connection, _ = listener.accept()
        with connection:
            caller = caller_of(connection)
            assert caller == Caller(program.pid, os.geteuid())
            assert not is_confined(caller)
        program.wait(20)
    assert is_confined(caller)


def test_a_workload_of_the_same_user_is_not(listener, tmp_path):
    command = ["/usr/bin/env", "python3", "-c", CONNECT, listener.getsockname()]
    workload = _native.spawn(command, {"PATH": os.environ["PATH"]}, str(tmp_path))
    try:
        if workload.applied["engine"] == "no unix sockets":
            # An engine is in reach of this user: then a workload of the same user comes nowhere near us.
            assert select.select([workload.exit_fd], [], [], 20)[0]
            assert workload.poll() == (1, None)
            return
        connection, _ = listener.accept()
        with connection:
            assert caller_of(connection).uid == os.geteuid()
            assert is_confined(caller_of(connection))
    finally:
        workload.signal(9)


@pytest.mark.parametrize(("status", "found"), [
    ("NoNewPrivs:\t1\nSeccomp:\t2\nSeccomp_filters:\t3\n", Confinement(1, 3)),
    ("NoNewPrivs:\t0\nSeccomp:\t2\n", Confinement(0, 1)),
    ("Name:\ta: b\nNoNewPrivs:\t0\nSeccomp:\t0\n", Confinement(0, 0)),
    ("", Confinement(0, 0)),
])  # fmt: skip
def test_what_the_kernel_says_is_read(status, found):
    assert read_confinement(status) == found


def test_a_caller_outside_our_namespace_is_no_workload_of_ours():
    assert not is_confined(Caller(0, 0))
