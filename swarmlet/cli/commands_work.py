"""``stratoswarm run``, ``ps``, ``logs``, ``stop`` and ``inspect``."""

from __future__ import annotations

import argparse
import re
from functools import partial

from swarmlet.cli import tables
from swarmlet.cli.admin import Admin, part, shown, wait_until
from swarmlet.cli.following import follow
from swarmlet.cli.parser import Parser, add_common, add_output
from swarmlet.cli.render import Renderer
from swarmlet.cli.words import instant, number, whole
from swarmlet.clock import SystemClock
from swarmlet.errors import CATALOGUE, Exit, SwarmletError, WorkError, error
from swarmlet.model.requests import ResourcesRequest, SubmitRequest
from swarmlet.model.views import (
    FINISHED,
    PlacementView,
    WorkloadList,
    WorkloadState,
    WorkloadView,
)
from swarmlet.model.workload import TERMINAL, Kind, OnPartition, RestartPolicy
from swarmlet.tokens.durations import parse_duration

_PLACE_TIMEOUT_S = 30.0
_SIZE = re.compile(r"[0-9]{1,12}(\.[0-9]{1,12})?\Z")
_MEGABYTES = {"": 1, "m": 1, "mb": 1, "g": 1000, "gb": 1000}


def add_run(parser: Parser) -> None:
    """Add the options of ``run``."""
    add_common(parser)
    parser.takes_command = True
    parser.add_argument(
        "image", nargs="?", help="container image; for a process give  -- COMMAND...  instead"
    )
    parser.add_argument("--name", default="", help="its name (made up when not given)")
    parser.add_argument("--replicas", type=whole, default=1, metavar="N", help="how many at once (1)")
    parser.add_argument("--node-type", metavar="CLASS", help="only on nodes of this class")
    parser.add_argument(
        "--constraint",
        action="append",
        default=[],
        metavar="EXPR",
        help="only where it holds: zone==garden, arch!=armv7, name==pi-1 (repeat for more)",
    )
    parser.add_argument("--cpu", type=number, metavar="CORES", help="cores each replica may use")
    parser.add_argument("--memory", metavar="SIZE", help="memory each replica may use: 256m, 1g")
    parser.add_argument("--env", "-e", action="append", default=[], metavar="KEY=VALUE", help="environment")
    parser.add_argument(
        "--restart", choices=[str(one) for one in RestartPolicy], default="never", help="when it ends (never)"
    )
    parser.add_argument(
        "--on-partition",
        choices=[str(one) for one in OnPartition],
        default="keep",
        help="when its node is cut off from the cluster (keep)",
    )
    parser.add_argument("--stop-grace", default="10s", metavar="TIME", help="from asking to killing it (10s)")
    parser.add_argument("--wait", action="store_true", help="wait until it ended and exit with its own code")
    parser.add_argument(
        "--timeout", metavar="TIME", help="with --wait: give up waiting after this (7 is returned)"
    )
    parser.add_argument("--detach", "-d", action="store_true", help="return as soon as it is accepted")
    add_output(parser, ("table", "json", "name"))
    parser.set_defaults(run=run)


def run(args: argparse.Namespace, admin: Admin, render: Renderer) -> Exit | int:
    """Submit a workload and follow its placement."""
    request = build_request(args, args.rest)
    limit = None if args.timeout is None else float(parse_duration(args.timeout))
    item = admin.change(WorkloadView, "POST", "/v1/workloads", request)
    path = f"/v1/workloads/{part(item.workload_id)}"
    if not args.detach:
        try:
            item = _follow_placement(admin, path, item, render)
        except SwarmletError:
            _show_submitted(item, args.output, render)  # accepted all the same: its name is what comes next
            raise
    if args.wait:
        item = wait_until(
            lambda: admin.get(WorkloadView, path),
            _over,
            timeout_s=limit,
            late=partial(_late, limit),
            say=render.say,
        )
    _show_submitted(item, args.output, render)
    unstarted = not_started(item)
    if unstarted is not None:
        raise unstarted
    if args.wait:
        _say_end(item, render)
        return _own_code(item)
    if item.state is WorkloadState.FAILED:
        render.say(f"{item.name} failed: {item.reason}; next: stratoswarm inspect {item.name}")
        return Exit.FAILED
    return Exit.DONE


