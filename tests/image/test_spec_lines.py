"""Every `docker run` line of the specification, run as it is written there.

Other than there are the address of the cluster, the token, the image's tag, the container's name and
folders of the host. A search is kept to a network made here by an option that is added.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.images import built_image
from tests.image import rootfs
from tests.image.boxes import METRICS, NATIVE, READY, Fleet, absent, fleet
from tests.integration.harness import eventually, free_port

pytestmark = [pytest.mark.docker, pytest.mark.image, pytest.mark.timeout(120)]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    reason = absent(NATIVE)
    if reason:
        pytest.skip(reason)
    with fleet(tmp_path_factory.mktemp("lines")) as made:
        yield made


# ---- joining


JOIN = """
docker run --rm -it \\
  --network host \\
  --name swarmlet \\
  stratoswarm/swarmlet:latest \\
  join --token swarm_join_abc123def456... \\
       --cluster 192.168.1.100:7946
"""


def test_join_in_a_terminal_shows_six_steps_and_ends_by_control_c(cluster: Fleet) -> None:
    terminal = cluster.show(JOIN)
    shown = terminal.says(READY)
    for number, label in enumerate(("hardware", "reach", "trust", "identity", "class", "ready"), 1):
        assert f"[{number}/6] {label}" in shown
    assert cluster.address in shown
    cluster.ready(shown.partition("certificate for ")[2].partition(",")[0])
    terminal.press(b"\x03")
    assert terminal.process.wait(20) == 130
    name = cluster.boxes[-1].name
    eventually(lambda: rootfs.docker("inspect", name).returncode != 0, "--rm removing it")


DISCOVER_AND_JOIN = """
docker run --rm -it \\
  --network host \\
  --name swarmlet \\
  stratoswarm/swarmlet:latest \\
  discover-and-join
"""


def test_discover_and_join_shows_what_is_here_and_joins_with_a_token(cluster: Fleet) -> None:
    here = f"-e SWARM_BIND_INTERFACE={cluster.network}"
    without = cluster.show(DISCOVER_AND_JOIN, here)
    shown = without.says("SWL-119")
    assert without.process.wait(20) == 4
    assert cluster.address in shown
    assert "create-join-token" in shown
    cluster.stratoswarm_ok("cluster", "discovery", "on")
    asking = cluster.show(DISCOVER_AND_JOIN, here, "-e SWARM_NODE_NAME=asking")
    code = re.search(r"nodes approve (\S+)", asking.says("nodes approve "))
    assert code is not None
    cluster.stratoswarm_ok("nodes", "approve", code[1])
    asking.says(READY)
    cluster.ready("asking")
    secret = cluster.secret("found.token")
    token = f"-v {secret}:/secrets/token -e SWARM_AUTH_TOKEN_FILE=/secrets/token"
    joined = cluster.show(DISCOVER_AND_JOIN, here, token, "-e SWARM_NODE_NAME=found")
    assert f"at {cluster.address}" in joined.says(READY)
    cluster.ready("found")


# ---- the three examples


RASPBERRY_PI = """
docker run -d \\
  --restart unless-stopped \\
  --network host \\
  --name swarmlet \\
  -v /opt/swarmlet:/data \\
  -e SWARM_NODE_NAME=garden-sensor-01 \\
  -e SWARM_MAX_MEMORY_MB=256 \\
  stratoswarm/swarmlet:latest \\
  join --token <TOKEN> --cluster 192.168.1.100:7946
"""


def test_the_raspberry_pi_line_reports_health_and_metrics_and_keeps_its_identity(cluster: Fleet) -> None:
    data = cluster.folder("garden")
    box = cluster.begin(RASPBERRY_PI, folder=f"/opt/swarmlet={data}")
    written = box.says(READY)
    assert "identity will be lost" not in written
    first = cluster.ready("garden-sensor-01")
    status = box.status()
    assert status["limits"]["memory_mb"] == 256
    assert {path.lstat().st_uid for path in (data, *data.rglob("*"))} == {10001}

    assert json.loads(cluster.get(box, "/health"))["status"] in {"ok", "healthy"}
    assert json.loads(cluster.get(box, "/cluster/status"))["node"] == "garden-sensor-01"
    measured = {line.split("{")[0].split(" ")[0] for line in cluster.get(box, "/metrics").splitlines()}
    assert set(METRICS) <= measured

    # Cut off as by a power failure, Docker starts it again; the token of its line was used up.
    os.kill(box.pid, signal.SIGKILL)
    eventually(lambda: box.inspect("{{.RestartCount}}") == "1", "Docker starting it again")
    box.says("no token is needed")
    back = cluster.ready("garden-sensor-01")
    assert back["node_uid"] == first["node_uid"]
    code, took = box.stop()
    assert code == 0
    assert took < 10


LAPTOP = """
docker run -d \\
  --network host \\
  --name swarmlet-dev \\
  -v /var/run/docker.sock:/var/run/docker.sock \\
  -e SWARM_NODE_NAME=$(hostname)-dev \\
  -e SWARM_MAX_CPU_CORES=4 \\
  stratoswarm/swarmlet:latest \\
  join --token <TOKEN> --cluster dev-cluster.local:7946
