"""``stratoswarm``: the cluster, for its administrator. Builds the parser and calls one command."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from functools import partial

from swarmlet import __version__
from swarmlet.cli import (
    commands_cluster,
    commands_events,
    commands_nodes,
    commands_pairing,
    commands_tokens,
    commands_work,
)
from swarmlet.cli.admin import Admin
from swarmlet.cli.main import guarded, renderer
from swarmlet.cli.parser import Parser, add_group, parse
from swarmlet.cli.settings import add_settings
from swarmlet.config.cluster_keys import KEYS
from swarmlet.model.membership import Availability

_ADMIN_SETTINGS = frozenset({"data_dir"})


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``stratoswarm`` with ``argv`` and return its exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    return guarded(words, lambda: _run(words))


def _run(words: list[str]) -> int:
    parser = build()
    args, rest = parse(parser, words)
    args.rest = rest
    render = renderer(args)
    if getattr(args, "local", False):
        return int(args.run(args, render))
    return int(args.run(args, Admin(commands_cluster.socket_path(args), say=render.say), render))


def build() -> Parser:
    """Return the whole parser of ``stratoswarm``."""
    parser = Parser(prog="stratoswarm", description="Start a StratoSwarm cluster and run work on it.")
    parser.add_argument("--version", action="version", version=f"stratoswarm {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=Parser)
    _local(commands, "up", commands_cluster.add_up, "start a cluster on this machine, with a local node")
    _local(commands, "down", commands_cluster.add_down, "stop what  up --detach  started")
    _cluster(commands)
    _nodes(commands)
    _admin(commands, "run", commands_work.add_run, "run a container image, or a process after --")
    _admin(commands, "ps", commands_work.add_ps, "list workloads")
    _admin(commands, "logs", commands_work.add_logs, "show what a workload wrote")
    _admin(commands, "stop", commands_work.add_stop, "ask a workload to end")
    _admin(commands, "inspect", commands_work.add_inspect, "show one workload, and why it is where it is")
    _admin(
        commands, "events", commands_events.add_events, "show what happens to nodes, or tell them something"
    )
    _admin(commands, "audit", commands_cluster.add_audit, "show who changed what, and verify the chain")
    return parser


def _cluster(commands: argparse._SubParsersAction[Parser]) -> None:
    group = add_group(commands, "cluster", "found, start and describe the cluster, and invite devices to it")
    _local(group, "init", commands_cluster.add_init, "found a cluster in the data directory")
    _local(group, "start", commands_cluster.add_start, "run the coordinator in the foreground")
    _admin(group, "status", commands_cluster.add_status, "show the cluster and its coordinator")
    _admin(
        group, "metrics", commands_cluster.add_metrics, "print the cluster's metrics as Prometheus reads them"
    )
    _admin(group, "create-join-token", commands_tokens.add_create, "make a token that lets devices join")
    _admin(
        group, "discovery", commands_pairing.add_discovery, "let devices without a token ask to join, or not"
    )
    token = add_group(group, "token", "list, show and revoke join tokens")
    _admin(token, "ls", commands_tokens.add_ls, "list join tokens")
    _admin(token, "inspect", commands_tokens.add_inspect, "show one join token")
    _admin(token, "revoke", commands_tokens.add_revoke, "refuse further uses of a join token")


def _nodes(commands: argparse._SubParsersAction[Parser]) -> None:
    group = add_group(commands, "nodes", "list, show, label and remove nodes")
    _admin(group, "ls", commands_nodes.add_ls, "list nodes")
    _admin(group, "inspect", commands_nodes.add_inspect, "show one node")
    _admin(group, "pending", commands_pairing.add_pending, "list devices that wait to be approved")
    _admin(group, "approve", commands_pairing.add_approve, "let a device join that shows this code")
    _admin(group, "deny", commands_pairing.add_deny, "refuse a device that waits to be approved")
    _admin(group, "rtt", commands_nodes.add_rtt, "show the round trip between two nodes")
    _admin(group, "rm", commands_nodes.add_rm, "remove a node; its certificate is refused from then on")
    _admin(group, "allow", commands_nodes.add_allow, "let blocked hardware join again")
    _admin(group, "label", commands_nodes.add_label, "set and remove labels")
    for name, wanted, text in (
        ("cordon", Availability.CORDONED, "give a node no new work"),
        ("drain", Availability.DRAINING, "move a node's work elsewhere"),
        ("uncordon", Availability.ACTIVE, "let a node take work again"),
    ):
        _admin(group, name, partial(commands_nodes.add_availability, wanted=wanted), text)


def _admin(
    commands: argparse._SubParsersAction[Parser], name: str, add: Callable[[Parser], None], text: str
) -> None:
    """Add a command that asks the coordinator."""
    parser = commands.add_parser(name, help=text, description=text)
    add(parser)
    add_settings(parser, KEYS, only=_ADMIN_SETTINGS)


def _local(
    commands: argparse._SubParsersAction[Parser], name: str, add: Callable[[Parser], None], text: str
) -> None:
    """Add a command that works in this process, without asking a coordinator."""
    parser = commands.add_parser(name, help=text, description=text)
    add(parser)
    add_settings(parser, KEYS)
    parser.set_defaults(local=True)


if __name__ == "__main__":
    sys.exit(main())
