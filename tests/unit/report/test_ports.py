"""Listening on loopback: moving aside, insisting, and naming the holder."""

# ruff: noqa: PTH208

from __future__ import annotations

import os
import socket

import pytest

from swarmlet.config.holders import holder_of
from swarmlet.errors import LocalError
from swarmlet.report.ports import bind_loopback


@pytest.fixture
def taken():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        one.listen()
        yield one.getsockname()[1]


def test_a_free_port_is_bound_on_loopback_only():
    bound = bind_loopback(0, "SWARM_API_PORT", insisted=True)
    try:
        assert {one.getsockname()[0] for one in bound.sockets} <= {"127.0.0.1", "::1"}
        assert {one.getsockname()[1] for one in bound.sockets} == {bound.port}
        assert bound.moved_from is None
    finally:
        bound.close()


def test_a_taken_port_nobody_insists_on_moves(taken):
    bound = bind_loopback(taken, "SWARM_API_PORT", insisted=False)
    bound.close()
    assert bound.moved_from == taken
    assert bound.port != taken


def test_a_taken_port_somebody_insists_on_is_an_error_that_names_the_holder(taken):
    with pytest.raises(LocalError) as caught:
        bind_loopback(taken, "SWARM_API_PORT", insisted=True)
    assert caught.value.code == "SWL-304"
    assert f"(process {os.getpid()})" in caught.value.what
    assert "SWARM_API_PORT" in caught.value.next


def test_nobody_holds_a_free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        free = one.getsockname()[1]
    assert holder_of(free) == ""


def test_no_descriptor_is_left_behind(taken):
    before = set(os.listdir("/proc/self/fd"))
    with pytest.raises(LocalError):
        bind_loopback(taken, "SWARM_API_PORT", insisted=True)
    bind_loopback(taken, "SWARM_API_PORT", insisted=False).close()
    assert set(os.listdir("/proc/self/fd")) == before
