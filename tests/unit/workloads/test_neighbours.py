"""Workloads look into no coordinator's directory, where the cluster's keys are."""

from __future__ import annotations

import os

from swarmlet import _native
from swarmlet.workloads import neighbours
from swarmlet.workloads.neighbours import coordinators


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
