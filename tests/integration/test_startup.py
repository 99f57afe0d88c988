"""The first moments of an agent in a bare container: as root, as somebody, without a volume, as process 1."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.integration.capsule import ROOT, Capsule, Inside
from tests.integration.harness import ORPHANS, World, children, eventually
from tests.integration.hostile import no_traceback

pytestmark = [pytest.mark.netns, pytest.mark.timeout(90)]

IMAGE = {"SWARM_RUN_AS": "10001:10001", "SWARM_DATA_DIR": "/data", "SWARM_API_PORT": "0"}
JOIN = ("join", "--token-file", "/run/secrets/token")
AS_1234 = ("setpriv", "--reuid=1234", "--regid=1234", "--clear-groups")
READY = "accepting work"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = World(tmp_path_factory.mktemp("startup"))
    made.start_coordinator()
    try:
        yield made
        no_traceback(made)
    finally:
        made.end()


class Bench:
    """Starts capsules for one test, with a data directory and a token of root's in each."""

    def __init__(self, cluster: World, place: Path) -> None:
        self._place = place
        self.cluster = cluster
        self.name = f"d{place.stat().st_ino}"
        self.data = place / "data"
        self.data.mkdir(mode=0o755)
        self.token = place / "token"
        self.token.write_text(cluster.token())
        self.token.chmod(0o600)
        self.started: list[Inside] = []

    def start(
        self,
        *words: str,
        before: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
        volume: bool = True,
        binds: Mapping[str, Path] | None = None,
        **how: Any,
    ) -> Inside:
        place = self._place / str(len(self.started))
        place.mkdir()
        given = {"/data": self.data} if volume else {}
        capsule = Capsule(place, binds={"/run/secrets/token": self.token, **given, **(binds or {})}, **how)
        command = capsule.swarmlet(*words, before=before)
        names = {**IMAGE, "SWARM_NODE_NAME": self.name}
        inside = Inside(command, place / "log", {**names, **(env or {})})
        self.started.append(inside)
        return inside

    def ready(self, *words: str, **how: Any) -> Inside:
        inside = self.start(*words, **how)
        self.says(inside, READY)
        return inside

    def says(self, inside: Inside, text: str) -> None:
        def said() -> bool:
            if inside.process.poll() is not None and text not in inside.output:
                raise AssertionError(f"it ended with {inside.process.returncode}:\n{inside.output}")
            return text in inside.output

        eventually(said, text)

    def owners(self) -> set[int]:
        return {file.lstat().st_uid for file in (self.data, *self.data.rglob("*"))}


@pytest.fixture
def bench(cluster: World, tmp_path: Path) -> Iterator[Bench]:
    made = Bench(cluster, tmp_path)
    try:
        yield made
    finally:
        for one in made.started:
            one.end()
            print(f"---- {one.log}\n{one.output[-3000:]}")


def failed(inside: Inside, code: str) -> str:
    """Check that it ended by an entry of the catalogue, and return what it said."""
    assert inside.process.wait(30) != 0
    assert "Traceback" not in inside.output
    assert re.findall(r"^error (SWL-\d+)", inside.output, re.MULTILINE) == [code], inside.output
    return inside.output


# ---- started as root, as the image is


def test_root_reads_the_token_owns_the_directory_and_is_somebody_else_for_good(bench: Bench) -> None:
    agent = bench.ready(*JOIN)
    status = agent.status()
    assert status["Uid"].split() == ["10001"] * 4
    assert status["Gid"].split() == ["10001"] * 4
    assert status["Groups"] == ""
    for held in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(status[held], 16) == 0, held
    # Where filters are counted a workload has more of them: then the agent gives up this, too.
    assert status["NoNewPrivs"] == ("1" if "Seccomp_filters" in status else "0")
    assert bench.owners() == {10001}
    assert Path(f"/proc/{agent.pid}/environ").stat().st_uid == 0, "it is undumpable"
    assert bench.token.stat().st_uid == 0
    assert agent.stop()[0] == 0


def test_commands_of_root_beside_it_work_and_leave_nothing_of_roots(bench: Bench) -> None:
    agent = bench.ready(*JOIN)
    for words in (["status"], ["health"], ["identity", "show"], ["profile-hardware"], ["test-connection"]):
        done = agent.run(*words, env=IMAGE)
        assert done.returncode == 0, (words, done.stderr)
    assert agent.run("doctor", env=IMAGE).returncode in {0, 8}
    assert bench.owners() == {10001}
    left = agent.run("leave", env=IMAGE)
    assert left.returncode == 0, left.stderr
    assert agent.process.wait(20) == 0
    assert bench.owners() == {10001}
    assert not (bench.data / "identity" / "a").exists()


