"""A container as bare as ``FROM scratch``, without an engine: a root of its own with next to nothing in it.

The agent in it is process 1 of its own process namespace. The interpreter and this tree are mounted in it
where they are outside, open to all users. All mounts are in a namespace that ends with the process.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
#: What a program written in Python needs of a system besides its interpreter: the C library and the loader.
_SYSTEM = ("/usr", "/lib", "/lib64", "/lib32", "/bin", "/sbin")
_DEVICES = ("/dev/null", "/dev/zero", "/dev/urandom", "/dev/random")


class Capsule:
    """A place to run ``swarmlet`` in.

    Args:
        place: Where to build it.
        proc: Mount ``/proc``.
        read_only: Let nothing be written but what is in ``binds``.
        marked: Leave Docker's mark, by which programs know that they are in a container.
        memory: Paths to mount a file system in memory at.
        binds: Paths outside by the path they get inside.
    """

    def __init__(
        self,
        place: Path,
        *,
        proc: bool = True,
        read_only: bool = True,
        marked: bool = False,
        memory: Sequence[str] = (),
        binds: Mapping[str, Path] | None = None,
    ) -> None:
        self.root = place / "capsule"
        self.root.mkdir(mode=0o755)
        self._lines = ["set -e", "mount --make-rprivate /", f"mount --bind {self.root} {self.root}"]
        for path in (ROOT, Path(sys.prefix), Path(sys.base_prefix)):
            self._bind(str(path), path)
        for name in _SYSTEM:
            self._system(name)
        for name in _DEVICES:
            self._bind(name, Path(name))
        for inside, outside in (binds or {}).items():
            self._bind(inside, outside)
        if marked:
            (self.root / ".dockerenv").touch()
        for inside in memory:
            Path(f"{self.root}{inside}").mkdir()
            self._lines.append(f"mount -t tmpfs -o mode=0755 none {self.root}{inside}")
        if proc:
            (self.root / "proc").mkdir()
            self._lines.append(f"mount -t proc proc {self.root}/proc")
        if read_only:
            self._lines.append(f"mount -o remount,bind,ro {self.root}")

    def _bind(self, inside: str, outside: Path) -> None:
        target = Path(f"{self.root}{inside}")
        for parent in reversed(target.parents):
            if not parent.exists():
                parent.mkdir(mode=0o755)
                parent.chmod(0o755)
        if outside.is_dir():
            if not target.exists():
                target.mkdir()
        elif not target.exists():
            target.touch()
        self._lines.append(f"mount --bind {shlex.quote(str(outside))} {shlex.quote(str(target))}")

    def _system(self, name: str) -> None:
        path = Path(name)
        if path.is_symlink():
            (self.root / name[1:]).symlink_to(path.readlink())
        elif path.is_dir():
            self._bind(name, path)

    def command(self, words: Sequence[str], *, before: Sequence[str] = ()) -> list[str]:
        """Return the command that runs ``words`` in it as process 1, after ``before`` has done its part."""
        inner = ["chroot", str(self.root), *before, *words]
        script = "\n".join([*self._lines, f"exec {shlex.join(inner)}"])
        return ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", script]

    def swarmlet(self, *words: str, before: Sequence[str] = ()) -> list[str]:
        """Return the command that runs ``swarmlet`` in it."""
        return self.command([str(Path(sys.prefix) / "bin" / "swarmlet"), *words], before=before)


class Inside:
    """A process 1 with its output in a file. Its environment is what is given and nothing else."""

    def __init__(self, command: Sequence[str], log: Path, env: Mapping[str, str]) -> None:
        self.log = log
        with log.open("ab") as out:
            self.process = subprocess.Popen(
                list(command),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                env={"PATH": os.environ["PATH"], "NO_COLOR": "1", **env},
            )

    @property
    def output(self) -> str:
        """Everything it wrote so far."""
        return self.log.read_text(errors="replace")

    @property
    def pid(self) -> int:
        """Process 1, by its number out here; ``unshare`` itself hears no signal."""
        until = time.monotonic() + 10
        while time.monotonic() < until:
            if found := self._children():
                return found[0]
            time.sleep(0.01)
        raise AssertionError(f"nothing runs in the capsule:\n{self.output}")

    def _children(self) -> list[int]:
        number = self.process.pid
        children = Path(f"/proc/{number}/task/{number}/children")
        return [int(one) for one in children.read_text().split()] if children.exists() else []

    def status(self) -> dict[str, str]:
        """Return what ``/proc/PID/status`` says of process 1."""
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}

    def run(self, *words: str, env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
        """Run ``swarmlet`` beside process 1, as root and to its end, as ``docker exec`` does."""
        program = str(Path(sys.prefix) / "bin" / "swarmlet")
        return subprocess.run(
            ["nsenter", f"--target={self.pid}", "--mount", "--pid", "--root", "--wd", program, *words],
            env={"PATH": os.environ["PATH"], "NO_COLOR": "1", **env},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    def stop(self, number: int = signal.SIGTERM, timeout_s: float = 15) -> tuple[int, float]:
        """Ask it to end; return its exit code and how many seconds it took."""
        began = time.monotonic()
        os.kill(self.pid, number)
        return self.process.wait(timeout_s), time.monotonic() - began

    def end(self) -> None:
        """End it, whatever it does; its namespaces and mounts go with it.

        Process 1 by itself: the signal that ``unshare`` asked for at its own death is gone once the agent
        became another user (prctl(2), PR_SET_PDEATHSIG).
        """
        for number in self._children():
            with contextlib.suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(10)
