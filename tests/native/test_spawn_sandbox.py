"""What a workload may not do: to files, to the kernel, to other processes, and to its own privileges (W2)."""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from swarmlet import _native
from tests.fakes.spawned import alive, close, finish, line, python, run, shell, start

ENFORCED = _native.enforcement()
root_only = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
landlock = pytest.mark.skipif(ENFORCED["files"] != "landlock", reason="this kernel has no whole Landlock")
seccomp = pytest.mark.skipif(ENFORCED["syscalls"] != "seccomp", reason="this kernel takes no filters")

#: A user without an account.
UID = 47_123

#: Tries an action and prints the name of the error, or "done".
_TRY = """
import errno, os, sys
def attempt(action):
    try:
        action()
    except OSError as failure:
        print(errno.errorcode[failure.errno], flush=True)
    else:
        print("done", flush=True)
"""


def attempts(directory: Path, *actions: str, **options: object) -> list[str]:
    """Try Python expressions in the sandbox and return what came of each."""
    script = _TRY + "\n".join(f"attempt(lambda: {action})" for action in actions)
    ended = python(script, directory, **options)
    assert ended.code == 0, ended
    return ended.out.decode().split()


# ---- privileges


def test_there_is_nothing_to_gain_and_nothing_left(tmp_path: Path) -> None:
    status = run(["cat", "/proc/self/status"], tmp_path).out.decode()
    fields = dict(row.split(":", 1) for row in status.splitlines())
    assert fields["NoNewPrivs"].strip() == "1"
    for kind in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
        assert int(fields[kind], 16) == 0, kind


