"""Memory, processor time and processes: limited where the kernel can, and said where it cannot (W3)."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from swarmlet import _native
from swarmlet._native import NativeError
from tests.fakes.spawned import alive, close, finish, line, python, run, shell, start, until

ENFORCED = _native.enforcement()
root_only = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
memory_group = pytest.mark.skipif("cgroup" not in ENFORCED["memory"], reason="no memory control groups here")
cpu_group = pytest.mark.skipif("cgroup" not in ENFORCED["cpu"], reason="no processor control groups here")
pids_group = pytest.mark.skipif("cgroup" not in ENFORCED["pids"], reason="no process control groups here")

UID = 47_321
MIB = 1 << 20

_EAT = """
import sys, time
eaten = bytearray(int(sys.argv[1]) << 20)
for at in range(0, len(eaten), 4096):
    eaten[at] = 1
time.sleep(float(sys.argv[2]))
print("ate")
"""
_SPIN = """
import time
end = time.monotonic() + 0.6
while time.monotonic() < end:
    pass
print(time.process_time())
"""
_FORK_ALL = """
import os, sys, time
count = 0
try:
    while count < 500:
        if os.fork() == 0:
            time.sleep(1000)
        count += 1
except BlockingIOError:
    pass
print(count)
"""


@pytest.fixture
def group() -> str:
    """A name for a control group that no other test run uses."""
    return f"swarmlet-test-{os.getpid()}"


def groups_named(beginning: str) -> list[Path]:
    return [path for path in Path("/sys/fs/cgroup").rglob(f"{beginning}*") if path.is_dir()]


def group_oom_kills(name: str) -> int:
    for directory in groups_named(name):
        for file in ("memory.oom_control", "memory.events"):
            if (directory / file).exists():
                counts = dict(row.split() for row in (directory / file).read_text().splitlines())
                return int(counts["oom_kill"])
    return 0


@pytest.fixture(autouse=True)
def no_group_is_left(group: str) -> object:
    yield
    until(lambda: groups_named(group) == [], "every group was removed")


# ---- with control groups


@memory_group
def test_a_session_that_wants_too_much_memory_is_killed_and_that_is_told(tmp_path: Path, group: str) -> None:
    ended = python(_EAT, tmp_path, "200", "0", memory_bytes=64 * MIB, cgroup=group)
    assert (ended.signal, ended.out) == (signal.SIGKILL, b"")
    assert ended.applied["memory"] == ENFORCED["memory"]
    assert ended.out_of_memory is True


@memory_group
def test_the_limit_is_of_all_its_processes_together(tmp_path: Path, group: str) -> None:
    (tmp_path / "eat.py").write_text(_EAT)
    script = f"for n in 1 2; do {sys.executable} -I eat.py 45 $1 & done; wait"
    apart = shell(script.replace("$1", "0"), tmp_path, memory_bytes=200 * MIB, cgroup=group)
    ended = finish(apart)
    assert (ended.out.split(), ended.out_of_memory) == ([b"ate", b"ate"], False)
    together = shell(script.replace("$1", "5"), tmp_path, memory_bytes=64 * MIB, cgroup=group)
    until(lambda: group_oom_kills(group) > 0, "one of them was killed")
    assert together.signal(signal.SIGKILL)
    assert finish(together).out_of_memory is True


@pids_group
def test_a_fork_bomb_ends_at_its_limit(tmp_path: Path, group: str) -> None:
    ended = python(_FORK_ALL, tmp_path, max_processes=20, cgroup=group)
    assert ended.applied["pids"] == ENFORCED["pids"]
    assert ended.out == b"19\n", "the first one counts too"


@cpu_group
def test_processor_time_is_limited(tmp_path: Path, group: str) -> None:
    ended = python(_SPIN, tmp_path, cpu_cores=0.2, cgroup=group)
    assert ended.applied["cpu"] == ENFORCED["cpu"]
    # 0.12 s is its share; a period's worth more may be spent before the first throttling.
    assert float(ended.out) < 0.35


@pids_group
def test_what_leaves_the_session_does_not_leave_the_group(tmp_path: Path, group: str) -> None:
    process = shell("setsid -f sh -c 'echo $$; exec sleep 1000'; sleep 1000", tmp_path, cgroup=group)
    escaped = int(line(process))
    assert os.getsid(escaped) == escaped
    assert process.signal(signal.SIGTERM)
    assert finish(process).signal == signal.SIGTERM
    until(lambda: not alive(escaped), "it was signalled too")
    again = shell(
        "setsid -f sh -c 'echo $$; trap : TERM; while :; do sleep 1; done'; exit 0", tmp_path, cgroup=group
    )
    escaped = int(line(again))
    assert finish(again).code == 0
    until(lambda: not alive(escaped), "what outlives the leader is killed")


@pids_group
def test_a_group_is_used_again_at_once_and_only_by_one(tmp_path: Path, group: str) -> None:
    for code in range(20):
        ended = finish(shell(f"exit {code}", tmp_path, cgroup=f"{group}/same"))
        assert (ended.code, ended.applied["pids"]) == (code, ENFORCED["pids"])
    first = shell("sleep 1000", tmp_path, cgroup=f"{group}/same")
    with pytest.raises(NativeError, match="in use"):
        shell("true", tmp_path, cgroup=f"{group}/same")
    second = shell("sleep 1000", tmp_path, cgroup=f"{group}/other")
    assert alive(first.pid)
    close(first)
    assert alive(second.pid)
    close(second)


@pids_group
def test_a_failed_start_leaves_no_group(tmp_path: Path, group: str) -> None:
    with pytest.raises(NativeError):
        start(["no-such-command-here"], tmp_path, cgroup=group)
    assert groups_named(group) == []


_KILLED_AGENT = """
import sys
from tests.fakes.spawned import line, shell
from pathlib import Path
script = "setsid -f sh -c 'echo $$; exec sleep 1000'; sleep 1000"
process = shell(script, Path(sys.argv[1]), cgroup=sys.argv[2])
print(line(process), flush=True)
sys.stdin.readline()
"""


@pids_group
def test_what_a_killed_agent_left_is_swept_by_the_next(tmp_path: Path, group: str) -> None:
    left = []
    for name in ("one", "two"):
        command = [sys.executable, "-c", _KILLED_AGENT, str(tmp_path), f"{group}/{name}"]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as agent:
            assert agent.stdout is not None
            left.append(int(agent.stdout.readline()))
            agent.kill()
    assert all(alive(pid) for pid in left), "what left its leader's session outlives the agent"
    # A start under the same name takes the group over, and what was in it ends.
    assert run(["true"], tmp_path, cgroup=f"{group}/one").applied["pids"] == ENFORCED["pids"]
    until(lambda: not alive(left[0]), "the first was ended by the new start")
    assert _native.sweep(group) >= 1
    until(lambda: not alive(left[1]), "the second was swept")
    assert _native.sweep(group) == 0


def test_only_groups_of_ours_can_be_named(tmp_path: Path) -> None:
    for name in ("", "/", "other", "../swarmlet", "swarmlet/../x", "/sys/fs/cgroup/swarmlet", "system.slice"):
        with pytest.raises(NativeError) as failure:
            start(["true"], tmp_path, cgroup=name)
        assert failure.value.args[0] == "spawn-failed"
        assert _native.sweep(name) == 0


def test_what_can_be_enforced_is_found_quickly_and_without_litter() -> None:
    began = time.monotonic()
    for _ in range(20):
        assert _native.enforcement() == ENFORCED
    assert (time.monotonic() - began) / 20 < 0.1
    assert groups_named("swarmlet-probe") == []


# ---- without


def test_memory_is_limited_for_each_process_where_no_group_is_asked_for(tmp_path: Path) -> None:
    ended = python(_EAT, tmp_path, "200", "0", memory_bytes=64 * MIB)
    assert ended.applied["memory"] == "rlimit"
    assert (ended.code, ended.out_of_memory) == (1, None)
    assert b"MemoryError" in ended.err
    assert python(_EAT, tmp_path, "20", "0", memory_bytes=64 * MIB).out == b"ate\n"


@root_only
@pytest.mark.skipif(not Path("/usr/bin/python3").exists(), reason="no interpreter that every user may run")
def test_processes_are_limited_by_user_where_no_group_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    # The interpreter of the tests may lie where another user cannot go.
    argv = ["/usr/bin/python3", "-I", "-c", _FORK_ALL]
    ended = run(argv, tmp_path / "work", max_processes=12, uid=UID)
    assert ended.applied["pids"] == "rlimit"
    assert ended.out == b"11\n"


def test_what_is_not_limited_is_said(tmp_path: Path) -> None:
    applied = run(["true"], tmp_path, cpu_cores=0.5, memory_bytes=256 * MIB).applied
    assert (applied["cpu"], applied["pids"]) == ("unenforced", "unenforced")
    applied = run(["true"], tmp_path).applied
    assert (applied["memory"], applied["cpu"]) == ("unlimited", "unlimited")


def test_the_workload_dies_before_the_agent_when_memory_runs_out(tmp_path: Path) -> None:
    process = shell("echo up; sleep 1000", tmp_path)
    assert line(process) == "up"
    score = Path(f"/proc/{process.pid}/oom_score_adj").read_text().strip()
    close(process)
    assert int(score) >= 500
