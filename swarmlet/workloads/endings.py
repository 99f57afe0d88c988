"""How a run ended, in words for people and in the one number a shell would give. Pure."""

from __future__ import annotations

from typing import NamedTuple

#: Names of the signals that end programs (signal(7)).
_SIGNALS = {
    1: "SIGHUP",
    2: "SIGINT",
    3: "SIGQUIT",
    4: "SIGILL",
    6: "SIGABRT",
    7: "SIGBUS",
    8: "SIGFPE",
    9: "SIGKILL",
    11: "SIGSEGV",
    13: "SIGPIPE",
    14: "SIGALRM",
    15: "SIGTERM",
    24: "SIGXCPU",
    25: "SIGXFSZ",
    31: "SIGSYS",
}


#: What shells, and small init programs like them, mean by a code (POSIX sh, 2.8.2).
_MEANINGS: dict[int | None, str] = {126: " (the command cannot be run)", 127: " (command not found)"}


class Exit(NamedTuple):
    """The end of one run: a code or a signal, never both.

    ``out_of_memory`` is ``None`` when nobody can tell. ``unstarted`` says why the program never ran, where
    that is known only from what was started in its place.
    """

    code: int | None = None
    signal: int | None = None
    out_of_memory: bool | None = None
    detail: str = ""
    unstarted: str = ""

    @property
    def success(self) -> bool:
        """Say whether the program ended well by itself."""
        return self.code == 0


def shell_code(ended: Exit) -> int:
    """Return the exit code as a shell tells it: 128 plus the signal's number (POSIX sh, 2.8.2)."""
    if ended.signal is not None:
        return 128 + ended.signal
    return ended.code if ended.code is not None else 255


def describe(ended: Exit) -> str:
    """Return why it ended, as a sentence without a period."""
    if ended.detail:
        return ended.detail
    if ended.out_of_memory:
        return "killed: out of memory"
    if ended.signal is not None:
        if ended.signal == 9 and ended.out_of_memory is None:
            return "killed by signal 9 (out of memory?)"
        name = _SIGNALS.get(ended.signal)
        return f"killed by signal {ended.signal}" + (f" ({name})" if name else "")
    return f"exit code {ended.code}{_MEANINGS.get(ended.code, '')}"


def from_shell_code(code: int, *, out_of_memory: bool) -> Exit:
    """Return the ending behind ``code`` where an engine tells only the shell's number.

    A program may also exit with such a number by itself; nobody can tell, and the number stays the same.
    """
    if 128 < code < 128 + 65:
        return Exit(signal=code - 128, out_of_memory=out_of_memory)
    return Exit(code=code, out_of_memory=out_of_memory)
