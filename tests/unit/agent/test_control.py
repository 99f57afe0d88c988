"""The control socket, with real callers."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import stat

import pytest

from swarmlet.agent import control
from swarmlet.agent.control import MOST_CALLERS, MOST_REQUEST, Command, ControlServer, ask, bind
from swarmlet.config.caller import Caller
from swarmlet.errors import SwarmletError, error


async def handler(command):
    if command.do == "status":
        return {"joined": True, "force": command.force}
    if command.do == "broken":
        raise ZeroDivisionError
    if command.do == "slow":
        await asyncio.sleep(60)
    raise error("SWL-307", path="/data")


def run(data_dir, scenario):
    async def wrapped():
        task = asyncio.create_task(ControlServer(bind(str(data_dir)), handler).serve())
        await asyncio.sleep(0)
        try:
            return await scenario()
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    return asyncio.run(wrapped())


async def raw(data_dir, data):
    reader, writer = await asyncio.open_unix_connection(f"{data_dir}/agent.sock")
    try:
        writer.write(data)
        return await asyncio.wait_for(reader.read(), 10)
    finally:
        writer.close()


def test_a_command_gets_its_answer(tmp_path):
    assert run(tmp_path, lambda: ask(str(tmp_path), Command("status", force=True), 5)) == {
        "joined": True,
        "force": True,
    }


def test_a_refusal_of_the_agent_arrives_as_itself(tmp_path):
    with pytest.raises(SwarmletError) as caught:
        run(tmp_path, lambda: ask(str(tmp_path), Command("leave"), 5))
    assert (caught.value.code, caught.value.fields) == ("SWL-307", {"path": "/data"})


def test_a_failing_command_leaves_the_server_alive(tmp_path, caplog):
    caplog.set_level(logging.CRITICAL, "swarmlet.agent.control")

    async def twice():
        with pytest.raises(SwarmletError, match="SWL-799"):
            await ask(str(tmp_path), Command("broken"), 5)
        return await ask(str(tmp_path), Command("status"), 5)

    assert run(tmp_path, twice)["joined"]


def test_no_agent_is_an_error_of_the_catalogue(tmp_path):
    for leftover in (False, True):
        if leftover:
            bind(str(tmp_path)).close()
        with pytest.raises(SwarmletError, match="SWL-308"):
            asyncio.run(ask(str(tmp_path), Command("status"), 5))


def test_a_socket_left_by_a_killed_agent_is_replaced(tmp_path):
    bind(str(tmp_path)).close()
    assert run(tmp_path, lambda: ask(str(tmp_path), Command("status"), 5))


def test_patience_ends(tmp_path):
    with pytest.raises(SwarmletError, match="SWL-205"):
        run(tmp_path, lambda: ask(str(tmp_path), Command("slow"), 0.1))


def test_a_caller_that_is_not_done_yet_is_waited_for_with_patience(tmp_path, monkeypatch):
    """As ``docker exec NAME /swarmlet leave``, which is killed where the agent ends before it."""
    monkeypatch.setattr(control, "GONE_S", 60.0)
    server = ControlServer(bind(str(tmp_path)), handler)

    async def scenario():
        serving = asyncio.create_task(server.serve())
        await asyncio.sleep(0)
        reader, writer = await asyncio.open_unix_connection(f"{tmp_path}/agent.sock")
        writer.write(b'{"do":"status"}\n')
        assert b"joined" in await asyncio.wait_for(reader.read(), 10), "all of the answer is there already"
        await server.settle(0.05)
        waited_for = len(server._calls)
        writer.close()
        await server.settle(10)
        left = len(server._calls)
        serving.cancel()
        await asyncio.wait({serving})
        return waited_for, left

    assert asyncio.run(scenario()) == (1, 0)


def test_the_socket_is_for_its_owner(tmp_path):
    async def mode():
        return (tmp_path / "agent.sock").stat().st_mode

    found = run(tmp_path, mode)
    assert stat.S_ISSOCK(found)
    assert stat.S_IMODE(found) == 0o600


def test_another_user_is_refused(tmp_path, monkeypatch, caplog):
    caplog.set_level(logging.CRITICAL, "swarmlet.agent.control")
    monkeypatch.setattr(control, "caller_of", lambda _caller: Caller(os.getpid(), os.geteuid() + 4242))
    with pytest.raises(SwarmletError, match="SWL-701"):
        run(tmp_path, lambda: ask(str(tmp_path), Command("status"), 5))


def test_a_workload_of_this_user_is_refused(tmp_path, monkeypatch, caplog):
    """It may run as the agent's own user, and nothing keeps it from connecting."""
    caplog.set_level(logging.CRITICAL, "swarmlet.agent.control")
    monkeypatch.setattr(control, "is_confined", lambda _caller: True)
    with pytest.raises(SwarmletError, match="SWL-701"):
        run(tmp_path, lambda: ask(str(tmp_path), Command("status"), 5))


def test_a_path_too_long_for_a_socket_works_all_the_same(tmp_path):
    deep = tmp_path / ("d" * 100) / ("e" * 100)
    deep.mkdir(parents=True)
    assert run(deep, lambda: ask(str(deep), Command("status"), 5))
    assert (deep / "agent.sock").is_socket()


@pytest.mark.parametrize(
    "data", [b"\n", b"{}\n", b"not json\n", b'{"do":"status","extra":1}\n', b'{"do":7}\n', b"\xff\xfe\n"]
)
def test_a_request_that_is_none_is_answered_with_usage(tmp_path, data):
    assert b"SWL-400" in run(tmp_path, lambda: raw(tmp_path, data))


def test_an_endless_request_is_cut(tmp_path):
    async def endless():
        with contextlib.suppress(ConnectionError):
            assert await raw(tmp_path, b"x" * (MOST_REQUEST + 200_000)) == b""
        return await ask(str(tmp_path), Command("status"), 5)

    assert run(tmp_path, endless)["joined"]


def test_silent_callers_cannot_lock_others_out_for_long(tmp_path, monkeypatch):
    monkeypatch.setattr(control, "REQUEST_S", 0.2)

    async def crowded():
        silent = [await asyncio.open_unix_connection(f"{tmp_path}/agent.sock") for _ in range(MOST_CALLERS)]
        answer = await ask(str(tmp_path), Command("status"), 5)
        for _, writer in silent:
            writer.close()
        return answer

    assert run(tmp_path, crowded)["joined"]
