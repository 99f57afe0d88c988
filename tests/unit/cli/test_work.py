"""What ``run`` and ``stop`` say of a workload that could not start, waits for a node or goes on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from swarmlet.cli.admin import Admin
from swarmlet.cli.cluster import build
from swarmlet.cli.commands_work import not_started
from swarmlet.cli.parser import parse
from swarmlet.cli.render import Renderer
from swarmlet.errors import Exit, SwarmletError
from swarmlet.model.views import AssignmentView, WorkloadState, WorkloadView
from swarmlet.model.workload import AssignmentState

RUNNING = msgspec.convert(
    {
        "workload_id": "ab12", "name": "lamp", "state": "running", "since_ms": 0, "reason": "", "wanted": 1,
        "running": 1, "exit_code": None, "created_ms": 0, "created_by": "uid:0",
        "spec": {"name": "lamp", "kind": "process", "command": ["/no/such"]},
    },
    WorkloadView,
)  # fmt: skip
HERE = AssignmentView("ab12.0.1", 0, 1, "pi", "n1", AssignmentState.RUNNING, 0, "", None, 0, stop=False)


class Coordinator(Admin):
    """Says the same of a workload whatever it is asked."""

    def __init__(self, item: WorkloadView) -> None:
        super().__init__("/nowhere")
        self.item = item

    def get(self, _kind: type[Any], _path: str, **_query: str) -> Any:
        return self.item

    def change(self, _kind: type[Any], _method: str, _path: str, _body: Any = None) -> Any:
        return self.item


def call(item: WorkloadView, *words: str) -> int:
    args, rest = parse(build(), words)
    args.rest = rest
    return int(args.run(args, Coordinator(item), Renderer(color=False, quiet=True)))


def failed(reason: str, exit_code: int | None) -> WorkloadView:
    one = msgspec.structs.replace(HERE, state=AssignmentState.FAILED, reason=reason, exit_code=exit_code)
    return msgspec.structs.replace(
        RUNNING,
        state=WorkloadState.FAILED,
        reason=f"replica 0 failed: {reason}",
        exit_code=exit_code,
        assignments=(one,),
    )


def test_a_missing_command_is_the_catalogues_error_with_the_name_on_stdout(
    capsys: pytest.CaptureFixture[str],
) -> None:
    item = failed("SWL-501: the command /no/such does not exist on the node pi", None)
    with pytest.raises(SwarmletError) as caught:
        call(item, "run", "--wait", "-q", "--", "/no/such")
    failure = caught.value
    assert (failure.code, failure.exit_code) == ("SWL-512", Exit.FAILED)
    assert "/no/such does not exist on the node pi" in failure.what
    assert "check the path" in failure.next
    assert "stratoswarm inspect lamp" in failure.next
    assert capsys.readouterr().out == "lamp\n"


def test_what_ran_and_failed_is_its_own_affair() -> None:
    assert not_started(failed("exit code 3", 3)) is None
    assert call(failed("exit code 3", 3), "run", "--wait", "--", "x") == 3


@pytest.mark.parametrize(
    ("reason", "exit_code", "shown"),
    [
        ("exit code 3", 3, "exit:     3"),
        ("SWL-501: the command lamp does not exist", None, "exit:     none, it failed to start"),
    ],
)
def test_inspect_shows_an_exit_code_only_of_what_ran(
    reason: str, exit_code: int | None, shown: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(failed(reason, exit_code), "inspect", "lamp") == 0
    lines = capsys.readouterr().out.splitlines()
    assert shown in lines
    assert any(line.startswith("state:") and reason in line for line in lines)


def test_a_wait_that_is_over_says_that_the_workload_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    item = msgspec.structs.replace(RUNNING, assignments=(HERE,))
    with pytest.raises(SwarmletError) as caught:
        call(item, "run", "--wait", "--timeout", "1s", "--", "x")
    failure = caught.value
    assert (failure.code, failure.exit_code) == ("SWL-511", Exit.TIMED_OUT)
    assert failure.unchanged == "lamp goes on"
    assert "stratoswarm inspect lamp" in failure.next
    assert "stratoswarm stop lamp" in failure.next


def test_a_workload_that_no_node_fits_is_still_named_on_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    item = msgspec.structs.replace(RUNNING, state=WorkloadState.PENDING, reason="no node", running=0)
    with pytest.raises(SwarmletError) as caught:
        call(item, "run", "--", "x")
    assert caught.value.exit_code is Exit.NO_NODE_FITS
    assert capsys.readouterr().out == "lamp\n"


@pytest.mark.parametrize(
    ("replicas", "words", "said"),
    [
        (
            3,
            (),
            "replica 0 on pi of lamp, which has 3; another: stratoswarm logs lamp --replica N, N up to 2",
        ),
        (3, ("--replica", "0"), ""),
        (1, (), ""),
    ],
)
def test_logs_say_whose_output_it_is_when_nobody_chose(
    replicas: int, words: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    class Output(Coordinator):
        def stream(self, path: str, **query: str) -> Iterator[bytes]:
            assert (path, query) == ("/v1/workloads/lamp/logs", {"replica": "0"} if words else {})
            yield b"on\n"

    other = msgspec.structs.replace(HERE, replica=1, node="other")
    item = msgspec.structs.replace(RUNNING, wanted=replicas, assignments=(HERE, other))
    args, _ = parse(build(), ("logs", "lamp", *words))
    assert int(args.run(args, Output(item), Renderer(color=False))) == 0
    printed = capsys.readouterr()
    assert printed.out == "on\n"
    assert said in printed.err
    assert bool(printed.err) is bool(said)


@pytest.mark.parametrize(
    ("state", "reason", "said"),
    [
        (
            WorkloadState.STOPPING,
            "node pi is away",
            "lamp is stopping: node pi is away, and what it runs there",
        ),
        (WorkloadState.STOPPED, "", "lamp is stopped\n"),
    ],
)
def test_stop_says_what_a_node_that_is_away_may_still_run(
    state: WorkloadState, reason: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    lost = msgspec.structs.replace(HERE, state=AssignmentState.LOST, stop=True)
    item = msgspec.structs.replace(RUNNING, state=state, reason=reason, assignments=(lost,))
    args, _ = parse(build(), ("stop", "lamp"))
    assert int(args.run(args, Coordinator(item), Renderer(color=False))) == 0
    printed = capsys.readouterr()
    assert printed.out == "lamp\n"
    assert printed.err.startswith(said)
