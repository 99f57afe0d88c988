"""Workload processes: started exactly as asked, heard, ended as a whole, and never left behind."""

from __future__ import annotations

import gc
import os
import resource
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from swarmlet import _native
from swarmlet._native import NativeError
from swarmlet.model.profile import Enforcement
from tests.fakes.spawned import PATH, alive, close, finish, line, python, run, shell, start, until

#: A shell in the background that starts one more, and says both numbers.
FAMILY = "sh -c 'echo $$; sleep 1000 & echo $!; wait' & wait"


def kind_of(failure: pytest.ExceptionInfo[NativeError]) -> str:
    kind: str = failure.value.args[0]
    return kind


# ---- how it begins


@pytest.mark.parametrize("code", [0, 1, 2, 127, 255])
def test_exit_codes_are_told(tmp_path: Path, code: int) -> None:
    ended = finish(shell(f"exit {code}", tmp_path))
    assert (ended.code, ended.signal) == (code, None)


@pytest.mark.parametrize(
    "number", [signal.SIGTERM, signal.SIGKILL, signal.SIGSEGV, signal.SIGINT, signal.SIGPIPE]
)
def test_signals_are_told(tmp_path: Path, number: signal.Signals) -> None:
    ended = finish(shell(f"kill -{int(number)} $$; sleep 1000", tmp_path))
    assert (ended.code, ended.signal) == (None, number)


def test_the_environment_is_exactly_what_was_given(tmp_path: Path) -> None:
    given = {"PATH": PATH, "A": "", "B": "b=c\nd", "ä": "ö", "RAW": "\udcff"}
    ended = run(["env", "-0"], tmp_path, env=given)
    expected = {f"{name}={value}".encode(errors="surrogateescape") for name, value in given.items()}
    assert set(ended.out.split(b"\0")) - {b""} == expected


def test_arguments_arrive_untouched(tmp_path: Path) -> None:
    arguments = ["", " ", "a b", "$HOME", "`id`", "'\"\\", "\n", "ö", "\udcff", "x" * 100_000]
    ended = run(["printf", "%s\\0", *arguments], tmp_path)
    assert ended.out.split(b"\0")[:-1] == [text.encode(errors="surrogateescape") for text in arguments]


def test_a_megabyte_on_each_stream_is_read_whole(tmp_path: Path) -> None:
    script = "import sys\nfor n in range(1024):\n sys.stdout.write('o' * 1024); sys.stderr.write('e' * 1024)"
    ended = python(script, tmp_path)
    assert (ended.code, len(ended.out), len(ended.err)) == (0, 1 << 20, 1 << 20)
    assert (set(ended.out), set(ended.err)) == ({ord("o")}, {ord("e")})


