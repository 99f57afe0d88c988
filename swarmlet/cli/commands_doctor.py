"""``swarmlet doctor``: what is wrong with this device, and what mends it."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

import msgspec

from swarmlet.cli.commands_agent import complete
from swarmlet.cli.parser import Parser, add_common, add_output
from swarmlet.cli.render import Renderer
from swarmlet.cli.settings import add_settings
from swarmlet.cli.standing import settle
from swarmlet.config import keys
from swarmlet.config.keys import Config
from swarmlet.config.load import NODE, examine
from swarmlet.config.resolve import Resolution
from swarmlet.config.show import taken_flags
from swarmlet.errors import Exit

if TYPE_CHECKING:
    from swarmlet.doctor.checks import Report

_SETTINGS = frozenset(
    {"cluster", "data_dir", "discovery_port", "api_port", "metrics_port", "docker_host", "auth_token_file"}
)


def add_doctor(parser: Parser) -> None:
    """Add the options of ``doctor``."""
    add_common(parser)
    parser.add_argument(
        "--token", metavar="TOKEN", help="a join token: its cluster is then looked for, and proven"
    )
    add_output(parser, ("table", "json", "yaml"))
    add_settings(parser, keys.KEYS, _SETTINGS)
    parser.set_defaults(run=doctor)


def doctor(args: argparse.Namespace, render: Renderer) -> Exit:
    """Look at everything that commonly goes wrong; change nothing; exit 8 when something is broken."""
    from swarmlet.cli.token_input import take_token  # noqa: PLC0415 - loads the native module
    from swarmlet.doctor import checks  # noqa: PLC0415 - only this command
    from swarmlet.doctor.look import look  # noqa: PLC0415 - only this command

    settings = examine(NODE, taken_flags(args, keys.KEYS), args.config_file)
    config = usable(settings)
    token = take_token(args.token, args.auth_token_file or config.auth_token_file, render)
    settle(config)
    report = checks.examine(complete(look(config, settings, token)))
    render.emit(report, args.output, table=lambda _wide: _table(report), names=list)
    failed = sum(one.state == checks.FAILED for one in report.findings)
    warned = sum(one.state == checks.WARNING for one in report.findings)
    render.say(f"{failed} failed, {warned} to look at, of {len(report.findings)} checks; nothing was changed")
    return Exit.DOCTOR if failed else Exit.DONE


def usable(settings: Resolution) -> Config:
    """Return the settings that are good, and defaults for the others."""
    good = {name: value for name, value in settings.values.items() if value is not None}
    return msgspec.convert(good, Config)


def _table(report: Report) -> tuple[tuple[str, ...], list[list[str]]]:
    rows = []
    for one in report.findings:
        rows.append([one.check, one.state, one.found])
        if one.fix:
            rows.append(["", "fix", one.fix])
    return ("CHECK", "STATE", "FOUND"), rows