@root_only
def test_a_user_of_its_own_is_all_it_is(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    tmp_path.chmod(0o755)
    for parent in list(tmp_path.parents)[:2]:
        parent.chmod(0o755)
    status = run(["cat", "/proc/self/status"], tmp_path / "work", uid=UID, gid=UID + 1).out.decode()
    fields = dict(row.split(":", 1) for row in status.splitlines())
    assert fields["Uid"].split() == [str(UID)] * 4
    assert fields["Gid"].split() == [str(UID + 1)] * 4
    assert fields["Groups"].split() == []
    assert int(fields["CapBnd"], 16) == 0
    facts = (tmp_path / "work").stat()
    assert (facts.st_uid, facts.st_gid) == (UID, UID + 1), "the directory is given to it"
    alone = run(["id", "-g"], tmp_path / "work", uid=UID)
    assert alone.out.split() == [str(UID).encode()], "without a group it has one of its own"


@root_only
def test_a_set_user_id_program_gives_nothing_back(tmp_path: Path) -> None:
    copy = tmp_path / "id"
    copy.write_bytes(Path("/usr/bin/id").read_bytes())
    copy.chmod(0o4755)
    for parent in (tmp_path, *list(tmp_path.parents)[:2]):
        parent.chmod(0o755)
    (tmp_path / "work").mkdir()
    assert run([str(copy), "-u"], tmp_path / "work", uid=UID).out.split() == [str(UID).encode()]


@root_only
def test_root_without_a_user_for_it_still_has_no_powers(tmp_path: Path) -> None:
    foreign = tmp_path / "foreign"
    foreign.write_text("x")
    os.chown(foreign, UID, UID)
    foreign.chmod(0o600)
    # Writing there is allowed by Landlock; what is missing is the capability.
    assert attempts(tmp_path, "open('foreign')", "os.chown('.', 1, 1)", "os.setuid(1)") == [
        "EACCES",
        "EPERM",
        "EPERM",
    ]


# ---- files


@landlock
def test_files_are_written_only_in_its_directory_and_where_allowed(tmp_path: Path) -> None:
    own, lent, other = (tmp_path / name for name in ("own", "lent", "other"))
    for directory in (own, lent, other):
        directory.mkdir(mode=0o777)
        (directory / "there").write_text("content")
    (other / "file").write_text("content")
    said = attempts(
        own,
        "open('new', 'w')",
        f"open('{lent}/new', 'w')",
        f"open('{other}/new', 'w')",
        f"open('{other}/there', 'a')",
        f"os.truncate('{other}/there', 0)",
        f"os.unlink('{other}/there')",
        f"os.rename('{other}/there', '{own}/taken')",
        f"os.link('{other}/there', '{own}/linked')",
        f"os.mkdir('{other}/made')",
        f"os.symlink('x', '{other}/made')",
        "open('/tmp/swarmlet-escaped', 'w')",
        "os.mkdir('sub')",
        "os.rename('new', 'sub/moved')",
        f"open('{other}/there').read()",
        f"os.mkfifo('{own}/fifo')",
        f"os.mknod('{own}/disk', 0o60600, os.makedev(8, 0))",
        writable=[str(lent)],
    )
    denied = "EACCES"
    # Moving across the border is EXDEV, as between file systems, so that programs copy instead.
    assert said[:6] == ["done", "done", denied, denied, denied, denied]
    assert said[6] in {denied, "EXDEV"}
    assert said[7] in {denied, "EXDEV"}
    assert said[8:] == [denied, denied, denied, "done", "done", "done", "done", said[-1]]
    assert said[-1] in {denied, "EPERM"}
    assert (other / "there").read_text() == "content"


@landlock
def test_a_single_file_can_be_lent(tmp_path: Path) -> None:
    own, lent = tmp_path / "own", tmp_path / "lent"
    own.mkdir()
    lent.write_text("")
    beside = tmp_path / "beside"
    beside.write_text("")
    actions = (f"open('{lent}', 'w').write('x')", f"open('{beside}', 'w')")
    assert attempts(own, *actions, writable=[str(lent), str(tmp_path / "missing")]) == ["done", "EACCES"]


@landlock
def test_the_agents_data_cannot_be_read_except_its_own_part(tmp_path: Path) -> None:
    data = tmp_path / "data"
    own, other = data / "work" / "one", data / "work" / "two"
    for directory in (own, other, data / "identity"):
        directory.mkdir(parents=True)
    for secret in (data / "identity" / "a", other / "output", data / "token.key"):
        secret.write_text("secret")
    (tmp_path / "public").write_text("public")
    (own / "mine").write_text("mine")
    said = attempts(
        own,
        f"open('{data}/identity/a')",
        f"open('{other}/output')",
        f"open('{data}/token.key')",
        "open('../../identity/a')",
        "open('/proc/self/cwd/../../identity/a')",
        f"os.symlink('{data}/identity/a', 'link')",
        "open('link')",
        f"os.link('{data}/identity/a', 'hard')",
        f"open('{tmp_path}/public')",
        "open('mine')",
        "open('new', 'w')",
        hidden=[str(data)],
    )
    denied = "EACCES"
    assert said[:7] == [denied, denied, denied, denied, denied, "done", denied]
    assert said[7] in {denied, "EXDEV", "EPERM"}
    assert said[8:] == ["done", "done", "done"]


@landlock
def test_hiding_goes_by_where_a_directory_is_not_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "real" / "work").mkdir(parents=True)
    (tmp_path / "real" / "secret").write_text("secret")
    (tmp_path / "alias").symlink_to(tmp_path / "real")
    actions = (f"open('{tmp_path}/real/secret')", f"open('{tmp_path}/alias/secret')")
    said = attempts(tmp_path / "real" / "work", *actions, hidden=[str(tmp_path / "alias")])
    assert said == ["EACCES", "EACCES"]


@landlock
def test_devices_hold_nothing_for_it_but_the_harmless_ones(tmp_path: Path) -> None:
    said = attempts(
        tmp_path,
        "open('/dev/null', 'w').write('x')",
        "open('/dev/zero', 'rb').read(1)",
        "open('/dev/urandom', 'rb').read(1)",
        "open('/dev/kmsg')",
    )
    assert said[:3] == ["done"] * 3
    assert said[3] in {"EACCES", "ENOENT"}
    disks = [path for path in Path("/dev").iterdir() if path.is_block_device()]
    assert set(attempts(tmp_path, *(f"open('{path}', 'rb')" for path in disks))) <= {"EACCES"}


