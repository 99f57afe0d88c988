"""A container engine is known by what it answers, and never waited for long."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarmlet.hardware import engine

DOCKER = (
    b"HTTP/1.0 200 OK\r\nServer: Docker\r\n\r\n"
    b'{"Version":"27.3.1","ApiVersion":"1.47","Components":[{"Name":"Engine"}]}'
)
PODMAN = (
    b'HTTP/1.1 200 OK\r\n\r\n{"Version":"4.9.3","ApiVersion":"1.41","Components":[{"Name":"Podman Engine"}]}'
)


@pytest.mark.parametrize(
    ("answer", "version"),
    [
        (DOCKER, "docker 27.3.1 (api 1.47)"),
        (PODMAN, "podman 4.9.3 (api 1.41)"),
        (b'HTTP/1.0 200 OK\r\n\r\n{"Version":"1"}', "docker 1"),
        (b'HTTP/1.0 500 Oops\r\n\r\n{"Version":"1"}', None),
        (b"HTTP/1.0 200 OK\r\n\r\n[]", None),
        (b"HTTP/1.0 200 OK\r\n\r\n{", None),
        (b'HTTP/1.0 200 OK\r\n\r\n{"Version":"\\u0007"}', None),
        (b"SSH-2.0-OpenSSH_9.2", None),
        (b"", None),
    ],
)
def test_an_answer_is_read(answer, version):
    assert engine.parse_version(answer) == version


@given(st.binary() | st.binary().map(lambda body: b"HTTP/1.0 200 OK\r\n\r\n" + body))
def test_no_answer_makes_reading_fail(answer):
    engine.parse_version(answer)


@contextlib.contextmanager
def serve(path, *pieces, hold=False):
    """A server on a unix socket that sends these pieces and, with ``hold``, never closes."""
    done = threading.Event()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(path)
        listener.listen(1)

        def run():
            connection, _ = listener.accept()
            with connection:
                request = b""
                while b"\r\n\r\n" not in request:
                    request += connection.recv(4096)
                assert request.startswith(b"GET /version HTTP/1.0\r\n")
                for piece in pieces:
                    connection.sendall(piece)
                if hold:
                    done.wait(30)

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join(30)


def test_an_engine_that_answers_is_found(tmp_path):
    path = str(tmp_path / "engine.sock")
    with serve(path, DOCKER[:20], DOCKER[20:]):
        assert engine.look(path) == ("docker 27.3.1 (api 1.47)", path, "", None)


def test_a_server_that_says_nothing_costs_a_second_at_most(tmp_path):
    path = str(tmp_path / "engine.sock")
    before = time.monotonic()
    with serve(path, hold=True):
        view = engine.look(path)
    assert view.version is None
    assert view.reason == f"{path} does not answer: timed out"
    assert view.lack is engine.Lack.SILENT
    assert time.monotonic() - before < 5


def test_something_else_on_the_socket_is_told(tmp_path):
    path = str(tmp_path / "engine.sock")
    with serve(path, b"HTTP/1.0 404 Not Found\r\n\r\n"):
        view = engine.look(path)
    assert view.reason == f"what answers on {path} is no container engine"
    assert view.lack is engine.Lack.FOREIGN


def test_a_socket_that_nobody_listens_on_is_told(tmp_path):
    path = str(tmp_path / "engine.sock")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(path)
    view = engine.look(path)
    assert view.reason == f"{path} does not answer: connection refused"
    assert view.lack is engine.Lack.SILENT


def test_no_socket_at_all_is_told(tmp_path):
    view = engine.look(str(tmp_path / "absent"))
    assert view.reason.startswith("no engine's socket is here: ")
    assert view.lack is engine.Lack.ABSENT


def test_an_engine_that_is_turned_off_is_not_asked():
    assert engine.look("off") == (None, None, "turned off by SWARM_DOCKER_HOST", engine.Lack.OFF)


@pytest.mark.docker
def test_a_real_engine_is_found_where_engines_listen():
    view = engine.look()
    assert view.version is not None
    assert view.version.startswith(("docker ", "podman "))
    assert view.path in engine.SOCKETS


@pytest.mark.skipif(os.geteuid() != 0, reason="changes its user")
def test_a_socket_of_others_is_told_with_what_to_do(tmp_path):
    path = str(tmp_path / "engine.sock")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(path)
        listener.listen(1)
        for directory in (tmp_path, *tmp_path.parents[:2]):
            directory.chmod(0o755)
        Path(path).chmod(0o600)
        os.seteuid(65534)
        try:
            view = engine.look(path)
        finally:
            os.seteuid(0)
    assert view.version is None
    assert view.reason.startswith(f"this user may not use {path}")
    assert view.lack is engine.Lack.FORBIDDEN