def _show_submitted(item: WorkloadView, output: str, render: Renderer) -> None:
    if output == "json":
        render.emit(item, "json", table=lambda _wide: ([], []), names=list)
    else:
        render.out(item.name)


def not_started(item: WorkloadView) -> SwarmletError | None:
    """Return the error of a workload that failed without having run: its command or image is missing."""
    if item.state is not WorkloadState.FAILED:
        return None
    for one in item.assignments:
        entry = CATALOGUE.get(one.reason.partition(":")[0])
        if one.exit_code is None and entry is not None and issubclass(entry.kind, WorkError):
            hint = entry.next.replace("{node}", one.node)
            return error("SWL-512", workload=item.name, reason=one.reason, hint=hint)
    return None


def _follow_placement(admin: Admin, path: str, item: WorkloadView, render: Renderer) -> WorkloadView:
    """Return once every replica runs or ended; raise ``SWL-500`` when nothing fits."""
    try:
        item = wait_until(
            lambda: admin.get(WorkloadView, path),
            lambda one: (
                one.state is not WorkloadState.STARTING
                and not (one.state is WorkloadState.PENDING and not one.reason)
            ),
            timeout_s=_PLACE_TIMEOUT_S,
            late=partial(_late, _PLACE_TIMEOUT_S),
            say=render.say,
        )
    except Exception:
        render.say(f"{item.name} was accepted and goes on; follow it: stratoswarm inspect {item.name}")
        raise
    if item.state is WorkloadState.PENDING:
        raise error("SWL-500", workload=item.name, reasons=item.reason)
    places = ", ".join(f"replica {one.replica} on {one.node}" for one in item.assignments)
    render.say(f"{item.name} is {item.state}: {places}")
    return item


def _late(seconds: float | None, item: WorkloadView) -> SwarmletError:
    return error("SWL-511", workload=item.name, seconds=f"{seconds or 0:g}", state=str(item.state))


def _say_end(item: WorkloadView, render: Renderer) -> None:
    render.say(f"{item.name} {item.state}" + (f": {item.reason}" if item.reason else ""))


def _own_code(item: WorkloadView) -> Exit | int:
    if item.exit_code is not None:
        return item.exit_code
    return Exit.DONE if item.state is WorkloadState.SUCCEEDED else Exit.FAILED


def build_request(args: argparse.Namespace, command: tuple[str, ...]) -> SubmitRequest:
    """Return what the arguments ask for; whether it is within bounds is the coordinator's to say.

    Raises:
        SwarmletError: ``SWL-400`` naming what cannot be.
    """
    if args.image is None and not command:
        raise error(
            "SWL-400",
            detail="nothing to run was given",
            hint="stratoswarm run -- COMMAND..., or  stratoswarm run IMAGE",
        )
    return SubmitRequest(
        kind=Kind.PROCESS if args.image is None else Kind.CONTAINER,
        name=args.name,
        command=command,
        image=args.image,
        env=dict(_pair(word) for word in args.env),
        replicas=args.replicas,
        resources=ResourcesRequest(
            cpu=args.cpu, memory_mb=None if args.memory is None else parse_memory(args.memory)
        ),
        restart=RestartPolicy(args.restart),
        on_partition=OnPartition(args.on_partition),
        node_type=args.node_type,
        constraints=tuple(args.constraint),
        stop_grace_s=float(parse_duration(args.stop_grace)),
    )


