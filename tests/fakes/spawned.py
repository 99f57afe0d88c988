"""Real processes started through the native sandbox: run to their end, watched, and never left behind."""

from __future__ import annotations

import contextlib
import os
import selectors
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from swarmlet import _native

PATH = "/usr/local/bin:/usr/bin:/bin"
PATIENCE_S = 20.0


class Ended(NamedTuple):
    """A process that ended: how, what it wrote, and what was put on it."""

    code: int | None
    signal: int | None
    out: bytes
    err: bytes
    applied: dict[str, str]
    out_of_memory: bool | None


def start(argv: list[str], directory: Path, **options: Any) -> _native.Process:
    """Start ``argv`` with no more environment than a path."""
    return _native.spawn(argv, options.pop("env", {"PATH": PATH}), str(directory), **options)


def shell(script: str, directory: Path, **options: Any) -> _native.Process:
    """Start a shell script."""
    return start(["/bin/sh", "-c", script], directory, **options)


def finish(process: _native.Process) -> Ended:
    """Read a process's output until it ended."""
    deadline = time.monotonic() + PATIENCE_S
    output = {process.stdout_fd: b"", process.stderr_fd: b""}
    out, err = output
    with selectors.DefaultSelector() as selector:
        for fd in (process.exit_fd, *output):
            selector.register(fd, selectors.EVENT_READ)
        while process.exit_fd in selector.get_map():
            left = deadline - time.monotonic()
            assert left > 0, f"process {process.pid} did not end; it wrote {output}"
            for key, _ in selector.select(left):
                if key.fd == process.exit_fd:
                    selector.unregister(key.fd)
                elif data := os.read(key.fd, 65536):
                    output[key.fd] += data
                else:
                    selector.unregister(key.fd)
    status = process.poll()
    assert status is not None
    for fd in output:
        with contextlib.suppress(BlockingIOError):
            while data := os.read(fd, 65536):
                output[fd] += data
        os.close(fd)
    return Ended(*status, output[out], output[err], process.applied, process.out_of_memory)


def run(argv: list[str], directory: Path, **options: Any) -> Ended:
    """Start ``argv`` and return once it ended."""
    return finish(start(argv, directory, **options))


def python(script: str, directory: Path, *arguments: str, **options: Any) -> Ended:
    """Run a Python script in the sandbox."""
    return run([sys.executable, "-I", "-c", script, *arguments], directory, **options)


def line(process: _native.Process) -> str:
    """Read the next line a process writes."""
    deadline = time.monotonic() + PATIENCE_S
    text = b""
    fd = process.stdout_fd
    while not text.endswith(b"\n"):
        assert time.monotonic() < deadline, f"no line; only {text!r}"
        try:
            data = os.read(fd, 1)
        except BlockingIOError:
            time.sleep(0.001)
            continue
        assert data, f"its output ended after {text!r}"
        text += data
    return text.decode().strip()


def close(process: _native.Process) -> None:
    """End a process and close what was handed over of it."""
    process.signal(9)
    finish(process)


def alive(pid: int) -> bool:
    """Say whether a process runs; a zombie does not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rsplit(")", 1)[1].split()[0] not in {"Z", "X"}


def until(holds: Callable[[], bool], what: str) -> None:
    """Wait until ``holds``."""
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline, f"not in time: {what}"
        time.sleep(0.002)
