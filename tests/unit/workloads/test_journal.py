"""The journal: nothing acknowledged lost, nothing damaged fatal, nothing written without a change."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from msgspec.structs import replace

from swarmlet import _native
from swarmlet.errors import SwarmletError
from swarmlet.model.workload import AssignmentState
from swarmlet.workloads.journal import MAGIC, Journal, JournalState
from swarmlet.workloads.replica import Ending, Phase
from tests.unit.workloads.samples import replica

STATE = JournalState(
    generation=7,
    replicas=(
        replica(env={"A": "ä"}),
        replace(
            replica(name="b.0.2", epoch=2, image="img"),
            phase=Phase.STOPPING,
            ending=Ending(AssignmentState.STOPPED, "stopped as asked"),
        ),
    ),
    fences={"w/0": 1},
)


def test_what_was_saved_is_read_again(tmp_path: Path) -> None:
    Journal(str(tmp_path / "journal")).save(STATE)
    assert Journal(str(tmp_path / "journal")).load() == (STATE, None)


def test_no_journal_yet_is_no_trouble(tmp_path: Path) -> None:
    assert Journal(str(tmp_path / "journal")).load() == (JournalState(), None)


def test_the_same_again_is_not_written(tmp_path: Path) -> None:
    journal = Journal(str(tmp_path))
    assert journal.save(STATE) is True
    assert journal.save(STATE) is False
    again = Journal(str(tmp_path))
    again.load()
    assert again.save(STATE) is False


def test_one_damaged_slot_costs_at_most_the_last_write(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(30):
        journal = Journal(str(tmp_path / "j"))
        journal.load()
        older = journal.load()[0]
        journal.save(replace(STATE, generation=rng.randrange(2**40)))
        newest = journal.load()[0]
        slot = tmp_path / "j" / rng.choice("ab")
        if not slot.exists():
            continue
        data = bytearray(slot.read_bytes())
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        slot.write_bytes(data)
        found, trouble = Journal(str(tmp_path / "j")).load()
        if trouble is None:
            assert found in {newest.generation: newest, older.generation: older}.values()
        else:
            assert older == JournalState()


def test_both_slots_damaged_start_empty_and_keep_the_files_aside(tmp_path: Path) -> None:
    journal = Journal(str(tmp_path))
    journal.save(STATE)
    journal.save(replace(STATE, generation=8))
    for name in "ab":
        (tmp_path / name).write_bytes(b"not a journal")
    state, trouble = Journal(str(tmp_path)).load()
    assert state == JournalState()
    assert trouble is not None
    assert trouble.code == "SWL-309"
    assert (tmp_path / "a.damaged").read_bytes() == b"not a journal"
    fresh = Journal(str(tmp_path))
    assert fresh.load() == (JournalState(), None)
    fresh.save(STATE)
    assert Journal(str(tmp_path)).load() == (STATE, None)


@pytest.mark.parametrize("payload", [b"", b"\xc1", b"\x81\xa7version\x63", b"\x81\xaageneration\xa1x"])
def test_a_whole_slot_with_foreign_content_is_set_aside_too(tmp_path: Path, payload: bytes) -> None:
    _native.SlotFile(str(tmp_path), MAGIC).save(payload)
    state, trouble = Journal(str(tmp_path)).load()
    assert state == JournalState()
    assert trouble is not None
    assert trouble.code == "SWL-309"


def test_a_directory_that_cannot_be_made_is_an_error_of_the_catalogue(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(SwarmletError) as caught:
        Journal(str(tmp_path / "file" / "journal")).save(STATE)
    assert caught.value.code in {"SWL-301", "SWL-302"}


_WRITER = """
import sys
from msgspec.structs import replace
from swarmlet.workloads.journal import Journal, JournalState
journal = Journal(sys.argv[1])
journal.load()
n = int(sys.argv[2])
while True:
    n += 1
    journal.save(JournalState(generation=n, fences={"w/0": n, "pad" * 500: n}))
    print(n, flush=True)
"""


def test_a_kill_at_any_moment_loses_nothing_that_was_saved(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    saved = 0
    for _ in range(8):
        writer = subprocess.Popen(
            [sys.executable, "-c", _WRITER, str(tmp_path / "j"), str(saved)],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert writer.stdout is not None
        for _ in range(rng.randrange(1, 60)):
            saved = int(writer.stdout.readline())
        writer.send_signal(signal.SIGKILL)
        rest = writer.stdout.read().split()
        saved = int(rest[-1]) if rest else saved
        writer.wait(10)
        writer.stdout.close()
        found, trouble = Journal(str(tmp_path / "j")).load()
        assert trouble is None
        assert found.generation in {saved, saved + 1}
        saved = found.generation
    assert not list((tmp_path / "j").glob("*damaged*"))
