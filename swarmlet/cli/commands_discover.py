"""``swarmlet discover`` and ``swarmlet discover-and-join``: finding the cluster by itself.

Both look in the same way; what is found is an address and never trust. ``discover-and-join`` looks in a
process of its own, which ends before the agent begins: what the search loads and what strangers send it never
is in the agent's memory.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from swarmlet.cli.commands_agent import Whereabouts, add_joining, be_agent, begin, complete
from swarmlet.cli.parser import Parser, add_common, add_output
from swarmlet.cli.render import Renderer
from swarmlet.cli.settings import add_settings, node_settings
from swarmlet.cli.standing import settle
from swarmlet.config import keys
from swarmlet.errors import Exit, SwarmletError, error
from swarmlet.model.text import printable

if TYPE_CHECKING:
    from swarmlet._native import Token
    from swarmlet.config.keys import Config
    from swarmlet.discovery.report import DiscoveryView, FoundView

_DOMAIN = re.compile(r"(?=.{1,240}\Z)[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*\.?\Z")
#: Seconds to look: what is on the link answers within one; a cluster may be about to start.
_LOOK_S, _JOIN_S = 3.0, 30.0
#: Without a token every cluster that answers is of interest, so the whole time is waited.
_ANY_S = 3.0
#: A member knows where its cluster was, and its work waits.
_AGAIN_S = 1.5
_SHOWN_UNREACHED = 8


def add_discover(parser: Parser) -> None:
    """Add the options of ``discover``."""
    add_common(parser)
    _add_looking(parser, _LOOK_S)
    parser.add_argument(
        "--token", metavar="TOKEN", help="a join token: then what answers is proven to be its cluster or not"
    )
    parser.add_argument("--token-file", metavar="FILE", help="a file that holds it;  -  is standard input")
    add_output(parser, ("table", "json", "yaml", "name"))
    only = frozenset({"cluster", "data_dir", "discovery_port", "bind_interface"})
    add_settings(parser, keys.KEYS, only)
    parser.set_defaults(run=discover)


def discover(args: argparse.Namespace, render: Renderer) -> Exit:
    """Show which clusters answer here, by which way, and why the other ways are silent; join nothing."""
    from swarmlet.agent import reach, searching  # noqa: PLC0415 - the agent is loaded by its own commands
    from swarmlet.cli.token_input import take_token  # noqa: PLC0415 - as above

    config = node_settings(args).config
    token = take_token(args.token, args.token_file, render)
    settle(config)
    expected = reach.known(config, token)
    how = searching.Search(args.timeout, _domains(args))
    view = complete(searching.search(config, expected, how))
    render.emit(
        view,
        args.output,
        table=lambda _wide: _table(view.found),
        names=lambda: [one.address for one in view.usable],
    )
    _narrate(view, render)
    if view.usable:
        if not expected.pins:
            render.say("compare the key with the one of  stratoswarm cluster status")
        return Exit.DONE
    return Exit.NOT_FOUND


def add_discover_and_join(parser: Parser) -> None:
    """Add the options of ``discover-and-join``."""
    add_common(parser)
    _add_looking(parser, _JOIN_S)
    add_joining(parser)
    parser.set_defaults(run=discover_and_join)


def discover_and_join(args: argparse.Namespace, render: Renderer) -> int:
    """Find the token's cluster, join it and run its work; with an identity on disk, simply come back.

    Without a token the one cluster that answers is asked to take this device, which shows a code and waits.
    """
    from swarmlet._native import harden  # noqa: PLC0415 - the agent is loaded by its own commands
    from swarmlet.agent import startup  # noqa: PLC0415 - as above
    from swarmlet.cli.token_input import take_token  # noqa: PLC0415 - as above

    loaded = begin(args, render)
    config = loaded.config
    harden()  # before there is a token in this process, and in the one that looks
    token = None
    newcomer = startup.needs_token(config, reset_identity=args.reset_identity)
    if newcomer:
        token = take_token(args.token, args.token_file or config.auth_token_file, render)
    find = _find if newcomer else _find_again
    return be_agent(args, loaded, lambda: token, render, partial(find, args, config, token, render))


class Candidate(msgspec.Struct, frozen=True):
    """A cluster that answered: where, with which key (64 hex digits), its name as announced."""

    address: str
    key: str
    name: str


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What the process that searched tells the one that joins.

    Args:
        proven: Where the cluster that is looked for proved to be; empty for nowhere.
        known: Whether that is an address this device had anyway.
        cluster: The cluster's name.
        ways: How it was found.
        others: How many other addresses there were.
        hint: What was found, as the beginning of a sentence.
        why: Why it is nowhere.
        candidates: The clusters that answered; where an address was given, those that answered there.
        unreached: Why nothing answered at the address that was given.
    """

    proven: str
    known: bool
    cluster: str
    ways: tuple[str, ...]
    others: int
    hint: str
    why: str
    candidates: tuple[Candidate, ...]
    unreached: str


