"""The main job end to end on this machine, with the commands a user would type.

Starts a cluster, joins two more devices, runs a process workload and, where a container engine answers, a
container workload; shows the tables; removes everything it made. Works in a temporary directory on loopback.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

BIN = Path(sys.executable).parent
IMAGE = "swarmlet-demo:local"
PROGRAM = r"""
#include <stdio.h>
#include <unistd.h>
int main(void) {
    puts("hello from a container");
    fflush(stdout);
    sleep(600);
    return 0;
}
"""


class Demo:
    """One run: every process it starts is ended by it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.cluster = directory / "cluster"
        self.started: list[subprocess.Popen[bytes]] = []

    def show(self, *words: str, quiet: bool = False) -> str:
        """Run a command as a user would and show what it prints."""
        if not quiet:
            print(f"\n$ {shlex.join(words)}", flush=True)
        env = {**os.environ, "STRATOSWARM_DATA_DIR": str(self.cluster)}
        done = subprocess.run(
            [str(BIN / words[0]), *words[1:]],
            capture_output=True,
            text=True,
            env=env,
            timeout=90,
            check=False,
        )
        if not quiet or done.returncode:
            print((done.stdout + done.stderr).rstrip(), flush=True)
        if done.returncode:
            raise SystemExit(
                f"demo: this command failed with exit code {done.returncode}: {shlex.join(words)}"
            )
        return done.stdout

    def background(self, *words: str, log: str, **env: str) -> Path:
        """Start a command that goes on; return the file its output goes to."""
        shown = " ".join(f"{key}={value}" for key, value in env.items())
        print(f"\n$ {shown}{' ' if shown else ''}{shlex.join(words)} &", flush=True)
        path = self.directory / log
        with path.open("wb") as out:
            self.started.append(
                subprocess.Popen(
                    [str(BIN / words[0]), *words[1:]],
                    stdout=out,
                    stderr=out,
                    stdin=subprocess.DEVNULL,
                    env={**os.environ, "STRATOSWARM_DATA_DIR": str(self.cluster), **env},
                )
            )
        return path

    def wait(self, log: Path, text: str) -> None:
        """Wait until a background command has said ``text``, then show what it said so far."""
        until = time.monotonic() + 60
        while text not in log.read_text(errors="replace"):
            if time.monotonic() > until or any(one.poll() not in {None, 0} for one in self.started):
                print(log.read_text(errors="replace"))
                raise SystemExit(f"demo: {log.name} never said {text!r}")
            time.sleep(0.05)
        print(log.read_text(errors="replace").rstrip(), flush=True)

    def end(self) -> None:
        """End what was started, newest first."""
        for one in reversed(self.started):
            if one.poll() is None:
                one.send_signal(signal.SIGTERM)
        for one in reversed(self.started):
            with contextlib.suppress(subprocess.TimeoutExpired):
                one.wait(timeout=15)
            if one.poll() is None:
                one.kill()


def run(demo: Demo) -> None:
    """Do the main job."""
    began = time.monotonic()
    port = str(free_port())
    up = demo.background(
        "stratoswarm", "up", "--name", "demo", "--bind", "127.0.0.1", "--advertise", f"127.0.0.1:{port}",
        "--port", port, log="up.log", SWARM_NODE_NAME="workstation", SWARM_API_PORT=str(free_port()),
    )  # fmt: skip
    demo.wait(up, "the cluster is up")
    for name in ("garden-sensor-01", "kitchen-pi"):
        token = demo.directory / f"{name}.token"
        made = demo.show("stratoswarm", "cluster", "create-join-token", "--expires", "1h", "-q", quiet=True)
        token.write_text(made)
        token.chmod(0o600)
        print(f"\n$ stratoswarm cluster create-join-token --expires 1h -q > {token.name}")
        log = demo.background(
            "swarmlet", "join", "--token-file", str(token), "--data-dir", str(demo.directory / name),
            log=f"{name}.log", SWARM_NODE_NAME=name, SWARM_API_PORT=str(free_port()),
        )  # fmt: skip
        demo.wait(log, "accepting work")
    demo.show("stratoswarm", "nodes", "ls")
    demo.show("stratoswarm", "run", "--name", "hello", "--replicas", "3", "--", "sh", "-c",
              "echo hello from $SWARM_NODE_NAME; sleep 600")  # fmt: skip
    demo.show("stratoswarm", "logs", "hello")
    if build_image():
        demo.show("stratoswarm", "run", "--name", "boxed", "--memory", "32m", IMAGE)
        demo.show("stratoswarm", "logs", "boxed")
    else:
        print("\n(no container engine answers here, so the container workload is left out)")
    demo.show("stratoswarm", "ps")
    demo.show("stratoswarm", "inspect", "hello")
    demo.show("stratoswarm", "nodes", "ls", "-o", "wide")
    running = json.loads(demo.show("stratoswarm", "ps", "-o", "json", quiet=True))["items"]
    demo.show("stratoswarm", "stop", *[item["name"] for item in running])
    print(f"\nthe main job took {time.monotonic() - began:.1f} s; everything it started is being removed")


def build_image() -> bool:
    """Make a tiny image from nothing, when an engine and a C compiler are there."""
    if shutil.which("docker") is None or shutil.which("cc") is None:
        return False
    with tempfile.TemporaryDirectory() as place:
        source, binary = Path(place) / "hello.c", Path(place) / "hello"
        source.write_text(PROGRAM)
        built = subprocess.run(["cc", "-static", "-Os", "-o", str(binary), str(source)], check=False)
        if built.returncode:
            return False
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as tar:
            tar.add(binary, arcname="hello")
        done = subprocess.run(
            ["docker", "import", "--change", 'ENTRYPOINT ["/hello"]', "-", IMAGE],
            input=packed.getvalue(), capture_output=True, timeout=60, check=False,
        )  # fmt: skip
    return done.returncode == 0


def free_port() -> int:
    """Return a TCP port of loopback that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def main() -> int:
    """Run the demo and clean up, also when it fails or is interrupted."""
    with tempfile.TemporaryDirectory(prefix="swarmlet-demo-") as place:
        demo = Demo(Path(place))
        try:
            run(demo)
        except KeyboardInterrupt:
            return 130
        finally:
            demo.end()
            if shutil.which("docker") is not None:
                subprocess.run(["docker", "rmi", "-f", IMAGE], capture_output=True, timeout=60, check=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