def test_a_device_that_is_off_leaves_as_its_own_user(bench: Bench) -> None:
    agent = bench.ready(*JOIN)
    agent.stop()
    leaving = bench.start("leave")
    assert leaving.process.wait(30) == 0, leaving.output
    assert bench.owners() == {10001}


def test_a_restart_needs_no_token_and_mends_what_root_left(bench: Bench) -> None:
    agent = bench.ready(*JOIN)
    agent.stop()
    bench.token.write_text("spoiled")
    for file in (bench.data / "agent.lock", bench.data / "identity" / "a", bench.data / "journal"):
        os.chown(file, 0, 0)
    again = bench.ready(*JOIN)
    assert "no token is needed" in again.output
    assert bench.owners() == {10001}


def test_what_is_wrong_with_the_token_is_told_after_the_change_too(bench: Bench) -> None:
    bench.token.write_text("spoiled")
    failed(bench.start(*JOIN), "SWL-101")
    bench.token.chmod(0o666)
    assert "chmod go-w" in failed(bench.start(*JOIN), "SWL-113")
    failed(bench.start("join", "--token-file", "/none"), "SWL-114")
    failed(bench.start("run"), "SWL-112")


def test_without_the_capabilities_it_needs_it_starts_nothing_and_says_which(bench: Bench) -> None:
    before = ("setpriv", "--bounding-set=-all,+chown,+dac_override,+fowner", "--inh-caps=-all")
    said = failed(bench.start(*JOIN, before=before), "SWL-312")
    assert "SETUID" in said
    assert not list(bench.data.iterdir())


def test_the_capabilities_of_the_compose_file_are_enough(bench: Bench) -> None:
    few = "-all,+chown,+dac_override,+fowner,+setgid,+setuid"
    agent = bench.ready(*JOIN, before=("setpriv", f"--bounding-set={few}", "--inh-caps=-all"))
    assert int(agent.status()["CapEff"], 16) == 0


def test_a_user_who_may_not_read_the_program_is_not_become(bench: Bench, tmp_path: Path) -> None:
    """As on a machine where it was installed below root's home."""
    closed = tmp_path / "closed"
    shutil.copytree(ROOT / "swarmlet", closed / "swarmlet", ignore=shutil.ignore_patterns("__pycache__"))
    closed.chmod(0o700)
    program = (
        "import sys; sys.path.insert(0, '/closed'); from swarmlet.cli.node import main;"
        f"sys.exit(main({JOIN}))"
    )
    agent = bench.start(before=(sys.executable, "-c", program), binds={"/closed": closed})
    assert "may not read /closed/swarmlet/config/becoming.py" in failed(agent, "SWL-312")


def test_a_user_who_may_not_read_the_interpreter_is_not_become(bench: Bench, tmp_path: Path) -> None:
    """As where Python itself is below root's home: what it has loaded goes on, and the next import fails."""
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    shutil.copy(os.__file__, closed / "os.py")
    program = (
        "import os, sys; os.__file__ = '/closed/os.py'; from swarmlet.cli.node import main;"
        f"sys.exit(main({JOIN}))"
    )
    agent = bench.start(before=(sys.executable, "-c", program), binds={"/closed": closed})
    assert "may not read /closed/os.py, which is the Python it runs in" in failed(agent, "SWL-312")


def test_a_link_in_place_of_the_directory_is_refused(bench: Bench, tmp_path: Path) -> None:
    (bench.data / "etc").mkdir()
    (bench.data / "link").symlink_to("etc")
    said = failed(bench.start(*JOIN, env={"SWARM_DATA_DIR": "/data/link"}), "SWL-301")
    assert "it is a link" in said
    assert (bench.data / "etc").stat().st_uid == 0


# ---- started as somebody (docker run --user)


def test_somebody_without_the_directory_is_told_what_to_do(bench: Bench) -> None:
    said = failed(bench.start(*JOIN, before=AS_1234), "SWL-311")
    assert "chown -R 1234:1234 /data" in said


def test_somebody_with_the_directory_joins_and_root_beside_it_is_heard(bench: Bench) -> None:
    for path in (bench.data, bench.token):
        os.chown(path, 1234, 1234)
    agent = bench.ready(*JOIN, before=AS_1234)
    assert agent.status()["Uid"].split() == ["1234"] * 4
    for words in ("status", "health"):
        assert agent.run(words, env=IMAGE).returncode == 0
    assert agent.run("leave", env=IMAGE).returncode == 0
    assert bench.owners() == {1234}


