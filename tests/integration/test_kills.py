"""Power cuts at random moments: of agents, of the coordinator, of a device that is long away (N1 to N4).

Everything is killed again and again while an administrator goes on working; then it must be as if nothing had
been. The seed is printed with a failure; what it replays is who is cut when, not how the machine schedules.
"""

from __future__ import annotations

import random
import re
import shutil
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.integration.harness import BIN, Running, World, eventually, free_port
from tests.integration.hostile import Watch, ask, no_traceback, overlaps

#: a and b are cut again and again, c once and for long, d never: most of them away is the network (N6).
NAMES = ("a", "b", "c", "d")
STORM_S = 31.0
#: A coordinator that is cut gives everybody a new lease; so it is spared for long enough that one can lapse.
SPARED_S = (7.0, 28.0)
#: From the end of the storm: the longest pause before a reconnection, and a start.
CALM_S = 60.0


class Storm(World):
    """Devices and a coordinator whose power is cut at random."""

    def __init__(self, directory: Path, dice: random.Random) -> None:
        super().__init__(directory)
        self.dice = dice
        self.agents: dict[str, Running] = {}
        self.cuts: Counter[str] = Counter()
        self.over = threading.Event()

    def begin(self, name: str, token: str | None = None) -> None:
        self.agents[name] = self.device(name, token=token)

    def cut_agent(self, name: str, away_s: float) -> None:
        """Cut a device's power for a while."""
        self.agents[name].kill()
        self.cuts[name] += 1
        time.sleep(away_s)
        self.begin(name)

    def cut_coordinator(self, away_s: float) -> None:
        assert self.coordinator is not None
        self.coordinator.kill()
        self.cuts["coordinator"] += 1
        time.sleep(away_s)
        # Not waited for: the next cut may come while it starts.
        words = ["cluster", "start", "--data-dir", str(self.cluster_dir), "--bind", "127.0.0.1"]
        self.coordinator = self.start(
            [str(BIN / "stratoswarm"), *words, "--port", str(self.port)], "coordinator.log"
        )

    def rage(self) -> None:
        """Cut at random; one device is away long enough to lose its work."""
        began = time.monotonic()
        long_cut = threading.Thread(target=self.cut_agent, args=("c", SPARED_S[1] - 1.0))
        long_cut.start()
        while (passed := time.monotonic() - began) < STORM_S:
            time.sleep(self.dice.uniform(0.0, 1.5))
            away_s = self.dice.choice([0.0, 0.1, 0.5, 1.5])
            spared = SPARED_S[0] < passed < SPARED_S[1]
            if self.dice.random() < 0.5 and not spared:
                self.cut_coordinator(away_s)
            else:
                self.cut_agent(self.dice.choice("ab"), away_s)
        long_cut.join()
        self.over.set()


class Clerk(threading.Thread):
    """An administrator who goes on working, and remembers every yes."""

    def __init__(self, storm: Storm, dice: random.Random) -> None:
        super().__init__(name="clerk")
        self._storm = storm
        self._dice = dice
        self.tokens: set[str] = set()
        self.labels: dict[str, str] = {}
        self.unsure: dict[str, str] = {}
        self.workloads: set[str] = set()
        self.refusals: Counter[str] = Counter()
        self.odd: list[str] = []

    def run(self) -> None:
        number = 0
        while not self._storm.over.is_set():
            number += 1
            self._dice.choice([self._mint, self._label, self._submit])(number)

    def _ask(self, *words: str) -> str | None:
        done = self._storm.stratoswarm(*words)
        if done.returncode == 0:
            return done.stdout
        code = re.search(r"error (SWL-\d+)", done.stderr)
        self.refusals[code.group(1) if code else "none"] += 1
        if code is None or "  next: " not in done.stderr or "Traceback" in done.stderr:
            self.odd.append(f"{words} gave {done.returncode}: {done.stderr}")
        return None

    def _mint(self, _number: int) -> None:
        said = self._ask("cluster", "create-join-token")
        if said is not None:
            self.tokens.add(said)

    def _label(self, number: int) -> None:
        name, value = self._dice.choice(NAMES), f"v{number}"
        if self._ask("nodes", "label", name, f"round={value}") is not None:
            self.labels[name] = value
            self.unsure.pop(name, None)
        else:
            self.unsure[name] = value

    def _submit(self, number: int) -> None:
        name = f"extra-{number}"
        if self._ask("run", "--name", name, "-d", "--", "sleep", "900") is not None:
            self.workloads.add(name)


@pytest.mark.timeout(180)
def test_after_thirty_seconds_of_power_cuts_everything_is_as_if_nothing_had_been(
    tmp_path: Path, seed: int
) -> None:
    dice = random.Random(seed)
    storm = Storm(tmp_path, dice)
    try:
        storm.start_coordinator()
        for name in NAMES:
            storm.begin(name, storm.token())
        for name in NAMES:
            storm.wait_state(name, "ready")
        wanted = {"wide": 3, "one": 1, "single": 2, "often": 1}
        submit(storm)
        for name, replicas in wanted.items():
            eventually(
                lambda name=name, replicas=replicas: running(storm, name) == replicas, f"{name} running"
            )
        clerk = Clerk(storm, random.Random(seed + 1))
        with Watch(tmp_path) as watch:
            clerk.start()
            storm.rage()
            clerk.join()
            print(f"cuts: {dict(storm.cuts)}; refusals: {dict(clerk.refusals)}")
            print(f"yeses: {len(clerk.tokens)} tokens, {len(clerk.workloads)} workloads, {clerk.labels}")
            settles(storm, watch, wanted | dict.fromkeys(clerk.workloads, 1))
        moved = sum(run.epoch > 1 for run in watch.runs)
        print(f"{len(watch.runs)} processes, {moved} of them of moved replicas")
        holds(storm, watch, clerk)
        no_traceback(storm)
    finally:
        storm.over.set()
        storm.end()
        for one in storm.running[-6:]:
            print(f"---- {one.log.name}\n{one.output[-5000:]}")