def _find_again(
    args: argparse.Namespace, config: Config, _token: Token | None, render: Renderer
) -> Whereabouts:
    """Return where this member's cluster is, if it is not where it was; its own work waits for it."""
    told = _apart(args, config, None, min(args.timeout, _AGAIN_S))
    if not told.proven or told.known:
        return Whereabouts(config.cluster)
    render.say(f"the cluster {told.cluster} is now at {told.proven}")
    return Whereabouts(told.proven)


def _find(args: argparse.Namespace, config: Config, token: Token | None, render: Renderer) -> Whereabouts:
    """Return where the token's cluster proved to be; without a token, the one cluster that there is to ask.

    Raises:
        SwarmletError: ``SWL-212``; it is nowhere. ``SWL-117``, ``SWL-123``; there is no token, and no cluster
            to ask or more than one. ``SWL-200``; nothing answers at the address that was given.
    """
    if token is None:
        return _find_any(args, config, render)
    seconds = f"{args.timeout:g}"
    render.say(f"looking for the cluster of the token, for up to {seconds} s")
    told = _apart(args, config, token, args.timeout)
    if not told.proven:
        raise error("SWL-212", seconds=seconds, detail=told.why)
    beside = f"; {told.others} other address(es) did not prove to be it and were told nothing"
    render.say(
        f"found {told.cluster} at {told.proven} by {', '.join(told.ways)}{beside if told.others else ''}"
    )
    return Whereabouts(told.proven)


def _find_any(args: argparse.Namespace, config: Config, render: Renderer) -> Whereabouts:
    render.say("there is no join token; looking for a cluster that takes devices by approval")
    told = _apart(args, config, None, min(args.timeout, _ANY_S))
    if not told.candidates and config.cluster:
        # It was said where to look: a token would not make anything answer there.
        raise error("SWL-200", address=config.cluster, detail=told.unreached or "nothing answered")
    if not told.candidates:
        raise error("SWL-117", found=told.hint)
    if len(told.candidates) > 1:
        raise error("SWL-123", found=_choice(told.candidates))
    (one,) = told.candidates
    return Whereabouts(one.address, bytes.fromhex(one.key))


def _apart(args: argparse.Namespace, config: Config, token: Token | None, timeout_s: float) -> Told:
    """Search in a process of its own and return what it tells.

    Raises:
        SwarmletError: ``SWL-799``; the search broke.
    """
    end, start = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(end)
        _search_and_end(start, lambda: _search(args, config, token, timeout_s))
    os.close(start)
    # The first process of a container is ended only by signals it handles.
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with os.fdopen(end, "rb") as pipe:
            told = pipe.read()
    except KeyboardInterrupt:
        os.kill(child, signal.SIGKILL)
        raise
    finally:
        signal.signal(signal.SIGTERM, before)
        os.waitpid(child, 0)
    try:
        return msgspec.msgpack.decode(told, type=Told)
    except msgspec.MsgspecError:
        raise error("SWL-799", detail=told.decode(errors="replace")[:300] or "the search ended") from None


def _search_and_end(start: int, search: Callable[[], Told]) -> None:
    """Be the process that searches: tell what was found through a pipe, and end."""
    code = 1
    try:
        told, code = msgspec.msgpack.encode(search()), 0
    except KeyboardInterrupt:
        told = b"interrupted"
    except SwarmletError as failure:
        told = failure.what.encode()
    except BaseException as failure:  # noqa: BLE001 - told by the parent; nothing may return into its code
        told = f"{type(failure).__name__}: {failure}".encode()
    try:
        with os.fdopen(start, "wb") as pipe:
            pipe.write(told)
    finally:
        sys.stderr.flush()
        os._exit(code)