# ---- the container engine's socket


ENGINE = b'HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n{"Version":"%s","ApiVersion":"%s"}'


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Callable[[str, int, int], Path]]:
    listener = socket.socket(socket.AF_UNIX)
    path = tmp_path / "engine.sock"
    over = threading.Event()
    threads = []

    def make(api: str, gid: int, mode: int) -> Path:
        listener.bind(str(path))
        listener.listen(8)
        listener.settimeout(0.1)
        os.chown(path, 0, gid)
        path.chmod(mode)

        def serve() -> None:
            while not over.is_set():
                try:
                    one, _ = listener.accept()
                except TimeoutError:
                    continue
                with one:
                    one.settimeout(5)
                    one.recv(4096)
                    one.sendall(ENGINE % (b"1.9.1", api.encode()))

        threads.append(threading.Thread(target=serve))
        threads[0].start()
        return path

    try:
        yield make
    finally:
        over.set()
        for thread in threads:
            thread.join(10)
        listener.close()


class Socket(NamedTuple):
    """An engine's socket, the group the agent gets by it, and what is said of it."""

    api: str
    gid: int
    mode: int
    groups: str
    said: str | None


SOCKETS = {
    "usable": Socket("1.47", 998, 0o660, "998", None),
    "of group 0": Socket("1.47", 0, 0o660, "0", "keeps group 0"),
    "root's alone": Socket("1.47", 998, 0o600, "", "user 10001 may not use /var/run/docker.sock"),
    "too old": Socket("1.21", 998, 0o660, "998", "is too old: API 1.24 or newer is needed"),
}


@pytest.mark.parametrize("found", SOCKETS.values(), ids=SOCKETS)
def test_the_engines_group_is_taken_and_what_is_wrong_with_it_is_said(
    bench: Bench, engine: Callable[[str, int, int], Path], found: Socket
) -> None:
    path = engine(found.api, found.gid, found.mode)
    agent = bench.ready(*JOIN, binds={"/var/run/docker.sock": path})
    assert agent.status()["Groups"] == found.groups
    warnings = [line for line in agent.output.splitlines() if "docker.sock" in line and "warning" in line]
    shown = agent.run("status", env=IMAGE).stderr
    if found.said is None:
        assert warnings == []
        assert "docker.sock" not in shown
    else:
        assert len(warnings) == 1
        assert found.said in warnings[0]
        assert found.said in shown


def test_somebody_without_the_sockets_group_joins_and_is_told(
    bench: Bench, engine: Callable[[str, int, int], Path]
) -> None:
    for path in (bench.data, bench.token):
        os.chown(path, 1234, 1234)
    socket_path = engine("1.47", 998, 0o660)
    agent = bench.ready(*JOIN, before=AS_1234, marked=True, binds={"/var/run/docker.sock": socket_path})
    assert agent.output.count("--group-add 998") == 1


# ---- a directory that does not last


@pytest.mark.parametrize("how", ["in the container's own layer", "in memory"])
def test_an_identity_that_will_be_lost_is_told_loudly_and_in_status(bench: Bench, how: str) -> None:
    memory = ("/data",) if how == "in memory" else ()
    agent = bench.ready(*JOIN, volume=False, marked=True, read_only=False, memory=memory)
    expected = "/data is in memory (tmpfs)" if memory else "/data is not a volume"
    [warning] = [line for line in agent.output.splitlines() if line.startswith("warning: /data")]
    assert expected in warning
    assert "identity will be lost" in warning
    assert warning.endswith("fix: run it with  -v /opt/swarmlet:/data")
    assert expected in agent.run("status", env=IMAGE).stderr


def test_a_volume_is_not_complained_about(bench: Bench) -> None:
    assert "warning" not in bench.ready(*JOIN, marked=True).output


def test_a_root_that_is_read_only_without_a_volume_is_told_with_the_volume(bench: Bench) -> None:
    said = failed(bench.start(*JOIN, volume=False, marked=True), "SWL-301")
    assert "read-only file system, and it is no volume: run it with  -v /opt/swarmlet:/data" in said


# ---- a bare system


@pytest.mark.parametrize("how", [{}, {"proc": False}], ids=["no /tmp, /etc and /sys", "no /proc either"])
def test_it_joins_where_next_to_nothing_is(bench: Bench, how: dict[str, bool]) -> None:
    agent = bench.ready(*JOIN, **how)
    assert agent.stop()[0] == 0
    assert "Traceback" not in agent.output


