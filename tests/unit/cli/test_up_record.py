"""What ``up`` keeps running is found again, and nothing else is taken for it."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from swarmlet.cli.cluster import main
from swarmlet.cli.up_record import Entry, Record, started, writing
from swarmlet.errors import SwarmletError


@contextmanager
def sleeping() -> Iterator[subprocess.Popen[bytes]]:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    try:
        yield child
    finally:
        child.kill()
        child.wait()


@pytest.fixture
def record(tmp_path: Path) -> Record:
    return Record(str(tmp_path))


def as_if_killed(record: Record) -> None:
    """Let the record name a keeper that is gone."""
    file = Path(record.path)
    file.write_text(file.read_text().replace(f"up {os.getpid()} ", "up 1 0"))


def test_a_second_up_is_refused_while_the_first_lives(record: Record) -> None:
    record.check()
    record.write([])
    with pytest.raises(SwarmletError) as caught:
        record.check()
    assert (caught.value.code, caught.value.fields["pid"]) == ("SWL-306", str(os.getpid()))
    record.remove()
    record.check()


def test_what_a_killed_up_left_is_ended_and_named(record: Record) -> None:
    with sleeping() as child:
        record.write([("coordinator", child.pid)])
        as_if_killed(record)
        record.check()
        assert record.end_leftovers() == [f"coordinator (process {child.pid})"]
        assert child.wait(10) == -15
    assert not Path(record.path).exists()
    assert record.end_leftovers() == []


def test_down_ends_what_a_killed_up_left_and_says_when_there_is_nothing(record: Record) -> None:
    with sleeping() as child:
        record.write([("node", child.pid)])
        as_if_killed(record)
        record.stop()
        assert child.wait(10) == -15
    with pytest.raises(SwarmletError) as caught:
        record.stop()
    assert caught.value.code == "SWL-700"


@pytest.mark.parametrize("change", ["another start", "another boot", "no record of ours"])
def test_a_process_that_has_the_pid_by_now_is_left_alone(record: Record, change: str) -> None:
    with sleeping() as child:
        record.write([("node", child.pid)])
        as_if_killed(record)
        file = Path(record.path)
        text = file.read_text()
        if change == "another start":
            file.write_text(text.replace(f"node {child.pid} {started(child.pid)}", f"node {child.pid} 1"))
        elif change == "another boot":
            file.write_text("another\n" + text.split("\n", 1)[1])
        else:
            file.write_text(f"{child.pid}\n")
        assert record.end_leftovers() == []
        assert child.poll() is None


def test_a_corpse_is_not_alive() -> None:
    with sleeping() as child:
        entry = Entry("node", child.pid, started(child.pid))
        assert entry.alive
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert not entry.alive


@pytest.mark.parametrize("below", ["", "/below"])
@pytest.mark.parametrize("words", ["up", "up --detach", "down", "nodes ls"])
def test_a_file_is_no_data_directory(
    tmp_path: Path, words: str, below: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "file"
    file.write_text("precious")
    assert main([*words.split(), "--data-dir", f"{file}{below}"]) == 1
    assert f"error SWL-301: the data directory {file}{below} cannot be written" in capsys.readouterr().err
    assert file.read_text() == "precious"


@pytest.mark.parametrize("code", ["SWL-301", "SWL-302"])
def test_a_record_that_cannot_be_written_says_why(record: Record, code: str) -> None:
    number = errno.EROFS if code == "SWL-301" else errno.ENOSPC
    with pytest.raises(SwarmletError) as caught, writing("/data"):
        raise OSError(number, os.strerror(number))
    assert caught.value.code == code
    Path(record.path).with_suffix(".pid.new").mkdir()  # in the way of the draft
    with pytest.raises(SwarmletError, match="SWL-301"):
        record.write([])
