"""A container in bad surroundings: the agent starts or says why not, and ``doctor`` says what mends it."""

from __future__ import annotations

import io
import json
import os
import socket
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.image import rootfs
from tests.image.boxes import NATIVE, READY, Box, Fleet, absent, fleet
from tests.integration.harness import ORPHANS, children, eventually

pytestmark = [pytest.mark.docker, pytest.mark.image, pytest.mark.timeout(120)]

ENGINE = Path("/var/run/docker.sock")
SOCKET = ("--volume", f"{ENGINE}:{ENGINE}")
TOKEN = "/run/secrets/token"
JOIN = ("join", "--token-file", TOKEN)
HEARD = "import sys; print('heard by', sys.version_info[0])"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    reason = absent(NATIVE)
    if reason:
        pytest.skip(reason)
    with fleet(tmp_path_factory.mktemp("bad")) as made:
        yield made


def somebodys(cluster: Fleet, name: str) -> tuple[str, ...]:
    """Return the options of an agent that is user 1234, with a token that this user can read."""
    token = cluster.secret(f"{name}.token")
    os.chown(token, 1234, 1234)
    return (
        *("--network", "host", "--user", "1234", "--volume", f"{token}:{TOKEN}"),
        *("--env", f"SWARM_NODE_NAME={name}"),
    )


def volume(cluster: Fleet, name: str, owner: int = 0) -> tuple[str, str]:
    """Return the option for a folder on the host as ``/data``."""
    data = cluster.folder(name)
    os.chown(data, owner, owner)
    return "--volume", f"{data}:/data"


def every_lack_has_a_remedy(box: Box) -> dict[str, dict[str, str]]:
    """Return what ``doctor`` finds in a container, each lack with what mends it."""
    found = box.findings()
    assert [one for one in found.values() if one["state"] != "ok" and not one["fix"]] == []
    return found


# ---- a file system with little in it


def test_a_root_that_is_read_only_is_enough(cluster: Fleet) -> None:
    box = cluster.member("read-only", "--read-only", *volume(cluster, "read-only"))
    assert "warning" not in box.output
    assert cluster.work("read-only", "/usr/bin/python3", "-c", HEARD) == "heard by 3\n"
    assert every_lack_has_a_remedy(box)["data directory"]["state"] == "ok"


def test_a_root_that_is_read_only_without_a_volume_is_told_with_the_volume(cluster: Fleet) -> None:
    token = cluster.secret("nowhere.token")
    box = cluster.launch(*JOIN, options=("--read-only", "--volume", f"{token}:{TOKEN}"))
    assert box.ends() != 0
    assert "error SWL-301" in box.output
    assert "run it with  -v /opt/swarmlet:/data" in box.output


@pytest.fixture(scope="module")
def bare(cluster: Fleet) -> Iterator[str]:
    """The image without what a program might expect of a system: folders and names of users."""
    made = rootfs.docker("create", "--network", "none", rootfs.tag_of(NATIVE) or "")
    name, tag = made.stdout.strip(), f"{cluster.network}:bare"
    exported = subprocess.run(["docker", "export", name], capture_output=True, check=True).stdout
    rootfs.docker("rm", name)
    changes = [
        f"ENV {one}" for one in ("PATH=/usr/bin:/bin", "SWARM_DATA_DIR=/data", "SWARM_RUN_AS=10001:10001")
    ]
    options = [word for line in [*changes, 'ENTRYPOINT ["/swarmlet"]'] for word in ("--change", line)]
    subprocess.run(
        ["docker", "import", *options, "-", tag], input=without(exported, "tmp", "etc/passwd", "etc/group"),
        capture_output=True, check=True,
    )  # fmt: skip
    yield tag
    cluster.remove(*cluster.boxes)
    rootfs.docker("rmi", tag)


def without(archive: bytes, *names: str) -> bytes:
    """Return a tar archive without these files and folders."""
    made = io.BytesIO()
    with tarfile.open(fileobj=io.BytesIO(archive)) as old, tarfile.open(fileobj=made, mode="w") as new:
        for entry in old:
            if entry.name.strip("./") not in names:
                new.addfile(entry, old.extractfile(entry) if entry.isfile() else None)
    return made.getvalue()


def test_without_tmp_and_without_names_of_users_it_joins_and_works(cluster: Fleet, bare: str) -> None:
    box = cluster.member("bare", "--read-only", *volume(cluster, "bare"), image=bare)
    assert cluster.work("bare", "/usr/bin/python3", "-c", HEARD) == "heard by 3\n"
    look = rootfs.docker("exec", box.name, "/usr/bin/python3", "-c", "import os; print(os.listdir('/'))")
    assert "'tmp'" not in look.stdout
    every_lack_has_a_remedy(box)


# ---- other users, fewer rights


def test_somebody_without_a_folder_that_can_be_written_is_told_what_to_do(cluster: Fleet) -> None:
    for name, place in (("image", ()), ("roots", volume(cluster, "roots"))):
        box = cluster.launch(*JOIN, options=(*somebodys(cluster, name), *place))
        assert box.ends() != 0
        assert "error SWL-311" in box.output
        assert "chown -R 1234:0 /data" in box.output