"""


def test_the_laptop_line_runs_a_container_workload(cluster: Fleet, tmp_path: Path) -> None:
    box = cluster.begin(LAPTOP, token=cluster.token("--allow", "docker"))
    box.says(READY)
    name = box.status()["node"]
    assert name == f"{socket.gethostname().lower()}-dev"
    assert cluster.ready(name)["profile"]["container_engine"]
    with built_image(tmp_path, 'CMD ["out", "hello from a container", "id"]') as image:
        done = cluster.stratoswarm("run", "--wait", "--name", "boxed", "--constraint", f"name=={name}", image)
        said = cluster.stratoswarm("logs", "boxed").stdout
    assert done.returncode == 0, done.stderr
    assert "hello from a container" in said
    assert "uid 65534" in said


CLOUD = """
docker run -d \\
  --network host \\
  --name swarmlet-cloud \\
  -e SWARM_NODE_NAME=aws-us-west-2-edge \\
  -e SWARM_MAX_MEMORY_MB=2048 \\
  -e SWARM_TLS_ENABLED=true \\
  stratoswarm/swarmlet:latest \\
  join --token <TOKEN> --cluster main-cluster.company.com:7946
"""


def test_the_cloud_line_joins_and_a_folder_that_will_be_lost_is_told(cluster: Fleet) -> None:
    box = cluster.begin(CLOUD)
    lost = [line for line in box.says(READY).splitlines() if line.startswith("warning: /data")]
    assert len(lost) == 1
    assert "is not a volume: this device's identity will be lost with this container." in lost[0]
    assert lost[0].endswith("fix: run it with  -v /opt/swarmlet:/data")
    assert cluster.ready("aws-us-west-2-edge")["state"] == "ready"
    assert "/data is not a volume" in box.run("status").stderr


# ---- looking


def test_the_line_that_tests_the_connection_says_what_answers(cluster: Fleet) -> None:
    told = cluster.do(
        """
docker run --rm --network host stratoswarm/swarmlet:latest \\
  test-connection --cluster 192.168.1.100:7946
"""
    )
    assert told.returncode == 0, told.stderr
    assert [line.split()[:2] for line in told.stdout.splitlines()[1:]] == [[cluster.address, "yes"]]


def test_the_line_that_looks_for_clusters_shows_this_one(cluster: Fleet) -> None:
    told = cluster.do(
        "docker run --rm --network host stratoswarm/swarmlet:latest discover",
        f"-e SWARM_BIND_INTERFACE={cluster.network}",
    )
    assert told.returncode == 0, told.stderr
    assert cluster.address in told.stdout


def test_the_line_that_profiles_the_hardware_prints_the_published_form(cluster: Fleet) -> None:
    told = cluster.do("docker run --rm stratoswarm/swarmlet:latest profile-hardware")
    assert told.returncode == 0, told.stderr
    profile = json.loads(told.stdout)
    assert {
        "cpu_model", "cpu_cores", "memory_gb", "storage_gb", "architecture", "device_type",
    } <= set(profile["hardware"])  # fmt: skip
    assert set(profile["classification"]) >= {"node_class", "suitability"}
    assert profile["hardware"]["cpu_cores"] > 0


# ---- logging


def test_the_debug_line_shows_what_happens_inside(cluster: Fleet) -> None:
    terminal = cluster.show(
        """
docker run --rm -it \\
  --network host \\
  -e SWARM_LOG_LEVEL=debug \\
  stratoswarm/swarmlet:latest \\
  join --token <TOKEN> --cluster <CLUSTER>
