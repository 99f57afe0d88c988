"""Where a join token comes from: an argument, a file, standard input; the first that is given.

The text in a file or on standard input is read natively and never becomes a Python string (T11). One on the
command line already was one, and stays visible to other users of the machine: that is said.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable

from swarmlet._native import NativeError, Token
from swarmlet.cli.render import Renderer
from swarmlet.config.token_file import open_token_file
from swarmlet.errors import SwarmletError, error, from_native

#: No token is this short, so that what a shorter file holds may be looked at.
_SHORT_BYTES = 64


def take_token(text: str | None, path: str | None, render: Renderer) -> Token | None:
    """Return the token that was given, or ``None`` when none was.

    Args:
        text: From ``--token``; ``-`` is standard input.
        path: From ``--token-file`` or ``SWARM_AUTH_TOKEN_FILE``; ``-`` is standard input.
        render: Where warnings go.

    Raises:
        SwarmletError: ``SWL-101`` to ``SWL-103`` for what is no token, ``SWL-113``, ``SWL-114`` for its file,
            ``SWL-118`` where nothing is.
    """
    try:
        if text is not None and not text.strip():
            raise error("SWL-118", source="--token")
        if text is not None and text != "-":
            render.warn(
                "other users of this machine can read a token on the command line; better: --token-file FILE"
            )
            return Token.parse(text)
        source = "-" if text == "-" else path
        if source is None:
            return None
        file = open_token_file(source)
        for warning in file.warnings:
            render.warn(warning)
        try:
            if _is_blank(file.fd):
                raise error(
                    "SWL-118", source="standard input" if source == "-" else f"the token file {source}"
                )
            return Token.read_fd(file.fd)
        finally:
            os.close(file.fd)
    except NativeError as failure:
        kind, detail = failure.args
        if kind == "token-prefix" and "-" in {text, path}:
            detail = f"standard input was empty, or {detail}"
        raise from_native(kind, detail, path=path or "-") from None


def _is_blank(fd: int) -> bool:
    """Say whether a file holds nothing but white space; of a pipe nobody can tell without taking it."""
    found = os.fstat(fd)
    if not stat.S_ISREG(found.st_mode) or found.st_size >= _SHORT_BYTES:
        return False
    at = os.lseek(fd, 0, os.SEEK_CUR)
    return not os.pread(fd, _SHORT_BYTES, at).strip()


def hold_token(text: str | None, path: str | None, render: Renderer) -> Callable[[], Token | None]:
    """Read a token's file now, while this process may, and give it once, later.

    What is typed on standard input, or is in an argument, can wait. What was wrong is told when it is asked
    for. Arguments and errors as :func:`take_token`.
    """
    if text is not None or path in {None, "-"}:
        return lambda: take_token(text, path, render)
    held: list[Token | SwarmletError | None] = []
    try:
        held.append(take_token(None, path, render))
    except SwarmletError as failure:
        held.append(failure)

    def give() -> Token | None:
        found = held.pop() if held else None
        if isinstance(found, SwarmletError):
            raise found
        return found

    return give
