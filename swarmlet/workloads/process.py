"""Processes as replicas: spawned natively in their sandbox, heard on the event loop, ended as a session.

A process dies with its agent (parent-death signal) and is started again from the journal. It sees nothing of
the agent's environment. What may be spawned, and when, is decided elsewhere.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable, Collection

from swarmlet import _native
from swarmlet.errors import error, from_native
from swarmlet.model.workload import Assignment, Resources
from swarmlet.workloads.driver import Job, Node, Run, bad_environment, variables
from swarmlet.workloads.endings import Exit
from swarmlet.workloads.limits import Limits, storage_refusal
from swarmlet.workloads.neighbours import coordinators, files_of
from swarmlet.workloads.output import STDERR, STDOUT, Pace, Ring
from swarmlet.workloads.workdirs import TEMPORARY, WorkDirs

SIGTERM = 15
SIGKILL = 9
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#: Bytes read of a pipe at once.
_READ_BYTES = 64 * 1024
#: Bytes still read of an ended process's pipes; a flood that ended needs no more to fill the ring.
_REST_BYTES = 1024 * 1024


class _Pipe:
    """One pipe of a process, copied into its ring at a bounded pace."""

    def __init__(self, fd: int, stream: int, ring: Ring) -> None:
        self._fd = fd
        self._stream = stream
        self._ring = ring
        self._pace = Pace()
        self._loop = asyncio.get_running_loop()
        self._resume: asyncio.TimerHandle | None = None
        self._open = True
        self._loop.add_reader(fd, self._on_readable)

    def _on_readable(self) -> None:
        read = self._read()
        if read is None:
            return
        pause = self._pace.spend(read, self._loop.time())
        if pause > 0:
            # The pipe fills and the workload waits: that is the point.
            self._loop.remove_reader(self._fd)
            self._resume = self._loop.call_later(pause, self._loop.add_reader, self._fd, self._on_readable)

    def _read(self) -> int | None:
        """Read once; ``None`` when there is nothing now, or nothing ever again."""
        try:
            data = os.read(self._fd, _READ_BYTES)
        except BlockingIOError:
            return None
        except OSError:
            data = b""
        if not data:
            self.close()
            return None
        self._ring.append(self._stream, data)
        return len(data)

    def finish(self) -> None:
        """Read what is left and close, whoever may still hold the other end."""
        left = _REST_BYTES
        while self._open and left > 0:
            read = self._read()
            if read is None:
                break
            left -= read
        self.close()

    def close(self) -> None:
        """Stop reading; idempotent."""
        if not self._open:
            return
        self._open = False
        if self._resume is not None:
            self._resume.cancel()
        self._loop.remove_reader(self._fd)
        os.close(self._fd)


class ProcessRun:
    """A running process, leader of its session."""

    def __init__(self, process: _native.Process, ring: Ring, note: str, *, limited: bool) -> None:
        """Run ``process``; ``limited`` says that its memory has a limit, which a SIGKILL may come from."""
        self.note = note
        self._limited = limited
        self.process = process
        self._loop = asyncio.get_running_loop()
        self._ended: asyncio.Future[Exit] = self._loop.create_future()
        self._pipes = (_Pipe(process.stdout_fd, STDOUT, ring), _Pipe(process.stderr_fd, STDERR, ring))
        self._loop.add_reader(process.exit_fd, self._on_exit)

    async def wait(self) -> Exit:
        """Return how it ended, once its output was read."""
        return await asyncio.shield(self._ended)

    async def terminate(self) -> None:
        """Send SIGTERM to its whole session."""
        self.process.signal(SIGTERM)

    async def kill(self) -> None:
        """Send SIGKILL to its whole session."""
        self.process.signal(SIGKILL)

    def _on_exit(self) -> None:
        status = self.process.poll()
        if status is None:
            return
        self._loop.remove_reader(self.process.exit_fd)
        for pipe in self._pipes:
            pipe.finish()
        code, signal = status
        detail = "it ended and nobody saw how" if code is None and signal is None else ""
        if not self._ended.done():
            out_of_memory = self.process.out_of_memory if self._limited else bool(self.process.out_of_memory)
            self._ended.set_result(Exit(code, signal, out_of_memory, detail))


class ProcessDriver:
    """Runs assignments as processes of this machine."""

    def __init__(
        self, work: WorkDirs, data_dir: str, node: Node, limits: Limits, *, hidden: tuple[str, ...] = ()
    ) -> None:
        """Keep private directories in ``work``; hide all else of ``data_dir``, and the files ``hidden``."""
        self._work = work
        self._data_dir = data_dir
        self._cgroup = f"swarmlet-{node.node_uid[:12]}"
        self._node = node
        self._hidden = hidden
        self._limits = limits
        self._full: str | None = None
        self._uids: dict[str, int | None] = {}

    async def begin(self) -> None:
        """End what an earlier agent's processes left behind when it was killed."""
        with contextlib.suppress(_native.NativeError):
            await asyncio.to_thread(_native.sweep, self._cgroup)

    async def prepare(self, job: Job) -> None:
        """Make the private directory, when there is room for more."""
        assignment = job.assignment
        wrong = bad_environment(assignment.spec.env) or _bad_command(assignment.spec.command)
        if wrong is not None:
            raise error("SWL-510", node=self._node.name, detail=wrong)
        try:
            if self._limits.storage_gb is not None:
                used = sum((await asyncio.to_thread(self._work.usage)).values())
                full = storage_refusal(used, self._limits)
                self._full = None if full is None else str(full)
                if full is not None:
                    raise full
            name = assignment.assignment_id
            self._uids[name] = await asyncio.to_thread(self._work.make, name)
        except OSError as failure:
            path = str(self._work.path(assignment.assignment_id))
            raise error("SWL-301", path=path, detail=failure.strerror or str(failure)) from failure

    async def start(self, job: Job, ring: Ring) -> Run:
        """Spawn the command in its private directory."""
        assignment, bounds = job.assignment, job.bounds
        name = assignment.assignment_id
        directory = str(self._work.path(name))
        uid = self._uids.get(name)
        command = list(assignment.spec.command)
        try:
            # On the loop's own thread: the parent-death signal is tied to the thread that spawns.
            process = _native.spawn(
                command,
                self._environment(assignment, directory),
                directory,
                memory_bytes=None if bounds.memory_mb is None else bounds.memory_mb * 1_000_000,
                cpu_cores=bounds.cpu,
                uid=uid,
                gid=uid,
                hidden=(self._data_dir, *coordinators(self._data_dir), *files_of(self._hidden)),
                cgroup=f"{self._cgroup}/{name}",
            )
        except _native.NativeError as failure:
            kind, detail = failure.args
            raise from_native(kind, detail, command=command[0], node=self._node.name) from failure
        note = unenforced(assignment.spec.resources, process.applied)
        return ProcessRun(process, ring, note, limited=bounds.memory_mb is not None)

    async def adopt(self, job: Job, ring: Ring) -> Run | None:  # noqa: ARG002 - the driver's shape
        """Nothing of a process outlives its agent."""
        return None

    async def clean(self, assignment: Assignment) -> None:
        """Remove its files: nobody can look at them any more, and others wait for the room."""
        await self.remove(assignment)

    async def remove(self, assignment: Assignment) -> None:
        """Remove the private directory."""
        self._uids.pop(assignment.assignment_id, None)
        self._full = None  # there may be room now: the next start tells
        with contextlib.suppress(OSError):
            await asyncio.to_thread(self._work.remove, assignment.assignment_id)

    async def sweep(self, keep: Callable[[], Collection[Assignment]]) -> None:
        """Remove private directories of assignments that are not known any more."""
        there = await asyncio.to_thread(self._work.names)
        known = {one.assignment_id for one in keep()}
        for name in there:
            if name not in known:
                with contextlib.suppress(OSError):
                    await asyncio.to_thread(self._work.remove, name)

    def trouble(self) -> str | None:
        """Return that the disk this node lends is used up, when that keeps work from starting."""
        return self._full

    async def close(self) -> None:
        """Nothing is held."""

    def _environment(self, assignment: Assignment, directory: str) -> dict[str, str]:
        given = {"PATH": PATH, "HOME": directory, "TMPDIR": f"{directory}/{TEMPORARY}"}
        return {**given, **assignment.spec.env, **variables(assignment, self._node)}


def unenforced(asked: Resources, applied: dict[str, str]) -> str:
    """Return what is not enforced here (W3): limits that were asked for, and what keeps everybody safe."""
    missing = []
    if asked.memory_mb is not None and applied.get("memory", "unenforced") == "unenforced":
        missing.append("memory")
    if asked.cpu is not None and applied.get("cpu", "unenforced") == "unenforced":
        missing.append("processor")
    notes = [f"the {' and '.join(missing)} limit is not enforced by this kernel"] if missing else []
    if applied.get("engine") == "unenforced":
        notes.append("nothing keeps it from this machine's container engine, which the agent may use")
    return "; ".join(notes)


def _bad_command(command: tuple[str, ...]) -> str | None:
    if not command or not command[0]:
        return "there is no command to run"
    if any("\0" in word for word in command):
        return "the command holds a NUL character"
    return None
