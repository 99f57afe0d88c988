"""What a hostile or unlucky world needs: small disks, other users, an observer, how a refusal must look."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import select
import shutil
import socket
import subprocess
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self, TypeVar

from tests.integration.harness import World

W = TypeVar("W", bound=World)

#: The user id of nobody.
STRANGER = 65534
#: Texts with a question in them, or a sign for what is not printable; elsewhere it is a missing field.
_ASKS = frozenset({"SWL-400", "SWL-401"})
#: What failed and why (more lines for several settings), what stayed unchanged, the next step.
_REFUSAL = re.compile(r"^error (SWL-\d{3}): (?:(?!^error ).)+?; [^\n]+\n  next: \S", re.MULTILINE | re.DOTALL)


def refused(done: subprocess.CompletedProcess[str], code: str, exit_code: int) -> str:
    """Check that a command failed by its entry of the catalogue, whole and without a traceback; return it."""
    said = done.stderr
    assert "Traceback" not in said + (done.stdout or ""), said
    found = _REFUSAL.findall(said)
    assert found == [code], f"expected {code}, got {found}, exit code {done.returncode}:\n{said}"
    assert done.returncode == exit_code, f"exit code {done.returncode}:\n{said}"
    if code not in _ASKS:
        assert "?" not in said.split(f"error {code}")[1], f"a field of {code} is missing:\n{said}"
    return said


def no_traceback(world: World) -> None:
    """Check every log that the processes of a world have written."""
    for one in world.running:
        assert "Traceback" not in one.output, f"{one.log.name}:\n{one.output}"
        assert "SWL-799" not in one.output, f"{one.log.name}:\n{one.output}"


@contextlib.contextmanager
def seen_off(world: W) -> Iterator[W]:
    """Yield a world; then check what it wrote, end it, and print the end of each log for a failure."""
    try:
        yield world
        no_traceback(world)
    finally:
        world.end()
        for one in world.running:
            print(f"---- {one.log.name}\n{one.output[-5000:]}")


@contextlib.contextmanager
def small_disk(place: Path, size: str) -> Iterator[Path]:
    """Give ``place`` a disk of its own of ``size`` (``64k``, ``8m``) for the length of a block."""
    place.mkdir(parents=True, exist_ok=True)
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size},mode=0700", "swarmlet-test", str(place)], check=True
    )
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def remount(place: Path, how: str) -> None:
    """Remount a disk of :func:`small_disk`: ``ro``, ``rw``, ``size=1m``."""
    subprocess.run(["mount", "-o", f"remount,{how}", str(place)], check=True)


def fill(place: Path) -> Path:
    """Write until not one byte more fits; return the file that takes the room."""
    filler = place / "filler"
    handle = os.open(filler, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        for size in (1 << 20, 1 << 12, 1):
            with contextlib.suppress(OSError):
                while os.write(handle, bytes(size)):
                    pass
    finally:
        os.close(handle)
    assert shutil.disk_usage(place).free == 0
    return filler


def as_stranger(words: Sequence[str], uid: int = STRANGER) -> list[str]:
    """Return ``words`` made to run as another user; needs root.

    That user may read everything, since the interpreter may lie below a private home, and write nothing that
    is not its own.
    """
    sees_all = "-all,+dac_read_search"
    return [
        "setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups",
        f"--inh-caps={sees_all}", f"--ambient-caps={sees_all}", *words,
    ]  # fmt: skip


def spoil(file: Path, at: int = -40) -> None:
    """Flip one byte of a file."""
    content = bytearray(file.read_bytes())
    content[at] ^= 0xFF
    file.write_bytes(content)


# ---- a line that loses the one answer that matters


class Hush(threading.Thread):
    """Forwards one connection to a port of this machine; once its client has asked, no answer gets back.

    A client's second record of application data is its request: the first one ends the handshake (RFC 8446,
    5.1 and 4.4.4: all that is encrypted looks like application data).
    """

    def __init__(self, port: int) -> None:
        super().__init__(name="hush", daemon=True)
        self._port = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        #: Set once the answer came, and was kept from the client.
        self.kept = threading.Event()
        self._records = 0
        self._half = b""

    def run(self) -> None:
        with (
            self._listener,
            self._listener.accept()[0] as near,
            socket.create_connection(("127.0.0.1", self._port)) as far,
        ):
            other = {near: far, far: near}
            while ready := select.select(list(other), [], [], 30)[0]:
                for end in ready:
                    data = end.recv(65_536)
                    if not data:
                        return
                    if end is near:
                        self._count(data)
                    if end is far and self._records >= 2:
                        self.kept.set()
                    else:
                        other[end].sendall(data)

    def _count(self, data: bytes) -> None:
        self._half += data
        while len(self._half) >= 5 and len(self._half) >= (end := 5 + int.from_bytes(self._half[3:5])):
            self._records += self._half[0] == 23
            self._half = self._half[end:]


# ---- an outside observer


class _AdminConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("coordinator", timeout=10)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def ask(world: World, path: str) -> Any:
    """Return the JSON of a route of the admin API, or ``None`` when no coordinator answers; cheap to poll."""
    connection = _AdminConnection(world.cluster_dir / "admin.sock")
    try:
        connection.request("GET", path)
        return json.loads(connection.getresponse().read())
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


class Run(NamedTuple):
    """One process of a replica, as seen from outside; ``end`` is when it was missed. Monotonic seconds."""

    pid: int
    workload_id: str
    replica: int
    epoch: int
    device: str
    begin: float
    end: float


class Watch:
    """Looks at the processes of all workloads of a world, many times a second, and trusts nobody's word."""

    #: Seconds between two looks.
    PAUSE_S = 0.04

    def __init__(self, directory: Path) -> None:
        self._directory = str(directory)
        self._open: dict[tuple[int, str], Run] = {}
        self._over: list[Run] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch")
        #: The longest time between two looks: what is shorter cannot be told from nothing.
        self.blind_s = 0.0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        last = time.monotonic()
        while not self._stop.wait(self.PAUSE_S):
            seen = dict(self._look())
            now = time.monotonic()
            self.blind_s, last = max(self.blind_s, now - last), now
            gone = [key for key in self._open if key not in seen]
            self._over += [self._open.pop(key)._replace(end=now) for key in gone]
            for key, (device, name) in seen.items():
                workload_id, replica, epoch = name.rsplit(".", 2)
                begin = self._open[key].begin if key in self._open else now
                self._open[key] = Run(key[0], workload_id, int(replica), int(epoch), device, begin, now)

    def _look(self) -> Iterator[tuple[tuple[int, str], tuple[str, str]]]:
        """Yield processes that lead a session in the private directory of an assignment."""
        for entry in os.listdir("/proc"):  # noqa: PTH208 - many times a second
            if not entry.isdigit():
                continue
            with contextlib.suppress(OSError, ValueError):
                place = os.readlink(f"/proc/{entry}/cwd").removesuffix(" (deleted)")  # noqa: PTH115
                if not place.startswith(self._directory):
                    continue
                device, work, name = place.removeprefix(self._directory + "/").split("/")[:3]
                state = Path(f"/proc/{entry}/stat").read_text().rpartition(")")[2].split()
                if work == "work" and state[0] != "Z" and state[3] == entry:
                    yield (int(entry), place), (device, name)

    @property
    def runs(self) -> list[Run]:
        """Every process that was seen so far, the living ones with the time of the last look as their end."""
        return sorted([*self._over, *list(self._open.values())], key=lambda run: run.begin)

    def living(self) -> list[Run]:
        """The processes of the last look."""
        return list(self._open.values())


class Overlap(NamedTuple):
    """Two processes of one replica that lived at the same time, for so many seconds."""

    first: Run
    second: Run
    seconds: float


def overlaps(runs: Sequence[Run], workload_id: str) -> list[Overlap]:
    """Return every pair of processes of one replica of a workload that lived at one time."""
    found: list[Overlap] = []
    replicas: dict[int, list[Run]] = defaultdict(list)
    for run in runs:
        if run.workload_id == workload_id:
            for other in replicas[run.replica]:
                together = min(run.end, other.end) - max(run.begin, other.begin)
                if together > 0:
                    found.append(Overlap(other, run, together))
            replicas[run.replica].append(run)
    return found
