"""``stratoswarm up``: a coordinator and a local node as two processes, kept running by a third.

Each is the ordinary program with ordinary arguments; this only starts them, waits, starts again what died,
and ends both. A node whose exit says it may not come back (wrong use, refused) is left alone and says why.
When this is killed they end too; what does not is found by its record (``up_record.py``).
"""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from types import FrameType
from typing import NamedTuple

from swarmlet.cli.admin import Admin
from swarmlet.cli.render import Renderer
from swarmlet.cli.up_record import STOP_TIMEOUT_S, Record, end_with_parent
from swarmlet.errors import Exit, SwarmletError
from swarmlet.model import places
from swarmlet.model.views import ClusterView
from swarmlet.signals import asking_to_end

START_TIMEOUT_S = 30.0
_PAUSES_S = (1.0, 2.0, 5.0, 10.0, 30.0)
#: A child that ran this long before it died starts again without a longer pause.
_STEADY_S = 60.0
#: Exit codes that starting again would only repeat.
FINAL = frozenset({Exit.USAGE, Exit.REFUSED})


class Plan(NamedTuple):
    """What to start. Arguments are those a user would type; ``secret`` goes to standard input once."""

    name: str
    words: tuple[str, ...]
    secret: str | None = None


class Child:
    """One kept process."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.deaths = 0
        self.due = 0.0
        #: It must not come back, and that was said.
        self.given_up = False
        self._start()

    def _start(self) -> None:
        self.began = time.monotonic()
        secret = self.plan.secret
        self.process = subprocess.Popen(
            self.plan.words,
            stdin=subprocess.DEVNULL if secret is None else subprocess.PIPE,
            stdout=sys.stderr,
            start_new_session=True,
            # Nothing of ours has threads here, which is what makes work between fork and exec unsafe.
            preexec_fn=end_with_parent(),  # noqa: PLW1509
        )
        if secret is not None and self.process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self.process.stdin.write(secret.encode())
            with contextlib.suppress(BrokenPipeError):
                self.process.stdin.close()
            # Spent now: with an identity on disk the next start needs no token.
            self.plan = self.plan._replace(secret=None)

    def keep(self, render: Renderer) -> bool:
        """Start it again when it died and its pause is over; false when it must not come back."""
        code = self.process.poll()
        if code is None:
            return True
        if self.given_up:
            return False
        if code in FINAL:
            render.warn(f"the {self.plan.name} ended with exit code {code} and is left alone")
            return False
        if not self.due:
            steady = time.monotonic() - self.began > _STEADY_S
            self.deaths = 1 if steady else self.deaths + 1
            pause = _PAUSES_S[min(self.deaths, len(_PAUSES_S)) - 1]
            self.due = time.monotonic() + pause
            render.warn(f"the {self.plan.name} ended with exit code {code}; it starts again in {pause:g} s")
        elif time.monotonic() >= self.due:
            self.due = 0.0
            self._start()
        return True

    def end(self) -> None:
        """Ask it to end, wait, and kill it when it does not."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


class Interrupted:
    """Remembers that a signal asked to end, for between two steps: no child is lost while it starts."""

    def __init__(self) -> None:
        self.asked = False

    def __call__(self, _number: int, _frame: FrameType | None) -> None:
        """Note that the end was asked for."""
        self.asked = True

    def check(self) -> None:
        """Call off what is being started once the end was asked for.

        Raises:
            KeyboardInterrupt: It was.
        """
        if self.asked:
            raise KeyboardInterrupt


@contextlib.contextmanager
def interruptible() -> Iterator[Interrupted]:
    """Turn what asks to end into a flag for the time of the block."""
    flag = Interrupted()
    before = {number: signal.signal(number, flag) for number in asking_to_end()}
    try:
        yield flag
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def program(module: str, *words: str) -> tuple[str, ...]:
    """Return the command that runs one of our programs by this interpreter."""
    return (sys.executable, "-m", f"swarmlet.cli.{module}", *words)


def start_coordinator(
    words: Sequence[str], directory: str, admin: Admin, interrupted: Interrupted
) -> tuple[Child, ClusterView]:
    """Start the coordinator of a directory and wait until it answers, it and not one that ran before.

    Raises:
        EndedError: It ended instead; its own words were printed.
        SwarmletError: ``SWL-700`` when it never answers.
    """
    child = Child(Plan("coordinator", program("cluster", "cluster", "start", *words)))
    try:
        return child, _await_answer(child, directory, admin, interrupted)
    except BaseException:
        child.end()
        raise


def _await_answer(child: Child, directory: str, admin: Admin, interrupted: Interrupted) -> ClusterView:
    until = time.monotonic() + START_TIMEOUT_S
    while True:
        interrupted.check()
        code = child.process.poll()
        if code is not None:
            raise EndedError(code)
        cluster = _answer(admin, final=time.monotonic() > until)
        if cluster is not None and _pid_in(f"{directory}/{places.LOCK}") == child.process.pid:
            return cluster
        time.sleep(0.03)


def _answer(admin: Admin, *, final: bool) -> ClusterView | None:
    """Return what a coordinator says of the cluster, or ``None`` while none answers and there is time."""
    try:
        return admin.get(ClusterView, "/v1/cluster")
    except SwarmletError as failure:
        if failure.code != "SWL-700" or final:
            raise
        return None


def _pid_in(path: str) -> int | None:
    """Return the process that a lock or pid file names, if it does."""
    try:
        with open(path) as file:  # noqa: PTH123
            return int(file.read(32))
    except (OSError, ValueError):
        return None


class EndedError(Exception):
    """The coordinator ended at start; it has said why, so only its exit code is passed on."""

    def __init__(self, code: int) -> None:
        self.code = code
        super().__init__(f"the coordinator ended with exit code {code}")


def note(children: Sequence[Child], record: Record) -> list[tuple[str, int]]:
    """Write down which processes are kept now, and return that."""
    kept = [(child.plan.name, child.process.pid) for child in children]
    record.write(kept)
    return kept


def keep_running(
    children: Sequence[Child], record: Record, render: Renderer, interrupted: Interrupted
) -> Exit:
    """Keep children running until the end is asked for, then end them, last started first."""
    living = list(children)
    noted = note(children, record)
    while not interrupted.asked and living:
        living = [child for child in living if child.keep(render)]
        if [(child.plan.name, child.process.pid) for child in children] != noted:
            noted = note(children, record)
        time.sleep(0.2)
    render.say("stopping")
    for child in reversed(list(children)):
        child.end()
    return Exit.DONE
