"""Containers of the agent's image as a user starts them: beside a coordinator on a network made here.

Whatever a test starts has a name of its own, and ends by that name.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import pty
import re
import secrets
import select
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Self

from tests.image import rootfs
from tests.integration.harness import World, eventually

READY = "accepting work"
#: Emulated, a start takes many times as long.
DEADLINE_S = 90.0
_MACHINES = {"x86_64": "linux/amd64", "aarch64": "linux/arm64", "armv7l": "linux/arm/v7"}
NATIVE = _MACHINES.get(platform.machine(), "linux/amd64")
#: What the specification names.
METRICS = (
    "swarmlet_uptime_seconds",
    "swarmlet_cpu_usage_percent",
    "swarmlet_memory_usage_bytes",
    "swarmlet_network_bytes_total",
    "swarmlet_workloads_active",
    "swarmlet_cluster_heartbeat_success",
)
#: What must be done once where programs of another processor do not run.
EMULATE = (
    "apt-get install qemu-user-static binfmt-support;"
    " mount -t binfmt_misc none /proc/sys/fs/binfmt_misc; update-binfmts --enable"
)
#: What the specification writes for things of the reader's own.
_ADDRESSES = re.compile(r"192\.168\.1\.100:7946|[a-z-]+\.(?:local|company\.com):7946|<CLUSTER>")
_TOKENS = re.compile(r"swarm_join_abc123def456\.\.\.|<TOKEN>")
_NAMES = re.compile(r"--name \S+")
_IMAGE = "stratoswarm/swarmlet:latest"


def absent(wanted: str) -> str:
    """Return why containers of this platform cannot be run here, with what mends it, or nothing."""
    if rootfs.tag_of(wanted) is None:
        make = "make image" if wanted == NATIVE else "make images"
        return f"no image for {wanted} is here; next: {make}"
    reason = rootfs.runs(wanted)
    return f"{reason}; next: {EMULATE}" if reason else ""


class Box:
    """One container, by its name."""

    def __init__(self, name: str) -> None:
        self.name = name

    @property
    def output(self) -> str:
        """Everything it wrote so far."""
        told = rootfs.docker("logs", self.name)
        return told.stdout + told.stderr

    def inspect(self, template: str) -> str:
        """Return what the engine says of it."""
        told = rootfs.docker("inspect", "--format", template, self.name)
        assert told.returncode == 0, told.stderr
        return told.stdout.strip()

    @property
    def pid(self) -> int:
        """Its process 1, by its number out here; 0 when it does not run."""
        return int(self.inspect("{{.State.Pid}}"))

    def run(self, *words: str, options: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
        """Run ``swarmlet`` in it, as ``docker exec`` does."""
        return rootfs.docker("exec", *options, self.name, "/swarmlet", *words)

    def status(self) -> dict[str, Any]:
        """Return what its agent says of itself."""
        told = self.run("status", "-o", "json")
        assert told.returncode in {0, 8}, told.stderr
        found: dict[str, Any] = json.loads(told.stdout)
        return found

    def findings(self) -> dict[str, dict[str, str]]:
        """Return what ``doctor`` finds in it, by check."""
        told = self.run("doctor", "-o", "json")
        return {one["check"]: one for one in json.loads(told.stdout)["findings"]}

    def says(self, text: str, deadline_s: float = DEADLINE_S) -> str:
        """Wait until it wrote ``text``, also after Docker started it again; return everything it wrote."""
        until = time.monotonic() + deadline_s
        while True:
            written = self._follow(text, until)
            if text in written:
                return written
            if time.monotonic() > until or self.inspect("{{.State.Status}}") == "exited":
                raise AssertionError(f"{self.name} did not say {text!r}:\n{written}")

    def _follow(self, text: str, until: float) -> str:
        written = bytearray()
        with subprocess.Popen(
            ["docker", "logs", "--follow", self.name], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        ) as following:
            assert following.stdout
            while text.encode() not in written and (left := until - time.monotonic()) > 0:
                ready, _, _ = select.select([following.stdout], [], [], left)
                part = os.read(following.stdout.fileno(), 65_536) if ready else b""
                if not part:
                    break
                written += part
            following.kill()
        return written.decode(errors="replace")

    def ends(self, deadline_s: float = DEADLINE_S) -> int:
        """Wait until it ended; return its exit code."""
        told = subprocess.run(
            ["docker", "wait", self.name], capture_output=True, text=True, timeout=deadline_s, check=True
        )
        return int(told.stdout)

    def stop(self) -> tuple[int, float]:
        """Ask it to end with all of Docker's own patience and more; return exit code and seconds."""
        began = time.monotonic()
        assert rootfs.docker("stop", "--time", "30", self.name).returncode == 0
        took = time.monotonic() - began
        return int(self.inspect("{{.State.ExitCode}}")), took


