"""The only owner of print: data on stdout, narration on stderr, colour only where a person looks.

Data that cannot be written is a failure. Narration that cannot be (a full disk, a pipe that nobody reads, a
terminal that is gone) is dropped: what it tells of goes on.

Takes values and rows, never decides what they mean. Off a terminal, or with ``NO_COLOR`` or ``--no-color``,
no escape code is written.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import msgspec

from swarmlet.errors import Exit, SwarmletError, error
from swarmlet.model.text import printable

FORMATS = ("table", "wide", "json", "yaml", "name")

_RED = "\x1b[31m"
_YELLOW = "\x1b[33m"
_BOLD = "\x1b[1m"
_RESET = "\x1b[0m"
_CLEAR = "\x1b[H\x1b[2J"


class Line(NamedTuple):
    """One line to write: data, or an ``aside`` on stderr."""

    text: str
    aside: bool = False


class ReaderGoneError(Exception):
    """Whoever read our data went away (``head``, ``less``): its choice, not a failure."""


class Renderer:
    """Where a command's words go, and how they look."""

    def __init__(self, *, color: bool = True, quiet: bool = False) -> None:
        self._color = color
        self._quiet = quiet
        self._held: list[Line] | None = None

    @contextlib.contextmanager
    def held(self) -> Iterator[list[Line]]:
        """Hold back lines of data and warnings for the length of a block; yield them as they come."""
        before, self._held = self._held, []
        try:
            yield self._held
        finally:
            self._held = before

    def write(self, lines: Iterable[Line]) -> None:
        """Write lines that were held back."""
        for line in lines:
            self._line(line)

    def _line(self, line: Line) -> None:
        if self._held is not None:
            self._held.append(line)
        else:
            (_aside if line.aside else _data)(line.text)

    def out(self, text: str) -> None:
        """Write data: one line to stdout.

        Raises:
            ReaderGoneError: Nobody reads it any more.
            OSError: It cannot be written.
        """
        self._line(Line(text))

    def raw(self, data: bytes) -> None:
        """Write bytes to stdout as they are (a workload's output); raises as :meth:`out`."""
        try:
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
        except BrokenPipeError:
            raise ReaderGoneError from None

    def say(self, text: str) -> None:
        """Narrate: one line to stderr, unless quiet."""
        if not self._quiet:
            _aside(text)

    def pass_on(self, text: str) -> None:
        """Repeat on stderr what another process of ours said before it failed, quiet or not."""
        _aside(text)

    def ask(self, question: str) -> str:
        """Ask a person on the terminal and return the line that was typed, empty at the end of input."""
        _aside(question, end="")
        return sys.stdin.readline()

    def warn(self, text: str) -> None:
        """Say something that deserves a look, quiet or not."""
        self._line(Line(f"{self._paint('warning:', _YELLOW)} {text}", aside=True))

    def tell(self, text: str) -> None:
        """Write to stderr what was asked for, quiet or not."""
        _aside(text)

    def fail(self, failure: SwarmletError) -> Exit:
        """Print a failure in its four parts and return its exit code."""
        _aside(
            f"{self._paint('error', _RED)} {failure.code}: {failure.what}; {failure.unchanged}\n"
            f"  next: {failure.next}"
        )
        return failure.exit_code

    def table(self, headers: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """Print rows under headers, columns aligned, the last one ragged."""
        for number, line in enumerate(layout(headers, rows)):
            self.out(self._paint(line, _BOLD, stream=sys.stdout) if number == 0 else line)

    def emit(
        self,
        value: Any,
        fmt: str,
        *,
        table: Callable[[bool], tuple[Sequence[str], list[list[str]]]],
        names: Callable[[], Iterable[str]],
    ) -> None:
        """Print a view as asked.

        Args:
            value: The view, for ``json`` and ``yaml``.
            fmt: One of :data:`FORMATS`.
            table: Given "wide", returns headers and rows.
            names: Returns one name a line, for ``name``.
        """
        if fmt == "json":
            self.out(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())
        elif fmt == "yaml":
            self.out(to_yaml(value).rstrip())
        elif fmt == "name":
            for name in names():
                self.out(name)
        else:
            self.table(*table(fmt == "wide"))

    def clear(self) -> None:
        """Start a fresh screen for ``--watch``; off a terminal, an empty line."""
        self.out(_CLEAR if self._color and sys.stdout.isatty() else "")

    def _paint(self, text: str, code: str, *, stream: Any = None) -> str:
        stream = sys.stderr if stream is None else stream
        return f"{code}{text}{_RESET}" if self._color and stream.isatty() else text


def _data(text: str) -> None:
    try:
        print(text, flush=True)
    except BrokenPipeError:
        raise ReaderGoneError from None


def _aside(text: str, end: str = "\n") -> None:
    with contextlib.suppress(OSError):
        print(text, end=end, file=sys.stderr, flush=True)


def layout(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return the lines of a table: two spaces between columns, no trailing blanks."""
    body = [list(headers), *([printable(cell) for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in body) for column in range(len(headers))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in body
    ]


def to_yaml(value: Any) -> str:
    """Return a view as YAML.

    Raises:
        SwarmletError: ``SWL-403`` when the yaml package is missing.
    """
    try:
        import yaml  # noqa: PLC0415 - only for -o yaml
    except ImportError:
        raise error("SWL-403", feature="-o yaml", package="pyyaml", extra="coordinator") from None
    plain = msgspec.json.decode(msgspec.json.encode(value))
    return str(yaml.safe_dump(plain, sort_keys=False, allow_unicode=True))