def _pair(word: str) -> tuple[str, str]:
    key, equals, value = word.partition("=")
    if not key or not equals:
        raise error("SWL-400", detail=f"--env {key[:40]!r} is not KEY=VALUE", hint="--env LEVEL=info")
    return key, value


def parse_memory(text: str) -> int:
    """Return a size such as ``256m`` or ``1.5g`` in megabytes.

    Raises:
        SwarmletError: ``SWL-400`` when it is not one.
    """
    lowered = text.strip().lower()
    digits = lowered.rstrip("bgm")
    factor = _MEGABYTES.get(lowered[len(digits) :])
    if factor is None or not _SIZE.match(digits):
        detail = f"--memory {text[:40]!r} is not a size: digits, then m or g"
        raise error("SWL-400", detail=detail, hint="--memory 256m, --memory 1g")
    return int(float(digits) * factor)


def add_ps(parser: Parser) -> None:
    """Add the options of ``ps``."""
    add_common(parser)
    parser.add_argument("--all", "-a", action="store_true", help="also finished ones")
    parser.add_argument(
        "--watch", "-w", action="store_true", help="look every second, show it again when it changed"
    )
    add_output(parser)
    parser.set_defaults(run=ps)


def ps(args: argparse.Namespace, admin: Admin, render: Renderer) -> Exit:
    """List workloads."""
    query = {"all": "true"} if args.all else {}
    found = shown(
        lambda: admin.get(WorkloadList, "/v1/workloads", **query),
        lambda items: _show(items, args.output, render),
        again=args.watch,
        render=render,
    )
    if not found.items and not args.all and args.output in ("table", "wide"):
        render.say("nothing runs; finished ones: stratoswarm ps --all")
    return Exit.DONE


def _show(found: WorkloadList, output: str, render: Renderer) -> None:
    render.emit(
        found,
        output,
        table=lambda wide: tables.workloads(found.items, _now_ms(), wide=wide),
        names=lambda: (item.name for item in found.items),
    )


def add_inspect(parser: Parser) -> None:
    """Add the options of ``inspect``."""
    add_common(parser)
    parser.add_argument("workload", help="name, id or an unambiguous prefix")
    add_output(parser)
    parser.set_defaults(run=inspect)


def inspect(args: argparse.Namespace, admin: Admin, render: Renderer) -> Exit:
    """Show one workload: where it runs and why there, or why it waits."""
    item = admin.get(WorkloadView, f"/v1/workloads/{part(args.workload)}")
    if args.output not in ("table", "wide"):
        render.emit(item, args.output, table=lambda _wide: ([], []), names=lambda: [item.name])
        return Exit.DONE
    for label, value in _facts(item):
        render.out(f"{label + ':':<10}{value}")
    if item.assignments:
        render.out("")
        render.table(*tables.assignments(item, _now_ms()))
    for decision in item.placement:
        _show_placement(decision, render)
    if item.placement_note:
        render.out("")
        render.out(item.placement_note)
    return Exit.DONE


def _facts(item: WorkloadView) -> list[tuple[str, str]]:
    runs = item.spec.image or ""
    command = " ".join(item.spec.command)
    why = f" ({item.reason})" if item.reason else ""
    return [
        ("name", item.name),
        ("id", item.workload_id),
        ("runs", f"{item.spec.kind}: {runs} {command}".replace("  ", " ").rstrip()),
        ("state", f"{item.state} since {instant(item.since_ms)}{why}"),
        ("replicas", f"{item.running} of {item.wanted} running"),
        ("exit", _exit(item)),
        ("asked", f"{instant(item.created_ms)} by {item.created_by}"),
    ]


def _exit(item: WorkloadView) -> str:
    if item.exit_code is not None:
        return str(item.exit_code)
    never_ran = item.state is WorkloadState.FAILED and not any(one.restarts for one in item.assignments)
    return "none, it failed to start" if never_ran else "-"