class Terminal:
    """A command with a terminal, as in ``docker run -it``."""

    def __init__(self, line: str) -> None:
        self._ours, theirs = pty.openpty()
        self.process = subprocess.Popen(
            ["bash", "-c", line], stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
        )
        os.close(theirs)
        self._said = b""
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        with contextlib.suppress(OSError):  # the other side went: EIO
            while part := os.read(self._ours, 65_536):
                self._said += part

    @property
    def output(self) -> str:
        """Everything that was shown so far."""
        return self._said.decode(errors="replace").replace("\r", "")

    def says(self, text: str) -> str:
        """Wait until ``text`` was shown; return everything that was."""

        def said() -> bool:
            if self.process.poll() is not None and text not in self.output:
                raise AssertionError(f"it ended with {self.process.returncode}:\n{self.output}")
            return text in self.output

        eventually(said, f"{text!r} on the terminal", DEADLINE_S)
        return self.output

    def press(self, key: bytes) -> None:
        """Type something."""
        os.write(self._ours, key)

    def close(self) -> None:
        """End the client, if it did not by itself."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(10)
        self._reader.join(10)
        os.close(self._ours)


class Fleet(World):
    """A coordinator at the address of a bridge of Docker's, and containers beside it."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.network = f"swlt{secrets.token_hex(3)}"
        self.boxes: list[Box] = []
        self._terminals: list[Terminal] = []
        self._counted = 0

    def __enter__(self) -> Self:
        made = rootfs.docker(
            "network", "create", "--opt", f"com.docker.network.bridge.name={self.network}", self.network
        )
        assert made.returncode == 0, made.stderr
        try:
            where = rootfs.docker(
                "network", "inspect", "--format", "{{(index .IPAM.Config 0).Gateway}}", self.network
            )
            self.start_coordinator(bind=where.stdout.strip())
        except BaseException:
            self.__exit__()
            raise
        self.address = f"{where.stdout.strip()}:{self.port}"
        return self

    def __exit__(self, *_: object) -> None:
        for one in self._terminals:
            one.close()
        self.remove(*self.boxes)
        self.end()
        rootfs.docker("network", "rm", self.network)

    def remove(self, *boxes: Box) -> None:
        """End containers by their names, with all that was theirs."""
        if boxes:
            rootfs.docker("rm", "--force", "--volumes", *(one.name for one in boxes))

    def box(self) -> Box:
        """Return a name for a container that is ended with this."""
        self._counted += 1
        box = Box(f"{self.network}-{self._counted}")
        self.boxes.append(box)
        return box

    def written(self, line: str, *options: str, token: str = "", **replaced: str) -> tuple[Box, str]:
        """Return a line of the specification made to run here, and the container it makes.

        Args:
            line: As it is written there. Addresses, tokens, the image and names are replaced.
            options: Further options of ``docker run``.
            token: What stands for the token; none makes a new one where the line has one.
            replaced: Further words to replace, by names of their own; each is ``old=new``.
        """
        box = self.box()
        line = _ADDRESSES.sub(self.address, line.strip())
        if _TOKENS.search(line):
            given = token or self.token()
            line = _TOKENS.sub(lambda _: given, line)
        for old, _, new in (one.partition("=") for one in replaced.values()):
            assert old in line, f"{old} is not in the line"
            line = line.replace(old, new)
        tag = rootfs.tag_of(NATIVE)
        assert tag
        line = _NAMES.sub("", line).replace(_IMAGE, tag)
        added = " ".join(["docker run", f"--name {box.name}", *options])
        return box, line.replace("docker run", added, 1)

    def do(self, line: str, *options: str, **how: str) -> subprocess.CompletedProcess[str]:
        """Run a line to its end."""
        _, command = self.written(line, *options, **how)
        return subprocess.run(
            ["bash", "-c", command], capture_output=True, text=True, timeout=rootfs.PATIENCE_S, check=False
        )

    def begin(self, line: str, *options: str, **how: str) -> Box:
        """Run a line that leaves a container running (``-d``)."""
        box, command = self.written(line, *options, **how)
        told = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
        assert told.returncode == 0, told.stderr
        return box

    def show(self, line: str, *options: str, **how: str) -> Terminal:
        """Run a line in a terminal (``-it``)."""
        _, command = self.written(line, *options, **how)
        self._terminals.append(Terminal(command))
        return self._terminals[-1]

    def launch(self, *words: str, options: Sequence[str] = (), image: str = "", on: str = NATIVE) -> Box:
        """Start a container of the image for a platform in the background."""
        box, tag = self.box(), image or rootfs.tag_of(on)
        assert tag
        told = rootfs.docker("run", "--detach", "--name", box.name, "--platform", on, *options, tag, *words)
        assert told.returncode == 0, told.stderr
        return box

    def member(self, name: str, *options: str, image: str = "", on: str = NATIVE) -> Box:
        """Start an agent by a token file that only root can read, and wait until it accepts work."""
        secret = self.secret(f"{name}.token")
        options = (*_mount(secret, "/run/secrets/token"), "--env", f"SWARM_NODE_NAME={name}", *options)
        if not any(one.startswith("--network") for one in options):
            options = ("--network", "host", *options)
        words = ("join", "--token-file", "/run/secrets/token")
        box = self.launch(*words, options=options, image=image, on=on)
        box.says(READY)
        return box

    def secret(self, name: str, *words: str) -> Path:
        """Return a file with a new token that only its owner can read."""
        file = self.directory / name
        file.touch(mode=0o600)
        file.write_text(self.token(*words))
        return file

    def get(self, box: Box, path: str) -> str:
        """Ask an agent on the host's network as the specification does, at the port it says it took."""
        port = box.status()["api_port"]
        with urllib.request.urlopen(f"http://localhost:{port}{path}", timeout=DEADLINE_S) as answer:
            return str(answer.read().decode())

    def folder(self, name: str) -> Path:
        """Return a new folder of root's, as one that Docker makes for ``-v``."""
        made = self.directory / name
        made.mkdir()
        return made

    def ready(self, name: str) -> dict[str, Any]:
        """Wait until the cluster has this node ready; return what it knows of it."""
        return self.wait_state(name, "ready", DEADLINE_S)

    def work(self, node: str, *command: str) -> str:
        """Run a process on a node to its good end; return what it wrote."""
        self._counted += 1
        name = f"work-{self._counted}"
        how = ("--name", name, "--constraint", f"name=={node}")
        done = self.stratoswarm("run", "--wait", *how, "--", *command, timeout_s=rootfs.PATIENCE_S / 5)
        written = self.stratoswarm("logs", name).stdout
        assert done.returncode == 0, done.stderr + written
        return written


def _mount(outside: Path, inside: str) -> tuple[str, str]:
    return "--volume", f"{outside}:{inside}"


@contextlib.contextmanager
def fleet(directory: Path) -> Iterator[Fleet]:
    """Give a coordinator and its network; show what was written when something failed."""
    with Fleet(directory) as made:
        try:
            yield made
        finally:
            for box in made.boxes:
                print(f"---- {box.name}\n{box.output[-3000:]}")
            for one in made.running:
                print(f"---- {one.log.name}\n{one.output[-6000:]}")
