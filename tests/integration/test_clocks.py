"""Clocks that lie, by real processes: T6 (expiry and skew), C4 (renewal), C10 (what time is).

libfaketime moves the wall clock of one process and leaves the boot clock alone, as a dead battery or a
zealous time server does. The coordinator's clock is moved too: it alone judges tokens and certificates.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from swarmlet.report import local
from tests.integration.harness import Running, World, eventually
from tests.integration.hostile import fill, no_traceback, refused, small_disk
from tests.integration.namespaces import Host

LIBRARY = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)
pytestmark = [
    pytest.mark.skipif(LIBRARY is None, reason="libfaketime (Debian: faketime) is not installed"),
    pytest.mark.timeout(120),
]

#: What each device believes: no battery, summer time, another summer time, after the end of 32-bit seconds.
BELIEFS = {
    "y1970": "@1970-01-01 00:10:00",
    "behind": "-1h",
    "ahead": "+1h",
    "y2038": "@2038-02-01 00:00:00",
}
LEASE_S = 15.0
#: The device whose disk is full when its certificate is to be renewed.
CRAMPED = "ahead"


class Clocks(World):
    """A world in which every process has a wall clock of its own."""

    def believe(self, who: str, when: str) -> None:
        """Set a wall clock: ``@DATE`` or an offset; takes effect at its next reading."""
        file = self._file(who)
        draft = file.with_suffix(".new")
        draft.write_text(when)
        draft.replace(file)

    def _file(self, who: str) -> Path:
        return self.directory / f"{who}.time"

    def start(self, words: Sequence[str], log: str, host: Host | None = None, **env: str) -> Running:
        who = log.removesuffix(".log")
        if not self._file(who).exists():
            self.believe(who, "+0")
        faked = {
            "LD_PRELOAD": str(LIBRARY),
            "FAKETIME_TIMESTAMP_FILE": str(self._file(who)),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "DONT_FAKE_MONOTONIC": "1",
        }
        return super().start(words, log, host, **faked, **env)

    def restart_coordinator(self, when: str) -> None:
        """Cut the coordinator's power and start it at another time."""
        assert self.coordinator is not None
        self.coordinator.kill()
        self.believe("coordinator", when)
        self.start_coordinator()

    def serials(self) -> dict[str, str]:
        """Return every device's certificate."""
        return {one["name"]: one["certificate_serial"] for one in self.view("nodes", "ls")["items"]}

    def history(self) -> list[str]:
        """Return what happened to nodes since the cluster began, oldest first."""
        return [one["action"] for one in reversed(self.view("audit", "--limit", "1000")["items"])]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clocks]:
    made = Clocks(tmp_path_factory.mktemp("clocks"))
    made.start_coordinator()
    disk = contextlib.ExitStack()
    if os.geteuid() == 0:
        disk.enter_context(small_disk(made.directory / CRAMPED, "256k"))
    try:
        for name, belief in BELIEFS.items():
            made.believe(name, belief)
            made.device(name, token=made.token())
        yield made
        no_traceback(made)
    finally:
        made.end()
        disk.close()
        for one in made.running:
            print(f"---- {one.log.name}\n{one.output[-4000:]}")


def test_t6_a_device_joins_whatever_its_clock_says(world: Clocks) -> None:
    for name in BELIEFS:
        world.wait_state(name, "ready")
    says = {one.log.stem: one.output for one in world.running}
    assert "clock skew 56 y" in says["y1970"]
    assert "by this device's clock the token expired 11 y ago; the cluster's clock decides" in says["y2038"]
    for name in ("y1970", "behind", "ahead"):
        assert "expired" not in says[name]


def test_g2_members_hear_each_other_whatever_their_clocks_say(world: Clocks) -> None:
    """Packets tell cluster time, which is the coordinator's word and not a clock's."""

    def seen() -> bool:
        answers = [local.ask(str(world.directory / name), local.Command("status"), 10) for name in BELIEFS]
        return all(isinstance(one, dict) and one["gossip"]["alive"] == len(BELIEFS) + 1 for one in answers)

    eventually(seen, "every device and the coordinator seeing all", 60)
    told = [one["what"] for one in world.view("events", "--limit", "500")["items"]]
    assert "unreachable" not in told