"""
    )
    assert "debug" in terminal.says(READY)


def test_the_short_forms_for_limits_and_the_export_of_logs(cluster: Fleet) -> None:
    """``docker run ... -e SWARM_LOG_EXPORT=cluster swarmlet`` and the same for a limit; the dots are ours."""
    rest = f"join --token <TOKEN> --cluster {cluster.address}"
    box = cluster.begin(
        f"docker run ... -e SWARM_LOG_EXPORT=cluster -e SWARM_MAX_MEMORY_MB=128 swarmlet {rest}",
        dots="...=-d --network host -e SWARM_NODE_NAME=short",
        image="swarmlet join=stratoswarm/swarmlet:latest join",
    )
    box.says(READY)
    cluster.ready("short")
    assert box.status()["limits"]["memory_mb"] == 128


# ---- settings and mounts


def test_every_variable_of_the_specification_at_once(cluster: Fleet) -> None:
    secret, api = cluster.secret("every.token"), free_port()
    box = cluster.begin(
        f"""
docker run -d --network host \\
  -v {secret}:/secrets/token \\
  -e SWARM_NODE_NAME=my-raspberry-pi-01 \\
  -e SWARM_LOG_LEVEL=info \\
  -e SWARM_DATA_DIR=/data \\
  -e SWARM_DISCOVERY_PORT=7946 \\
  -e SWARM_API_PORT=8080 \\
  -e SWARM_BIND_INTERFACE=eth0 \\
  -e SWARM_MAX_MEMORY_MB=512 \\
  -e SWARM_MAX_CPU_CORES=2 \\
  -e SWARM_MAX_STORAGE_GB=10 \\
  -e SWARM_TLS_ENABLED=true \\
  -e SWARM_AUTH_TOKEN_FILE=/secrets/token \\
  stratoswarm/swarmlet:latest join
""",
        port=f"8080={api}",
        interface=f"eth0={cluster.network}",
    )
    box.says(READY)
    cluster.ready("my-raspberry-pi-01")
    status = box.status()
    assert status["api_port"] == api
    assert status["limits"] == {"memory_mb": 512, "cpu_cores": 2, "storage_gb": 10}
    assert secret.stat().st_uid == os.geteuid(), "the file stays root's"


def test_the_configuration_folder_is_read(cluster: Fleet) -> None:
    config = cluster.folder("config")
    (config / "swarmlet.toml").write_text('node_name = "from-a-file"\nmax_memory_mb = 64\n')
    box = cluster.begin(
        "docker run -d --network host -v /opt/swarmlet/config:/config stratoswarm/swarmlet:latest"
        " join --token <TOKEN> --cluster 192.168.1.100:7946",
        folder=f"/opt/swarmlet/config={config}",
    )
    box.says(READY)
    cluster.ready("from-a-file")
    assert box.status()["limits"]["memory_mb"] == 64


@pytest.mark.parametrize("privilege", ["--privileged", ""], ids=["privileged", "with the folder alone"])
def test_a_container_with_the_hosts_devices_joins_and_gives_up_root_all_the_same(
    cluster: Fleet, privilege: str
) -> None:
    name = "sensors" if privilege else "sensors-2"
    if privilege:
        tried = rootfs.docker("run", "--rm", privilege, rootfs.tag_of(NATIVE) or "", "--version")
        if "operation not permitted" in tried.stderr:
            pytest.skip("the engine itself may not give every privilege here: " + tried.stderr.strip()[-80:])
    box = cluster.begin(
        "docker run -d --network host -v /dev:/dev --privileged stratoswarm/swarmlet:latest"
        " join --token <TOKEN> --cluster 192.168.1.100:7946",
        f"-e SWARM_NODE_NAME={name}",
        privilege=f"--privileged={privilege}",
    )
    box.says(READY)
    cluster.ready(name)
    status = Path(f"/proc/{box.pid}/status").read_text()
    held = dict(line.split(":", 1) for line in status.splitlines())
    assert held["Uid"].split() == ["10001"] * 4
    assert [int(held[one], 16) for one in ("CapEff", "CapPrm", "CapBnd")] == [0, 0, 0]


def test_on_a_bridge_the_coordinator_is_reached_by_the_gateways_address(cluster: Fleet) -> None:
    box = cluster.begin(
        "docker run -d -v /opt/swarmlet/data:/data stratoswarm/swarmlet:latest"
        " join --token <TOKEN> --cluster 192.168.1.100:7946",
        f"--network {cluster.network} -e SWARM_NODE_NAME=beside",
        folder=f"/opt/swarmlet/data={cluster.folder('beside')}",
    )
    box.says(READY)
    assert box.status()["api_port"] == 8080, "its ports are its own"
    cluster.ready("beside")
    assert box.run("health").returncode == 0
