"""Options made from the settings tables, so that a flag, a variable and a file key can never disagree."""

from __future__ import annotations

import argparse
from collections.abc import Iterable

from swarmlet.config.keys import Key


def add_settings(
    parser: argparse.ArgumentParser, keys: Iterable[Key], only: frozenset[str] | None = None
) -> None:
    """Add an option for every key that has a flag.

    Args:
        parser: Where to add them.
        keys: A settings table.
        only: Fields to add; ``None`` for all.
    """
    group = parser.add_argument_group(
        "settings (also as environment variables and in the configuration file)"
    )
    group.add_argument(
        "--config", metavar="FILE", dest="config_file", help="read settings from this TOML file"
    )
    for key in keys:
        if key.flag is None or (only is not None and key.field not in only):
            continue
        shown = key.default_shown or key.default or "not set"
        text = f"{key.meaning} ({shown})".replace("%", "%%")
        group.add_argument(key.flag, dest=f"setting_{key.field}", metavar=key.field.upper(), help=text)


def flags_of(args: argparse.Namespace) -> dict[str, str | None]:
    """Return the flags that were given, by field, for ``config.load``."""
    prefix = "setting_"
    return {
        name.removeprefix(prefix): value
        for name, value in vars(args).items()
        if name.startswith(prefix) and value is not None
    }
