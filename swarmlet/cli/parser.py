"""Argument parsing shared by both programs: catalogue errors, near misses, the common options."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Sequence
from typing import Any, NoReturn

from swarmlet.cli.render import FORMATS
from swarmlet.errors import error


class Parser(argparse.ArgumentParser):
    """A parser whose errors are ``SWL-400`` with a hint, never a bare exit.

    An option is written out: the beginning of one could come to mean another one in a later version.
    """

    #: A command may follow behind ``--``; its first word, an image, may stand before.
    takes_command = False

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"allow_abbrev": False, **options})

    def error(self, message: str) -> NoReturn:
        """Raise the usage error for ``message``, with the nearest thing that would have been accepted."""
        raise error("SWL-400", detail=message, hint=f"{self.prog} --help")

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        """Refuse a value that is none of the choices, with its near miss; argparse only lists them."""
        if action.choices is None or value in action.choices or not action.option_strings:
            super()._check_value(action, value)
            return
        choices = [str(choice) for choice in action.choices]
        option = "/".join(action.option_strings)
        detail = f"{option} {str(value)[:40]!r} is not one of {', '.join(choices)}"
        near = _nearest(str(value), choices)
        hint = f"did you mean  {action.option_strings[0]} {near} ?" if near else f"{self.prog} --help"
        raise error("SWL-400", detail=detail, hint=hint)


def parse(parser: Parser, argv: Sequence[str]) -> tuple[argparse.Namespace, tuple[str, ...]]:
    """Parse ``argv``; what follows a bare ``--`` is returned apart, untouched, for a command that runs it.

    For every other one ``--`` ends its options, and what follows are its arguments.

    Raises:
        SwarmletError: ``SWL-400`` naming the unknown word and its near miss.
    """
    words, rest = _split(list(argv))
    commands = _walk(parser, words)
    _check_commands(parser, words)
    active = commands[-1]
    if rest and not (isinstance(active, Parser) and active.takes_command):
        words, rest = [*words, "--", *rest], ()
    namespace, unknown = parser.parse_known_args(words)
    unknown = [word for word in unknown if word != "--"]
    if unknown:
        known = [option for one in commands for action in one._actions for option in action.option_strings]  # noqa: SLF001
        if isinstance(active, Parser) and active.takes_command:
            first = namespace.image if namespace.image in words[: words.index(unknown[0])] else None
            raise _misplaced(active.prog, first, unknown, known, plain=words[-len(unknown) :] == unknown)
        if not unknown[0].startswith("-") or "--" in words[: words.index(unknown[0])]:
            raise error(
                "SWL-400", detail=f"{active.prog} has no use for {unknown[0]}", hint=f"{active.prog} --help"
            )
        raise _unknown(active.prog, unknown[0], known)
    return namespace, rest


def _split(words: list[str]) -> tuple[list[str], tuple[str, ...]]:
    if "--" not in words:
        return words, ()
    at = words.index("--")
    return words[:at], tuple(words[at + 1 :])


def _subparsers(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    for action in parser._actions:  # noqa: SLF001 - argparse has no public way to list them
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            return dict(action.choices)
    return {}


def _walk(parser: argparse.ArgumentParser, words: Sequence[str]) -> list[argparse.ArgumentParser]:
    """Return the parsers along the command words, outermost first."""
    path = [parser]
    for word in words:
        children = _subparsers(path[-1])
        if word in children:
            path.append(children[word])
    return path


def _check_commands(parser: argparse.ArgumentParser, words: Sequence[str]) -> None:
    """Refuse an unknown command word with its near miss, before argparse words it its own way."""
    current = parser
    for word in words:
        children = _subparsers(current)
        if not children:
            return
        if word.startswith("-"):
            _check_early_option(current, word)
            return
        if word not in children:
            raise _unknown(current.prog, word, list(children))
        current = children[word]


def _check_early_option(parser: argparse.ArgumentParser, word: str) -> None:
    """Refuse an option before the command word, which only the options of the program itself may be."""
    known = [option for action in parser._actions for option in action.option_strings]  # noqa: SLF001
    if word.split("=", 1)[0] in known:
        return
    if _nearest(word.split("=", 1)[0], known):
        raise _unknown(parser.prog, word, known)
    detail = f"{word} stands before the command; options come after it"
    raise error("SWL-400", detail=detail, hint=f"{parser.prog} COMMAND {word} ...;  {parser.prog} --help")


def _nearest(word: str, known: Sequence[str]) -> str | None:
    import difflib  # noqa: PLC0415 - only on a mistake

    return next(iter(difflib.get_close_matches(word, known, n=1, cutoff=0.5)), None)


def _unknown(prog: str, word: str, known: Sequence[str]) -> Exception:
    asked = word.split("=", 1)[0]
    near = _nearest(asked, known)
    hint = f"did you mean  {near} ?  {prog} --help lists all" if near else f"{prog} --help"
    what = "option" if word.startswith("-") else "command"
    return error("SWL-400", detail=f"{prog} does not know the {what} {asked}", hint=hint)


def _misplaced(
    prog: str, first: str | None, rest: Sequence[str], known: Sequence[str], *, plain: bool
) -> Exception:
    """Return the error for what most likely belongs to a command whose ``--`` was left out.

    ``plain`` says that ``rest`` is what was typed last; else options of our own, or taken for ours, follow.
    """
    asked = rest[0].split("=", 1)[0]
    near = _nearest(asked, known) if asked.startswith("--") else None
    if near or first is None:
        meant = f"did you mean  {near} ?  " if near else ""
        hint = f"{meant}what belongs to the command goes behind  -- :  {prog} -- COMMAND {asked}"
        return error("SWL-400", detail=f"{prog} does not know the option {asked}", hint=hint)
    image, command = (shlex.quote(first), shlex.join(rest)) if plain else ("IMAGE", "COMMAND...")
    process = f"{image} {command}" if plain else command
    hint = (
        f"the command goes behind  -- :  {prog} -- {process}  for a process,"
        f"  {prog} {image} -- {command}  in a container of that image"
    )
    return error("SWL-400", detail=f"{prog} cannot tell what {asked} belongs to", hint=hint)


def add_group(
    commands: argparse._SubParsersAction[Parser], name: str, text: str
) -> argparse._SubParsersAction[Parser]:
    """Add a command that only holds other commands; return where those go."""
    group = commands.add_parser(name, help=text, description=text)
    return group.add_subparsers(required=True, metavar="COMMAND", parser_class=Parser)


def add_common(parser: argparse.ArgumentParser) -> None:
    """Add the options every command has."""
    parser.add_argument("--no-color", action="store_true", help="no escape codes (NO_COLOR does the same)")
    parser.add_argument("--quiet", "-q", action="store_true", help="only data and errors, no narration")
    parser.add_argument("--debug", action="store_true", help="show what happens inside, tracebacks too")


def add_output(parser: argparse.ArgumentParser, formats: Sequence[str] = FORMATS) -> None:
    """Add ``-o``."""
    parser.add_argument(
        "--output", "-o", choices=formats, default="table", help="how to print it (default: table)"
    )
