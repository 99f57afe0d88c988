"""Whatever is typed wrong or goes wrong under a command: code, next step, exit code, and no traceback."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.integration.harness import BIN, World, eventually
from tests.integration.hostile import ask, refused, seen_off

pytestmark = pytest.mark.timeout(60)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with seen_off(World(tmp_path_factory.mktemp("words"))) as made:
        made.start_coordinator()
        made.device("pi", token=made.token())
        made.wait_state("pi", "ready")
        yield made


def admin(cluster: World, *words: str | bytes, **given: object) -> subprocess.CompletedProcess[str]:
    before, dashes, after = words, (), ()
    if "--" in words:
        at = words.index("--")
        before, dashes, after = words[:at], words[at : at + 1], words[at + 1 :]
    place = ("--data-dir", str(cluster.cluster_dir))
    return run([str(BIN / "stratoswarm"), *before, *place, *dashes, *after], **given)


def run(words: Sequence[str | bytes], **given: object) -> subprocess.CompletedProcess[str]:
    asked: dict[str, object] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **given}
    return subprocess.run(words, text=True, errors="replace", timeout=30, check=False, **asked)  # type: ignore[call-overload]


@pytest.mark.parametrize(
    "words",
    [
        ("run", "--name", "x", "-d", "--", b"echo", b"\xff"),
        ("run", "--name", b"\xff", "-d", "--", "true"),
        ("run", "-d", "--env", b"A=\xff", "--", "true"),
        ("run", "-d", "--constraint", b"zone==\xff", "--", "true"),
        ("nodes", "inspect", b"\xff\xfe"),
        ("nodes", "label", "pi", b"a=\xff"),
        ("run", "-d"),
        ("run", "--replicas", "0", "-d", "--", "true"),
        ("run", "--cpu", "nan", "-d", "--", "true"),
        ("run", "--memory", "99999999999999999999g", "-d", "--", "true"),
        ("run", "--env", "=v", "-d", "--", "true"),
        ("nodes", "lss"),
        ("audit", "--limt", "3"),
        ("cluster", "create-join-token", "--uses", "99999999999999999999"),
        ("cluster", "create-join-token", "--expires", "soon"),
    ],
)
def test_what_cannot_be_meant_is_a_usage_error(cluster: World, words: tuple[str | bytes, ...]) -> None:
    # What the program itself can tell is SWL-400; bounds are the coordinator's to say.
    refused(admin(cluster, *words), "SWL-608" if "--replicas" in words else "SWL-400", 2)


@pytest.mark.parametrize(
    ("words", "code", "exit_code"),
    [
        (("nodes", "inspect", "none"), "SWL-605", 5),
        (("nodes", "rm", "none"), "SWL-605", 5),
        (("cluster", "token", "revoke", "00"), "SWL-604", 5),
        (("logs", "none"), "SWL-504", 5),
        (("stop", "none"), "SWL-504", 5),
        (("cluster", "create-join-token", "--cidr", "1.2.3.4/99"), "SWL-608", 2),
        (("cluster", "create-join-token", "--expires", "30d"), "SWL-607", 2),
        (("run", "--name", "a\nb", "-d", "--", "true"), "SWL-608", 2),
    ],
)
def test_what_is_not_there_or_not_allowed_is_named(
    cluster: World, words: tuple[str, ...], code: str, exit_code: int
) -> None:
    refused(admin(cluster, *words), code, exit_code)


@pytest.mark.parametrize(
    ("words", "code", "exit_code"),
    [
        (("--token", b"swarm_join_\xff"), "SWL-102", 4),
        (("--token-file", b"/nowhere/\xff"), "SWL-114", 1),
        (("--token-file", "/dev/zero"), "SWL-114", 1),
        (("--token-file", "/tmp"), "SWL-114", 1),
        (("--token-file", "/dev/null"), "SWL-101", 4),
        (("--token", ""), "SWL-118", 4),
        (("--node-name", b"\xff"), "SWL-401", 2),
        (("--cluster", b"\xff:1"), "SWL-401", 2),
        (("--api-port", "99999", "--max-memory-mb", "-1", "--log-level", "loud"), "SWL-401", 2),
        (("--tokenfile", "x"), "SWL-400", 2),
    ],
)
def test_a_join_that_cannot_be_meant_is_refused_and_makes_nothing(
    tmp_path: Path, words: tuple[str | bytes, ...], code: str, exit_code: int
) -> None:
    done = run([str(BIN / "swarmlet"), "join", "--once", "--data-dir", str(tmp_path / "d"), *words])
    refused(done, code, exit_code)
    assert list(tmp_path.iterdir()) == []


def test_a_join_that_the_cluster_refuses_leaves_nothing_behind(cluster: World, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(cluster.token("--node-type", "datacenter"))
    file.chmod(0o600)
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "note").write_text("mine")
    for place in ("state/new", "used"):
        words = ("join", "--once", "--token-file", str(file), "--data-dir", str(tmp_path / place))
        refused(cluster.swarmlet(*words), "SWL-108", 4)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["token", "used"]
    assert [one.name for one in (tmp_path / "used").iterdir()] == ["note"]


def test_the_key_of_the_cluster_reads_the_same_wherever_it_is_shown(cluster: World, tmp_path: Path) -> None:
    key = cluster.view("cluster", "status")["fingerprint"]
    assert len(key) == len("SHA256:") + 64
    member = ("--data-dir", str(cluster.directory / "pi"))
    (known,) = json.loads(cluster.swarmlet("test-connection", *member, "-o", "json").stdout)["items"]
    assert (known["trusted"], known["key"]) == (True, key)
    assert f"by its key {key}" in cluster.swarmlet("doctor", *member).stdout
    stranger = ("--data-dir", str(tmp_path / "none"), "--cluster", f"127.0.0.1:{cluster.port}")
    shown = cluster.swarmlet("test-connection", *stranger)
    assert key in shown.stdout
    assert "the one that  stratoswarm cluster status  shows" in shown.stderr
    looked = cluster.swarmlet("doctor", *stranger).stdout
    assert f"it shows {key}" in looked
    assert "the one that  stratoswarm cluster status  shows" in looked


def test_what_never_ran_is_shown_without_a_code_and_with_its_reason(cluster: World) -> None:
    done = cluster.stratoswarm("run", "--name", "never", "--wait", "--", "/no/such")
    assert (done.returncode, "error SWL-512" in done.stderr) == (1, True)
    assert cluster.view("inspect", "never")["exit_code"] is None
    shown = cluster.stratoswarm_ok("inspect", "never")
    assert "exit:     none, it failed to start\n" in shown
    assert "SWL-501: the command /no/such does not exist" in shown


def test_logs_of_several_replicas_name_the_one_they_are_of(cluster: World) -> None:
    run = ("run", "--name", "three", "--replicas", "3", "--wait", "--", "sh", "-c", "echo $SWARM_REPLICA")
    cluster.stratoswarm_ok(*run)
    first = cluster.stratoswarm("logs", "three")
    assert "replica 0 on pi of three, which has 3" in first.stderr
    assert cluster.stratoswarm("logs", "three", "--replica", "2").stderr == ""
    refused(cluster.stratoswarm("logs", "three", "--replica", "3"), "SWL-608", 2)


@pytest.mark.parametrize("words", [("nodes", "ls"), ("audit",), ("cluster", "create-join-token")])
def test_output_that_cannot_be_written_is_told(cluster: World, words: tuple[str, ...]) -> None:
    with Path("/dev/full").open("wb") as full:
        refused(admin(cluster, *words, stdout=full), "SWL-302", 1)


@pytest.mark.parametrize("closed", [0, 1, 2])
def test_a_closed_standard_descriptor_breaks_nothing(cluster: World, closed: int) -> None:
    shell = f'exec {closed}>&-; exec "$@"'
    words = [str(BIN / "stratoswarm"), "nodes", "ls", "--data-dir", str(cluster.cluster_dir)]
    done = run(["sh", "-c", shell, "sh", *words])
    assert done.returncode == 0
    assert "Traceback" not in done.stderr + done.stdout


@pytest.mark.timeout(150)  # they wait for half a minute for the coordinator to come back
def test_commands_that_wait_end_in_words_when_the_coordinator_dies(cluster: World) -> None:
    waiting = {
        "run": ("run", "--name", "long", "--wait", "--", "sleep", "600"),
        "logs": ("logs", "-f", "long"),
        "watch": ("nodes", "ls", "--watch"),
    }
    begun: dict[str, subprocess.Popen[str]] = {}
    for name, words in waiting.items():
        before, _, after = (words, (), ()) if "--" not in words else (words[:4], (), words[4:])
        place = ("--data-dir", str(cluster.cluster_dir))
        begun[name] = subprocess.Popen(
            [str(BIN / "stratoswarm"), *before, *place, *after],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "NO_COLOR": "1"},
        )
        if name == "run":
            eventually(lambda: (ask(cluster, "/v1/workloads/long") or {}).get("running") == 1, "it running")
    for name in ("logs", "watch"):
        assert begun[name].poll() is None
    assert cluster.coordinator is not None
    cluster.coordinator.kill()
    for one in begun.values():
        _, said = one.communicate(timeout=90)
        assert one.returncode == 3, said
        assert "Traceback" not in said
        assert "  next: " in said
    cluster.start_coordinator()
    eventually(lambda: ask(cluster, "/v1/workloads/long")["running"] == 1, "the work having gone on")
    cluster.stratoswarm_ok("stop", "long")