def submit(storm: Storm) -> None:
    run = ("run", "--restart", "always")
    storm.stratoswarm_ok(*run, "--name", "wide", "--replicas", "3", "-d", "--", "sleep", "900")
    storm.stratoswarm_ok(*run, "--name", "one", "-d", "--", "sleep", "900")
    storm.stratoswarm_ok(
        *run, "--name", "single", "--replicas", "2", "--on-partition", "stop", "-d", "--", "sleep", "900"
    )
    storm.stratoswarm_ok(*run, "--name", "often", "-d", "--", "sh", "-c", "echo up; sleep 900")


def running(storm: Storm, name: str) -> int:
    found = ask(storm, f"/v1/workloads/{name}")
    return int(found["running"]) if found and "running" in found else -1


def settles(storm: Storm, watch: Watch, wanted: dict[str, int]) -> None:
    """Wait until the cluster says, and the observer sees, every replica running exactly once."""
    until = time.monotonic() + CALM_S

    def calm() -> bool:
        states = ask(storm, "/v1/nodes")
        return bool(states) and [one["state"] for one in states["items"]] == ["ready"] * len(NAMES)

    eventually(calm, "every device being ready", CALM_S)

    def once() -> bool:
        ids = {name: (ask(storm, f"/v1/workloads/{name}") or {}).get("workload_id") for name in wanted}
        asked = {(ids[name], replica) for name, replicas in wanted.items() for replica in range(replicas)}
        seen = Counter((run.workload_id, run.replica) for run in watch.living())
        told = {name: running(storm, name) for name in wanted}
        missing = asked - set(seen)
        twice = [key for key, count in seen.items() if count > 1]
        once.told = f"missing {missing}, twice {twice}, told {told}"  # type: ignore[attr-defined]
        return not missing and not twice and told == wanted

    try:
        eventually(once, "every replica running exactly once", max(20.0, until - time.monotonic()))
    except AssertionError:
        raise AssertionError(once.told) from None  # type: ignore[attr-defined]


def holds(storm: Storm, watch: Watch, clerk: Clerk) -> None:
    """Check that every yes still stands, and that nothing ran twice that must not."""
    assert clerk.odd == []
    assert set(clerk.refusals) <= {"SWL-700", "SWL-702"}
    minted = {one["jti"] for one in ask(storm, "/v1/tokens")["items"]}
    assert len(minted) >= len(NAMES) + len(clerk.tokens)
    for name, value in clerk.labels.items():
        node = storm.node(name)
        assert node is not None
        assert node["labels"]["round"] in {value, clerk.unsure.get(name, value)}
    names = [one["name"] for one in ask(storm, "/v1/workloads?all=true")["items"]]
    assert clerk.workloads <= set(names)
    assert len(names) == len(set(names)), "a command that was sent again had its effect twice"
    for name in names:
        check_assignments(ask(storm, f"/v1/workloads/{name}"))
    single = ask(storm, "/v1/workloads/single")["workload_id"]
    assert overlaps(watch.runs, single) == [], "a singleton ran twice"
    done = storm.stratoswarm("audit", "--limit", "1")
    assert done.returncode == 0, done.stderr
    assert "intact" in done.stderr


def check_assignments(workload: dict[str, Any]) -> None:
    """N3: of every replica one assignment lives, the one of the highest epoch."""
    replicas: dict[int, list[dict[str, Any]]] = {}
    for one in workload["assignments"]:
        replicas.setdefault(one["replica"], []).append(one)
    for history in replicas.values():
        epochs = [one["epoch"] for one in history]
        assert len(epochs) == len(set(epochs))
        living = [
            one["epoch"]
            for one in history
            if one["state"] in {"assigned", "preparing", "running", "stopping"}
        ]
        assert living == [max(epochs)]


def test_a_wiped_device_that_is_back_before_its_lease_lapsed_comes_beside_itself(world: World) -> None:
    """A fingerprint can be forged: it takes nothing from a row whose lease still holds."""
    world.start_coordinator()
    agent = world.device("pi", token=world.token(), SWARM_NODE_NAME="pi")
    before = world.wait_state("pi", "ready")
    if before["profile"]["fingerprint"] is None:
        pytest.skip("this machine has nothing to be known by")
    agent.kill()
    shutil.rmtree(world.directory / "pi")
    world.device("pi", token=world.token(), SWARM_NODE_NAME="pi", SWARM_API_PORT=str(free_port()))
    node = world.wait_state("pi-2", "ready")
    assert node["profile"]["fingerprint"] == before["profile"]["fingerprint"]
    old = world.node("pi")
    assert old is not None
    assert old["state"] in {"ready", "suspect"}
    assert old["replaced_by"] is None
    no_traceback(world)