def _search(args: argparse.Namespace, config: Config, token: Token | None, timeout_s: float) -> Told:
    from swarmlet.agent import reach, searching  # noqa: PLC0415 - never in the agent's own process
    from swarmlet.discovery.sighting import DIRECT  # noqa: PLC0415 - as above

    expected = reach.known(config, token)
    how = searching.Search(timeout_s, _domains(args), until_trusted=bool(expected.pins))
    view = complete(searching.search(config, expected, how))
    proven = next((one for one in view.found if one.trusted), None)
    return Told(
        proven=proven.tried if proven else "",
        known=proven is not None and DIRECT in proven.ways,
        cluster=_plain(proven.cluster) if proven else "",
        ways=proven.ways if proven else (),
        others=len(view.found) + len(view.unreached) - (proven is not None),
        hint=_hint(view),
        why=_why(view),
        candidates=_candidates(view, DIRECT if config.cluster else ""),
        unreached=next((_plain(one.problem) for one in view.unreached if DIRECT in one.ways), ""),
    )


def _candidates(view: DiscoveryView, way: str) -> tuple[Candidate, ...]:
    """Return each cluster that answered once, nearest address first; with ``way`` those found by it alone."""
    found: dict[str, Candidate] = {}
    for one in view.found:
        key = one.key.removeprefix("SHA256:")
        if key and (not way or way in one.ways):
            found.setdefault(key, Candidate(one.tried, key, _plain(one.cluster)))
    return tuple(found.values())


def _choice(found: Sequence[Candidate]) -> str:
    """Return the clusters there are to choose from, as the beginning of a sentence."""
    shown = [f"{one.name or 'a cluster'} at {one.address} (key SHA256:{one.key[:16]}...)" for one in found]
    more = f" and {len(shown) - 3} more" if len(shown) > 3 else ""
    return f"{len(shown)} clusters answer here: {', '.join(shown[:3])}{more}"


# ---- options and words


def _add_looking(parser: Parser, default_s: float) -> None:
    parser.add_argument(
        "--timeout",
        type=_seconds,
        default=default_s,
        metavar="SECONDS",
        help=f"how long to look, from 0.5 to 600 ({default_s:g})",
    )
    parser.add_argument(
        "--domain",
        action="append",
        type=_domain,
        metavar="DOMAIN",
        help="ask DNS for _stratoswarm.DOMAIN; may be repeated (without it: the system's search domains)",
    )


def _seconds(text: str) -> float:
    if not re.match(r"[0-9]{1,3}(\.[0-9]{1,3})?\Z", text) or not 0.5 <= float(text) <= 600:
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is no number of seconds from 0.5 to 600")
    return float(text)


def _domain(text: str) -> str:
    if not _DOMAIN.match(text):
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is no domain, such as example.com")
    return text


def _domains(args: argparse.Namespace) -> tuple[str, ...] | None:
    return tuple(args.domain) if args.domain else None


def _table(found: Sequence[FoundView]) -> tuple[tuple[str, ...], list[list[str]]]:
    rows = [
        [
            one.cluster or "-",
            one.address,
            ",".join(one.ways),
            "-" if one.ms is None else f"{one.ms:.0f} ms",
            {True: "yes", False: "NO", None: "unknown"}[one.trusted],
            one.key or "-",
            one.problem or "-",
        ]
        for one in found
    ]
    return ("CLUSTER", "ADDRESS", "FOUND BY", "TIME", "TRUSTED", "KEY", "PROBLEM"), rows


def _narrate(view: DiscoveryView, render: Renderer) -> None:
    for way in view.ways:
        if way.why:
            render.say(f"{way.way}: {way.state}: {_plain(way.why)}")
        for reason, count in way.ignored.items():
            render.say(f"{way.way}: ignored {count}: {reason}")
    for one in view.unreached[:_SHOWN_UNREACHED]:
        render.say(f"{one.address} ({','.join(one.ways)}): no cluster there: {_plain(one.problem)}")
    more = len(view.unreached) - _SHOWN_UNREACHED
    if more > 0:
        render.say(f"and {more} more addresses with no cluster there; -o json lists them")


def _hint(view: DiscoveryView) -> str:
    """Return what was found, as the beginning of a sentence."""
    names = dict.fromkeys(f"{_plain(one.cluster) or 'a cluster'} at {one.address}" for one in view.found)
    if not names:
        return "no cluster answered on this network"
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    verb = "answers" if len(names) == 1 else "answer"
    return f"{', '.join(list(names)[:3])}{more} {verb} on this network"


def _why(view: DiscoveryView) -> str:
    if view.found:
        return f"{len(view.found)} other cluster(s) answered, none with the token's key"
    if view.unreached:
        first = view.unreached[0]
        return f"{len(view.unreached)} address(es) were tried, {first.address}: {_plain(first.problem)}"
    return "; ".join(f"{way.way}: {_plain(way.why)}" for way in view.ways if way.why) or "nothing answered"


def _plain(text: str) -> str:
    """Return text of strangers fit for a terminal."""
    return printable(text[:300])