def test_an_unknown_user_without_a_home_joins(bench: Bench) -> None:
    for path in (bench.data, bench.token):
        os.chown(path, 987654, 987654)
    before = ("setpriv", "--reuid=987654", "--regid=987654", "--clear-groups")
    assert bench.ready(*JOIN, before=before).stop()[0] == 0


# ---- process 1


def test_process_1_takes_in_orphans_and_ends_in_time_whatever_its_work_does(bench: Bench) -> None:
    agent = bench.ready(*JOIN)
    name = f"stubborn-{bench.name}"
    bench.cluster.stratoswarm_ok(
        "run", "--name", name, "--constraint", f"name=={bench.name}", "--stop-grace", "5m",
        "--", "/usr/bin/env", "python3", "-c", ORPHANS,
    )  # fmt: skip
    eventually(lambda: "on their own" in bench.cluster.stratoswarm_ok("logs", name), "the daemons")

    # The workload is left, and none of what it left behind.
    eventually(lambda: children(agent.pid) in (["S"], ["R"]), "every orphan being reaped")
    code, took = agent.stop()
    assert code == 0
    assert took < 10


@pytest.fixture
def silent() -> Iterator[str]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(64)
        yield f"127.0.0.1:{listener.getsockname()[1]}"


@pytest.mark.parametrize(("number", "expected"), [(signal.SIGTERM, 130), (signal.SIGINT, 130)])
def test_a_join_that_hears_nothing_ends_at_once(
    bench: Bench, silent: str, number: int, expected: int
) -> None:
    agent = bench.start(*JOIN, "--cluster", silent)
    bench.says(agent, "[1/6]")
    code, took = agent.stop(number)
    assert code == expected
    assert took < 10


def test_in_its_first_moments_it_hears_too(bench: Bench) -> None:
    """The kernel keeps from process 1 a signal it has no handler for."""
    early = (
        "import os, signal, sys; signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM});"
        "os.kill(os.getpid(), signal.SIGTERM); os.execv(sys.argv[1], sys.argv[1:])"
    )
    agent = bench.start(*JOIN, before=(sys.executable, "-c", early))
    assert agent.process.wait(30) == 130
    assert READY not in agent.output


@pytest.mark.parametrize(("number", "expected"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_a_member_that_is_cut_off_is_well_enough_and_ends_at_once(
    tmp_path: Path, number: int, expected: int
) -> None:
    alone = World(tmp_path / "world")
    alone.directory.mkdir()
    alone.start_coordinator()
    bench = Bench(alone, tmp_path)
    try:
        agent = bench.ready(*JOIN)
        assert alone.coordinator is not None
        alone.coordinator.kill()
        eventually(lambda: "degraded" in agent.run("health", env=IMAGE).stdout, "being cut off", 60)
        assert agent.run("health", env=IMAGE).returncode == 0, "no reason to restart it"
        code, took = agent.stop(number)
        assert code == expected
        assert took < 10
    finally:
        for one in bench.started:
            one.end()
        alone.end()


# ---- the health check of a container


def test_health_of_a_device_that_joins_is_no_reason_to_restart_it(bench: Bench, silent: str) -> None:
    agent = bench.start(*JOIN, "--cluster", silent)
    bench.says(agent, "[1/6]")
    done = agent.run("health", env=IMAGE)
    assert done.returncode == 0, done.stderr
    assert "it starts, or joins the cluster" in done.stdout


def test_health_of_an_agent_that_hangs_or_is_gone_is_1(bench: Bench) -> None:
    agent = bench.ready(*JOIN)
    os.kill(agent.pid, signal.SIGSTOP)
    hanging = agent.run("health", env=IMAGE)
    assert (hanging.returncode, "SWL-205" in hanging.stderr) == (1, True)
    os.kill(agent.pid, signal.SIGCONT)
    assert agent.run("health", env=IMAGE).returncode == 0
    agent.stop()
    gone = bench.start("health")
    assert (gone.process.wait(20), "SWL-308" in gone.output) == (1, True)


def test_health_before_any_join_is_1(bench: Bench) -> None:
    never = bench.start("health")
    assert (never.process.wait(20), "SWL-307" in never.output) == (1, True)


def test_health_loads_neither_the_agent_nor_an_event_loop(tmp_path: Path) -> None:
    program = (
        "import sys\nfrom swarmlet.cli.node import main\n"
        f"main(['health', '--data-dir', {str(tmp_path)!r}])\nprint(' '.join(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True, text=True, check=True, timeout=30,
    )  # fmt: skip
    assert not {"asyncio", "ssl", "logging", "swarmlet.agent", "swarmlet.link"} & set(done.stdout.split())