def test_somebody_with_a_folder_joins_and_the_engines_socket_is_told(cluster: Fleet) -> None:
    place = volume(cluster, "somebody", 1234)
    box = cluster.launch(*JOIN, options=(*somebodys(cluster, "somebody"), *place, *SOCKET))
    written = box.says(READY)
    cluster.ready("somebody")
    group = ENGINE.stat().st_gid
    assert f"user 1234 may not use {ENGINE}: containers cannot be run here" in written
    assert f"--group-add {group}" in written
    found = every_lack_has_a_remedy(box)["container engine"]
    assert found["state"] == "warning"
    assert "may not use" in found["found"]
    assert cluster.work("somebody", "/usr/bin/python3", "-c", HEARD) == "heard by 3\n"

    cluster.remove(box)
    again = cluster.launch(
        "run", options=(*somebodys(cluster, "somebody-2"), *place, *SOCKET, "--group-add", str(group))
    )
    assert "may not use" not in again.says(READY), "what was said to mend it does"


def test_without_any_capability_it_starts_nothing_and_with_those_of_the_compose_file_it_works(
    cluster: Fleet,
) -> None:
    place = volume(cluster, "few")
    token = cluster.secret("few-none.token")
    none = cluster.launch(
        *JOIN, options=("--network", "host", "--cap-drop", "ALL", "--volume", f"{token}:{TOKEN}", *place)
    )
    assert none.ends() != 0
    assert "error SWL-" in none.output
    few = [f"--cap-add={name}" for name in ("CHOWN", "DAC_OVERRIDE", "FOWNER", "SETGID", "SETUID")]
    box = cluster.member("few", "--cap-drop", "ALL", *few, "--security-opt", "no-new-privileges:true", *place)
    assert cluster.work("few", "/usr/bin/python3", "-c", HEARD) == "heard by 3\n"
    assert box.stop()[0] == 0


# ---- what the kernel and the engine give


def test_limits_of_the_container_are_what_the_device_has(cluster: Fleet) -> None:
    told = rootfs.docker(
        "run", "--rm", "--memory", "96m", "--cpus", "0.5", rootfs.tag_of(NATIVE) or "", "profile-hardware"
    )
    hardware = json.loads(told.stdout)["hardware"]
    assert hardware["memory_gb"] == pytest.approx(0.1, abs=0.01)
    assert hardware["cpu_cores"] == 0.5


def test_doctor_names_what_a_plain_container_lacks(cluster: Fleet) -> None:
    box = cluster.member("plain")
    found = every_lack_has_a_remedy(box)
    assert found["data directory"]["state"] == "warning"
    assert found["data directory"]["fix"] == "run it with  -v /opt/swarmlet:/data"
    assert "no engine's socket is here" in found["container engine"]["found"]
    assert "only process workloads" in found["container engine"]["found"]
    version = rootfs.docker("info", "--format", "{{.CgroupVersion}}").stdout.strip()
    assert f"(v{version})" in found["memory limits"]["found"] or found["memory limits"]["state"] != "ok"
    assert "install by pip" in found["isolation"]["fix"]
    assert found["identity"]["found"] == "member plain"
    assert box.run("doctor").returncode in {0, 8}


def test_the_images_health_check_becomes_healthy(cluster: Fleet) -> None:
    """It is the image's own; only that it is done each minute is too slow for a test."""
    box = cluster.member("healthy", "--health-interval", "1s")
    health = "{{.State.Health.Status}}"
    eventually(lambda: box.inspect(health) == "healthy", "the container being healthy", 60)
    last = json.loads(box.inspect("{{json .State.Health.Log}}"))[-1]
    assert last["ExitCode"] == 0
    assert "cluster" in last["Output"]


# ---- process 1


def test_process_1_reaps_orphans_and_stops_in_time_whatever_its_work_does(cluster: Fleet) -> None:
    box = cluster.member("stubborn", *volume(cluster, "stubborn"))
    cluster.stratoswarm_ok(
        "run", "--name", "daemons", "--constraint", "name==stubborn", "--stop-grace", "5m",
        "--", "/usr/bin/python3", "-c", ORPHANS,
    )  # fmt: skip
    eventually(lambda: "on their own" in cluster.stratoswarm_ok("logs", "daemons"), "the daemons")
    eventually(lambda: children(box.pid) in (["S"], ["R"]), "every orphan being reaped, and the work left")
    code, took = box.stop()
    assert code == 0
    assert took < 10


def test_a_member_that_is_cut_off_is_well_enough_and_stops_in_time(cluster: Fleet) -> None:
    box = cluster.member("cut-off", "--network", cluster.network, *volume(cluster, "cut-off"))
    assert rootfs.docker("network", "disconnect", cluster.network, box.name).returncode == 0
    eventually(lambda: "degraded" in box.run("health").stdout, "the agent noticing", 60)
    assert box.run("health").returncode == 0, "no reason to restart it"
    found = every_lack_has_a_remedy(box)
    assert "failed" in {one["state"] for one in found.values()}
    code, took = box.stop()
    assert code == 0
    assert took < 10


def test_a_join_that_hears_nothing_stops_in_time(cluster: Fleet) -> None:
    token = cluster.secret("lonely.token")
    gateway = cluster.address.partition(":")[0]
    with socket.create_server((gateway, 0)) as silent:
        where = f"{gateway}:{silent.getsockname()[1]}"
        box = cluster.launch(
            *(*JOIN, "--cluster", where),
            options=("--network", cluster.network, "--volume", f"{token}:{TOKEN}"),
        )
        box.says("[1/6]")
        code, took = box.stop()
    assert code == 130
    assert took < 10
