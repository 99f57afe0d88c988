"""The settings of both programs as options, and how a command gets the checked ones."""

from __future__ import annotations

import argparse
from collections.abc import Iterable

from swarmlet.config import cluster_keys, keys
from swarmlet.config.cluster_keys import ClusterConfig
from swarmlet.config.keys import Config, Key
from swarmlet.config.load import CLUSTER, NODE, Loaded, load
from swarmlet.config.show import add_flags, taken_flags


def add_settings(
    parser: argparse.ArgumentParser, table: Iterable[Key], only: frozenset[str] | None = None
) -> None:
    """Add ``--config`` and an option for every setting that has a flag.

    Args:
        parser: Where to add them.
        table: A settings table.
        only: Fields to add; ``None`` for all.
    """
    group = parser.add_argument_group("settings, also taken from the environment and a configuration file")
    group.add_argument(
        "--config", metavar="FILE", dest="config_file", help="read settings from this TOML file"
    )
    wanted = [key for key in table if only is None or key.field in only]
    add_flags(group, wanted, [key.field for key in wanted])  # type: ignore[arg-type] # a group adds as a parser does


def node_settings(args: argparse.Namespace) -> Loaded[Config]:
    """Return the node's settings for these arguments; ``SWL-401`` names all that is wrong."""
    return load(NODE, taken_flags(args, keys.KEYS), args.config_file)


def cluster_settings(args: argparse.Namespace) -> Loaded[ClusterConfig]:
    """Return the coordinator's settings for these arguments; ``SWL-401`` names all that is wrong."""
    return load(CLUSTER, taken_flags(args, cluster_keys.KEYS), args.config_file)
