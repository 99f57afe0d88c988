"""``stratoswarm up``, ``down``, ``cluster init|start|status`` and ``audit``."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

from swarmlet.cli import tables, up
from swarmlet.cli.admin import Admin
from swarmlet.cli.parser import Parser, add_common, add_output
from swarmlet.cli.render import Renderer
from swarmlet.cli.settings import cluster_settings
from swarmlet.cli.up_record import Record, check_directory, writing
from swarmlet.cli.words import instant, whole
from swarmlet.clock import SystemClock
from swarmlet.config import cluster_keys
from swarmlet.config.show import taken_flags
from swarmlet.errors import Exit, error
from swarmlet.model import places
from swarmlet.model.membership import NodeState
from swarmlet.model.requests import MintRequest
from swarmlet.model.views import AuditList, ClusterView, MintedView

_JOIN_LINE_LIVES_S = 3600
_NODE_TIMEOUT_S = 10.0
_UP = "the cluster is up:"
_NODE_ENDED = "the local node ended with exit code"
_MEND = "next: mend what the node says above, then  stratoswarm down  and  stratoswarm up"


def socket_path(args: argparse.Namespace) -> str:
    """Return where the coordinator of these arguments listens for administrators.

    Raises:
        SwarmletError: ``SWL-301`` when the data directory is none.
    """
    directory = cluster_settings(args).config.data_dir
    check_directory(directory)
    return _socket_of(directory)


def _socket_of(directory: str) -> str:
    real = os.path.realpath(directory)
    try:
        owner = os.stat(real).st_uid  # noqa: PTH116
    except OSError:
        owner = os.geteuid()
    return places.admin_socket(real, owner)


# ---- init, start, status


def add_init(parser: Parser) -> None:
    """Add the options of ``cluster init``."""
    add_common(parser)
    parser.add_argument("--name", default="stratoswarm", help="the cluster's name (stratoswarm)")
    parser.set_defaults(run=init)


def init(args: argparse.Namespace, render: Renderer) -> Exit:
    """Found a cluster: its certificate authority, keys and database."""
    from swarmlet.coordinator.founding import init_cluster  # noqa: PLC0415 - loads cryptography

    directory = cluster_settings(args).config.data_dir
    _check_database(directory)
    record = init_cluster(Path(directory), args.name, SystemClock())
    render.out(record.cluster_id)
    render.say(f"cluster {record.name} was founded in {directory}")
    render.say("next: stratoswarm cluster start")
    return Exit.DONE


def add_start(parser: Parser) -> None:
    """Add the options of ``cluster start``."""
    add_common(parser)
    parser.add_argument(
        "--accept-clock",
        action="store_true",
        help="this machine's clock is right although the cluster recorded later times",
    )
    parser.set_defaults(run=start)


def start(args: argparse.Namespace, render: Renderer) -> Exit | int:
    """Run the coordinator in the foreground until it is asked to end."""
    from swarmlet.coordinator.service import run_coordinator  # noqa: PLC0415 - loads everything
    from swarmlet.report import logs  # noqa: PLC0415 - only programs that go on log

    loaded = cluster_settings(args)
    _check_database(loaded.config.data_dir)
    logs.configure("debug" if args.debug else loaded.config.log_level, loaded.config.log_format)
    for warning in loaded.warnings:
        render.warn(warning)
    return run_coordinator(loaded, accept_clock=args.accept_clock)


def add_status(parser: Parser) -> None:
    """Add the options of ``cluster status``."""
    add_common(parser)
    add_output(parser, ("table", "json", "yaml"))
    parser.set_defaults(run=status)


def status(args: argparse.Namespace, admin: Admin, render: Renderer) -> Exit:
    """Show the cluster and the coordinator that answers."""
    found = admin.get(ClusterView, "/v1/cluster")
    if args.output != "table":
        render.emit(found, args.output, table=lambda _wide: ([], []), names=list)
        return Exit.DONE
    counts = {
        "nodes": ", ".join(f"{count} {state}" for state, count in sorted(found.nodes.items())) or "none",
        "workloads": ", ".join(f"{count} {state}" for state, count in sorted(found.workloads.items()))
        or "none",
    }
    facts = [
        ("cluster", f"{found.name} ({found.cluster_id})"),
        ("key", found.fingerprint),
        ("reached at", ", ".join(found.endpoints)),
        ("listens on", ", ".join(found.listeners)),
        *counts.items(),
        ("pairing", "on: devices without a token may ask" if found.pairing else "off"),
        ("since", instant(found.started_ms)),
        ("directory", found.directory),
        ("version", found.version),
    ]
    for label, value in facts:
        render.out(f"{label + ':':<12}{value}")
    for note in (*found.notes, *filter(None, [found.reassignment_suspended])):
        render.warn(note)
    return Exit.DONE


def add_metrics(parser: Parser) -> None:
    """Add the options of ``cluster metrics``."""
    add_common(parser)
    parser.set_defaults(run=metrics)


def metrics(_args: argparse.Namespace, admin: Admin, render: Renderer) -> Exit:
    """Print the cluster's metrics in Prometheus' text format, for a file that a collector picks up."""
    for chunk in admin.stream("/v1/metrics"):
        render.raw(chunk)
    return Exit.DONE


# ---- audit


def add_audit(parser: Parser) -> None:
    """Add the options of ``audit``."""
    add_common(parser)
    parser.add_argument("--limit", type=whole, default=50, metavar="N", help="the newest N lines (50)")
    parser.add_argument(
        "--all",
        action="store_true",
        help="also what changes all the time: states, reports, reasons of waiting",
    )
    add_output(parser, ("table", "json", "yaml"))
    parser.set_defaults(run=audit)


def audit(args: argparse.Namespace, admin: Admin, render: Renderer) -> Exit:
    """Show the newest audit lines and whether the whole chain is as it was written."""
    everything = "true" if args.all else "false"
    found = admin.get(AuditList, "/v1/audit", limit=str(args.limit), all=everything)
    render.emit(found, args.output, table=lambda _wide: tables.audit(found.items), names=list)
    if not found.intact:
        render.warn(f"the audit chain was altered: {found.broken}")
        return Exit.FAILED
    render.say("the audit chain is intact")
    return Exit.DONE


# ---- up, down


def add_up(parser: Parser) -> None:
    """Add the options of ``up``."""
    add_common(parser)
    parser.add_argument(
        "--name", default="stratoswarm", help="the cluster's name when it is founded (stratoswarm)"
    )
    parser.add_argument("--no-node", action="store_true", help="do not run a node on this machine")
    parser.add_argument(
        "--detach", "-d", action="store_true", help="go on in the background; end it with  down"
    )
    # For  --detach  itself, to mark the process in the background: it does not detach again, and it writes to
    # a file, where no token may be (T11).
    parser.add_argument("--no-invitation", action="store_true", help=argparse.SUPPRESS)
    parser.set_defaults(run=up_command)


def up_command(args: argparse.Namespace, render: Renderer) -> Exit | int:
    """Start a cluster on this machine and keep it running until interrupted."""
    config = cluster_settings(args).config
    record = Record(config.data_dir)
    record.check()
    _check_database(config.data_dir)
    for left in record.end_leftovers():
        render.warn(f"an earlier  stratoswarm up  was killed; its {left} still ran and was ended first")
    if args.no_invitation:
        render = Renderer(color=False)  # whoever started this waits for its words, also when told to be quiet
    elif args.detach:
        return _detach(config.data_dir, render)
    with up.interruptible() as interrupted:
        return _up(args, config.data_dir, render, interrupted)


def _check_database(directory: str) -> None:
    """Refuse to found a second cluster with the keys of one whose database is gone, or to start without it.

    Founding makes the database before the keys, so keys alone are never what a killed one left.

    Raises:
        SwarmletError: ``SWL-615``.
    """
    keys = os.path.exists(f"{directory}/ca")  # noqa: PTH110
    if keys and not os.path.exists(f"{directory}/{places.DATABASE}"):  # noqa: PTH110
        raise error("SWL-615", path=directory, database=places.DATABASE)


def _up(
    args: argparse.Namespace, directory: str, render: Renderer, interrupted: up.Interrupted
) -> Exit | int:
    founded = not os.path.exists(f"{directory}/{places.DATABASE}")  # noqa: PTH110
    if founded:
        init(args, render)
    admin = Admin(_socket_of(directory))
    try:
        coordinator, cluster = up.start_coordinator(_coordinator_words(args), directory, admin, interrupted)
    except up.EndedError as ended:
        return ended.code
    children = [coordinator]
    record = Record(directory)
    try:
        up.note(children, record)
        if not args.no_node:
            children.append(up.Child(_node_plan(directory, cluster, admin)))
            up.note(children, record)
            _await_node(children[-1], admin, render, interrupted)
            if children[-1].given_up:
                render.say(_MEND)
        _announce(cluster, admin, render, invite=founded and not args.no_invitation)
        return up.keep_running(children, record, render, interrupted)
    except BaseException:
        for child in reversed(children):
            child.end()
        raise
    finally:
        record.remove()


def _coordinator_words(args: argparse.Namespace) -> list[str]:
    """Return the settings that were typed, for the coordinator's own command line."""
    words = [] if args.config_file is None else ["--config", args.config_file]
    flags = {key.field: key.flag for key in cluster_keys.KEYS}
    for field, value in taken_flags(args, cluster_keys.KEYS).items():
        flag = flags[field]
        if flag is not None and value is not None:
            words += [flag, value]
    if "--log-level" not in words:
        words += ["--log-level", "warn"]
    return words


