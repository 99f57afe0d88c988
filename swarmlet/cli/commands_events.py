"""``stratoswarm events``: what happens to nodes, and telling them something."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence

import msgspec

from swarmlet.cli import tables
from swarmlet.cli.admin import Admin, riding
from swarmlet.cli.parser import Parser, add_common, add_output
from swarmlet.cli.render import Renderer, to_yaml
from swarmlet.cli.words import whole
from swarmlet.errors import Exit
from swarmlet.model.requests import EventRequest
from swarmlet.model.views import EventList, EventView

_LOOK_AGAIN_S = 0.5


def add_events(parser: Parser) -> None:
    """Add the options of ``events``."""
    add_common(parser)
    parser.add_argument("--limit", type=whole, default=50, metavar="N", help="the newest N (50)")
    parser.add_argument(
        "--follow",
        "-f",
        action="store_true",
        help="go on with what happens next (with json: an object a line)",
    )
    parser.add_argument(
        "--send", metavar="TEXT", help="tell every member this instead, at most 512 bytes; agents log it"
    )
    add_output(parser, ("table", "json", "yaml"))
    parser.set_defaults(run=events)


def events(args: argparse.Namespace, admin: Admin, render: Renderer) -> Exit:
    """Show what happened to nodes since the coordinator started, by lease and by gossip; oldest first."""
    if args.send is not None:
        admin.change(EventList, "POST", "/v1/events", EventRequest(text=args.send))
        render.say("told; members hear it within a second")
        return Exit.DONE
    found = admin.get(EventList, "/v1/events", limit=str(args.limit))
    if args.follow and args.output != "table":
        _each(found.items, args.output, render)
    else:
        render.emit(found, args.output, table=lambda _wide: tables.events(found.items), names=list)
    while args.follow:
        last = found.items[-1].sequence if found.items else 0
        found = _after(admin, args.output, render, last) or found
        time.sleep(_LOOK_AGAIN_S)
    return Exit.DONE


def _after(admin: Admin, output: str, render: Renderer, last: int) -> EventList | None:
    """Show what is newer than number ``last``, if anything is."""
    found = riding(lambda: admin.get(EventList, "/v1/events", after=str(last)), render.say)()
    if not found.items:
        return None
    if output != "table":
        _each(found.items, output, render)
        return found
    for line in tables.events(found.items)[1]:
        render.out("  ".join(line))
    return found


def _each(items: Sequence[EventView], output: str, render: Renderer) -> None:
    """Show events that more may follow: one JSON object a line, or further items of one YAML list."""
    for one in items:
        if output == "json":
            render.out(msgspec.json.encode(one).decode())
        else:
            render.out(to_yaml([one]).rstrip())