def test_it_begins_alone_in_its_directory_with_nothing_of_the_agents(tmp_path: Path) -> None:
    """Session, group, mask, signals, descriptors, input: none is inherited."""
    ours, theirs = os.pipe()
    for inherited in (ours, theirs):
        os.set_inheritable(inherited, True)  # noqa: FBT003 - it takes no keyword
    before = os.umask(0o022)
    handled = signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    try:
        script = (
            "import os, signal\n"
            "print(os.getpid() == os.getsid(0) == os.getpgid(0), os.getcwd(), oct(os.umask(0)))\n"
            "print(sorted(int(n) for n in os.listdir('/proc/self/fd'))[:4], os.readlink('/proc/self/fd/0'))\n"
            "fields = dict(l.split(':', 1) for l in open('/proc/self/status').read().splitlines())\n"
            "print(fields['SigBlk'].strip(), fields['NoNewPrivs'].strip(), os.isatty(0))\n"
        )
        ended = python(script, tmp_path)
        ignored = run(["grep", "SigIgn", "/proc/self/status"], tmp_path)
    finally:
        os.umask(before)
        signal.signal(signal.SIGUSR1, handled)
        os.close(ours)
        os.close(theirs)
    lines = ended.out.decode().splitlines()
    assert lines[0] == f"True {tmp_path} 0o77"
    # 3 is the listing's own.
    assert lines[1] == "[0, 1, 2, 3] /dev/null"
    assert lines[2] == "0000000000000000 1 False"
    assert ignored.out.split() == [b"SigIgn:", b"0000000000000000"]


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="makes the kernel's own call, by its number here")
def test_a_signal_that_libc_keeps_for_itself_is_not_ignored_either(tmp_path: Path) -> None:
    """Signal 32 may be ignored already when the agent starts, and libc's own call cannot change it."""
    script = f"""
import ctypes, sys
sys.path.insert(0, {str(Path.cwd())!r})
from tests.fakes.spawned import run
ignore = (ctypes.c_uint64 * 4)(1, 0, 0, 0)
assert ctypes.CDLL(None).syscall(13, 32, ignore, None, 8) == 0
own = next(line for line in open("/proc/self/status") if line.startswith("SigIgn"))
assert int(own.split()[1], 16) & 1 << 31
from pathlib import Path
print(run(["grep", "SigIgn", "/proc/self/status"], Path({str(tmp_path)!r})).out.decode())
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["SigIgn:", "0000000000000000"]


def test_a_command_is_looked_for_in_the_path_it_was_given(tmp_path: Path) -> None:
    for name, text in (("first", "#!/bin/sh\necho first"), ("second", "#!/bin/sh\necho second")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "tool").write_text(text)
        (tmp_path / name / "tool").chmod(0o755)
    path = f"{tmp_path}/missing::{tmp_path}/second:{tmp_path}/first"
    assert run(["tool"], tmp_path, env={"PATH": path}).out == b"second\n"
    (tmp_path / "second" / "tool").chmod(0o644)
    assert run(["tool"], tmp_path, env={"PATH": path}).out == b"first\n"
    (tmp_path / "tool").write_text("#!/bin/sh\necho here")
    (tmp_path / "tool").chmod(0o755)
    assert run(["./tool"], tmp_path).out == b"here\n"
    assert run(["true"], tmp_path, env={}).code == 0, "there is a path when none is given"


@pytest.mark.parametrize(
    ("argv", "kind"),
    [
        (["no-such-command-here"], "command-not-found"),
        (["/no/such/command"], "command-not-found"),
        ([], "command-not-found"),
        ([""], "command-not-found"),
        (["./without-interpreter"], "command-not-found"),
        (["/etc/passwd"], "command-forbidden"),
        (["/tmp"], "command-forbidden"),
        (["./not-executable"], "command-forbidden"),
        (["./not-a-program"], "spawn-failed"),
        (["true", "a\0b"], "spawn-failed"),
    ],
)
def test_a_command_that_cannot_be_run_says_why(tmp_path: Path, argv: list[str], kind: str) -> None:
    (tmp_path / "not-executable").write_text("#!/bin/sh\n")
    for name, content in (("not-a-program", b"\x00\x01\x02"), ("without-interpreter", b"#!/no/such/shell\n")):
        (tmp_path / name).write_bytes(content)
        (tmp_path / name).chmod(0o755)
    with pytest.raises(NativeError) as failure:
        start(argv, tmp_path)
    assert kind_of(failure) == kind
    if argv and argv[0] and kind != "spawn-failed":
        assert argv[0] in failure.value.args[1]


def test_a_missing_directory_is_told_and_nothing_is_started(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for directory in (tmp_path / "missing", tmp_path / "file"):
        with pytest.raises(NativeError) as failure:
            start(["touch", str(tmp_path / "started")], directory)
        assert kind_of(failure) == "directory-missing"
    assert not (tmp_path / "started").exists()


@pytest.mark.parametrize("env", [{"": "x"}, {"A=B": "x"}, {"A": "x\0y"}, {"A\0": "x"}])
def test_a_variable_that_cannot_be_is_told(tmp_path: Path, env: dict[str, str]) -> None:
    with pytest.raises(NativeError) as failure:
        start(["/bin/true"], tmp_path, env=env)
    assert kind_of(failure) == "spawn-failed"


def test_limits_that_are_no_limits_are_a_mistake_of_the_caller(tmp_path: Path) -> None:
    for cores in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="cpu_cores"):
            start(["/bin/true"], tmp_path, cpu_cores=cores)
    process = shell("sleep 1000", tmp_path)
    for number in (0, -1, 65):
        with pytest.raises(ValueError, match="signal"):
            process.signal(number)
    close(process)


def test_what_was_put_on_it_is_named_as_in_the_profile(tmp_path: Path) -> None:
    ended = run(["true"], tmp_path)
    assert set(ended.applied) == set(Enforcement.__struct_fields__)
    assert set(_native.enforcement()) == set(Enforcement.__struct_fields__)


# ---- how it ends


def test_a_running_process_has_no_ending_and_its_descriptor_is_quiet(tmp_path: Path) -> None:
    process = shell("echo up; sleep 1000", tmp_path)
    assert line(process) == "up"
    assert process.poll() is None
    assert process.out_of_memory is None
    assert process.stdout_fd == process.stdout_fd
    assert process.signal(signal.SIGTERM)
    ended = finish(process)
    assert (ended.code, ended.signal) == (None, signal.SIGTERM)
    assert process.poll() == (None, signal.SIGTERM), "it can be asked again"
    assert not process.signal(signal.SIGTERM)


def test_a_signal_reaches_all_of_its_session(tmp_path: Path) -> None:
    """Also what made a process group of its own, as a shell with job control does."""
    child = "trap 'echo child; exit' TERM; echo up; while :; do sleep 0.01; done"
    script = f'trap "echo leader; wait" TERM; set -m; sh -c "{child}" & wait; wait'
    process = shell(script, tmp_path)
    assert line(process) == "up"
    assert process.signal(signal.SIGTERM)
    ended = finish(process)
    assert sorted(ended.out.split()) == [b"child", b"leader"]


def test_killing_it_kills_children_and_grandchildren(tmp_path: Path) -> None:
    process = shell(FAMILY, tmp_path)
    family = [int(line(process)), int(line(process))]
    assert all(alive(pid) for pid in (process.pid, *family))
    assert process.signal(signal.SIGKILL)
    assert finish(process).signal == signal.SIGKILL
    until(lambda: not any(alive(pid) for pid in family), "the family is dead")


def test_what_it_leaves_behind_ends_with_it(tmp_path: Path) -> None:
    process = shell("sleep 1000 & echo $!; setsid -f sleep 0; exit 3", tmp_path)
    left = int(line(process))
    ended = finish(process)
    assert ended.code == 3
    until(lambda: not alive(left), "what was left is dead")


def test_a_dropped_process_is_killed_whole_and_reaped(tmp_path: Path) -> None:
    process = shell(FAMILY, tmp_path)
    family = [int(line(process)), int(line(process)), process.pid]
    os.close(process.stdout_fd)
    os.close(process.stderr_fd)
    del process
    gc.collect()
    until(lambda: not any(alive(pid) for pid in family), "the family is dead")
    until(lambda: not Path(f"/proc/{family[-1]}").exists(), "the leader is reaped")


_AGENT = """
import sys
from swarmlet import _native
process = _native.spawn(["sleep", "1000"], {"PATH": "/usr/bin:/bin"}, sys.argv[1])
print(process.pid, flush=True)
sys.stdin.readline()
"""


def test_it_dies_with_a_killed_agent(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _AGENT, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as agent:
        assert agent.stdout is not None
        pid = int(agent.stdout.readline())
        assert alive(pid)
        agent.kill()
    until(lambda: not alive(pid), "the workload died with its agent")


def test_it_outlives_the_thread_that_asked_for_it(tmp_path: Path) -> None:
    """The parent-death signal is about threads; a pool's thread may end at any time."""
    made: list[_native.Process] = []
    thread = threading.Thread(target=lambda: made.append(shell("echo up; sleep 1000", tmp_path)))
    thread.start()
    thread.join()
    assert line(made[0]) == "up"
    until(lambda: not any(t.name == thread.name for t in threading.enumerate()), "the thread is gone")
    assert made[0].poll() is None
    close(made[0])


