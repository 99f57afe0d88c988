"""What both programs do around a command: colours, interruption, the last resort for errors."""

from __future__ import annotations

import argparse
import errno
import os
import signal
import sys
from collections.abc import Callable, Sequence

from swarmlet.cli.render import ReaderGoneError, Renderer
from swarmlet.config.load import outside
from swarmlet.errors import Exit, SwarmletError, error

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


def renderer(args: argparse.Namespace) -> Renderer:
    """Return the renderer these arguments ask for."""
    plain = getattr(args, "no_color", False)
    return Renderer(color=not plain and takes_color(), quiet=getattr(args, "quiet", False))


def takes_color() -> bool:
    """Say whether the environment lets us colour: ``NO_COLOR`` is empty (no-color.org), ``TERM`` not dumb."""
    return not outside("NO_COLOR") and outside("TERM") != "dumb"


def guarded(words: Sequence[str], run: Callable[[], int]) -> int:
    """Run a command; turn every failure into an entry of the catalogue and an exit code.

    Args:
        words: The arguments, to know whether ``--debug`` asks for tracebacks.
        run: The command.
    """
    _stand_in_for_closed()
    try:
        return _told(words, run)
    finally:
        _let_go()


def _told(words: Sequence[str], run: Callable[[], int]) -> int:
    debug = "--debug" in words
    render = Renderer(color="--no-color" not in words and takes_color())
    try:
        if os.getpid() == 1:
            _hear_the_end()
        return run()
    except SwarmletError as failure:
        if debug:
            _show_traceback()
        return render.fail(failure)
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    except ReaderGoneError:
        return Exit.DONE
    except Exception as failure:  # noqa: BLE001 - the last resort: no traceback reaches a user
        if debug:
            _show_traceback()
        return render.fail(_named(failure))


def _stand_in_for_closed() -> None:
    """Open nothing in place of streams that were closed before we began.

    Without it the next file that is opened has the number of one, and whatever is written there.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: PTH123, SIM115 - for good


def _let_go() -> None:
    """Let what is left of the output go nowhere: at its end the interpreter would fail at it once more."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _hear_the_end() -> None:
    """Be ended by SIGTERM as process 1, from which the kernel keeps every signal that has no handler.

    Whatever started the interpreter may have blocked it, so that one that came meanwhile waits until now.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})


def _named(failure: Exception) -> SwarmletError:
    """Return the entry of the catalogue for what no part of the program expected."""
    if isinstance(failure, UnicodeEncodeError):
        # The system gives arguments as bytes; what is no text cannot be sent to anybody.
        detail = "an argument holds bytes that are no text in UTF-8"
        return error("SWL-400", detail=detail, hint="write it in UTF-8")
    if isinstance(failure, OSError) and failure.errno in _FULL:
        # Of all files only the output is written by nobody who knows what a full disk means.
        return error("SWL-302", path="the output")
    return error("SWL-799", detail=f"{type(failure).__name__}: {failure}")


def _show_traceback() -> None:
    import traceback  # noqa: PLC0415 - only with --debug

    traceback.print_exc()