def test_c10_jumps_of_every_wall_clock_expire_no_lease_and_disturb_no_work(world: Clocks) -> None:
    for name in BELIEFS:
        world.wait_state(name, "ready")
    world.stratoswarm_ok(
        "run", "--name", "ticking", "--replicas", "4", "--on-partition", "stop", "--", "sleep", "600"
    )
    before = {one["name"]: one["since_ms"] for one in world.view("nodes", "ls")["items"]}
    work = world.view("inspect", "ticking")["assignments"]
    until = time.monotonic() + LEASE_S + 1.0
    jump = 0
    while time.monotonic() < until:
        jump += 1
        for number, who in enumerate((*BELIEFS, "coordinator")):
            world.believe(
                who, ("+1h", "-1h", "@1970-01-02 00:00:00", "@2038-02-01 00:00:00")[(jump + number) % 4]
            )
        time.sleep(0.4)
    for who in (*BELIEFS, "coordinator"):
        world.believe(who, "+0")
    after = world.view("nodes", "ls")["items"]
    assert {one["name"]: one["since_ms"] for one in after} == before
    assert {one["state"] for one in after} == {"ready"}
    assert world.view("inspect", "ticking")["assignments"] == work
    assert world.stratoswarm("audit").returncode == 0


def test_c4_and_t6_half_a_day_later_every_device_renews_and_old_tokens_are_over(
    world: Clocks, tmp_path: Path
) -> None:
    old = tmp_path / "old"
    old.write_text(world.token("--expires", "2h"))
    old.chmod(0o600)
    for name, belief in BELIEFS.items():
        world.wait_state(name, "ready")
        world.believe(name, belief)
    before = world.serials()
    cramped = os.geteuid() == 0
    filler = fill(world.directory / CRAMPED) if cramped else None
    world.restart_coordinator("+15h")
    renewed = set(before) - ({CRAMPED} if cramped else set())
    eventually(lambda: renewed <= changed(before, world.serials()), "every device with room renewing")
    # A renewal is no absence: since the coordinator is back each of them came back once, and none was missed.
    assert world.coordinator is not None
    since = world.coordinator.output.rpartition("the coordinator is ready")[2]
    states = [line for line in since.splitlines() if re.search(r'"node (suspect|ready|down)"', line)]
    told = re.findall(r'"node":"(\w+)"', "".join(states))
    assert sorted(name for name in told if name in renewed) == sorted(renewed), states
    if filler is not None:
        # Half of the old certificate's time is left: it stays in use; that is said once, not at every beat.
        agent = next(one for one in world.running if one.log.stem == CRAMPED)
        eventually(
            lambda: "the renewed certificate was not taken" in agent.output, "the full disk being told"
        )
        assert world.wait_state(CRAMPED, "ready")["certificate_serial"] == before[CRAMPED]
        assert agent.output.count("the renewed certificate was not taken") == 1
        filler.unlink()
    # The device that is still yesterday, and says so, is told by the clock that decides.
    done = world.swarmlet("join", "--once", "--token-file", str(old), "--data-dir", str(tmp_path / "late"))
    assert "expired 13 h ago" in refused(done, "SWL-104", 4)
    assert not (tmp_path / "late" / "identity").exists()


def changed(before: dict[str, str], after: dict[str, str]) -> set[str]:
    """Return the devices that have another certificate than before."""
    return {name for name, serial in before.items() if after.get(name, serial) != serial}


def test_c4_certificates_that_ran_out_while_the_coordinator_was_away_are_renewed_and_work_goes_on(
    world: Clocks,
) -> None:
    before = world.serials()
    work = [one["assignment_id"] for one in world.view("inspect", "ticking")["assignments"]]
    world.restart_coordinator("+75h")
    eventually(lambda: changed(before, world.serials()) == set(before), "every device renewing")
    for name in BELIEFS:
        world.wait_state(name, "ready")
    eventually(lambda: world.view("inspect", "ticking")["running"] == 4, "all work running")
    assert world.coordinator is not None
    # On a machine too slow for a lease of 15 s a node may be given up; then its work moved, as it should.
    if "node down" not in world.coordinator.output.rpartition("the coordinator is ready")[2]:
        found = [one["assignment_id"] for one in world.view("inspect", "ticking")["assignments"]]
        assert found == work
    assert world.stratoswarm("audit").returncode == 0


@pytest.mark.parametrize("when", ["+2h", "@1970-01-01 00:10:00"], ids=["set back by days", "no battery"])
def test_a_coordinator_whose_clock_goes_back_keeps_its_members_and_says_so(world: Clocks, when: str) -> None:
    before = world.view("cluster", "status")["now_ms"]
    world.restart_coordinator(when)
    # Connections that were cut often lately are tried again after a while: work may have moved meanwhile.
    for name in BELIEFS:
        world.wait_state(name, "ready", 60)
    eventually(lambda: world.view("inspect", "ticking")["running"] == 4, "all work running")
    assert world.view("cluster", "status")["now_ms"] >= before
    for command in (["cluster", "status"], ["nodes", "ls"]):
        said = world.stratoswarm(*command).stderr
        assert "before what this cluster recorded" in said
        assert "set the clock" in said
    # A newcomer joins at the cluster's time, whatever the clock says.
    newcomer = f"late{len(when)}"
    world.device(newcomer, token=world.token())
    world.wait_state(newcomer, "ready")
    assert world.stratoswarm("audit").returncode == 0
