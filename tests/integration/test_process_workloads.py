"""Processes through the native spawn: run, sandboxed, heard, stopped, started again, and nothing left."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import pytest

from swarmlet.model.workload import Assignment, Resources, RestartPolicy
from swarmlet.model.workload import AssignmentState as State
from swarmlet.workloads.limits import Limits
from swarmlet.workloads.workdirs import FIRST_UID, UIDS
from tests.fakes.images import build_program
from tests.integration.workload_node import WorkloadNode, workload_node
from tests.unit.workloads.samples import assignment

pytestmark = pytest.mark.timeout(120)

ROOT = Path(__file__).parents[2]
IS_ROOT = os.geteuid() == 0


@pytest.fixture(scope="session")
def program() -> Iterator[str]:
    """A program where any user can reach it."""
    with TemporaryDirectory(prefix="swarmlet-probe-") as directory:
        Path(directory).chmod(0o755)
        yield str(build_program(Path(directory)))


def play(tmp_path: Path, act: Callable[[WorkloadNode], Awaitable[None]], **options: Any) -> None:
    async def run() -> None:
        async with workload_node(tmp_path / "data", engine="off", **options) as node:
            await act(node)

    asyncio.run(run())


def shell(script: str, **fields: Any) -> Assignment:
    return assignment(command=("/bin/sh", "-c", script), **fields)


def alive(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def test_a_process_runs_and_its_end_output_and_exit_code_are_told(tmp_path: Path, program: str) -> None:
    async def act(node: WorkloadNode) -> None:
        await node.run(assignment(command=(program, "out", "hello", "err", "oops", "exit", "3")))
        last = await node.until_state(State.FAILED)
        assert (last.reason, last.exit_code) == ("exit code 3", 3)
        assert sorted((await node.output()).splitlines()) == ["hello", "oops"]

    play(tmp_path, act)


@pytest.mark.parametrize(
    ("script", "state", "reason", "code"),
    [
        ("exit 0", State.SUCCEEDED, "exit code 0", 0),
        ("exit 255", State.FAILED, "exit code 255", 255),
        ("kill -9 $$", State.FAILED, "killed by signal 9 (SIGKILL)", 137),
        ("kill -TERM $$", State.FAILED, "killed by signal 15 (SIGTERM)", 143),
        ("nonexistent-command", State.FAILED, "exit code 127 (command not found)", 127),
    ],
)
def test_an_end_is_told_for_what_it_is(
    tmp_path: Path, script: str, state: State, reason: str, code: int
) -> None:
    async def act(node: WorkloadNode) -> None:
        await node.run(shell(script))
        last = await node.until_state(state)
        assert last.reason.startswith(reason)
        assert last.exit_code == code

    play(tmp_path, act)


def test_a_command_that_does_not_exist_is_told(tmp_path: Path) -> None:
    async def act(node: WorkloadNode) -> None:
        await node.run(
            assignment(command=("/bin/nope",)),
            assignment("d.0.1", workload="d", command=("/etc",)),
            assignment("e.0.1", workload="e", command=()),
            assignment("n.0.1", workload="n", command=("/bin/true", "a\0b")),
            assignment("v.0.1", workload="v", env={"A=B": "1"}),
        )
        last = await node.until_state(State.FAILED)
        assert last.reason == "SWL-501: the command /bin/nope does not exist on the node node-1"
        for name in ("d.0.1", "e.0.1", "n.0.1", "v.0.1"):
            assert (await node.until_state(State.FAILED, name)).reason.startswith("SWL-510")

    play(tmp_path, act)


def test_it_sees_its_own_environment_and_nothing_of_the_agents(
    tmp_path: Path, program: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CANARY_OF_THE_AGENT", "secret")

    async def act(node: WorkloadNode) -> None:
        await node.run(
            assignment(command=(program, "env"), env={"COLOUR": "grün", "SWARM_EPOCH": "99"}, epoch=4)
        )
        await node.until_state(State.SUCCEEDED)
        said = dict(line.removeprefix("env ").split("=", 1) for line in (await node.output()).splitlines())
        home = str(tmp_path / "data" / "work" / "w.0.1")
        assert said.pop("PATH").startswith("/usr/local/sbin:")
        assert said == {
            "COLOUR": "grün", "HOME": home, "TMPDIR": f"{home}/tmp",
            "SWARM_ASSIGNMENT_ID": "w.0.1", "SWARM_EPOCH": "4", "SWARM_NODE_NAME": "node-1",
        }  # fmt: skip

    play(tmp_path, act)


@pytest.mark.skipif(not IS_ROOT, reason="only root can give a workload a user of its own")
def test_each_runs_as_a_user_of_its_own_without_any_privilege(tmp_path: Path, program: str) -> None:
    async def act(node: WorkloadNode) -> None:
        names = [f"w{n}.0.1" for n in range(4)]
        await node.run(
            *(assignment(name, workload=name, command=(program, "id", "mount", "raw")) for name in names)
        )
        users = set()
        for name in names:
            await node.until_state(State.SUCCEEDED, name)
            said = await node.output(name)
            users.add(int(said.split()[1]))
            assert "CapEff:\t0000000000000000" in said
            assert "NoNewPrivs:\t1" in said
            assert "mount: Operation not permitted" in said
            assert "raw: Operation not permitted" in said
        assert len(users) == 4
        assert all(FIRST_UID <= user < FIRST_UID + UIDS for user in users)

    play(tmp_path, act)


def test_it_writes_in_its_directory_and_nowhere_else_and_the_directory_goes_with_it(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir(mode=0o777)
    outside.chmod(0o777)

    async def act(node: WorkloadNode) -> None:
        (node.data / "identity").mkdir(parents=True)
        (node.data / "identity" / "a").write_text("key")
        script = (
            f"echo x > here; echo x > tmp/there; echo x > {outside}/file; "
            f"cat {node.data}/identity/a {node.data}/journal/a; pwd; echo done; sleep 1000"
        )
        await node.run(shell(script))
        await node.until_said("done")
        work = node.data / "work" / "w.0.1"
        assert (work / "here").read_text() == "x\n"
        assert (work / "tmp" / "there").exists()
        assert not (outside / "file").exists()
        assert "key" not in await node.output()
        assert (work.stat().st_mode & 0o777) == 0o700
        await node.run()
        await node.until(lambda: not work.exists(), "the private directory is left")

    play(tmp_path, act)


def test_limits_are_enforced_where_the_kernel_can_and_said_where_it_cannot(
    tmp_path: Path, program: str
) -> None:
    async def act(node: WorkloadNode) -> None:
        await node.run(
            assignment(command=(program, "eat", "400"), resources=Resources(memory_mb=64)),
            assignment(
                "s.0.1", workload="s", command=(program, "sleep", "forever"),
                resources=Resources(cpu=0.5, memory_mb=64),
            ),
        )  # fmt: skip
        last = await node.until_state(State.FAILED)
        assert last.exit_code in {7, 137}
        if last.exit_code == 137:
            assert "out of memory" in last.reason
        running = await node.until_state(State.RUNNING, "s.0.1")
        assert running.reason == "" or "not enforced by this kernel" in running.reason

    play(tmp_path, act)


def test_stopping_ends_the_whole_session_by_term_then_by_kill(tmp_path: Path) -> None:
    async def act(node: WorkloadNode) -> None:
        polite = "trap 'echo bye; exit 0' TERM; sleep 1000 & echo child $!; wait"
        stubborn = "trap '' TERM; sleep 1000 & echo child $!; while :; do sleep 1000; done"
        await node.run(
            shell(polite, name="p.0.1", workload="p"),
            shell(stubborn, name="s.0.1", workload="s", stop_grace_s=0.3),
        )
        children = [int((await node.until_said("child ", name)).split()[1]) for name in ("p.0.1", "s.0.1")]
        assert all(map(alive, children))
        await node.run(
            shell(polite, name="p.0.1", workload="p", stop=True),
            shell(stubborn, name="s.0.1", workload="s", stop_grace_s=0.3, stop=True),
        )
        assert (await node.until_state(State.STOPPED, "p.0.1")).exit_code == 0
        assert "bye" in await node.output("p.0.1")
        last = await node.until_state(State.STOPPED, "s.0.1")
        assert last.exit_code == 137
        assert "was killed" in last.reason
        await node.until(lambda: not any(map(alive, children)), "a child of the session is left")

    play(tmp_path, act)


def test_restarts_are_counted_and_the_directory_is_kept(tmp_path: Path) -> None:
    async def act(node: WorkloadNode) -> None:
        script = "echo run >> runs; [ $(wc -l < runs) -ge 2 ]"
        await node.run(shell(script, restart=RestartPolicy.ON_FAILURE))
        last = await node.until_state(State.SUCCEEDED)
        assert last.restarts == 1

    play(tmp_path, act)


def test_a_flood_of_output_neither_grows_nor_blocks_the_agent(tmp_path: Path) -> None:
    async def act(node: WorkloadNode) -> None:
        await node.run(shell("yes flood"), shell("echo quick", name="q.0.1", workload="q"))
        await node.until_state(State.SUCCEEDED, "q.0.1")
        await node.until_said("flood")
        loop = asyncio.get_running_loop()
        worst, until = 0.0, loop.time() + 1.0
        while loop.time() < until:
            before = loop.time()
            await asyncio.sleep(0.01)
            worst = max(worst, loop.time() - before - 0.01)
        assert worst < 0.5
        assert len(await node.output()) <= 256 * 1024
        await node.run()
        await node.until_state(State.STOPPED)

    play(tmp_path, act)


def test_output_of_a_grandchild_that_lives_on_does_not_hold_the_end_back(tmp_path: Path) -> None:
    async def act(node: WorkloadNode) -> None:
        await node.run(shell("sleep 1000 & echo done"))
        await node.until_state(State.SUCCEEDED)
        assert await node.output() == "done\n"

    play(tmp_path, act)


def test_full_storage_makes_others_wait_and_room_lets_them_start(tmp_path: Path) -> None:
    filler = shell("dd if=/dev/zero of=big bs=1M count=3 2>/dev/null; echo full; sleep 1000")

    async def act(node: WorkloadNode) -> None:
        await node.run(filler)
        await node.until_said("full")
        once = shell("echo ran", name="b.0.1", workload="b", restart=RestartPolicy.NEVER)
        await node.supervisor.apply(_also(node, once))
        await node.until(lambda: "SWL-506" in _reason(node, "b.0.1"), "nobody was told why it waits")
        last = node.seen("b.0.1")
        assert last is not None
        assert last.state is State.PREPARING
        assert "SWARM_MAX_STORAGE_GB" in last.reason
        assert "SWL-506" in (node.supervisor.trouble() or ""), "the node does not say that it is full"
        await node.supervisor.apply(_also(node, msgspec.structs.replace(filler, stop=True)))
        await node.until_state(State.STOPPED)
        await node.until_state(State.SUCCEEDED, "b.0.1")
        assert node.supervisor.trouble() is None

    play(tmp_path, act, limits=Limits(storage_gb=0.002))


def _reason(node: WorkloadNode, name: str) -> str:
    seen = node.seen(name)
    return seen.reason if seen is not None else ""


@pytest.mark.parametrize("end", ["exit 0", "exit 1"])
def test_the_private_files_of_what_ended_are_removed(tmp_path: Path, end: str) -> None:
    async def act(node: WorkloadNode) -> None:
        await node.run(shell(f"echo x > file; {end}"))
        await node.until_state(State.SUCCEEDED if end == "exit 0" else State.FAILED)
        await node.until(lambda: not (node.data / "work" / "w.0.1").exists(), "its files are left")

    play(tmp_path, act)


def _also(node: WorkloadNode, *more: Assignment) -> Any:
    from swarmlet.link.messages import Desired  # noqa: PLC0415 - used once

    base = node.supervisor.generation
    return Desired(base + 1, base, full=False, assignments=more)


def test_who_fills_the_disk_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("swarmlet.workloads.supervisor.STORAGE_S", 0.05)

    async def act(node: WorkloadNode) -> None:
        await node.run(
            shell("sleep 1000", name="good.0.1", workload="good"),
            shell(
                "dd if=/dev/zero of=big bs=1M count=3 2>/dev/null; sleep 1000", name="bad.0.1", workload="bad"
            ),
        )
        last = await node.until_state(State.FAILED, "bad.0.1")
        assert "SWL-506" in last.reason
        assert (await node.until_state(State.RUNNING, "good.0.1")).reason == ""

    play(tmp_path, act, limits=Limits(storage_gb=0.002))


# ---- the agent goes and comes


def test_processes_die_with_a_killed_agent_and_are_started_again_from_the_journal(tmp_path: Path) -> None:
    name = str(uuid.uuid4())
    work = shell("sleep 1000 & echo pids $$ $!; wait")
    file = tmp_path / "assignments"
    file.write_bytes(msgspec.json.encode((work,)))
    agent = subprocess.Popen(
        [sys.executable, "-m", "tests.integration.workload_node", str(tmp_path / "data"), name, str(file)],
        cwd=ROOT, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert agent.stdout is not None
    assert agent.stdout.readline().strip() == "running"
    before = [int(pid) for pid in _children_of(agent.pid)]
    assert before
    agent.send_signal(signal.SIGKILL)
    agent.wait(10)
    agent.stdout.close()

    async def act(node: WorkloadNode) -> None:
        last = await node.until_state(State.RUNNING)
        assert last.restarts == 1
        first, second = (int(pid) for pid in (await node.until_said("pids ")).split()[1:3])
        await node.until(lambda: not any(map(alive, before)), "a process outlived its agent")
        assert alive(first)
        await node.supervisor.stop_all("left")
        await node.until(lambda: not alive(first) and not alive(second), "a process is left")
        assert not list((node.data / "work").iterdir())

    play(tmp_path, act, uid=name)


def _children_of(pid: int) -> list[str]:
    return [one for file in Path(f"/proc/{pid}/task").glob("*/children") for one in file.read_text().split()]


def test_closing_the_agent_stops_processes_and_the_next_one_runs_them_again(tmp_path: Path) -> None:
    name = str(uuid.uuid4())
    pids: list[int] = []

    async def first(node: WorkloadNode) -> None:
        await node.run(shell("echo pid $$; sleep 1000"))
        pids.append(int((await node.until_said("pid ")).split()[1]))

    async def second(node: WorkloadNode) -> None:
        assert not alive(pids[0])
        await node.until_state(State.RUNNING)
        assert (await node.until_said("pid ")).startswith("pid ")

    play(tmp_path, first, uid=name)
    play(tmp_path, second, uid=name)


def test_two_hundred_processes_leave_nothing_behind(tmp_path: Path) -> None:
    async def act(node: WorkloadNode) -> None:
        descriptors = len(list(Path("/proc/self/fd").iterdir()))
        many = [assignment(f"w{n}.0.1", workload=f"w{n}", command=("/bin/true",)) for n in range(200)]
        await node.run(*many)

        def over() -> bool:
            found = node.supervisor.observations()
            return len(found) == 200 and all(one.state is State.SUCCEEDED for one in found)

        await node.until(over, "not all ended well", 60)
        assert node.supervisor.active == 0
        await node.run()
        await node.until(lambda: not list((node.data / "work").iterdir()), "directories are left")
        assert len(list(Path("/proc/self/fd").iterdir())) <= descriptors + 2

    play(tmp_path, act)


def test_an_agent_without_containers_never_loads_what_they_need(tmp_path: Path) -> None:
    script = """
import asyncio, sys
from pathlib import Path
from tests.integration.workload_node import workload_node
from tests.unit.workloads.samples import assignment
from swarmlet.model.workload import AssignmentState

async def main():
    for _ in range(2):
        async with workload_node(Path(sys.argv[1]), uid="n" * 36) as node:
            await node.run(assignment())
            await node.until_state(AssignmentState.SUCCEEDED)
    print([name for name in ("docker", "requests", "swarmlet.workloads.docker") if name in sys.modules])

asyncio.run(main())
"""
    found = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "data")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.strip() == "[]"