# ---- other processes


@landlock
def test_it_signals_nothing_but_what_it_started(tmp_path: Path) -> None:
    """The agent runs as the same user, so only the sandbox stands between them (Linux 6.12)."""
    other = shell("echo up; sleep 1000", tmp_path)
    assert line(other) == "up"
    actions = ("os.kill(os.getppid(), 0)", f"os.kill({other.pid}, 15)", "os.kill(os.getpid(), 0)")
    said = attempts(tmp_path, *actions)
    if said[0] == "done":
        close(other)
        pytest.skip("this kernel's Landlock has no scope for signals")
    assert said == ["EPERM", "EPERM", "done"]
    assert alive(other.pid)
    close(other)
    own = finish(shell("sleep 1000 & kill $! && wait $!; echo $?", tmp_path))
    assert own.out == b"143\n"


@landlock
def test_it_looks_into_no_process_but_its_own(tmp_path: Path) -> None:
    agent = os.getpid()
    actions = [f"open('/proc/{agent}/{name}', 'rb').read(1)" for name in ("environ", "maps", "auxv")]
    actions += [f"open('/proc/{agent}/mem', 'rb')", f"os.readlink('/proc/{agent}/fd/0')"]
    actions += [f"os.readlink('/proc/{agent}/cwd')", f"open('/proc/{agent}/root/etc/passwd')"]
    said = dict(zip(actions, attempts(tmp_path, *actions), strict=True))
    assert set(said.values()) <= {"EACCES", "EPERM"}, said
    assert attempts(tmp_path, "open('/proc/self/environ').read()") == ["done"]


# ---- the kernel

#: Calls that need no privilege where there is no filter, so that only the filter can refuse them.
_OPEN_TO_ALL = {
    "keyctl": (250, 0, -3, 0),
    "add_key": (248, 0, 0, 0),
    "request_key": (249, 0, 0, 0),
    "ptrace": (101, 0, 0, 0),
    "unshare": (272, 0x10000000, 0, 0),
    "setns": (308, -1, 0, 0),
    "process_vm_readv": (310, 1, 0, 0),
    "bpf": (321, 99, 0, 0),
    "io_uring_setup": (425, 1, 0, 0),
    "userfaultfd": (323, 1, 0, 0),
    "perf_event_open": (298, 0, 0, 0),
}
_PRIVILEGED = {
    "mount": (165, 0, 0, 0),
    "umount2": (166, 0, 0, 0),
    "pivot_root": (155, 0, 0, 0),
    "chroot": (161, 0, 0, 0),
    "reboot": (169, 0, 0, 0),
    "swapon": (167, 0, 0, 0),
    "init_module": (175, 0, 0, 0),
    "finit_module": (313, -1, 0, 0),
    "kexec_load": (246, 0, 0, 0),
    "open_by_handle_at": (304, -1, 0, 0),
    "iopl": (172, 3, 0, 0),
    "settimeofday": (164, 0, 0, 0),
    "fsopen": (430, 0, 0, 0),
    "move_mount": (429, -1, 0, 0),
}
_CALL = """
import ctypes, errno, sys
libc = ctypes.CDLL(None, use_errno=True)
result = libc.syscall(*(ctypes.c_long(int(word)) for word in sys.argv[1:]))
print("done" if result >= 0 else errno.errorcode[ctypes.get_errno()])
"""
x86_64_only = pytest.mark.skipif(os.uname().machine != "x86_64", reason="numbers of another machine")


