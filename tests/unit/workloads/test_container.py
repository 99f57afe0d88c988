"""What an engine is asked for: nothing a workload says gives it more than its due (W1, W4)."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarmlet.model.workload import Resources
from swarmlet.workloads import container as pure
from swarmlet.workloads.containers import _container_of
from swarmlet.workloads.driver import Job, Node, bad_environment, is_safe_name, variables
from swarmlet.workloads.endings import Exit
from swarmlet.workloads.engine_stream import EngineStreamError, open_stream, read_output
from tests.unit.workloads.samples import assignment

NODE = Node("c" * 32, "11111111-2222-3333-4444-555555555555", "node-1")
FACTS = pure.Facts(cpus=2, init=True, memory=True, swap=True, cpu=True, pids=True, bridge=True)

#: Every key that a create request may have; anything else is a hole until someone argued for it here.
BODY_KEYS = {
    "Image", "Cmd", "Env", "User", "Labels", "Tty", "OpenStdin", "AttachStdin", "AttachStdout",
    "AttachStderr", "HostConfig",
}  # fmt: skip
HOST_KEYS = {
    "Privileged", "CapDrop", "SecurityOpt", "ReadonlyRootfs", "Tmpfs", "IpcMode", "NetworkMode",
    "PublishAllPorts", "Init", "OomScoreAdj", "LogConfig", "RestartPolicy", "AutoRemove", "PidsLimit",
    "Memory", "MemorySwap", "NanoCpus",
}  # fmt: skip


def body(bounds: Resources = Resources(), user: str = "", facts: pure.Facts = FACTS, **spec: Any) -> Any:  # noqa: B008
    job = Job(assignment(image="img", **spec), bounds)
    return pure.create_body(job, NODE, facts, user)


words = st.text(max_size=30)
specs = st.fixed_dictionaries(
    {
        "command": st.lists(words, max_size=4).map(tuple),
        "env": st.dictionaries(words, words, max_size=4),
        "title": words,
    }
)
bounds = st.builds(
    Resources,
    cpu=st.one_of(st.none(), st.floats(0.01, 10**4)),
    memory_mb=st.one_of(st.none(), st.integers(1, 10**9)),
)


@given(spec=specs, bounds=bounds, user=words)
def test_no_spec_reaches_beyond_the_listed_fields(spec: dict[str, Any], bounds: Resources, user: str) -> None:
    made = body(bounds, user, **spec)
    assert set(made) <= BODY_KEYS
    host = made["HostConfig"]
    assert set(host) <= HOST_KEYS
    assert host["Privileged"] is False
    assert host["CapDrop"] == ["ALL"]
    assert host["ReadonlyRootfs"] is True
    assert host["NetworkMode"] in {"bridge", "none"}
    assert made["Labels"][pure.LABEL_NODE] == NODE.node_uid
    assert re.fullmatch(r"(root|[+-]?0*)", made["User"].partition(":")[0]) is None
    assert re.fullmatch(r"swarmlet-[a-zA-Z0-9_.-]+", pure.name_of(assignment(image="img", **spec), NODE))


@pytest.mark.parametrize(
    "user", ["", "root", "0", "root:root", "0:0", "00", "+0", "-0", ":5", "root:1000", " root ", "0:\n"]
)
def test_root_becomes_nobody(user: str) -> None:
    assert pure.run_as(user) == pure.NOBODY


@pytest.mark.parametrize("user", ["1000", "nginx", "app:app", "rooted", "10", "01", "65534:65534"])
def test_an_image_that_names_someone_else_keeps_it(user: str) -> None:
    assert pure.run_as(user) == user


def test_limits_are_asked_for_as_the_engine_can() -> None:
    host = body(Resources(cpu=1.5, memory_mb=64))["HostConfig"]
    assert (host["Memory"], host["MemorySwap"], host["NanoCpus"]) == (64_000_000, 64_000_000, 1_500_000_000)
    assert body(Resources(cpu=64))["HostConfig"]["NanoCpus"] == 2_000_000_000
    weak = FACTS._replace(memory=False, swap=False, cpu=False, pids=False, init=False, bridge=False)
    host = body(Resources(cpu=1.5, memory_mb=64), facts=weak)["HostConfig"]
    assert not {"Memory", "MemorySwap", "NanoCpus", "PidsLimit"} & set(host)
    assert host["NetworkMode"] == "none"
    assert pure.unenforced(Resources(cpu=1, memory_mb=1), weak).startswith("the memory and processor limit")
    assert pure.unenforced(Resources(), weak) == ""
    assert pure.unenforced(Resources(cpu=1, memory_mb=1), FACTS) == ""


def test_a_workload_cannot_forge_who_it_is() -> None:
    env = body(env={"SWARM_EPOCH": "99", "A": "1"}, epoch=3)["Env"]
    assert "SWARM_EPOCH=3" in env
    assert "SWARM_EPOCH=99" not in env
    assert variables(assignment(), NODE)["SWARM_NODE_NAME"] == "node-1"


def test_specs_are_told_apart_and_order_does_not_matter() -> None:
    one = assignment(image="img", env={"A": "1", "B": "2"}).spec
    same = assignment(image="img", env={"B": "2", "A": "1"}).spec
    other = assignment(image="img", env={"A": "1", "B": "3"}).spec
    assert pure.spec_hash(one) == pure.spec_hash(same) != pure.spec_hash(other)


def test_only_the_very_same_assignment_is_adopted() -> None:
    own = assignment("w.0.2", 2, image="img")
    found = pure.Found("id", "w.0.2", "2", pure.spec_hash(own.spec), "running")
    assert pure.matches(found, own)
    assert pure.matches(found._replace(state="exited"), own)
    for change in ({"epoch": "1"}, {"spec_hash": "x"}, {"state": "created"}, {"assignment_id": "w.0.1"}):
        assert not pure.matches(found._replace(**change), own)


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ({"ExitCode": 0}, Exit(code=0, out_of_memory=False)),
        ({"ExitCode": 3}, Exit(code=3, out_of_memory=False)),
        ({"ExitCode": 137, "OOMKilled": True}, Exit(signal=9, out_of_memory=True)),
        ({"ExitCode": 143}, Exit(signal=15, out_of_memory=False)),
        ({"ExitCode": 127, "Error": "bad mount"}, Exit(code=127, detail="bad mount")),
    ],
)
def test_an_end_is_read_from_the_engines_words(state: dict[str, Any], expected: Exit) -> None:
    assert pure.read_exit(state) == expected


def test_facts_are_read_from_what_an_engine_says_and_absence_is_no() -> None:
    said = {"NCPU": 4, "InitBinary": "tini", "MemoryLimit": False, "Plugins": {"Network": ["bridge", "host"]}}
    assert pure.read_facts(said) == pure.Facts(4, True, False, False, True, False, True)  # noqa: FBT003
    assert pure.read_facts({}).bridge is False


def test_a_missing_program_is_told_from_other_refusals() -> None:
    def code(words: str) -> str:
        found = pure.why_unstarted(words, "nope", "pi")
        return "" if found is None else found.code

    assert code('exec: "/nope": stat /nope: no such file or directory: unknown') == "SWL-501"
    assert code('exec: "nope": executable file not found in $PATH: unknown') == "SWL-501"
    assert code('exec: "/etc/passwd": permission denied: unknown') == "SWL-510"
    assert code("cannot allocate memory") == ""
    assert code("mount: permission denied") == ""


@pytest.mark.parametrize(
    ("output", "said"),
    [
        (
            b"[FATAL tini (7)] exec nope failed: No such file or directory\n",
            "SWL-501: the command nope does not exist on the node pi",
        ),
        (
            b"[FATAL tini (7)] exec /etc failed: Permission denied\n",
            "SWL-510: the command cannot be run on the node pi: /etc: permission denied",
        ),
        (b"[FATAL tini (7)] exec x failed: Input/output error\n", "None"),
        (b"it ran\n[FATAL tini (7)] exec nope failed: No such file or directory\n", "None"),
        (b"", "None"),
        (b"\xff\xfe", "None"),
    ],
)
def test_an_init_that_found_no_program_says_the_same_as_an_engine(output: bytes, said: str) -> None:
    assert str(pure.unstarted(output, "pi")) == said


@pytest.mark.parametrize("name", ["w.0.1", "8a5e.0.12", "A_b-c.9"])
def test_names_for_directories_and_labels(name: str) -> None:
    assert is_safe_name(name)


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../a", "a..b", "-a", "a\n", "a" * 129, "ä"])
def test_names_that_are_none(name: str) -> None:
    assert not is_safe_name(name)


def test_an_environment_that_is_none_is_refused() -> None:
    assert bad_environment({"A": "1"}) is None
    for env in ({"": "x"}, {"A=B": "x"}, {"A\0": "x"}, {"A": "\0"}):
        assert bad_environment(env)


@given(st.binary(max_size=200))
def test_no_line_of_events_breaks_the_watcher(line: bytes) -> None:
    assert isinstance(_container_of(line), str)
    assert _container_of(b'{"Actor": {"ID": "abc"}}') == "abc"


# ---- streams, against an engine of our own making


async def served(path: Path, answer: bytes, *, hang: bool = False) -> asyncio.Server:
    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer)
            if hang:
                await reader.read()
        finally:
            writer.close()

    return await asyncio.start_unix_server(speak, str(path))


async def outputs(path: Path, answer: bytes) -> list[tuple[int, bytes]]:
    async with await served(path, answer), open_stream(str(path), "/logs") as reader:
        return [part async for part in read_output(reader)]


OK = b"HTTP/1.0 200 OK\r\nContent-Type: x\r\n\r\n"


def test_output_frames_are_taken_apart(tmp_path: Path) -> None:
    frames = b"\x01\0\0\0\0\0\0\x03abc" + b"\x02\0\0\0\0\0\0\x02de" + b"\x01\0\0\0\0\0\0\0"
    assert asyncio.run(outputs(tmp_path / "s", OK + frames)) == [(1, b"abc"), (2, b"de")]


@pytest.mark.parametrize("cut", range(1, 12))
def test_output_that_breaks_off_ends_quietly(tmp_path: Path, cut: int) -> None:
    frames = b"\x01\0\0\0\0\0\0\x03abc"
    found = asyncio.run(outputs(tmp_path / "s", OK + frames[:cut]))
    assert b"".join(data for _, data in found) == frames[8:cut]


def test_a_frame_that_claims_four_gigabytes_costs_nothing(tmp_path: Path) -> None:
    found = asyncio.run(outputs(tmp_path / "s", OK + b"\x01\0\0\0\xff\xff\xff\xff" + b"x" * 100_000))
    assert sum(len(data) for _, data in found) == 100_000
    assert max(len(data) for _, data in found) <= 32 * 1024


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b'HTTP/1.0 404 Not Found\r\n\r\n{"message":"no such container"}', "404 .*no such container"),
        (b"hello\r\n\r\n", r"\?"),
        (b"", "0 bytes"),
        (b"x" * 600_000, "."),
    ],
)
def test_an_answer_that_is_no_stream_says_what_it_was(tmp_path: Path, answer: bytes, said: str) -> None:
    with pytest.raises(EngineStreamError, match=said):
        asyncio.run(outputs(tmp_path / "s", answer))


def test_no_engine_is_an_error_at_once(tmp_path: Path) -> None:
    async def scene() -> None:
        async with open_stream(str(tmp_path / "none"), "/events"):
            pass

    with pytest.raises(EngineStreamError):
        asyncio.run(scene())


def test_a_silent_engine_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("swarmlet.workloads.engine_stream.HEAD_S", 0.05)

    async def scene() -> None:
        async with (
            await served(tmp_path / "s", b"HTTP/1.0 200", hang=True),
            open_stream(str(tmp_path / "s"), "/"),
        ):
            pass

    with pytest.raises(EngineStreamError, match="TimeoutError"):
        asyncio.run(scene())
