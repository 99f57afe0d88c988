"""Containers on a real engine, from images made here: run, limited, told, adopted, and nothing left."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import subprocess
import sys
import threading
import uuid
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import docker
import msgspec
import pytest

from swarmlet.model.workload import Assignment, Resources, RestartPolicy
from swarmlet.model.workload import AssignmentState as State
from swarmlet.workloads import container as pure
from swarmlet.workloads.containers import ContainerRun
from swarmlet.workloads.limits import Limits
from tests.fakes.images import built_image, no_containers_left
from tests.integration.workload_node import WorkloadNode, workload_node
from tests.unit.workloads.samples import assignment

pytestmark = [pytest.mark.docker, pytest.mark.timeout(180)]

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with built_image(tmp_path_factory.mktemp("image")) as tag:
        yield tag


@pytest.fixture
def uid() -> Iterator[str]:
    """A node of its own, whose containers are gone afterwards."""
    name = str(uuid.uuid4())
    with no_containers_left(f"{pure.LABEL_NODE}={name}"):
        yield name


@pytest.fixture
def engine() -> Iterator[docker.APIClient]:
    client = docker.APIClient(version="auto", timeout=60)
    yield client
    client.close()


def listed(engine: docker.APIClient, uid: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = engine.containers(all=True, filters={"label": f"{pure.LABEL_NODE}={uid}"})
    return found


def play(tmp_path: Path, uid: str, act: Callable[[WorkloadNode], Awaitable[None]], **options: Any) -> None:
    async def run() -> None:
        async with workload_node(tmp_path / "data", uid=uid, **options) as node:
            await act(node)

    asyncio.run(run())


def probe(image: str, *words: str, **fields: Any) -> Assignment:
    return assignment(image=image, command=words, **fields)


def test_a_container_runs_and_its_end_output_and_exit_code_are_told(
    tmp_path: Path, uid: str, image: str, engine: docker.APIClient
) -> None:
    async def act(node: WorkloadNode) -> None:
        await node.run(probe(image, "out", "hello", "err", "oops", "exit", "3"))
        last = await node.until_state(State.FAILED)
        assert (last.reason, last.exit_code) == ("exit code 3", 3)
        assert sorted((await node.output()).splitlines()) == ["hello", "oops"]
        await node.until(lambda: not listed(engine, uid), "the dead container was not removed")
        await node.run(probe(image, "out", "well", workload="v", name="v.0.1"))
        assert (await node.until_state(State.SUCCEEDED, "v.0.1")).exit_code == 0

    play(tmp_path, uid, act)


def test_output_is_followed_as_it_comes(tmp_path: Path, uid: str, image: str) -> None:
    async def act(node: WorkloadNode) -> None:
        await node.run(probe(image, "out", "one", "sleep", "0.3", "out", "two"))
        await node.until_state(State.RUNNING)
        parts = [part async for part in node.supervisor.logs("w.0.1", follow=True, tail=None)]
        assert b"".join(parts) == b"one\ntwo\n"
        assert len(parts) == 2

    play(tmp_path, uid, act)


def test_it_has_no_privilege_and_the_limits_it_was_given(
    tmp_path: Path, uid: str, image: str, engine: docker.APIClient
) -> None:
    async def act(node: WorkloadNode) -> None:
        words = ("id", "mount", "mknod", "raw", "write", "/file", "write", "/tmp/file", "write", "/run/file")
        await node.run(
            probe(
                image, *words, "out", "ready", "sleep", "forever", resources=Resources(cpu=0.5, memory_mb=64)
            )
        )
        said = await node.until_said("ready")
        assert "uid 65534 gid 65534" in said
        assert "CapEff:\t0000000000000000" in said
        assert "CapBnd:\t0000000000000000" in said
        assert "NoNewPrivs:\t1" in said
        assert "Seccomp:\t2" in said
        assert "mount: Operation not permitted" in said
        assert "mknod: Operation not permitted" in said
        assert "raw: Operation not permitted" in said
        assert "write: Read-only file system\nwrite: done\nwrite: done" in said
        (found,) = listed(engine, uid)
        host = engine.inspect_container(found["Id"])["HostConfig"]
        assert (host["Memory"], host["NanoCpus"], host["PidsLimit"]) == (64_000_000, 500_000_000, 256)
        assert host["Privileged"] is False
        assert (host["Binds"], host["PortBindings"] or {}, host["Devices"] or []) == (None, {}, [])
        assert host["Init"] is True
        assert host["LogConfig"]["Config"] == pure.LOG_OPTIONS
        assert found["Labels"][pure.LABEL_EPOCH] == "1"

    play(tmp_path, uid, act)


def test_its_environment_is_its_own(
    tmp_path: Path, uid: str, image: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CANARY_OF_THE_AGENT", "secret")

    async def act(node: WorkloadNode) -> None:
        await node.run(probe(image, "args", "env", env={"COLOUR": "gr=n", "EMPTY": ""}))
        await node.until_state(State.SUCCEEDED)
        said = (await node.output()).splitlines()
        assert "arg args" in said
        assert "env COLOUR=gr=n" in said
        assert "env EMPTY=" in said
        assert "env SWARM_ASSIGNMENT_ID=w.0.1" in said
        assert "env SWARM_EPOCH=1" in said
        assert "env SWARM_NODE_NAME=node-1" in said
        assert not [line for line in said if "CANARY" in line]

    play(tmp_path, uid, act)


def test_memory_over_the_limit_is_told_as_what_it_is(tmp_path: Path, uid: str, image: str) -> None:
    async def act(node: WorkloadNode) -> None:
        await node.run(probe(image, "eat", "200", resources=Resources(memory_mb=32)))
        last = await node.until_state(State.FAILED)
        assert (last.reason, last.exit_code) == ("killed: out of memory", 137)

    play(tmp_path, uid, act)


def test_the_node_bounds_who_asks_for_nothing(
    tmp_path: Path, uid: str, image: str, engine: docker.APIClient
) -> None:
    async def act(node: WorkloadNode) -> None:
        await node.run(probe(image, "sleep", "forever"))
        await node.until_state(State.RUNNING)
        (found,) = listed(engine, uid)
        host = engine.inspect_container(found["Id"])["HostConfig"]
        assert (host["Memory"], host["NanoCpus"]) == (100_000_000, 1_000_000_000)

    play(tmp_path, uid, act, limits=Limits(memory_mb=100, cpu_cores=1))


def test_stopping_asks_first_and_kills_after_the_grace(
    tmp_path: Path, uid: str, image: str, engine: docker.APIClient
) -> None:
    async def act(node: WorkloadNode) -> None:
        polite = {"workload": "p", "name": "p.0.1"}
        stubborn: dict[str, Any] = {"workload": "s", "name": "s.0.1", "stop_grace_s": 0.3}
        await node.run(
            probe(image, "out", "up", "sleep", "forever", **polite),
            probe(image, "ignore", "out", "up", "sleep", "forever", **stubborn),
        )
        await node.until_said("up", "p.0.1")
        await node.until_said("up", "s.0.1")
        await node.run(
            probe(image, "out", "up", "sleep", "forever", stop=True, **polite),
            probe(image, "ignore", "out", "up", "sleep", "forever", stop=True, **stubborn),
        )
        assert (await node.until_state(State.STOPPED, "p.0.1")).exit_code == 143
        last = await node.until_state(State.STOPPED, "s.0.1")
        assert last.exit_code == 137
        assert "was killed" in last.reason
        await node.run()
        await node.until(lambda: not listed(engine, uid), "containers are left")

    play(tmp_path, uid, act)


def test_the_images_own_user_is_kept_and_root_is_not(
    tmp_path: Path, uid: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    async def act(node: WorkloadNode) -> None:
        await node.run(
            probe(named, "id", name="a.0.1", workload="a"), probe(root, "id", name="b.0.1", workload="b")
        )
        await node.until_state(State.SUCCEEDED, "a.0.1")
        await node.until_state(State.SUCCEEDED, "b.0.1")
        assert "uid 1234 gid 77" in await node.output("a.0.1")
        assert "uid 65534 gid 65534" in await node.output("b.0.1")

    where = tmp_path_factory.mktemp("users")
    with built_image(where, "USER 1234:77") as named, built_image(where, "USER 0") as root:
        play(tmp_path, uid, act)


def test_restarts_are_new_containers_and_old_ones_are_gone(
    tmp_path: Path, uid: str, image: str, engine: docker.APIClient
) -> None:
    async def act(node: WorkloadNode) -> None:
        await node.run(probe(image, "out", "again", "exit", "1", restart=RestartPolicy.ON_FAILURE))

        def twice() -> bool:
            one = node.seen()
            return one is not None and one.restarts >= 2

        await node.until(twice, "it was not restarted")
        assert (await node.output()).count("again") >= 2
        assert len(listed(engine, uid)) <= 1

    play(tmp_path, uid, act)


# ---- bad input


def test_an_image_that_is_not_there_is_told_with_the_engines_words(tmp_path: Path, uid: str) -> None:
    async def act(node: WorkloadNode) -> None:
        await node.run(probe("127.0.0.1:9/nothing/here:1"))
        last = await node.until_state(State.FAILED)
        assert last.reason.startswith("SWL-502: the image 127.0.0.1:9/nothing/here:1 is not on the node")
        assert "refused" in last.reason

    play(tmp_path, uid, act)


def test_a_name_that_is_no_image_is_told(tmp_path: Path, uid: str) -> None:
    async def act(node: WorkloadNode) -> None:
        await node.run(probe("NOT AN IMAGE!!"))
        last = await node.until_state(State.FAILED)
        assert last.reason.startswith("SWL-50")

    play(tmp_path, uid, act)


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with built_image(tmp_path_factory.mktemp("bare"), "ENTRYPOINT []") as tag:
        yield tag


@pytest.mark.parametrize("command", ["/bin/nope", "nope", "late"])
def test_a_program_that_is_not_in_the_image_is_told(
    command: str, tmp_path: Path, uid: str, bare: str, engine: docker.APIClient
) -> None:
    async def passes(_run: ContainerRun) -> None:
        """The init is slower than the moment that it is given."""

    async def act(node: WorkloadNode) -> None:
        # The same as of a process, although an init before the program keeps the engine from telling.
        await node.run(probe(bare, command))
        last = await node.until_state(State.FAILED)
        said = f"SWL-501: the command {command} does not exist on the node node-1"
        assert (last.reason, last.exit_code) == (said, None)
        await node.until(lambda: not listed(engine, uid), "the container that never ran is left")

    with pytest.MonkeyPatch.context() as patch:
        if command == "late":
            patch.setattr(ContainerRun, "settle", passes)
        play(tmp_path, uid, act)


def test_what_the_engine_refuses_is_told_in_its_words(tmp_path: Path, uid: str, image: str) -> None:
    async def act(node: WorkloadNode) -> None:
        await node.run(probe(image, "out", "x", resources=Resources(memory_mb=1)))
        last = await node.until_state(State.FAILED)
        assert last.reason.startswith("SWL-507: the container engine refused the workload: ")
        assert "memory" in last.reason.lower()

    play(tmp_path, uid, act)


@pytest.mark.parametrize("kind", ["absent", "dead", "off", "not-an-engine"])
def test_without_an_engine_containers_fail_and_say_why(
    tmp_path: Path, uid: str, image: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "engine.sock"
    listener = socket.socket(socket.AF_UNIX)
    if kind in {"dead", "not-an-engine"}:
        listener.bind(str(path))
    if kind == "not-an-engine":
        listener.listen()

        def hang_up() -> None:
            with contextlib.suppress(OSError):
                while True:
                    listener.accept()[0].close()

        threading.Thread(target=hang_up, daemon=True).start()

    async def act(node: WorkloadNode) -> None:
        await node.run(probe(image, "out", "x"))
        last = await node.until_state(State.FAILED)
        assert last.reason.startswith("SWL-503: no container engine answers on this node: ")

    play(tmp_path, uid, act, engine="off" if kind == "off" else str(path))
    with contextlib.suppress(OSError):
        listener.shutdown(socket.SHUT_RDWR)
    listener.close()


# ---- the agent goes and comes


def kill_an_agent(tmp_path: Path, uid: str, *assignments: Assignment) -> None:
    """Start an agent of its own with these assignments, and kill it once they run."""
    file = tmp_path / "assignments"
    file.write_bytes(msgspec.json.encode(assignments))
    agent = subprocess.Popen(
        [sys.executable, "-m", "tests.integration.workload_node", str(tmp_path / "data"), uid, str(file)],
        cwd=ROOT, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert agent.stdout is not None
    try:
        assert agent.stdout.readline().strip() == "running"
    finally:
        agent.kill()
        agent.wait(10)
        agent.stdout.close()


def test_a_killed_agent_finds_its_container_again(
    tmp_path: Path, uid: str, image: str, engine: docker.APIClient
) -> None:
    work = probe(image, "out", "first", "sleep", "forever")
    kill_an_agent(tmp_path, uid, work)
    (before,) = listed(engine, uid)
    assert before["State"] == "running"

    async def act(node: WorkloadNode) -> None:
        last = await node.until_state(State.RUNNING)
        assert last.restarts == 0
        assert "first" in await node.until_said("first")
        await node.run(work)
        (after,) = listed(engine, uid)
        assert after["Id"] == before["Id"]
        assert engine.inspect_container(after["Id"])["RestartCount"] == 0
        engine.kill(after["Id"], "SIGKILL")
        last = await node.until_state(State.FAILED)
        assert last.exit_code == 137

    play(tmp_path, uid, act)


def test_a_container_that_ended_while_the_agent_was_away_is_told(
    tmp_path: Path, uid: str, image: str, engine: docker.APIClient
) -> None:
    kill_an_agent(tmp_path, uid, probe(image, "out", "bye", "sleep", "1", "exit", "5"))
    (before,) = listed(engine, uid)
    engine.wait(before["Id"], timeout=30)

    async def act(node: WorkloadNode) -> None:
        last = await node.until_state(State.FAILED)
        assert (last.reason, last.exit_code) == ("exit code 5", 5)
        assert "bye" in await node.output()
        await node.until(lambda: not listed(engine, uid), "the dead container is left")

    play(tmp_path, uid, act)


def test_a_container_that_vanished_while_the_agent_was_away_is_started_again(
    tmp_path: Path, uid: str, image: str, engine: docker.APIClient
) -> None:
    kill_an_agent(tmp_path, uid, probe(image, "sleep", "forever"))
    (before,) = listed(engine, uid)
    engine.remove_container(before["Id"], force=True)

    async def act(node: WorkloadNode) -> None:
        last = await node.until_state(State.RUNNING)
        assert last.restarts == 1
        (after,) = listed(engine, uid)
        assert after["Id"] != before["Id"]

    play(tmp_path, uid, act)


def test_after_losing_the_journal_a_snapshot_adopts_nothing_wrong_and_sweeps_the_rest(
    tmp_path: Path, uid: str, image: str, engine: docker.APIClient
) -> None:
    kill_an_agent(
        tmp_path, uid, probe(image, "sleep", "forever"),
        probe(image, "sleep", "forever", name="old.0.1", workload="old"),
    )  # fmt: skip
    for slot in (tmp_path / "data" / "journal").iterdir():
        slot.write_bytes(b"gone")

    async def act(node: WorkloadNode) -> None:
        assert "SWL-309" in (node.supervisor.trouble() or "")
        assert len(listed(engine, uid)) == 2, "running workloads were touched before the cluster spoke"
        await node.run(probe(image, "sleep", "forever"))
        await node.until_state(State.RUNNING)

        def one_left() -> bool:
            return [c["Labels"][pure.LABEL_ASSIGNMENT] for c in listed(engine, uid)] == ["w.0.1"]

        await node.until(one_left, "what is not wanted is left")

    play(tmp_path, uid, act)


def test_a_container_runs_on_through_the_loss_of_the_journal(
    tmp_path: Path, uid: str, image: str, engine: docker.APIClient
) -> None:
    wanted = probe(image, "out", "hello", "sleep", "forever")
    before: list[dict[str, Any]] = []

    async def first(node: WorkloadNode) -> None:
        await node.run(wanted)
        await node.until_state(State.RUNNING)
        before.extend(listed(engine, uid))

    async def after(node: WorkloadNode) -> None:
        assert "SWL-309" in (node.supervisor.trouble() or "")
        await node.run(wanted)
        await node.until_state(State.RUNNING)
        assert [one["Id"] for one in listed(engine, uid)] == [one["Id"] for one in before]
        assert "hello" in await node.until_said("hello")
        # It is watched like any other: an end is seen, and what ran once is not taken over again.
        engine.kill(before[0]["Id"])
        assert (await node.until_state(State.FAILED)).exit_code == 137

    play(tmp_path, uid, first)
    for slot in (tmp_path / "data" / "journal").iterdir():
        slot.write_bytes(b"gone")
    play(tmp_path, uid, after)


def test_closing_leaves_containers_and_leaving_removes_them(
    tmp_path: Path, uid: str, image: str, engine: docker.APIClient
) -> None:
    async def close(node: WorkloadNode) -> None:
        await node.run(probe(image, "sleep", "forever"))
        await node.until_state(State.RUNNING)

    async def leave(node: WorkloadNode) -> None:
        await node.until_state(State.RUNNING)
        await node.supervisor.stop_all("this node left the cluster")
        assert listed(engine, uid) == []

    play(tmp_path, uid, close)
    (left,) = listed(engine, uid)
    assert left["State"] == "running"
    play(tmp_path, uid, leave)


def test_two_agents_share_an_engine_and_touch_only_what_is_theirs(
    tmp_path: Path, uid: str, image: str, engine: docker.APIClient
) -> None:
    other = str(uuid.uuid4())

    async def run() -> None:
        async with (
            workload_node(tmp_path / "one", uid=uid) as one,
            workload_node(tmp_path / "two", uid=other) as two,
        ):
            for node in (one, two):
                await node.run(probe(image, "sleep", "forever"))
                await node.until_state(State.RUNNING)
            await one.run()
            await one.until(lambda: not listed(engine, uid), "its own is left")
            await one.supervisor.stop_all("left")
            (theirs,) = listed(engine, other)
            assert theirs["State"] == "running"

    with no_containers_left(f"{pure.LABEL_NODE}={other}"):
        asyncio.run(run())


def test_a_container_that_someone_removes_is_told(
    tmp_path: Path, uid: str, image: str, engine: docker.APIClient
) -> None:
    async def act(node: WorkloadNode) -> None:
        await node.run(probe(image, "sleep", "forever"))
        await node.until_state(State.RUNNING)
        (found,) = listed(engine, uid)
        await asyncio.to_thread(engine.remove_container, found["Id"], force=True)
        await node.until_state(State.FAILED)

    play(tmp_path, uid, act)


class Cable:
    """A unix socket that leads to the engine while it is plugged in."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        #: The answer to the next request that holds these bytes is lost.
        self.lose: bytes | None = None
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()

    async def plug(self) -> None:
        self._server = await asyncio.start_unix_server(self._carry, self.path)

    async def pull(self) -> None:
        assert self._server is not None
        self._server.close()
        for end in list(self._open):
            end.transport.abort()
        Path(self.path).unlink()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        back, forth = await asyncio.open_unix_connection("/var/run/docker.sock")
        self._open |= {writer, forth}
        try:
            request = await reader.read(65536)
            forth.write(request)
            if self.lose is not None and self.lose in request:
                self.lose = None
                await back.read(65536)
                return
            await asyncio.gather(self._copy(reader, forth), self._copy(back, writer))
        finally:
            self._open -= {writer, forth}
            for end in (writer, forth):
                end.close()

    async def _copy(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(65536):
                sink.write(data)
                await sink.drain()
            if sink.can_write_eof():
                sink.write_eof()


def test_an_end_while_the_engine_cannot_be_heard_is_told_afterwards(
    tmp_path: Path, uid: str, image: str, engine: docker.APIClient
) -> None:
    async def run() -> None:
        cable = Cable(tmp_path / "engine.sock")
        await cable.plug()
        async with workload_node(tmp_path / "data", uid=uid, engine=cable.path) as node:
            await node.run(probe(image, "out", "up", "sleep", "forever"))
            await node.until_said("up")
            await node.until_state(State.RUNNING)
            (found,) = listed(engine, uid)
            await cable.pull()
            await asyncio.to_thread(engine.kill, found["Id"], "SIGKILL")
            await asyncio.to_thread(engine.wait, found["Id"], timeout=30)
            await node.until(node.supervisor.trouble, "nothing was said of the engine")
            assert node.seen() is not None
            assert "SWL-503" in (node.supervisor.trouble() or "")
            await cable.plug()
            last = await node.until_state(State.FAILED)
            assert last.exit_code == 137
            await node.until(lambda: not listed(engine, uid), "the dead container is left")
        await cable.pull()

    asyncio.run(run())


def test_a_start_whose_answer_is_lost_is_looked_into(
    tmp_path: Path, uid: str, image: str, engine: docker.APIClient
) -> None:
    async def run() -> None:
        cable = Cable(tmp_path / "engine.sock")
        await cable.plug()
        async with workload_node(tmp_path / "data", uid=uid, engine=cable.path) as node:
            cable.lose = b"/start"
            await node.run(probe(image, "out", "up", "sleep", "forever"))
            await node.until_said("up")
            await node.until_state(State.RUNNING)
            (found,) = listed(engine, uid)
            assert found["State"] == "running"
            await node.run()
            await node.until_state(State.STOPPED)
            await node.until(lambda: not listed(engine, uid), "the container is left")
        await cable.pull()

    asyncio.run(run())


def test_after_a_boot_an_engine_that_comes_late_is_waited_for(
    tmp_path: Path, uid: str, image: str, engine: docker.APIClient
) -> None:
    kill_an_agent(tmp_path, uid, probe(image, "sleep", "forever"))
    (before,) = listed(engine, uid)

    async def run() -> None:
        cable = Cable(tmp_path / "engine.sock")
        async with workload_node(tmp_path / "data", uid=uid, engine=cable.path) as node:
            await node.until(node.supervisor.trouble, "nothing was said of the engine")
            await cable.plug()
            await node.until_state(State.RUNNING)
            await node.until(lambda: not node.supervisor.trouble(), "the trouble stays")
            (after,) = listed(engine, uid)
            assert after["Id"] == before["Id"]
        await cable.pull()

    asyncio.run(run())


def test_fifty_quick_containers_leave_nothing_behind(
    tmp_path: Path, uid: str, image: str, engine: docker.APIClient
) -> None:
    async def act(node: WorkloadNode) -> None:
        many = [probe(image, "out", f"n{n}", name=f"w{n}.0.1", workload=f"w{n}") for n in range(50)]
        threads, tasks = threading.active_count(), len(asyncio.all_tasks())
        await node.run(*many)

        def over() -> bool:
            return all(one.state is State.SUCCEEDED for one in node.supervisor.observations())

        await node.until(over, "not all ended well", 120)
        assert len(node.supervisor.observations()) == 50
        for n in (0, 25, 49):
            assert await node.output(f"w{n}.0.1") == f"n{n}\n"
        await node.until(lambda: not listed(engine, uid), "containers are left")
        assert threading.active_count() - threads <= 8
        # The writer of the journal and the watcher of events go on, nothing else.
        await node.until(lambda: len(asyncio.all_tasks()) <= tasks + 2, "tasks are left")

    play(tmp_path, uid, act)
    assert len(list((tmp_path / "data").glob("work/*"))) == 0


def test_a_flood_of_output_is_bounded(tmp_path: Path, uid: str, image: str) -> None:
    async def act(node: WorkloadNode) -> None:
        await node.run(probe(image, "flood", "3000000", "out", "the end"))
        await node.until_state(State.SUCCEEDED)
        said = await node.output()
        assert said.endswith("the end\n")
        assert len(said) <= 256 * 1024

    play(tmp_path, uid, act)
