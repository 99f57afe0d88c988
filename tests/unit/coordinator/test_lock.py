from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from swarmlet.coordinator.lock import held
from swarmlet.errors import SwarmletError

_HOLD = """
import sys, time
from pathlib import Path
from swarmlet.coordinator.lock import held
with held(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_second_coordinator_is_told_who_runs(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", _HOLD, str(tmp_path)], stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(SwarmletError, match=rf"SWL-306.*process {other.pid}"), held(tmp_path):
            pass
        other.kill()
        other.wait()
    with held(tmp_path):
        pass


def test_the_lock_can_be_taken_again_after_it_was_given_back(tmp_path: Path) -> None:
    for _ in range(2):
        with held(tmp_path):
            pass


def test_a_directory_that_is_not_there_is_an_error_of_the_catalogue(tmp_path: Path) -> None:
    with pytest.raises(SwarmletError, match="SWL-601"), held(tmp_path / "missing"):
        pass
