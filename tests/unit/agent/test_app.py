"""The agent as a whole, against a scripted coordinator over real sockets and TLS."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket

import msgspec
import pytest

from swarmlet import _native
from swarmlet.agent import app, datadir
from swarmlet.agent.app import Options, health, join_once, run_agent, status
from swarmlet.agent.leaving import leave
from swarmlet.agent.node import source_of
from swarmlet.config.keys import Config
from swarmlet.errors import SwarmletError, error
from swarmlet.identity.store import Vault
from swarmlet.link import messages as m
from swarmlet.workloads.supervisor import Supervisor
from tests.fakes.pki import HOUR, Authority
from tests.fakes.progress import Recorder
from tests.fakes.scripted import Scripted


@pytest.fixture(autouse=True)
def _soft(monkeypatch):
    # This process is the test runner: it must stay debuggable.
    monkeypatch.setattr(_native, "harden", list, raising=False)
    if not hasattr(_native, "build_info"):
        monkeypatch.setattr(_native, "build_info", dict, raising=False)


class Run:
    """An agent running in this event loop."""

    def __init__(self, config, token, **options):
        self.steps = Recorder()
        self.task = asyncio.create_task(
            run_agent(config, lambda: token, steps=self.steps, options=Options(**options))
        )

    async def stop(self):
        os.kill(os.getpid(), signal.SIGTERM)
        async with asyncio.timeout(20):
            return await self.task


def make_config(tmp_path, **changes):
    fields = {"data_dir": str(tmp_path / "data"), "api_port": 0, "node_name": "pi", "docker_host": "off"}
    return Config(**(fields | changes))


def scenario(work):
    """Run ``work(coordinator)`` with a coordinator listening."""

    async def wrapped():
        async with Scripted().running() as coordinator:
            return await work(coordinator)

    return asyncio.run(wrapped())


async def welcomed(coordinator, count=1):
    hello = await coordinator.hear(m.Hello, count)
    await coordinator.until(lambda: coordinator.guests[-1].data or True)
    return hello


async def view(config, condition):
    async with asyncio.timeout(20):
        while True:
            with contextlib.suppress(SwarmletError):
                found = await status(config)
                if condition(found):
                    return found
            await asyncio.sleep(0.01)


def test_a_new_device_joins_and_becomes_ready(tmp_path):
    async def work(coordinator):
        config = make_config(tmp_path, max_cpu_cores=2, max_memory_mb=512)
        agent = Run(config, coordinator.token(tmp_path))
        await coordinator.hear(m.Hello)
        found = await view(config, lambda one: one.connected and one.lease == "held")
        code = await agent.stop()
        return agent.steps, found, code

    steps, found, code = scenario(work)
    assert code == 0
    assert steps.numbers == [1, 2, 3, 4, 5, 6]
    assert steps.steps[5][2] == "accepting work (limits 2 cores, 512 MB)"
    assert steps.elapsed_s > 0
    assert (found.node, found.cluster, found.node_class) == ("pi", "home", "Edge")
    assert found.limits == {"cpu_cores": 2.0, "memory_mb": 512.0}
    assert (tmp_path / "data" / "identity").stat().st_mode & 0o777 == 0o700


def test_a_member_comes_back_without_a_token(tmp_path):
    async def work(coordinator):
        config = make_config(tmp_path)
        assert await join_once(config, lambda: coordinator.token(tmp_path)) == 0
        agent = Run(config, None)
        await coordinator.hear(m.Hello)
        await view(config, lambda one: one.connected)
        return agent.steps, await agent.stop(), len(coordinator.heard(m.JoinRequest))

    steps, code, joins = scenario(work)
    assert code == 0
    assert steps.numbers == [1, 6]
    assert joins == 1
    assert "no token is needed or used" in steps.notes[0]


def test_a_member_never_opens_its_token(tmp_path):
    async def work(coordinator):
        config = make_config(tmp_path)
        await join_once(config, lambda: coordinator.token(tmp_path))

        def refuse():
            raise AssertionError("the token was asked for")

        return await join_once(config, refuse)

    assert scenario(work) == 0


def test_without_identity_and_token_it_says_what_to_do(tmp_path):
    with pytest.raises(SwarmletError, match="SWL-112"):
        asyncio.run(join_once(make_config(tmp_path), lambda: None))


def test_a_lost_answer_is_asked_for_with_the_same_key(tmp_path):
    async def work(coordinator):
        honest = coordinator.answers[m.JoinRequest]

        def lose_first(guest, message):
            if len(coordinator.heard(m.JoinRequest)) == 1:
                coordinator.close(guest)
            else:
                honest(guest, message)

        coordinator.answers[m.JoinRequest] = lose_first
        code = await join_once(make_config(tmp_path), lambda: coordinator.token(tmp_path))
        first, second = coordinator.heard(m.JoinRequest)
        return code, first, second

    code, first, second = scenario(work)
    assert code == 0
    assert first.csr == second.csr
    assert first.proof != second.proof


def test_t5_a_device_stopped_before_the_answer_asks_with_the_same_key_in_its_next_run(tmp_path):
    kept = tmp_path / "data" / "identity" / "joining"

    async def work(coordinator):
        honest = coordinator.answers.pop(m.JoinRequest)
        config, token = make_config(tmp_path), coordinator.token(tmp_path)
        for stop in (signal.SIGINT, signal.SIGTERM):
            asked = len(coordinator.heard(m.JoinRequest))
            task = asyncio.create_task(join_once(config, lambda: token))
            await coordinator.hear(m.JoinRequest, asked + 1)
            os.kill(os.getpid(), stop)
            async with asyncio.timeout(20):
                await task
            assert kept.exists()
        coordinator.answers[m.JoinRequest] = honest
        code = await join_once(config, lambda: token)
        return code, coordinator.heard(m.JoinRequest)

    code, requests = scenario(work)
    assert code == 0
    assert len({request.csr for request in requests}) == 1
    assert len({request.proof for request in requests}) == 3
    assert not kept.exists()


def test_after_a_refusal_nothing_of_the_join_is_left(tmp_path):
    async def work(coordinator):
        token = coordinator.token(tmp_path)
        coordinator.answers[m.JoinRequest] = lambda guest, _: coordinator.say_and_close(
            guest, m.Refused("SWL-106")
        )
        with pytest.raises(SwarmletError, match="SWL-106"):
            await join_once(make_config(tmp_path), lambda: token)

    scenario(work)
    assert not (tmp_path / "data" / "identity").exists()


def test_another_cluster_gets_nothing_but_a_handshake(tmp_path):
    async def work(coordinator):
        token = coordinator.token(tmp_path)
        async with Scripted(Authority()).running() as impostor:
            config = make_config(tmp_path, cluster=impostor.address)
            with pytest.raises(SwarmletError) as caught:
                await join_once(
                    config, lambda: coordinator.token(tmp_path, endpoints=[impostor.address]) or token
                )
            return caught.value, impostor.guests, coordinator.guests

    failure, guests, _ = scenario(work)
    assert failure.code == "SWL-202"
    assert failure.fields["found"] != failure.fields["expected"]
    assert guests == []
    assert not (tmp_path / "data" / "identity").exists()


def test_a_refusal_is_told_with_the_coordinators_time(tmp_path):
    async def work(coordinator):
        def refuse(guest, _message):
            late_ms = coordinator.time_ms() + 3 * 3_600_000
            coordinator.say_and_close(guest, m.Refused("SWL-104", time_ms=late_ms, seen="127.0.0.1"))

        coordinator.answers[m.JoinRequest] = refuse
        with pytest.raises(SwarmletError) as caught:
            await join_once(make_config(tmp_path), lambda: coordinator.token(tmp_path))
        return caught.value

    failure = scenario(work)
    assert failure.code == "SWL-104"
    assert failure.fields["ago"] in {"1 h", "2 h"}


@pytest.mark.parametrize("greeting", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"SSH-2.0-OpenSSH_9.6\r\n"])
def test_what_is_no_coordinator_is_called_that(tmp_path, greeting):
    async def work(coordinator):
        async def talk(_reader, writer):
            writer.write(greeting)
            await writer.drain()
            writer.close()

        server = await asyncio.start_server(talk, "127.0.0.1", 0)
        async with server:
            address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
            token = coordinator.token(tmp_path, endpoints=[address])
            with pytest.raises(SwarmletError) as caught:
                await join_once(make_config(tmp_path), lambda: token)
            return caught.value

    assert scenario(work).code == "SWL-201"


def test_a_dead_first_address_costs_nothing_but_a_note(tmp_path):
    async def work(coordinator):
        with socket.socket() as one:
            one.bind(("127.0.0.1", 0))
            dead = f"127.0.0.1:{one.getsockname()[1]}"
        steps = Recorder()
        code = await join_once(
            make_config(tmp_path, cluster=dead), lambda: coordinator.token(tmp_path), steps=steps
        )
        return code, steps, dead

    code, steps, dead = scenario(work)
    assert code == 0
    assert steps.notes[0] == f"{dead}: nothing listens there"


def test_an_unwritable_directory_is_found_before_the_token_is_spent(tmp_path):
    (tmp_path / "data").write_text("a file")

    async def work(coordinator):
        with pytest.raises(SwarmletError) as caught:
            await join_once(make_config(tmp_path), lambda: coordinator.token(tmp_path))
        return caught.value, coordinator.guests

    failure, guests = scenario(work)
    assert failure.code == "SWL-301"
    assert guests == []


def test_a_chosen_port_that_is_taken_is_found_before_the_token_is_spent(tmp_path):
    async def work(coordinator):
        with socket.socket() as one:
            one.bind(("127.0.0.1", 0))
            one.listen()
            config = make_config(tmp_path, api_port=one.getsockname()[1])
            with pytest.raises(SwarmletError) as caught:
                await run_agent(
                    config,
                    lambda: coordinator.token(tmp_path),
                    options=Options(chosen=frozenset({"api_port"})),
                )
        return caught.value, coordinator.guests

    failure, guests = scenario(work)
    assert failure.code == "SWL-304"
    assert guests == []


def test_a_second_agent_on_one_directory_is_refused(tmp_path):
    async def work(coordinator):
        config = make_config(tmp_path)
        agent = Run(config, coordinator.token(tmp_path))
        await coordinator.hear(m.Hello)
        with pytest.raises(SwarmletError) as caught:
            await run_agent(config, lambda: None)
        await agent.stop()
        return caught.value

    assert scenario(work).code == "SWL-306"


def test_a_damaged_identity_is_kept_and_told_and_given_up_when_asked(tmp_path):
    async def work(coordinator):
        config = make_config(tmp_path)
        await join_once(config, lambda: coordinator.token(tmp_path))
        for slot in (tmp_path / "data" / "identity").iterdir():
            slot.write_bytes(b"\x00" * 100)
        with pytest.raises(SwarmletError) as caught:
            await join_once(config, lambda: None)
        kept = [slot.read_bytes() for slot in (tmp_path / "data" / "identity").iterdir()]
        code = await join_once(
            config, lambda: coordinator.token(tmp_path), options=Options(reset_identity=True)
        )
        return caught.value, kept, code

    failure, kept, code = scenario(work)
    assert failure.code == "SWL-300"
    assert kept
    assert set(kept) == {b"\x00" * 100}
    assert code == 0


def test_it_reconnects_when_the_coordinator_drops_it(tmp_path):
    async def work(coordinator):
        config = make_config(tmp_path)
        agent = Run(config, coordinator.token(tmp_path))
        await coordinator.hear(m.Hello)
        await view(config, lambda one: one.connected)
        coordinator.close(coordinator.guests[-1])
        await coordinator.hear(m.Hello, 2)
        found = await view(config, lambda one: one.connected and one.connection.reconnects == 1)
        await agent.stop()
        return found

    assert scenario(work).connection.reconnects == 1


def test_while_the_coordinator_is_away_it_runs_and_says_so(tmp_path):
    async def work(coordinator):
        config = make_config(tmp_path)
        await join_once(config, lambda: coordinator.token(tmp_path))
        await coordinator.link.stop()
        agent = Run(config, None)
        found = await view(config, lambda one: one.connection.code is not None)
        well = await health(config)
        return found, well, await agent.stop()

    found, well, code = scenario(work)
    assert code == 0
    assert not found.connected
    assert found.connection.code == "SWL-200"
    assert found.connection.next
    assert well.status in {"ok", "degraded"}


def test_a_removed_node_ends_with_the_reason_and_keeps_its_identity(tmp_path):
    async def work(coordinator):
        config = make_config(tmp_path)
        agent = Run(config, coordinator.token(tmp_path))
        await coordinator.hear(m.Hello)
        coordinator.say_and_close(coordinator.guests[-1], m.Goodbye("revoked"))
        with pytest.raises(SwarmletError) as caught:
            async with asyncio.timeout(20):
                await agent.task
        return caught.value, Vault(config.data_dir).load()

    failure, kept = scenario(work)
    assert failure.code == "SWL-207"
    assert failure.exit_code == 4
    assert kept is not None


def test_a_certificate_denied_in_the_handshake_ends_it_too(tmp_path):
    async def work(coordinator):
        config = make_config(tmp_path)
        await join_once(config, lambda: coordinator.token(tmp_path))
        coordinator.link.engine.deny(coordinator.issued)
        with pytest.raises(SwarmletError) as caught:
            async with asyncio.timeout(20):
                await run_agent(config, lambda: None)
        return caught.value

    assert scenario(work).code == "SWL-207"


def test_a_certificate_is_renewed_with_a_new_key_and_used_at_once(tmp_path):
    async def work(coordinator):
        config = make_config(tmp_path)
        coordinator.life = HOUR / 3600 * 4  # with the hour before: nearly over
        await join_once(config, lambda: coordinator.token(tmp_path))
        coordinator.life = 24 * HOUR
        agent = Run(config, None)
        await coordinator.hear(m.RenewRequest)
        await coordinator.until(lambda: coordinator.guests[-1].serial == coordinator.issued[-1].lstrip(b"\0"))
        await coordinator.hear(m.Hello, 2)
        await agent.stop()
        kept = Vault(config.data_dir).load()
        return coordinator.issued, kept, coordinator.heard(m.RenewRequest)

    issued, kept, requests = scenario(work)
    assert len(issued) == 2
    assert len(requests) == 1
    assert kept.identity.serial.lstrip(b"\0") == issued[1].lstrip(b"\0")


def test_leaving_through_the_agent_removes_everything_once_confirmed(tmp_path):
    async def work(coordinator):
        config = make_config(tmp_path)
        agent = Run(config, coordinator.token(tmp_path))
        await coordinator.hear(m.Hello)
        await view(config, lambda one: one.connected)
        done = await leave(config)
        async with asyncio.timeout(20):
            return done, await agent.task, Vault(config.data_dir).load()

    done, code, kept = scenario(work)
    assert (done.left, done.told, done.node) == (True, True, "pi")
    assert code == 0
    assert kept is None


def test_a_leave_that_was_confirmed_waits_for_the_grace_of_the_work(tmp_path, monkeypatch):
    """It said that nothing was removed, when all of it was under way."""
    monkeypatch.setattr("swarmlet.agent.lifecycle.LEAVE_S", 2.0)
    stop_all = Supervisor.stop_all

    async def slow(self, reason):
        await asyncio.sleep(2.5)
        await stop_all(self, reason)

    monkeypatch.setattr(Supervisor, "stop_all", slow)

    async def work(coordinator):
        config = make_config(tmp_path)
        agent = Run(config, coordinator.token(tmp_path))
        await coordinator.hear(m.Hello)
        await view(config, lambda one: one.connected)
        done = await leave(config)
        async with asyncio.timeout(20):
            return done, await agent.task, Vault(config.data_dir).load()

    done, code, kept = scenario(work)
    assert (done.left, done.told, code, kept) == (True, True, 0, None)


def test_leaving_without_an_agent_tells_the_cluster_itself(tmp_path):
    async def work(coordinator):
        config = make_config(tmp_path)
        await join_once(config, lambda: coordinator.token(tmp_path))
        done = await leave(config)
        return done, Vault(config.data_dir).load(), coordinator.heard(m.Hello)

    done, kept, hellos = scenario(work)
    assert (done.left, done.told) == (True, True)
    assert kept is None
    assert hellos == []


@pytest.mark.parametrize("runs", [False, True], ids=["alone", "through the agent"])
def test_a_leave_whose_identity_stays_on_a_read_only_disk_tells_what_changed(tmp_path, monkeypatch, runs):
    def stuck(self):
        raise error("SWL-301", path="/data/identity", detail="read-only file system")

    async def work(coordinator):
        config = make_config(tmp_path)
        await join_once(config, lambda: coordinator.token(tmp_path))
        agent = Run(config, None) if runs else None
        if agent is not None:
            await view(config, lambda one: one.connected)
        monkeypatch.setattr(Vault, "wipe", stuck)
        with pytest.raises(SwarmletError, match="SWL-310") as told:
            await leave(config)
        if agent is not None:
            async with asyncio.timeout(20):
                with pytest.raises(SwarmletError, match="SWL-310"):
                    await agent.task
        return told.value, coordinator.heard(m.Leave)

    told, leaves = scenario(work)
    assert len(leaves) == 1
    assert "the cluster was told that this node leaves" in told.what
    assert "read-only file system" in told.what
    assert "swarmlet leave" in told.next


@pytest.mark.parametrize("force", [False, True])
def test_a_leave_nobody_hears_removes_nothing_unless_forced(tmp_path, monkeypatch, force):
    monkeypatch.setattr("swarmlet.agent.leaving.LEAVE_S", 0.5)

    async def work(coordinator):
        config = make_config(tmp_path)
        await join_once(config, lambda: coordinator.token(tmp_path))
        await coordinator.link.stop()
        try:
            done = await leave(config, force=force)
        except SwarmletError as failure:
            return failure.code, Vault(config.data_dir).load()
        return done.told, Vault(config.data_dir).load()

    said, kept = scenario(work)
    assert said == (False if force else "SWL-209")
    assert (kept is None) == force


def test_a_forced_leave_removes_a_damaged_identity_and_says_so(tmp_path):
    config = make_config(tmp_path)
    place = tmp_path / "data" / "identity"

    async def work(coordinator):
        await join_once(config, lambda: coordinator.token(tmp_path))
        for slot in place.iterdir():
            slot.write_bytes(b"damaged")
        with pytest.raises(SwarmletError, match="SWL-300"):
            await leave(config)
        lock = datadir.lock(config.data_dir)
        with pytest.raises(SwarmletError, match="SWL-306"):
            await leave(config, force=True)
        assert any(place.iterdir())
        os.close(lock)
        return await leave(config, force=True)

    done = scenario(work)
    assert (done.left, done.node, done.told) == (True, None, False)
    assert "nodes rm" in done.detail
    assert not list(place.glob("*"))


def test_the_key_of_a_join_is_removed_by_a_member_and_by_a_leave(tmp_path):
    config = make_config(tmp_path)
    kept = tmp_path / "data" / "identity" / "joining"

    async def work(coordinator):
        Vault(config.data_dir).joining(bytes(16))
        with pytest.raises(SwarmletError, match="SWL-307"):
            await leave(config)
        assert not kept.exists()
        await join_once(config, lambda: coordinator.token(tmp_path))
        Vault(config.data_dir).joining(bytes(16))
        return await join_once(config, lambda: coordinator.token(tmp_path))

    assert scenario(work) == 0
    assert not kept.exists()
    assert Vault(config.data_dir).load() is not None


def test_status_and_leave_of_a_device_that_never_joined(tmp_path):
    config = make_config(tmp_path)
    for call in (status(config), health(config), leave(config)):
        with pytest.raises(SwarmletError, match="SWL-307"):
            asyncio.run(call)


def test_an_interrupted_join_is_130_and_leaves_nothing(tmp_path):
    async def work(coordinator):
        coordinator.greets = False
        config = make_config(tmp_path)
        task = asyncio.create_task(join_once(config, lambda: coordinator.token(tmp_path)))
        await coordinator.until(lambda: coordinator.guests)
        os.kill(os.getpid(), signal.SIGINT)
        async with asyncio.timeout(20):
            return await task

    assert scenario(work) == 130
    assert not (tmp_path / "data" / "identity").exists()


def test_waiting_for_a_token_to_be_typed_can_be_interrupted(tmp_path):
    reading, writing = os.pipe()

    async def work(_coordinator):
        task = asyncio.create_task(join_once(make_config(tmp_path), lambda: _native.Token.read_fd(reading)))
        while not (tmp_path / "data" / "agent.lock").exists():
            await asyncio.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)
        async with asyncio.timeout(20):
            return await task

    try:
        assert scenario(work) == 130
    finally:
        os.close(writing)


def test_the_chosen_interface_is_used_and_a_missing_one_is_found_before_the_token_is_spent(tmp_path):
    async def work(coordinator):
        with pytest.raises(SwarmletError, match="SWL-404"):
            await join_once(
                make_config(tmp_path, bind_interface="nosuch0"), lambda: coordinator.token(tmp_path)
            )
        assert not coordinator.guests
        return await join_once(
            make_config(tmp_path, bind_interface="lo"), lambda: coordinator.token(tmp_path)
        )

    assert scenario(work) == 0


def test_a_source_address_is_of_its_targets_family():
    own = ("fe80::1%eth0", "192.0.2.7", "2001:db8::7")
    assert source_of(own, "10.0.0.1:7946") == "192.0.2.7"
    assert source_of(own, "[2001:db8::1]:7946") == "2001:db8::7"
    assert source_of(own[:1], "[2001:db8::1]:7946") is None


def test_without_tls_only_this_machine_is_a_place_to_go(tmp_path):
    async def work(coordinator):
        config = make_config(tmp_path, tls_enabled=False, cluster="192.0.2.1:7946")
        with pytest.raises(SwarmletError) as caught:
            await join_once(config, lambda: coordinator.token(tmp_path))
        return caught.value, coordinator.guests

    failure, guests = scenario(work)
    assert failure.code == "SWL-402"
    assert guests == []


@pytest.mark.parametrize("wall_s", [0, 2**31 - 1])
def test_a_clock_far_off_joins_and_stays(tmp_path, monkeypatch, wall_s):
    monkeypatch.setattr(app.SystemClock, "wall_ms", lambda _self: wall_s * 1000)

    async def work(coordinator):
        config = make_config(tmp_path)
        agent = Run(config, coordinator.token(tmp_path))
        await coordinator.hear(m.Hello)
        found = await view(config, lambda one: one.connected)
        await agent.stop()
        again = Run(config, None)
        await coordinator.hear(m.Hello, 2)
        await again.stop()
        return found

    assert abs(scenario(work).clock_skew_seconds) > 10_000_000


def test_the_journal_of_settings_is_written_only_when_they_change(tmp_path):
    async def work(coordinator):
        config = make_config(tmp_path)
        await join_once(config, lambda: coordinator.token(tmp_path))
        before = Vault(config.data_dir).load().identity.generation
        for round_ in (1, 2):
            agent = Run(config, None)
            await coordinator.hear(m.Hello, round_)
            await view(config, lambda one: one.connected)
            await agent.stop()
        same = Vault(config.data_dir).load().identity.generation
        original = coordinator.settings
        coordinator.settings = lambda: msgspec.structs.replace(
            original(), endpoints=(coordinator.address, "192.0.2.9:7946")
        )
        agent = Run(config, None)
        await coordinator.hear(m.Hello, 3)
        async with asyncio.timeout(20):
            while Vault(config.data_dir).load().identity.generation == same:
                await asyncio.sleep(0.01)
        await agent.stop()
        return before, same, Vault(config.data_dir).load().memory.settings.endpoints

    before, same, endpoints = scenario(work)
    assert before == same
    assert endpoints[1] == "192.0.2.9:7946"
