"""A line that goes away with the terminal it carried: what was started by hand there ends in order."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.integration.harness import BIN, World, eventually, free_port
from tests.integration.hostile import no_traceback


class Terminal:
    """A terminal and what runs in it; closing it is what a lost SSH connection does."""

    def __init__(self, words: Sequence[str], place: Path, **env: str) -> None:
        self._near, far = os.openpty()
        os.set_blocking(self._near, False)
        self.text = ""
        self.process = subprocess.Popen(
            ["setsid", "--ctty", *words],
            stdin=far,
            stdout=far,
            stderr=far,
            cwd=place,
            env={**os.environ, **env},
        )
        os.close(far)

    def shows(self, text: str) -> bool:
        """Say whether ``text`` was shown so far."""
        with contextlib.suppress(BlockingIOError):
            self.text += os.read(self._near, 65_536).decode(errors="replace")
        assert self.process.poll() is None, self.text
        return text in self.text

    def close(self) -> None:
        """Lose the line."""
        os.close(self._near)


def agent(world: World, *before: str) -> Terminal:
    file = world.directory / "token"
    file.write_text(world.token())
    file.chmod(0o600)
    return Terminal(
        [
            *before, str(BIN / "swarmlet"), "join", "--token-file", str(file),
            "--data-dir", str(world.directory / "pi"),
        ],
        world.directory,
        SWARM_NODE_NAME="pi", SWARM_API_PORT=str(free_port()),
    )  # fmt: skip


def test_an_agent_whose_terminal_goes_away_ends_in_order(world: World) -> None:
    world.start_coordinator()
    started = agent(world)
    eventually(lambda: started.shows("accepting work"), "the agent being ready")
    world.wait_state("pi", "ready")
    started.close()
    assert started.process.wait(20) == 0
    no_traceback(world)


def test_one_that_was_told_to_outlive_its_terminal_does(world: World) -> None:
    world.start_coordinator()
    started = agent(world, "nohup")
    world.wait_state("pi", "ready")
    started.close()
    with pytest.raises(subprocess.TimeoutExpired):
        started.process.wait(3)
    assert world.wait_state("pi", "ready")
    started.process.terminate()
    assert started.process.wait(20) == 0


@pytest.mark.parametrize(
    "output", ["2>/dev/full", "2>&1 | true", "2>&1 | head -c 1 >/dev/null", "<&- >&- 2>&-"]
)
def test_a_join_goes_on_when_nobody_can_read_what_it_tells(world: World, output: str) -> None:
    world.start_coordinator()
    token = world.directory / "token"
    token.write_text(world.token())
    token.chmod(0o600)
    words = f"{BIN / 'swarmlet'} join --once --token-file {token} --data-dir {world.directory / 'pi'}"
    done = subprocess.run(
        ["bash", "-c", f"{words} {output}; exit ${{PIPESTATUS[0]}}"],
        env={**os.environ, "SWARM_NODE_NAME": "pi"},
        timeout=60,
        check=False,
    )
    assert done.returncode == 0
    assert world.node("pi") is not None
    assert [entry.name for entry in (world.directory / "pi" / "identity").iterdir()] == ["a"]


def test_a_member_runs_on_a_disk_too_full_for_what_it_tells(world: World) -> None:
    world.start_coordinator()
    token = world.token()
    device = world.device("pi", token=token)
    world.wait_state("pi", "ready")
    assert device.stop() == 0
    words = f"exec {BIN / 'swarmlet'} run --data-dir {world.directory / 'pi'} 2>/dev/full"
    again = world.start(["bash", "-c", words], "full.log", SWARM_API_PORT=str(free_port()))
    world.wait_state("pi", "ready")
    assert again.stop() == 0


def test_data_that_nobody_reads_is_no_failure_and_data_that_cannot_be_written_is(world: World) -> None:
    world.start_coordinator()
    words = f"{BIN / 'stratoswarm'} nodes ls --data-dir {world.cluster_dir}"
    for output, code in (("| true", 0), (">/dev/full", 1), (">&- 2>&-", 0)):
        shell = ["bash", "-c", f"{words} {output}; exit ${{PIPESTATUS[0]}}"]
        done = subprocess.run(shell, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == code, done.stderr
        assert "Traceback" not in done.stderr
        assert "Exception ignored" not in done.stderr


def test_a_coordinator_whose_terminal_goes_away_ends_in_order(world: World) -> None:
    place = str(world.directory / "cluster")
    world.stratoswarm_ok("cluster", "init", "--data-dir", place, admin=False)
    words = ["cluster", "start", "--data-dir", place, "--bind", "127.0.0.1", "--port", str(free_port())]
    started = Terminal([str(BIN / "stratoswarm"), *words], world.directory)
    eventually(lambda: started.shows("coordinator is ready"), "the coordinator being ready")
    started.close()
    assert started.process.wait(20) == 0