def test_an_ignored_child_signal_loses_no_ending(tmp_path: Path) -> None:
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        assert finish(shell("exit 7", tmp_path)).code == 7
    finally:
        signal.signal(signal.SIGCHLD, before)


def test_a_forked_copy_of_the_agent_can_spawn_too(tmp_path: Path) -> None:
    script = (
        "import os, sys\nfrom pathlib import Path\nfrom tests.fakes.spawned import run\n"
        "run(['true'], Path(sys.argv[1]))\n"
        "pid = os.fork()\n"
        "if pid == 0: os._exit(run(['sh', '-c', 'exit 9'], Path(sys.argv[1])).code)\n"
        "print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))\n"
    )
    command = [sys.executable, "-W", "ignore", "-c", script, str(tmp_path)]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "9\n"


def _own_children() -> set[int]:
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text()
            except (FileNotFoundError, ProcessLookupError):
                continue
            if int(stat.rsplit(")", 1)[1].split()[1]) == os.getpid():
                found.add(int(entry.name))
    return found


def test_two_hundred_processes_leave_no_descriptor_no_zombie_and_no_thread(tmp_path: Path) -> None:
    def held() -> tuple[int, int, set[int]]:
        fds, tasks = (len(list(Path(f"/proc/self/{kind}").iterdir())) for kind in ("fd", "task"))
        return fds, tasks, _own_children()

    run(["true"], tmp_path)
    before = held()
    for number in range(200):
        if number % 4 == 0:
            with pytest.raises(NativeError):
                start(["no-such-command-here"], tmp_path)
        else:
            finish(shell("sleep 1000 & exit 0" if number % 4 == 1 else "exit 0", tmp_path))
    gc.collect()
    assert held() == before