def _show_placement(decision: PlacementView, render: Renderer) -> None:
    render.out("")
    render.out(
        f"replica {decision.replica}: {'on ' + decision.node if decision.node else 'waits, no node fits'}"
    )
    for score in decision.scores:
        parts = ", ".join(f"{key} {value:+.2f}" for key, value in score.parts.items())
        render.out(f"  {score.node}: {score.total:.2f} ({parts})")
    for refusal in decision.refused:
        render.out(f"  {refusal.node}: no, {refusal.reason} [{refusal.filter}]")


def add_logs(parser: Parser) -> None:
    """Add the options of ``logs``."""
    add_common(parser)
    parser.add_argument("workload", help="name, id or an unambiguous prefix")
    parser.add_argument("--follow", "-f", action="store_true", help="go on as it writes more")
    parser.add_argument("--tail", type=whole, metavar="N", help="begin with the last N lines")
    parser.add_argument("--replica", type=whole, metavar="N", help="which replica (0, the first)")
    parser.set_defaults(run=logs)


def logs(args: argparse.Namespace, admin: Admin, render: Renderer) -> Exit:
    """Show what a workload wrote."""
    query: dict[str, str] = {}
    if args.follow:
        query["follow"] = "true"
    if args.tail is not None:
        query["tail"] = str(args.tail)
    if args.replica is not None:
        query["replica"] = str(args.replica)
    else:
        _say_which(admin.get(WorkloadView, f"/v1/workloads/{part(args.workload)}"), render)
    path = f"/v1/workloads/{part(args.workload)}/logs"
    chunks = (
        follow(lambda asked: admin.stream(path, **asked), query, render.say)
        if args.follow
        else admin.stream(path, **query)
    )
    for chunk in chunks:
        render.raw(chunk)
    return Exit.DONE


def _say_which(item: WorkloadView, render: Renderer) -> None:
    """Say that the output is that of the first replica only, where there are more."""
    if item.wanted < 2:
        return
    # Of each replica the newest assignment comes first, and its output is what follows.
    node = next((f" on {one.node}" for one in item.assignments if one.replica == 0), "")
    last = item.wanted - 1
    render.say(
        f"this is replica 0{node} of {item.name}, which has {item.wanted};"
        f" another: stratoswarm logs {item.name} --replica N, N up to {last}"
    )


def add_stop(parser: Parser) -> None:
    """Add the options of ``stop``."""
    add_common(parser)
    parser.add_argument("workload", nargs="+", help="name, id or an unambiguous prefix")
    parser.add_argument("--no-wait", action="store_true", help="return as soon as it was asked to end")
    parser.set_defaults(run=stop)


def stop(args: argparse.Namespace, admin: Admin, render: Renderer) -> Exit:
    """Ask workloads to end, and wait until they did."""
    for name in args.workload:
        item = admin.change(WorkloadView, "POST", f"/v1/workloads/{part(name)}/stop")
        if not args.no_wait and not _over(item):
            path = f"/v1/workloads/{part(item.workload_id)}"
            limit = item.spec.stop_grace_s + _PLACE_TIMEOUT_S
            item = wait_until(
                lambda path=path: admin.get(WorkloadView, path),  # type: ignore[misc]
                _over,
                timeout_s=limit,
                late=partial(_late, limit),
                say=render.say,
            )
        render.out(item.name)
        if item.state is WorkloadState.STOPPING and _over(item):
            render.say(
                f"{item.name} is stopping: {item.reason}, and what it runs there may go on until it is back;"
                " next: stratoswarm nodes ls"
            )
        else:
            render.say(f"{item.name} is {item.state}")
    return Exit.DONE


def _over(item: WorkloadView) -> bool:
    """Say whether nothing more can be waited for: it ended, or only nodes that are away have not ended it."""
    told = all(one.state in TERMINAL for one in item.assignments)
    return item.state in FINISHED or (item.state is WorkloadState.STOPPING and told)


def _now_ms() -> int:
    return SystemClock().wall_ms()
