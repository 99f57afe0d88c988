"""``swarmlet``: the device. Builds the parser and calls one command, which loads what it needs."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence

from swarmlet import __version__
from swarmlet.cli import commands_agent, commands_device, commands_discover, commands_doctor
from swarmlet.cli.main import guarded, renderer
from swarmlet.cli.parser import Parser, add_group, parse
from swarmlet.config import keys
from swarmlet.config.show import epilog
from swarmlet.errors import error


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``swarmlet`` with ``argv`` and return its exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    return guarded(words, lambda: _run(words))


def _run(words: list[str]) -> int:
    args, rest = parse(build(), words)
    if rest:
        raise error("SWL-400", detail=f"nothing may follow  --  here: {rest[0]}", hint="swarmlet --help")
    return int(args.run(args, renderer(args)))


def build() -> Parser:
    """Return the whole parser of ``swarmlet``."""
    parser = Parser(
        prog="swarmlet",
        description="Join this device to a StratoSwarm cluster and run its work.",
        epilog=epilog(keys.KEYS, keys.PREFIX, keys.DEFAULT_FILE),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"swarmlet {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=Parser)
    _command(commands, "join", commands_agent.add_join, "join a cluster with a token, then run its work")
    _command(
        commands,
        "discover-and-join",
        commands_discover.add_discover_and_join,
        "find the token's cluster on the network, join it, then run its work",
    )
    _command(commands, "discover", commands_discover.add_discover, "look for clusters on the network")
    _command(commands, "run", commands_agent.add_run, "run a device that joined before")
    _command(commands, "leave", commands_agent.add_leave, "leave the cluster for good")
    _command(commands, "status", commands_agent.add_status, "show how this device stands with its cluster")
    _command(commands, "health", commands_agent.add_health, "show how well this device is")
    _command(
        commands, "test-connection", commands_agent.add_test_connection, "say what answers at an address"
    )
    _command(
        commands,
        "doctor",
        commands_doctor.add_doctor,
        "look for what commonly goes wrong, and say what mends it",
    )
    _command(commands, "profile-hardware", commands_device.add_profile, "print what this device is")
    token = add_group(commands, "token", "look at join tokens")
    _command(token, "inspect", commands_device.add_token_inspect, "print what a join token says")
    identity = add_group(commands, "identity", "look at this device's identity")
    _command(identity, "show", commands_device.add_identity_show, "print the certificate, never the key")
    config = add_group(commands, "config", "look at settings")
    _command(config, "show", commands_device.add_config_show, "print every setting and where it comes from")
    return parser


def _command(
    commands: argparse._SubParsersAction[Parser], name: str, add: Callable[[Parser], None], text: str
) -> None:
    add(commands.add_parser(name, help=text, description=text))


if __name__ == "__main__":
    sys.exit(main())