@seccomp
@x86_64_only
@pytest.mark.parametrize("name", [*_OPEN_TO_ALL, *_PRIVILEGED])
def test_a_dangerous_call_is_refused(tmp_path: Path, name: str) -> None:
    numbers = {**_OPEN_TO_ALL, **_PRIVILEGED}[name]
    ended = python(_CALL, tmp_path, *map(str, numbers))
    assert ended.out == b"EPERM\n", ended


@seccomp
@x86_64_only
def test_without_the_filter_some_of_them_would_not_be(tmp_path: Path) -> None:
    """The tests above mean something only if the kernel itself answers otherwise."""
    libc = ctypes.CDLL(None, use_errno=True)
    answers = {}
    for name in ("keyctl", "process_vm_readv", "io_uring_setup", "setns"):
        result = libc.syscall(*(ctypes.c_long(word) for word in _OPEN_TO_ALL[name]))
        answers[name] = None if result >= 0 else ctypes.get_errno()
    assert all(answer != errno.EPERM for answer in answers.values()), answers


@seccomp
@x86_64_only
def test_neither_clone_makes_a_namespace_and_threads_and_children_still_start(tmp_path: Path) -> None:
    new_user, clone, clone3 = 0x10000000, 56, 435
    assert python(_CALL, tmp_path, str(clone), str(new_user | 17), "0", "0", "0", "0").out == b"EPERM\n"
    assert python(_CALL, tmp_path, str(clone3), "0", "0").out == b"ENOSYS\n"
    script = (
        "import subprocess, threading\n"
        "t = threading.Thread(target=lambda: print('thread', flush=True)); t.start(); t.join()\n"
        "print(subprocess.run(['echo', 'child'], capture_output=True).stdout.decode())\n"
    )
    assert python(script, tmp_path).out.split() == [b"thread", b"child"]


@seccomp
@x86_64_only
def test_the_other_numbering_of_the_machine_is_no_way_around(tmp_path: Path) -> None:
    assert python(_CALL, tmp_path, str(0x40000000 | 165), "0", "0", "0").out == b"EPERM\n"


def test_what_is_reported_is_what_is_put_on(tmp_path: Path) -> None:
    applied = run(["true"], tmp_path).applied
    assert applied["files"] == ENFORCED["files"]
    assert applied["syscalls"] == ENFORCED["syscalls"]
    seen = run(["grep", "-E", "^Seccomp:", "/proc/self/status"], tmp_path).out.split()[1]
    assert seen == (b"2" if applied["syscalls"] == "seccomp" else b"0")


def test_ordinary_programs_run_as_ever(tmp_path: Path) -> None:
    script = (
        "import hashlib, json, socket, sqlite3, ssl, tempfile, zlib, os\n"
        "from concurrent.futures import ThreadPoolExecutor\n"
        "with ThreadPoolExecutor(2) as pool: assert list(pool.map(abs, [-1])) == [1]\n"
        "db = sqlite3.connect('db'); db.execute('create table t(a)'); db.commit()\n"
        "server = socket.create_server(('127.0.0.1', 0))\n"
        "client = socket.create_connection(server.getsockname())\n"
        "assert os.urandom(8) and tempfile.mkstemp(dir='.') and ssl.create_default_context()\n"
        "print(json.dumps('fine'))\n"
    )
    ended = run([sys.executable, "-I", "-W", "ignore", "-c", script], tmp_path)
    assert (ended.code, ended.out) == (0, b'"fine"\n'), ended.err


# ---- kernels that know less

