"""``stratoswarm cluster discovery``, ``stratoswarm nodes pending|approve|deny``: devices without a token."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from swarmlet.cli.admin import Admin, part
from swarmlet.cli.parser import Parser, add_common, add_output
from swarmlet.cli.render import Renderer
from swarmlet.cli.words import age
from swarmlet.errors import Exit, error
from swarmlet.model.pairing import read_code
from swarmlet.model.refs import Named, matches, resolve
from swarmlet.model.requests import ApproveRequest, PairingRequest
from swarmlet.model.text import printable
from swarmlet.model.views import ClusterView, PairingList, PairingView

#: A device asks every two seconds; this long without is no slow line any more.
_SILENT_MS = 15_000


def add_discovery(parser: Parser) -> None:
    """Add the options of ``cluster discovery``."""
    add_common(parser)
    parser.add_argument(
        "state", choices=("on", "off"), help="whether devices without a token may ask to join"
    )
    parser.set_defaults(run=discovery)


def discovery(args: argparse.Namespace, admin: Admin, render: Renderer) -> Exit:
    """Let devices without a join token ask to be approved, or not; tokens work either way."""
    wanted = PairingRequest(on=args.state == "on")
    found = admin.change(ClusterView, "POST", "/v1/cluster/pairing", wanted)
    render.out("on" if found.pairing else "off")
    if found.pairing:
        render.say(
            "a device without a token may ask to join:  swarmlet discover-and-join  shows a code there"
        )
        render.say(
            "who waits: stratoswarm nodes pending;  nobody joins without  stratoswarm nodes approve CODE"
        )
    else:
        render.say("a device needs a join token; whoever waited for approval was refused")
    return Exit.DONE


def add_pending(parser: Parser) -> None:
    """Add the options of ``nodes pending``."""
    add_common(parser)
    add_output(parser)
    parser.set_defaults(run=pending)


def pending(args: argparse.Namespace, admin: Admin, render: Renderer) -> Exit:
    """List the devices that wait to be approved, with the code that each of them shows."""
    found = admin.get(PairingList, "/v1/pairings")
    render.emit(
        found,
        args.output,
        table=lambda _wide: _table(found.items),
        names=lambda: (one.code for one in found.items),
    )
    if args.output in {"table", "wide"}:
        if found.items:
            render.say(
                "what a device says of itself is its own word: approve only the code that it shows you"
            )
        elif found.on:
            render.say("no device waits; on one, run  swarmlet discover-and-join")
        else:
            render.say("devices may not ask without a token; to let them: stratoswarm cluster discovery on")
    return Exit.DONE


def _table(items: Sequence[PairingView]) -> tuple[tuple[str, ...], list[list[str]]]:
    rows = [
        [
            one.code,
            one.name,
            one.node_class,
            one.hardware,
            one.seen,
            age(one.silent_ms),
            age(one.left_ms),
            one.pairing_id[:8],
        ]
        for one in items
    ]
    return ("CODE", "NAME", "CLASS", "HARDWARE", "ADDRESS", "ASKED", "LEFT", "ID"), rows


def add_approve(parser: Parser) -> None:
    """Add the options of ``nodes approve``."""
    add_common(parser)
    parser.add_argument(
        "which", metavar="CODE|ID", help="the code that the device shows; or an id, which is asked about"
    )
    parser.add_argument(
        "--allow",
        default="",
        metavar="LIST",
        help="what the node may be given, comma separated: gpu, docker, device, exec",
    )
    parser.add_argument("--yes", "-y", action="store_true", help="with an ID: the codes were compared")
    parser.set_defaults(run=approve)


def approve(args: argparse.Namespace, admin: Admin, render: Renderer) -> Exit:
    """Let the device that shows this code join: a token for it alone, for one use, is made and sent to it."""
    which = args.which
    asked = _named_by_id(admin, which)
    if asked is not None:
        which = asked.pairing_id
        if not args.yes:
            _compare(asked, render)
    elif read_code(which) is None:
        raise error("SWL-618", name=printable(which, 40))
    allow = tuple(word.strip() for word in args.allow.split(",") if word.strip())
    one = admin.change(
        PairingView, "POST", f"/v1/pairings/{part(which)}/approve", ApproveRequest(allow=allow)
    )
    name = printable(one.name)
    render.out(name)
    if one.silent_ms > _SILENT_MS:
        render.warn(
            f"{name} has not asked for {age(one.silent_ms)}: it may be gone, or show another code by now"
        )
    render.say(f"{name} at {one.seen} is approved and joins within seconds: stratoswarm nodes ls")
    render.say(f"to take it back: stratoswarm cluster token revoke {one.token[:12]} --cascade")
    return Exit.DONE


def _named_by_id(admin: Admin, reference: str) -> PairingView | None:
    """Return the device that waits and is meant by its id or the beginning of it, if any is.

    Six hexadecimal digits may be a code too: where no device shows that code and the id of one begins so,
    they are not taken for a code that somebody compared.

    Raises:
        SwarmletError: ``SWL-400`` it is empty, ``SWL-606`` several fit.
    """
    part(reference)
    waiting = {one.pairing_id: one for one in admin.get(PairingList, "/v1/pairings").items}
    code, ids = read_code(reference), [Named(one, one) for one in waiting]
    if code is not None and any(one.code == code for one in waiting.values()):
        return None
    return waiting[resolve(reference, ids, "SWL-618")] if matches(reference, ids) else None


def _compare(one: PairingView, render: Renderer) -> None:
    """Ask whether the device shows the code of this request; an id alone proves nothing.

    Raises:
        SwarmletError: ``SWL-400``: nobody can be asked, or said no.
    """
    hint = "stratoswarm nodes approve CODE  with the code that the device shows"
    if not sys.stdin.isatty():
        raise error("SWL-400", detail="an ID is approved only after the codes were compared", hint=hint)
    answer = render.ask(f"does {printable(one.name)} at {one.seen} show the code {one.code} ? [y/N] ")
    if answer.strip().lower() not in {"y", "yes"}:
        raise error(
            "SWL-400", detail="the codes were not compared", hint=f"{hint},  or  stratoswarm nodes deny"
        )


def add_deny(parser: Parser) -> None:
    """Add the options of ``nodes deny``."""
    add_common(parser)
    parser.add_argument("which", metavar="CODE|ID", help="the code of the device, or its id")
    parser.set_defaults(run=deny)


def deny(args: argparse.Namespace, admin: Admin, render: Renderer) -> Exit:
    """Refuse a device that waits; it is told, and may ask again with another code."""
    asked = _named_by_id(admin, args.which)
    which = part(asked.pairing_id if asked is not None else args.which)
    one = admin.change(PairingView, "POST", f"/v1/pairings/{which}/deny")
    render.out(printable(one.name))
    render.say(f"{printable(one.name)} at {one.seen} was denied")
    return Exit.DONE
