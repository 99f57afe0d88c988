"""Opening the file that holds a join token (T11).

The token itself is read natively from the descriptor, so that its text never becomes a Python string.
Docker and Kubernetes secrets are symbolic links and readable by all, so links are followed and reading by
others only warns; what others can *write* is refused, since whoever writes it chooses the cluster.
"""

from __future__ import annotations

import os
import stat
from typing import NamedTuple

from swarmlet.config.parse import looks_secret, shown
from swarmlet.errors import error


class Verdict(NamedTuple):
    """What the mode of a token file means."""

    refused: bool = False
    unusable: str = ""
    warning: str = ""


class TokenFile(NamedTuple):
    """An open token file. The caller closes ``fd``."""

    fd: int
    warnings: tuple[str, ...]


def judge_mode(mode: int) -> Verdict:
    """Judge ``st_mode``. Pipes and terminals have no permissions worth judging and pass."""
    if stat.S_ISFIFO(mode) or stat.S_ISCHR(mode) or stat.S_ISSOCK(mode):
        return Verdict()
    if not stat.S_ISREG(mode):
        return Verdict(unusable="it is a directory" if stat.S_ISDIR(mode) else "it is not a file")
    if mode & (stat.S_IWGRP | stat.S_IWOTH):
        return Verdict(refused=True)
    if mode & (stat.S_IRGRP | stat.S_IROTH):
        return Verdict(warning="can be read by other users; chmod go-r would stop that")
    return Verdict()


def open_token_file(path: str) -> TokenFile:
    """Open ``path`` (``-`` is standard input) for the native token reader.

    Raises:
        LocalError: ``SWL-113`` when others can write it, ``SWL-114`` when it cannot be read.
    """
    if path == "-":
        return TokenFile(os.dup(0), ())
    if looks_secret(path):
        # Repeated in an error it would be in every log that keeps it (T11).
        raise error("SWL-114", path=shown(path), detail="it is the token itself and no file")
    try:
        # Non-blocking, so that a named pipe without a writer is an empty token rather than a wait for ever.
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK)
    except (OSError, ValueError) as fault:
        detail = getattr(fault, "strerror", None) or str(fault)
        raise error("SWL-114", path=path, detail=detail.lower()) from None
    verdict = judge_mode(os.fstat(fd).st_mode)
    if verdict.refused or verdict.unusable:
        os.close(fd)
        raise (
            error("SWL-113", path=path)
            if verdict.refused
            else error("SWL-114", path=path, detail=verdict.unusable)
        )
    os.set_blocking(fd, True)
    return TokenFile(fd, (f"the token file {path} {verdict.warning}",) if verdict.warning else ())