_OLD = """
import os, sys
from pathlib import Path
from swarmlet import _native
from tests.fakes.spawned import finish, run, shell
here = Path(sys.argv[1])
os.set_inheritable(os.open("/etc/passwd", os.O_RDONLY), True)
ended = run(["sh", "-c", "ls /proc/self/fd; exit 3"], here)
print(ended.code, ended.out.split(), ended.applied["files"], _native.enforcement()["files"])
for _ in range(5):
    assert finish(shell("exit 7", here)).code == 7
print(len(os.listdir("/proc/self/task")))
"""


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
def test_an_old_kernel_runs_the_same_with_less_protection_and_says_so(tmp_path: Path) -> None:
    """As Linux 4.19, which Raspberry Pi OS had for long: no pidfd, no close_range, no Landlock."""
    missing = "inject=pidfd_open,close_range,landlock_create_ruleset:error=ENOSYS"
    traced = [
        "strace",
        "-f",
        "-qq",
        "-o",
        "/dev/null",
        "-e",
        "trace=pidfd_open,close_range,landlock_create_ruleset",
    ]
    command = [*traced, "-e", missing, sys.executable, "-c", _OLD, str(tmp_path)]
    asked = subprocess.run(command, capture_output=True, text=True, check=False, timeout=50)
    assert asked.stdout.splitlines()[:1] == ["3 [b'0', b'1', b'2', b'3'] unenforced unenforced"], asked
    # One thread of Python's, one that starts; those that watched have ended.
    assert asked.stdout.splitlines()[1:] == ["2"]


# ---- the container engine, which is as good as root

_ENGINE = """
import os, sys
from pathlib import Path
from swarmlet import _native
from tests.fakes.spawned import finish, start
place, engine, gid, script = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4]
if gid:
    os.setgroups([gid])
    os.setresgid(47_123, 47_123, 47_123)
    os.setresuid(47_123, 47_123, 47_123)
ended = finish(start(["/usr/bin/perl", "-MSocket", "-e", script], place, engines=[engine]))
print(ended.applied["engine"], ended.out.decode(), ended.err.decode(), sep="|")
"""
#: In Perl, which every user of a machine may run; this interpreter may lie below a private home.
_CALL_ENGINE = """
socketpair(my $a, my $b, AF_UNIX, SOCK_STREAM, 0) or die "no pair: $!";
socket(my $c, AF_INET, SOCK_STREAM, 0) or die "no inet: $!";
my $made = socket(my $s, AF_UNIX, SOCK_STREAM, 0) && connect($s, sockaddr_un("{path}"));
print $made ? "connected" : "refused: $!";
"""
perl = pytest.mark.skipif(not Path("/usr/bin/perl").exists(), reason="needs perl")


@root_only
@seccomp
@perl
@pytest.mark.parametrize("gid", [47_200, 0], ids=["a user in the engine's group", "root"])
def test_an_agent_that_cannot_give_up_its_groups_keeps_workloads_from_the_engine(
    tmp_path: Path, gid: int
) -> None:
    place = Path(tempfile.mkdtemp(dir="/var/tmp"))
    try:
        (place / "work").mkdir()
        (place / "work").chmod(0o777)
        place.chmod(0o755)
        engine = place / "engine.sock"
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(engine))
            os.chown(engine, 0, 47_200)
            engine.chmod(0o660)
            listener.listen()
            script = _CALL_ENGINE.replace("{path}", str(engine))
            words = [sys.executable, "-c", _ENGINE, str(place / "work"), str(engine), str(gid), script]
            said = subprocess.run(words, capture_output=True, text=True, check=True, timeout=60)
        applied, out, err = said.stdout.split("|", 2)
        assert (applied, out.strip(), err.strip()) == (
            "no unix sockets",
            "refused: Operation not permitted",
            "",
        )
    finally:
        shutil.rmtree(place)


@root_only
@perl
def test_a_user_of_its_own_has_no_group_of_ours_and_may_use_unix_sockets(tmp_path: Path) -> None:
    place = tmp_path / "work"
    place.mkdir()
    script = 'print socket(my $s, AF_UNIX, SOCK_STREAM, 0) ? "made in $)" : "no: $!"'
    ended = finish(start(["/usr/bin/perl", "-MSocket", "-e", script], place, uid=UID))
    assert ended.applied["engine"] == "own user"
    assert ended.out.decode() == f"made in {UID}"  # and in no group beside it