def _node_plan(directory: str, cluster: ClusterView, admin: Admin) -> up.Plan:
    """Return how the local node is started: by a token of its own, unless it is a member already."""
    place = f"{directory}/node"
    if any(os.path.exists(f"{place}/identity/{slot}") for slot in "ab"):  # noqa: PTH110
        return up.Plan("node", up.program("node", "run", "--data-dir", place))
    token, _ = _mint(admin, expires_s=600, allow=("docker",))
    words = up.program(
        "node", "join", "--token-file", "-", "--data-dir", place, "--cluster", cluster.endpoints[0]
    )
    return up.Plan("node", words, secret=token)


def _await_node(child: up.Child, admin: Admin, render: Renderer, interrupted: up.Interrupted) -> None:
    """Give the local node a moment to be ready, so that the next command finds it."""
    until = time.monotonic() + _NODE_TIMEOUT_S
    while child.process.poll() is None and time.monotonic() < until:
        interrupted.check()
        if admin.get(ClusterView, "/v1/cluster").nodes.get(NodeState.READY):
            return
        time.sleep(0.03)
    code = child.process.poll()
    if code in up.FINAL:
        child.given_up = True
        render.warn(f"{_NODE_ENDED} {code} and is left alone; the cluster goes on without it")
        return
    render.warn("the local node is not ready yet; the cluster goes on without it")


