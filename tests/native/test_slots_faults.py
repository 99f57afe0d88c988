"""The two-slot file when the disk refuses, a step fails, or the process is killed at any moment (N1)."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from swarmlet._native import NativeError, SlotFile

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


def store(directory: Path) -> SlotFile:
    return SlotFile(str(directory), b"TESTSLOT")


def kind_of(failure: pytest.ExceptionInfo[NativeError]) -> str:
    kind: str = failure.value.args[0]
    return kind


# ---- refusing disks


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 KiB."""
    where = tmp_path / "disk"
    where.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k,mode=0700", "swarmlet-test", where],
        check=False,
        capture_output=True,
    )
    if mounted.returncode != 0:
        pytest.skip("file systems cannot be mounted here")
    yield where
    subprocess.run(["umount", where], check=True)


@root_only
def test_a_full_disk_is_told_and_what_was_on_it_is_unharmed(small_disk: Path) -> None:
    slots = store(small_disk / "s")
    slots.save(b"one")
    slots.save(b"two")
    (small_disk / "filler").write_bytes(bytes(200 * 1024))
    with pytest.raises(NativeError) as failure:
        slots.save(bytes(100 * 1024))
    assert kind_of(failure) == "disk-full"
    assert str(small_disk) in failure.value.args[1]
    assert slots.load() == (2, b"two")
    assert sorted(entry.name for entry in (small_disk / "s").iterdir()) == ["a", "b"]
    (small_disk / "filler").unlink()
    assert slots.save(bytes(100 * 1024)) == 3


@root_only
def test_a_read_only_disk_is_told(small_disk: Path) -> None:
    slots = store(small_disk / "s")
    slots.save(b"one")
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    with pytest.raises(NativeError) as failure:
        slots.save(b"two")
    assert kind_of(failure) == "read-only"
    assert slots.load() == (1, b"one")
    with pytest.raises(NativeError) as failure:
        store(small_disk / "new").save(b"x")
    assert kind_of(failure) == "read-only"


def test_a_directory_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(NativeError) as failure:
        store(tmp_path / "file" / "s").save(b"x")
    assert kind_of(failure) == "slots-unwritable"


