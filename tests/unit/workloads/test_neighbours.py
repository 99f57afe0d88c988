"""Workloads look into no coordinator's directory, where the cluster's keys are."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from swarmlet import _native
from swarmlet.model.workload import Resources
from swarmlet.workloads import neighbours
from swarmlet.workloads.driver import Job, Node
from swarmlet.workloads.limits import Limits
from swarmlet.workloads.neighbours import coordinators
from swarmlet.workloads.output import Outputs
from swarmlet.workloads.process import ProcessDriver, ProcessRun
from swarmlet.workloads.workdirs import WorkDirs
from tests.unit.workloads.samples import assignment


def test_the_coordinator_around_the_data_directory_and_the_usual_ones_are_known(tmp_path, monkeypatch):
    usual = tmp_path / "usual"
    usual.mkdir()
    monkeypatch.setattr(neighbours, "USUAL", (str(usual), "~nobody-of-this-name/x"))
    data = tmp_path / "c" / "node"
    data.mkdir(parents=True)
    assert coordinators(str(data)) == ()
    (usual / "cluster.db").touch()
    assert coordinators(str(data)) == (str(usual),)
    (tmp_path / "c" / "cluster.db").touch()
    assert coordinators(str(data)) == (str(tmp_path / "c"), str(usual))


def test_a_workload_of_the_same_user_cannot_read_them(tmp_path):
    above = tmp_path / "c"
    work = above / "node" / "work" / "w.0.1"
    work.mkdir(parents=True)
    for name in ("cluster.db", "kek"):
        (above / name).write_text("secret")
    hidden = (str(above / "node"), *coordinators(str(above / "node")))
    command = ["/bin/sh", "-c", f"cat {above}/kek; echo mine > own && cat {work}/own"]
    workload = _native.spawn(command, {"PATH": os.environ["PATH"]}, str(work), hidden=hidden)
    os.set_blocking(workload.stdout_fd, True)
    with os.fdopen(workload.stdout_fd) as output:
        said = output.read()
    if workload.applied["files"] != "unenforced":
        assert said == "mine\n"


def test_a_workload_of_the_same_user_cannot_read_the_agents_token_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)  # as an agent that is not root: no user of its own
    data, tokens = tmp_path / "data", tmp_path / "etc"
    node = Node("c" * 32, "uid-n", "n")
    driver = ProcessDriver(WorkDirs(str(data / "work")), str(data), node, Limits(), hidden=("etc/token", "-"))
    tokens.mkdir()
    (tokens / "token").write_text("secret")
    (tokens / "beside").write_text("open to all")

    async def said() -> str:
        job = Job(
            assignment(command=("/bin/sh", "-c", f"cat {tokens}/token; cat {tokens}/beside")), Resources()
        )
        ring = Outputs().open("w.0.1")
        await driver.prepare(job)
        run = await driver.start(job, ring)
        assert isinstance(run, ProcessRun)
        await run.wait()
        if run.process.applied["files"] == "unenforced":
            pytest.skip("this kernel keeps no file from a process of the same user")
        return b"".join([chunk.data async for chunk in ring.follow(tail=None, follow=False)]).decode()

    output = asyncio.run(said())
    assert "open to all" in output
    assert "secret" not in output


def test_only_files_that_are_there_are_hidden(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "file").touch()
    found = neighbours.files_of([str(tmp_path / name) for name in ("pipe", "file", "none")] + ["-"])
    assert found == (str(tmp_path / "file"),)