def _mint(admin: Admin, *, expires_s: int, allow: tuple[str, ...] = ()) -> tuple[str, MintedView]:
    from swarmlet._native import TokenSeed  # noqa: PLC0415 - only where a token is made

    seed = TokenSeed.generate()
    wishes = MintRequest(public_key=seed.public_key, expires_s=expires_s, allow=allow)
    minted = admin.change(MintedView, "POST", "/v1/tokens", wishes)
    return seed.assemble(minted.signed), minted


def _announce(cluster: ClusterView, admin: Admin, render: Renderer, *, invite: bool) -> None:
    render.say(f"{_UP} {cluster.name}, {cluster.endpoints[0]}, key {cluster.fingerprint[:23]}...")
    for note in cluster.notes:
        render.warn(note)
    if invite:
        token, minted = _mint(admin, expires_s=_JOIN_LINE_LIVES_S)
        render.say("to join a device, within an hour and once:")
        render.out(f"swarmlet join --token {token}")
        render.say(f"(token {minted.jti[:12]}; more with  stratoswarm cluster create-join-token)")
    else:
        render.say("to join a device: stratoswarm cluster create-join-token")
    render.say("next: stratoswarm nodes ls")


def _detach(directory: str, render: Renderer) -> Exit | int:
    """Start ``up`` again as a process of its own session and wait until it says the cluster is up."""
    log = f"{directory}/up.log"
    founded = not os.path.exists(f"{directory}/{places.DATABASE}")  # noqa: PTH110
    with writing(directory):
        os.makedirs(directory, mode=0o700, exist_ok=True)  # noqa: PTH103
        handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(handle, "wb") as file:
        child = subprocess.Popen(
            up.program("cluster", *sys.argv[1:], "--no-invitation"),
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
    until = time.monotonic() + up.START_TIMEOUT_S
    while time.monotonic() < until:
        said = Path(log).read_text(errors="replace")
        if _UP in said:
            admin = Admin(_socket_of(directory))
            _announce(admin.get(ClusterView, "/v1/cluster"), admin, render, invite=founded)
            _pass_on_node(said, render)
            render.say(f"it goes on in the background (process {child.pid}, log {log})")
            render.say("to end it: stratoswarm down")
            return Exit.DONE
        code = child.poll()
        if code is not None:
            render.pass_on(Path(log).read_text(errors="replace").rstrip())
            return code or Exit.FAILED
        time.sleep(0.05)
    raise error("SWL-205", what_waited="starting the cluster", seconds=f"{up.START_TIMEOUT_S:g}")


def _pass_on_node(said: str, render: Renderer) -> None:
    """Repeat why the local node ended, which the process in the background told its log only."""
    lines = said[: said.index(_UP)].splitlines()
    ended = [line for line in lines if _NODE_ENDED in line]
    if ended:
        told = [index for index, line in enumerate(lines) if line.startswith("error SWL-")]
        render.pass_on("\n".join(line for index in told for line in lines[index : index + 2]))
        render.warn(ended[-1].removeprefix("warning: "))
        render.tell(_MEND)


def add_down(parser: Parser) -> None:
    """Add the options of ``down``."""
    add_common(parser)
    parser.set_defaults(run=down)


def down(args: argparse.Namespace, render: Renderer) -> Exit:
    """End what ``up`` keeps running; nothing that is on disk is lost."""
    directory = cluster_settings(args).config.data_dir
    Record(directory).stop()
    render.say(f"the cluster in {directory} is down; start it again: stratoswarm up")
    return Exit.DONE