def test_many_threads_spawn_at_once(tmp_path: Path) -> None:
    codes: list[int | None] = []

    def work(first: int) -> None:
        codes.extend(finish(shell(f"exit {first + n}", tmp_path)).code for n in range(10))

    threads = [threading.Thread(target=work, args=(10 * n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(code for code in codes if code is not None) == list(range(80))


# ---- reaping as init does

_INIT = """
import ctypes, os, sys, time
from pathlib import Path
from swarmlet import _native
from tests.fakes.spawned import finish, shell, until

here = Path(sys.argv[1])
assert _native.reap_orphans() == 0, "orphans do not come to an ordinary process"
if os.fork() == 0:
    os._exit(0)
until(lambda: open('/proc/self/task/%d/children' % os.getpid()).read().strip() != '', "a child ended")
assert _native.reap_orphans() == 0, "and it leaves other children alone"
os.wait()

PR_SET_CHILD_SUBREAPER = 36
assert ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0
owned = [shell("exit 5", here) for _ in range(3)]
strays = shell("for n in 1 2 3; do setsid -f sleep 0.05; done; exit 6", here)
assert finish(strays).code == 6
reaped = 0
def all_reaped():
    global reaped
    reaped += _native.reap_orphans()
    return reaped == 3
until(all_reaped, "three orphans")
assert [finish(process).code for process in owned] == [5, 5, 5], "what is owned was left to its owner"
assert _native.reap_orphans() == 0
print("done")
"""


def test_orphans_are_reaped_and_no_ending_is_stolen(tmp_path: Path) -> None:
    command = [sys.executable, "-W", "ignore", "-c", _INIT, str(tmp_path)]
    asked = subprocess.run(command, capture_output=True, text=True, check=False, timeout=50)
    assert (asked.stdout, asked.stderr) == ("done\n", "")


# ---- the agent itself


def test_a_hardened_process_is_closed_to_others_of_its_user() -> None:
    script = (
        "import ctypes, resource\nfrom swarmlet import _native\n"
        "print(_native.harden(), end=' ')\n"
        "print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0), resource.getrlimit(resource.RLIMIT_CORE))\n"
    )
    asked = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert asked.stdout == "[] 0 (0, 0)\n"


def test_a_hardened_agent_spawns_as_before(tmp_path: Path) -> None:
    script = (
        "import sys\nfrom pathlib import Path\n"
        "from swarmlet import _native\nfrom tests.fakes.spawned import run\n"
        "_native.harden()\nended = run(['sh', '-c', 'echo out; exit 4'], Path(sys.argv[1]))\n"
        "print(ended.code, ended.out)\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path)]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "4 b'out\\n'\n"


def test_open_files_are_limited_and_core_files_forbidden(tmp_path: Path) -> None:
    script = "import resource as r; print(r.getrlimit(r.RLIMIT_NOFILE), r.getrlimit(r.RLIMIT_CORE))"
    assert python(script, tmp_path, max_files=64).out == b"(64, 64) (0, 0)\n"
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    assert python(script, tmp_path, max_files=1 << 40).out.decode() == f"({hard}, {hard}) (0, 0)\n"


def test_this_build_says_what_it_is() -> None:
    info = _native.build_info()
    assert info["target"].endswith(("-linux-gnu", "-linux-musl"))
    assert info["version"]
