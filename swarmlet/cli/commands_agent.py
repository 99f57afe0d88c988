"""``swarmlet`` commands that run this device's agent or talk to it: join, run, leave, status, health."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Coroutine
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from msgspec import structs

from swarmlet.cli.parser import Parser, add_common, add_output
from swarmlet.cli.render import Renderer
from swarmlet.cli.settings import add_settings, node_settings
from swarmlet.cli.standing import settle
from swarmlet.cli.words import instant
from swarmlet.config import keys
from swarmlet.errors import Exit, SwarmletError, error
from swarmlet.model.views import API_VERSION

if TYPE_CHECKING:
    from swarmlet.agent.app import TokenSource
    from swarmlet.agent.reach import ReachView
    from swarmlet.agent.status import GossipView
    from swarmlet.config.keys import Config
    from swarmlet.config.load import Loaded

T = TypeVar("T")

_WHERE = frozenset({"data_dir"})


def complete(work: Coroutine[Any, Any, T]) -> T:
    """Run to its end on an event loop, which is imported after the agent made it light (its ``__init__``)."""
    import asyncio  # noqa: PLC0415

    return asyncio.run(work)


class ShownSteps:
    """Renders progress: one line a step on stderr, as it happens."""

    def __init__(self, render: Renderer) -> None:
        self._render = render

    def step(self, number: int, label: str, text: str, *, elapsed_s: float | None = None) -> None:
        """Show that a step is done, with the whole time behind the last one."""
        line = f"[{number}/6] {label:<11} {text}"
        self._render.say(line if elapsed_s is None else f"{line:<82} {elapsed_s:.1f} s")

    def note(self, text: str) -> None:
        """Show something worth knowing."""
        self._render.say(text)

    def warn(self, text: str) -> None:
        """Show something that deserves a look."""
        self._render.warn(text)

    def show(self, text: str) -> None:
        """Show something that a person has to act on."""
        self._render.tell(text)


def add_join(parser: Parser) -> None:
    """Add the options of ``join``."""
    add_common(parser)
    parser.add_argument(
        "--timeout",
        metavar="TIME",
        dest="join_timeout",
        help="how long a first join tries where nothing answers: 30s, 10m; 7 is returned when it is over"
        " (without it: a few times, a minute at most)",
    )
    add_joining(parser)
    parser.set_defaults(run=join)


def add_joining(parser: Parser) -> None:
    """Add the options of every command that joins and then is the agent."""
    parser.add_argument("--token", metavar="TOKEN", help="the join token;  -  reads it from standard input")
    parser.add_argument(
        "--token-file",
        metavar="FILE",
        help="a file that holds it (SWARM_AUTH_TOKEN_FILE);  -  is standard input",
    )
    parser.add_argument("--once", action="store_true", help="end when joined, do not run work")
    parser.add_argument("--reset-identity", action="store_true", help="give up an identity that is damaged")
    add_settings(parser, keys.KEYS, frozenset(key.field for key in keys.KEYS) - {"auth_token_file"})


def join(args: argparse.Namespace, render: Renderer) -> int:
    """Join a cluster and run what it assigns; with an identity on disk, simply come back."""
    return _run(args, render)


def add_run(parser: Parser) -> None:
    """Add the options of ``run``."""
    add_common(parser)
    add_settings(parser, keys.KEYS)
    parser.set_defaults(run=run, token=None, token_file=None, once=False, reset_identity=False)


def run(args: argparse.Namespace, render: Renderer) -> int:
    """Run the agent of a device that joined before."""
    return _run(args, render)


def _run(args: argparse.Namespace, render: Renderer) -> int:
    from swarmlet.agent import startup  # noqa: PLC0415 - the agent is loaded by its own commands
    from swarmlet.cli.token_input import hold_token, take_token  # noqa: PLC0415 - as above

    loaded = begin(args, render)
    path = args.token_file or loaded.config.auth_token_file
    token: TokenSource = partial(take_token, args.token, path, render)
    if startup.standing(loaded.config) is not None and startup.needs_token(
        loaded.config, reset_identity=args.reset_identity
    ):
        # The file may be root's, and this process root for the last time.
        token = hold_token(args.token, path, render)
    return be_agent(args, loaded, token, render)


def begin(args: argparse.Namespace, render: Renderer) -> Loaded[Config]:
    """Return the settings of a process that becomes the agent, and log as they say."""
    from swarmlet.report import logs  # noqa: PLC0415 - the agent is loaded by its own commands

    loaded = node_settings(args)
    level = "debug" if args.debug else loaded.config.log_level
    logs.configure(level, loaded.config.log_format)
    for warning in loaded.warnings:
        render.warn(warning)
    return loaded


class Whereabouts(NamedTuple):
    """Where the cluster is; with ``key``, as it was found there, when it is to be asked without a token."""

    address: str | None
    key: bytes = b""


def be_agent(
    args: argparse.Namespace,
    loaded: Loaded[Config],
    token: TokenSource,
    render: Renderer,
    where: Callable[[], Whereabouts] | None = None,
) -> int:
    """Become the agent's user, then be the agent until it ends.

    Args:
        args: What was typed; see :func:`add_joining`.
        loaded: The settings.
        token: Gives the join token.
        render: Where words go.
        where: Looks for the cluster, once this is the agent's user; without it its address is the settings'.
    """
    from swarmlet.agent import startup  # noqa: PLC0415 - the agent is loaded by its own commands
    from swarmlet.agent.app import Ask, Options, run_agent  # noqa: PLC0415 - as above

    config, timeout_s = loaded.config, _join_timeout(args)
    standing = startup.standing(config)
    notes = () if standing is None else startup.take(config, standing)
    for note in notes:
        render.warn(note)
    ask = None
    if where is not None:
        found = where()
        config = structs.replace(config, cluster=found.address)
        ask = Ask(found.address, found.key) if found.address and found.key else None
    options = Options(
        once=args.once,
        reset_identity=args.reset_identity,
        chosen=frozenset(key.field for key in keys.KEYS if loaded.chosen(key.field)),
        notes=notes,
        timeout_s=timeout_s,
        ask=ask,
    )
    path = args.token_file or config.auth_token_file
    if path is not None and path != "-":
        # Wherever it was named: no workload may read it.
        config = structs.replace(config, auth_token_file=path)
    return complete(run_agent(config, token, steps=ShownSteps(render), options=options))


def _join_timeout(args: argparse.Namespace) -> float | None:
    """Return how long a first join was told to try, by the one command that may be told.

    Raises:
        SwarmletError: ``SWL-400`` for what is no length of time.
    """
    text = getattr(args, "join_timeout", None)
    if text is None:
        return None
    from swarmlet.tokens.durations import parse_duration  # noqa: PLC0415 - only when it is given

    seconds = parse_duration(text)
    if seconds == 0:
        raise error("SWL-400", detail="--timeout 0 would not try at all", hint="--timeout 30s")
    return float(seconds)


def add_leave(parser: Parser) -> None:
    """Add the options of ``leave``."""
    add_common(parser)
    parser.add_argument(
        "--force",
        action="store_true",
        help="forget the cluster even when it cannot be told; it goes on listing this",
    )
    add_settings(parser, keys.KEYS, _WHERE)
    parser.set_defaults(run=leave)


def leave(args: argparse.Namespace, render: Renderer) -> Exit:
    """Leave the cluster for good: tell it, end all work, remove the identity."""
    from swarmlet.agent.lasting import contained  # noqa: PLC0415 - as above
    from swarmlet.agent.leaving import leave as leave_cluster  # noqa: PLC0415 - as above

    config = node_settings(args).config
    settle(config)
    done = complete(leave_cluster(config, force=args.force))
    if done.node:
        render.out(done.node)
    told = "the cluster was told" if done.told else "the cluster could not be told and still lists it"
    if done.node is None:
        render.say(
            f"the damaged identity was removed; what still runs here for the cluster was let be; {told}"
        )
    else:
        render.say(f"this device left; its identity and its work were removed; {told}")
    if done.detail:
        render.warn(done.detail)
    if contained():
        render.say("a restart policy would start this container again; to remove it: docker rm -f NAME")
    return Exit.DONE


def add_status(parser: Parser) -> None:
    """Add the options of ``status``."""
    add_common(parser)
    add_output(parser, ("table", "json", "yaml"))
    add_settings(parser, keys.KEYS, _WHERE)
    parser.set_defaults(run=status)


def status(args: argparse.Namespace, render: Renderer) -> Exit:
    """Show how this device stands with its cluster, since when, why, and what to do."""
    from swarmlet.agent import app  # noqa: PLC0415 - as above

    config = node_settings(args).config
    settle(config)
    found = complete(app.status(config))
    link = found.connection
    facts = [
        ("node", found.node or "-"),
        ("cluster", f"{found.cluster or '-'} ({found.cluster_id or '-'})"),
        (
            "connection",
            f"{link.state} for {link.since_seconds:.0f} s" + (f": {link.why}" if link.why else ""),
        ),
        ("coordinator", link.coordinator or "-"),
        ("lease", found.lease),
        ("gossip", _gossip(found.gossip)),
        ("class", found.node_class or "-"),
        ("workloads", str(found.workloads_active)),
        ("certificate", f"until {instant(found.certificate_not_after_ms)}"),
        ("health", found.health),
        ("local API", f"127.0.0.1:{found.api_port}" if found.api_port else "-"),
        ("process", f"{found.pid}, up {found.uptime_seconds:.0f} s, version {found.version}"),
    ]
    render.emit(
        found,
        args.output,
        table=lambda _wide: (("WHAT", "VALUE"), [list(fact) for fact in facts]),
        names=list,
    )
    for note in (*found.notes, *filter(None, [link.next])):
        render.say(note)
    return Exit.DONE


def _gossip(found: GossipView | None) -> str:
    if found is None:
        return "-"
    return found.trouble or f"{found.address}, {found.alive} of {found.members} members alive"


def add_health(parser: Parser) -> None:
    """Add the options of ``health``."""
    add_common(parser)
    add_output(parser, ("table", "json", "yaml"))
    add_settings(parser, keys.KEYS, _WHERE)
    parser.set_defaults(run=health)


def health(args: argparse.Namespace, render: Renderer) -> Exit:
    """Show the health of this device's agent; exit 1 when it is failing or there is none.

    It runs each minute in every container, so it loads neither the agent nor an event loop.
    """
    from swarmlet.cli.health import examine  # noqa: PLC0415 - as above

    config = node_settings(args).config
    settle(config)
    try:
        found = examine(config.data_dir)
    except SwarmletError as failure:
        render.fail(failure)
        return Exit.FAILED  # a container engine knows 0 and 1
    rows = [
        [one.name, one.status, f"{one.since_seconds:.0f}s", one.why or "-", one.next or "-"]
        for one in found.checks
    ]
    table = (("CHECK", "STATUS", "SINCE", "WHY", "NEXT"), rows)
    render.emit(found, args.output, table=lambda _wide: table, names=list)
    return Exit.FAILED if found.status == "failing" else Exit.DONE


def add_test_connection(parser: Parser) -> None:
    """Add the options of ``test-connection``."""
    add_common(parser)
    parser.add_argument(
        "--token", metavar="TOKEN", help="a join token: then what answers is proven to be its cluster"
    )
    parser.add_argument("--token-file", metavar="FILE", help="a file that holds it;  -  is standard input")
    add_output(parser, ("table", "json", "yaml"))
    add_settings(parser, keys.KEYS, frozenset({"cluster", "data_dir", "discovery_port"}))
    parser.set_defaults(run=test_connection)


def test_connection(args: argparse.Namespace, render: Renderer) -> Exit:
    """Say what answers at the cluster's address; nothing is joined and nothing is changed."""
    from swarmlet.agent import reach  # noqa: PLC0415 - as above
    from swarmlet.cli.token_input import take_token  # noqa: PLC0415 - as above

    config = node_settings(args).config
    token = take_token(args.token, args.token_file, render)
    settle(config)
    found = complete(reach.test_connection(config, reach.known(config, token)))
    shown = {"apiVersion": API_VERSION, "items": found}
    render.emit(shown, args.output, table=lambda _wide: _reach_table(found), names=list)
    if any(one.trusted or (one.reached and one.trusted is None) for one in found):
        if all(one.trusted is None for one in found if one.reached):
            render.say("compare the key with the one that  stratoswarm cluster status  shows")
        return Exit.DONE
    refused = any(one.trusted is False for one in found)
    return Exit.REFUSED if refused else Exit.UNREACHABLE


def _reach_table(found: tuple[ReachView, ...]) -> tuple[tuple[str, ...], list[list[str]]]:
    rows = [
        [
            one.address,
            "yes" if one.reached else "no",
            "-" if one.rtt_ms is None else f"{one.rtt_ms:.0f} ms",
            {True: "yes", False: "NO", None: "unknown"}[one.trusted],
            one.cluster or "-",
            one.key or "-",
            "-" if one.skew_s is None else f"{one.skew_s:+.1f} s",
            one.problem or "-",
        ]
        for one in found
    ]
    return ("ADDRESS", "REACHED", "TIME", "TRUSTED", "CLUSTER", "KEY", "CLOCK", "PROBLEM"), rows