@root_only
def test_a_user_without_the_right_to_it_is_told(tmp_path: Path) -> None:
    """A child without root's powers asks for slots it may neither read nor write."""
    directory = tmp_path / "s"
    store(directory).save(b"secret")
    script = (
        "import sys; from swarmlet._native import SlotFile, NativeError\n"
        "for work in (lambda s: s.load(), lambda s: s.save(b'x')):\n"
        "    try: work(SlotFile(sys.argv[1], b'TESTSLOT')); print('done')\n"
        "    except NativeError as failure: print(failure.args[0])\n"
    )
    asked = subprocess.run(
        [
            "setpriv",
            "--reuid=12345",
            "--clear-groups",
            "--inh-caps=-all",
            sys.executable,
            "-c",
            script,
            directory,
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert asked.stdout.split() == ["slots-unreadable", "slots-unwritable"]


# ---- a fault at each step of a save

_STRACE = ("strace", "-f", "-qq", "-o", "/dev/null")
needs_strace = pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")

_ONE_SAVE = """
import sys
from swarmlet._native import SlotFile, NativeError
try:
    print(SlotFile(sys.argv[1], b"TESTSLOT").save(b"three"))
except NativeError as failure:
    print(failure.args[0])
"""

#: A system call of a save, which one of its kind, and whether the save is on disk before it.
_STEPS = [("write", 1, False), ("fsync", 1, False), ("rename", 1, False), ("fsync", 2, True)]


def _save_with_fault(directory: Path, call: str, count: int, fault: str) -> subprocess.CompletedProcess[str]:
    # Only calls about the temporary file or the directory are counted: starting Python writes and reads too.
    about = ["-P", directory / "a.new", "-P", directory]
    inject = f"inject={call}:{fault}:when={count}"
    return subprocess.run(
        [*_STRACE, *about, "-e", f"trace={call}", "-e", inject, sys.executable, "-c", _ONE_SAVE, directory],
        capture_output=True,
        text=True,
        check=False,
    )


@needs_strace
@pytest.mark.parametrize(("call", "count", "on_disk"), _STEPS)
def test_a_kill_at_each_step_leaves_the_old_slots_or_the_new_one(
    tmp_path: Path, call: str, count: int, *, on_disk: bool
) -> None:
    slots = store(tmp_path)
    slots.save(b"one")
    slots.save(b"two")
    ended = _save_with_fault(tmp_path, call, count, "signal=KILL")
    assert ended.returncode == -signal.SIGKILL, ended
    assert ended.stdout == ""
    assert slots.load() == ((3, b"three") if on_disk else (2, b"two"))
    assert slots.damaged() == []
    assert slots.save(b"after") == (4 if on_disk else 3)


@needs_strace
@pytest.mark.parametrize(
    ("errno", "kind"),
    [("EIO", "slots-unwritable"), ("ENOSPC", "disk-full"), ("EDQUOT", "disk-full"), ("EROFS", "read-only")],
)
@pytest.mark.parametrize(("call", "count", "on_disk"), _STEPS)
def test_an_error_at_each_step_is_told_and_harms_nothing(
    tmp_path: Path, call: str, count: int, errno: str, kind: str, *, on_disk: bool
) -> None:
    slots = store(tmp_path)
    slots.save(b"one")
    slots.save(b"two")
    told = _save_with_fault(tmp_path, call, count, f"error={errno}").stdout.strip()
    assert told == kind, "what cannot be synced is not acknowledged"
    assert slots.load() == ((3, b"three") if on_disk else (2, b"two"))
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["a", "b"]


@needs_strace
def test_a_sector_that_cannot_be_read_is_damage_and_the_other_slot_is_used(tmp_path: Path) -> None:
    slots = store(tmp_path)
    slots.save(b"one")
    slots.save(b"two")
    script = "import sys; from swarmlet._native import SlotFile; s = SlotFile(sys.argv[1], b'TESTSLOT')\n"
    script += "print(s.load(), len(s.damaged()))"
    python = [sys.executable, "-c", script, tmp_path]
    asked = subprocess.run(
        [*_STRACE, "-P", tmp_path / "b", "-e", "trace=read", "-e", "inject=read:error=EIO", *python],
        capture_output=True,
        text=True,
        check=True,
    )
    assert asked.stdout.strip() == "(1, b'one') 1"


# ---- kill -9

#: As many as C4 asks of renewals.
KILLS = 1000


def saves_until_killed(slots: SlotFile, chance: random.Random, told: int) -> None:
    """Save for ever and tell each generation; runs in a forked child and ends only with it."""
    try:
        while True:
            size = chance.choice((10, 1000, 50_000))
            os.write(told, f"{slots.save(chance.randbytes(size))}\n".encode())
    finally:
        os._exit(1)


@pytest.mark.timeout(180)
def test_no_kill_at_any_moment_tears_or_loses_an_acknowledged_save(tmp_path: Path, seed: int) -> None:
    """N1, C4: a child saves in a loop and is killed at any moment; each time what it last told is there."""
    chance = random.Random(seed)
    slots = store(tmp_path / "s")
    newest = 0
    for kill in range(KILLS):
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            saves_until_killed(slots, random.Random(seed + kill), writing)
        os.close(writing)
        with os.fdopen(reading) as lines:
            told = int(lines.readline())
            # From the first save on, at any moment of the next few.
            threading.Event().wait(chance.random() * 0.004)
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            told = max([told, *(int(line) for line in lines if line.endswith("\n"))])
        loaded = slots.load()
        assert loaded is not None, f"kill {kill}"
        assert newest < told <= loaded[0] <= told + 1, f"kill {kill}"
        assert slots.damaged() == [], f"kill {kill}"
        newest = loaded[0]
    names = {entry.name for entry in (tmp_path / "s").iterdir()}
    assert names <= {"a", "b", "a.new", "b.new"}, "crashes leave no growing litter"
