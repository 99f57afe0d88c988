"""The settings as rows and as help text. Pure: made from the table, printed by the CLI."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from swarmlet.config.keys import Key
from swarmlet.config.resolve import Resolution

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace


class Row(NamedTuple):
    """One line of ``config show --origin``."""

    name: str
    value: str
    origin: str
    problem: str


def rows(keys: Sequence[Key], prefix: str, found: Resolution) -> list[Row]:
    """Return one row per setting, in the order of the table, then one per problem of no setting."""
    remaining = list(found.problems)
    result = []
    for key in keys:
        origin = found.origins[key.field]
        names = {prefix + key.field.upper(), key.field} | ({origin.name} if origin.name else set())
        mine = [problem for problem in remaining if problem.name in names]
        remaining = [problem for problem in remaining if problem not in mine]
        value = value_text(found.values.get(key.field)) if key.field in found.values else ""
        text = "; ".join(problem.accepts + (f"; {problem.hint}" if problem.hint else "") for problem in mine)
        shown_value = mine[0].value or value if mine else value
        result.append(Row(prefix + key.field.upper(), shown_value, str(origin), text))
    for problem in remaining:
        text = problem.accepts + (f"; {problem.hint}" if problem.hint else "")
        result.append(Row(problem.name, problem.value or "", problem.origin, text))
    return result


def value_text(value: object) -> str:
    """Return a setting's value as it could be written again; nothing for one that is not set."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return ",".join(str(item) for item in value)
    return f"{value:.12g}" if isinstance(value, float) else str(value)


def epilog(keys: Sequence[Key], prefix: str, default_file: str) -> str:
    """Return the part of ``--help`` that lists the settings."""
    lines = ["settings (flag over environment over file over default):"]
    for key in keys:
        lines.append(f"  {prefix + key.field.upper():<26} {key.meaning}")
        lines.append(f"  {'':<26} {key.parser.accepts} [default: {default_text(key)}]")
    lines.append(
        f"a file has the same names in small letters and without {prefix}: {default_file}, or --config PATH"
    )
    return "\n".join(lines)


def default_text(key: Key) -> str:
    """Return how a key's default reads in documents."""
    return key.default_shown or key.default or "none"


def add_flags(parser: ArgumentParser, keys: Sequence[Key], fields: Sequence[str]) -> None:
    """Give ``parser`` the flags of these settings; their values stay text, for ``load`` to judge."""
    for key in keys:
        if key.field in fields and key.flag:
            parser.add_argument(
                key.flag,
                dest=key.field,
                metavar=key.field.rpartition("_")[2].upper(),
                help=f"{key.meaning} ({key.parser.accepts}; default: {default_text(key)})".replace("%", "%%"),
            )


def taken_flags(namespace: Namespace, keys: Sequence[Key]) -> dict[str, str | None]:
    """Return the texts of the settings' flags in a parsed command line, for ``load``."""
    given: dict[str, object] = vars(namespace)
    return {
        key.field: value if isinstance(value := given.get(key.field), str) else None
        for key in keys
        if key.flag
    }
