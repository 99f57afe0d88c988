"""What an administrator pastes is run here as it would be pasted, up to the program it starts."""

from __future__ import annotations

import os
import re
import shlex
import stat
import subprocess
from pathlib import Path

import pytest
import yaml

from swarmlet.cli import node, recipes
from swarmlet.cli.parser import parse

TOKEN = "swarm_join_" + "a1B2" * 60
INVITATION = recipes.Invitation(TOKEN, "192.168.1.100:7946", "2024-08-01 15:30:00 UTC", "one device")
CONTAINERS = INVITATION._replace(containers=True)
SOCKET = "/var/run/docker.sock:/var/run/docker.sock"
SHELL_FORMS = ["docker", "compose", "systemd"]

#: Writes its arguments and its standard input, which a prompt or a program could take from what is pasted.
RECORDER = """#!/bin/sh
printf '%s\\n' "$(basename "$0") $*" >>"$RECORD"
cat >>"$RECORD.stdin"
"""


class Device:
    """A directory that stands for the root of a device; its programs write down how they are called."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.record = root / "record"
        for directory in ("etc/systemd/system", "usr/local/bin", "usr/local/lib/swarmlet/bin", "bin"):
            (root / directory).mkdir(parents=True)
        for name in ("docker", "systemctl", "python3"):
            self._program(root / "bin" / name, RECORDER)
        self._program(root / "usr/local/lib/swarmlet/bin/pip", RECORDER)
        self._program(root / "bin/sudo", '#!/bin/sh\nexec "$@"\n')

    @staticmethod
    def _program(path: Path, text: str) -> None:
        path.write_text(text)
        path.chmod(0o755)

    def paste(self, text: str) -> list[str]:
        """Run ``text`` as a shell reads what is pasted; return how programs were called."""
        for place in ("/etc/swarmlet", "/etc/systemd", "/usr/local"):
            text = text.replace(place, f"{self.root}{place}")
        environment = {"PATH": f"{self.root}/bin:{os.environ['PATH']}", "RECORD": str(self.record)}
        done = subprocess.run(
            ["sh"], input=text, env=environment, capture_output=True, text=True, check=False, umask=0
        )
        assert (done.returncode, done.stderr) == (0, "")
        calls = self.record.read_text().replace(str(self.root), "")
        return calls.splitlines()


@pytest.fixture
def device(tmp_path: Path) -> Device:
    return Device(tmp_path)


@pytest.mark.parametrize("form", SHELL_FORMS)
def test_what_is_pasted_puts_the_token_into_a_file_for_root_alone_and_into_no_argument(
    device: Device, form: str
) -> None:
    file = device.root / "etc/swarmlet/token"
    file.parent.mkdir(mode=0o700)
    file.write_text("an older one, open to others")
    file.chmod(0o644)
    calls = device.paste(recipes.RECIPES[form](INVITATION))
    assert file.read_text() == f"{TOKEN}\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert calls
    assert not [call for call in calls if TOKEN in call]
    assert not (device.root / "record.stdin").read_text(), "a program took lines of the paste for its input"


def test_the_container_is_started_with_the_token_file_mounted(device: Device) -> None:
    (call,) = device.paste(recipes.docker(INVITATION))
    words = shlex.split(call)
    at = words.index(recipes.IMAGE)
    assert words[:2] == ["docker", "run"]
    assert "/etc/swarmlet/token:/run/secrets/token:ro" in words[:at]
    args, _ = parse(node.build(), words[at + 1 :])
    assert (args.token, args.token_file) == (None, "/run/secrets/token")


@pytest.mark.parametrize("form", recipes.RECIPES)
def test_only_a_token_that_allows_containers_gives_docker_and_says_what_that_means(form: str) -> None:
    said = "It allows containers, so that the agent gets Docker"
    with_it, without = recipes.RECIPES[form](CONTAINERS), recipes.RECIPES[form](INVITATION)
    (line,) = [line for line in with_it.splitlines() if said in line]
    assert line.startswith("# ")
    assert recipes.SOCKET_MEANS in line
    assert len(line) <= 120
    assert said not in without
    assert recipes.CONTAINERS_UNIT.splitlines()[0] not in without


def test_the_container_is_given_dockers_socket_when_the_token_allows_containers(device: Device) -> None:
    (call,) = device.paste(recipes.docker(CONTAINERS))
    words = shlex.split(call)
    assert words[words.index(SOCKET) - 1] == "-v"
    assert words.index(SOCKET) < words.index(recipes.IMAGE)
    assert f"-v {SOCKET} stratoswarm/swarmlet:latest join" in recipes.docker(CONTAINERS).splitlines()[-1]
    assert SOCKET not in recipes.docker(INVITATION)


def test_the_compose_file_mounts_dockers_socket_when_the_token_allows_containers(device: Device) -> None:
    device.paste(recipes.compose(CONTAINERS))
    written = yaml.safe_load((device.root / "etc/swarmlet/compose.yaml").read_text())
    assert written["services"]["swarmlet"]["volumes"] == ["/opt/swarmlet:/data", SOCKET]
    usual = yaml.safe_load(recipes.COMPOSE)
    assert usual["services"]["swarmlet"]["volumes"] == ["/opt/swarmlet:/data"]
    written["services"]["swarmlet"]["volumes"].pop()
    written["secrets"] = usual["secrets"]  # its path is that of the device of this test
    assert written == usual


def test_the_unit_may_use_docker_when_the_token_allows_containers(device: Device) -> None:
    assert device.paste(recipes.systemd(CONTAINERS)) == device.paste(recipes.systemd(INVITATION))[:4]
    drop_in = device.root / "etc/systemd/system/swarmlet.service.d/containers.conf"
    assert drop_in.read_text().replace(str(device.root), "") == recipes.CONTAINERS_UNIT
    files = {one["path"]: one for one in yaml.safe_load(recipes.cloud_init(CONTAINERS))["write_files"]}
    assert files[recipes.DROP_IN_FILE]["content"] == recipes.CONTAINERS_UNIT
    assert recipes.DROP_IN_FILE not in recipes.cloud_init(INVITATION)


def test_the_line_of_the_specification_is_there_whole_and_commented_out() -> None:
    last = recipes.docker(INVITATION).splitlines()[-1]
    assert last == (
        "# docker run -d --restart unless-stopped --network host --name swarmlet -v /opt/swarmlet:/data"
        f" stratoswarm/swarmlet:latest join --token {TOKEN} --cluster 192.168.1.100:7946"
    )


def test_the_compose_file_is_written_whole_and_started(device: Device) -> None:
    assert device.paste(recipes.compose(INVITATION)) == ["docker compose -f /etc/swarmlet/compose.yaml up -d"]
    written = (device.root / "etc/swarmlet/compose.yaml").read_text().replace(str(device.root), "")
    assert written == recipes.COMPOSE


def test_the_unit_is_written_whole_and_started_after_its_program_is_there(device: Device) -> None:
    calls = device.paste(recipes.systemd(INVITATION))
    written = (device.root / "etc/systemd/system/swarmlet.service").read_text().replace(str(device.root), "")
    assert written == recipes.AGENT_UNIT
    assert calls == [
        "python3 -m venv /usr/local/lib/swarmlet",
        "pip install --quiet swarmlet",
        "systemctl daemon-reload",
        "systemctl enable --now swarmlet.service",
    ]
    link = (device.root / "usr/local/bin/swarmlet").readlink()
    assert str(link).endswith("/usr/local/lib/swarmlet/bin/swarmlet")


def test_user_data_is_yaml_that_begins_as_cloud_init_wants_it() -> None:
    text = recipes.cloud_init(INVITATION)
    assert text.splitlines()[0] == "#cloud-config"
    data = yaml.safe_load(text)
    files = {one["path"]: one for one in data["write_files"]}
    assert files["/etc/swarmlet/token"] == {
        "path": "/etc/swarmlet/token",
        "permissions": "0600",
        "content": f"{TOKEN}\n",
    }
    unit = files[recipes.UNIT_FILE]["content"].splitlines()
    assert unit == [line for line in recipes.AGENT_UNIT.splitlines() if not line.startswith("#")]
    assert not [command for command in data["runcmd"] if TOKEN in command]


@pytest.mark.parametrize(
    ("line", "controllers", "changed"),
    [
        ("console=tty1 root=PARTUUID=1 rootwait", "cpu io pids", True),
        ("console=tty1 root=PARTUUID=1 cgroup_enable=memory", "cpu io pids", False),
        ("console=tty1 root=PARTUUID=1 rootwait", "cpu io memory pids", False),
        ("DO NOT EDIT THIS FILE", "cpu io pids", False),
    ],
)
def test_the_memory_control_group_is_put_on_once_where_it_is_off(
    tmp_path: Path, line: str, controllers: str, changed: bool
) -> None:
    first, then = yaml.safe_load(recipes.cloud_init(INVITATION))["runcmd"]
    firmware, groups = tmp_path / "cmdline.txt", tmp_path / "cgroup.controllers"
    firmware.write_text(f"{line}\n")
    groups.write_text(f"{controllers}\n")
    for there, here in (
        ("/boot/firmware/cmdline.txt", firmware),
        ("/boot/cmdline.txt", tmp_path / "none"),
        ("/sys/fs/cgroup/cgroup.controllers", groups),
        ("/proc/self/cgroup", tmp_path / "none"),
        ("/run/swarmlet-restart", tmp_path / "restart"),
    ):
        first = first.replace(there, str(here))
    for _ in range(2):  # cloud-init makes one script of all commands: the last one must still be reached
        done = subprocess.run(
            ["sh", "-e"], input=first + "echo reached", capture_output=True, text=True, check=False
        )
        assert done.stdout.splitlines()[-1:] == ["reached"], done.stderr
    assert firmware.read_text() == (f"{line} cgroup_enable=memory\n" if changed else f"{line}\n")
    assert (tmp_path / "restart").exists() == changed
    assert re.search(r"\[ -e /run/swarmlet-restart \] \|\| systemctl start", then)
