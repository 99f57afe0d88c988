"""``stratoswarm nodes ...``."""

from __future__ import annotations

import argparse

from swarmlet.cli import tables
from swarmlet.cli.admin import Admin, part, shown
from swarmlet.cli.parser import Parser, add_common, add_output
from swarmlet.cli.render import Renderer
from swarmlet.cli.words import age, gigabytes, instant, percent_of
from swarmlet.errors import Exit, error
from swarmlet.model.membership import Availability
from swarmlet.model.requests import AvailabilityRequest, LabelsRequest
from swarmlet.model.views import NodeList, NodeView, RoundTripView


def add_ls(parser: Parser) -> None:
    """Add the options of ``nodes ls``."""
    add_common(parser)
    parser.add_argument("--all", "-a", action="store_true", help="also removed, replaced and departed nodes")
    parser.add_argument(
        "--watch", "-w", action="store_true", help="look every second, show it again when it changed"
    )
    add_output(parser)
    parser.set_defaults(run=ls)


def ls(args: argparse.Namespace, admin: Admin, render: Renderer) -> Exit:
    """List nodes."""
    query = {"all": "true"} if args.all else {}
    found = shown(
        lambda: admin.get(NodeList, "/v1/nodes", **query),
        lambda items: _show(items, args.output, render),
        again=args.watch,
        render=render,
    )
    if not found.items and args.output in ("table", "wide"):
        render.say("no node has joined yet; next: stratoswarm cluster create-join-token")
    return Exit.DONE


def _show(found: NodeList, output: str, render: Renderer) -> None:
    render.emit(
        found,
        output,
        table=lambda wide: tables.nodes(found.items, wide=wide),
        names=lambda: (node.name for node in found.items),
    )
    for note in found.notes:
        render.warn(note)


def add_inspect(parser: Parser) -> None:
    """Add the options of ``nodes inspect``."""
    add_common(parser)
    parser.add_argument("node", help="name, id or an unambiguous prefix")
    add_output(parser)
    parser.set_defaults(run=inspect)


def inspect(args: argparse.Namespace, admin: Admin, render: Renderer) -> Exit:
    """Show one node: its state since when and why, what it is, what it may be given."""
    node = admin.get(NodeView, f"/v1/nodes/{part(args.node)}")
    if args.output in ("table", "wide"):
        for label, value in _facts(node):
            render.out(f"{label + ':':<14}{value}")
    else:
        render.emit(node, args.output, table=lambda _wide: ([], []), names=lambda: [node.name])
    return Exit.DONE


def _facts(node: NodeView) -> list[tuple[str, str]]:
    hardware = node.profile.hardware
    temperature = "-" if node.temperature_c is None else f"{node.temperature_c:.0f} C"
    facts = [
        ("name", node.name),
        ("uid", node.node_uid),
        ("state", f"{node.state} since {instant(node.since_ms)} ({node.reason or 'no reason given'})"),
        ("next", node.next_step),
        ("availability", node.availability),
        ("health", node.health or "-"),
        ("class", f"{node.node_class}: {', '.join(node.suitability)}"),
        ("because", node.class_reason),
        (
            "hardware",
            f"{hardware.cpu_model or 'unknown processor'}, {node.arch or '-'}, {hardware.device_type or '-'}",
        ),
        ("cpu", percent_of(node.cpu_permille, node.cpu_cores)),
        ("memory", gigabytes(node.memory_used, node.memory_total)),
        ("temperature", temperature),
        ("limits", ", ".join(f"{key}={value:g}" for key, value in sorted(node.limits.items())) or "-"),
        ("may be given", ", ".join(node.capabilities) or "nothing beyond processes"),
        ("enforced", _enforced(node)),
        ("labels", ", ".join(f"{key}={value}" for key, value in sorted(node.labels.items())) or "-"),
        ("address", node.seen),
        ("heartbeat", f"{age(node.heartbeat_age_ms)} ago" if node.heartbeat_age_ms is not None else "-"),
        ("peers", _peers(node)),
        ("joined", f"{instant(node.joined_ms)} with token {node.token[:12]}"),
        ("certificate", f"{node.certificate_serial} until {instant(node.certificate_expires_ms)}"),
        ("version", node.version),
    ]
    return [(label, value) for label, value in facts if value]


def _peers(node: NodeView) -> str:
    mesh = node.mesh
    if mesh is None:
        return "-"
    trip = "" if mesh.rtt_ms is None else f", {mesh.rtt_ms:.1f} ms from the coordinator"
    reached = "" if mesh.udp else "; UDP does not reach it"
    note = f" ({mesh.note})" if mesh.note else ""
    return f"{mesh.state} for {age(mesh.age_ms)} at {mesh.address}{trip}{reached}{note}"


def _enforced(node: NodeView) -> str:
    found = node.profile.enforcement
    return ", ".join(f"{name} {getattr(found, name)}" for name in type(found).__struct_fields__)


def add_rtt(parser: Parser) -> None:
    """Add the options of ``nodes rtt``."""
    add_common(parser)
    parser.add_argument("node", help="who measures: name, id or an unambiguous prefix")
    parser.add_argument("other", help="to whom")
    add_output(parser, ("table", "json", "yaml"))
    parser.set_defaults(run=rtt)


def rtt(args: argparse.Namespace, admin: Admin, render: Renderer) -> Exit:
    """Show how one node sees another: its state by gossip and the round trip between them."""
    found = admin.get(RoundTripView, f"/v1/nodes/{part(args.node)}/rtt/{part(args.other)}")
    trip = "-" if found.rtt_ms is None else f"{found.rtt_ms:.2f} ms"
    row = [found.node, found.to, found.state or "unknown", trip]
    render.emit(found, args.output, table=lambda _wide: (["NODE", "TO", "STATE", "RTT"], [row]), names=list)
    if found.rtt_ms is None:
        render.say("it was not measured yet: each node probes another every second or so")
    return Exit.DONE


def add_rm(parser: Parser) -> None:
    """Add the options of ``nodes rm``."""
    add_common(parser)
    parser.add_argument("node", help="name, id or an unambiguous prefix")
    parser.add_argument("--block", action="store_true", help="also keep its hardware out until  nodes allow")
    parser.set_defaults(run=rm)


def rm(args: argparse.Namespace, admin: Admin, render: Renderer) -> Exit:
    """Remove a node: its certificates are refused from now on and its work ends."""
    query = "?block=true" if args.block else ""
    node = admin.change(NodeView, "DELETE", f"/v1/nodes/{part(args.node)}{query}")
    render.out(node.name)
    render.say(f"{node.name} was removed; its certificate is refused from now on")
    if args.block:
        render.say(
            f"its hardware is kept out; to take that back: stratoswarm nodes allow {node.node_uid[:8]}"
        )
    return Exit.DONE


def add_allow(parser: Parser) -> None:
    """Add the options of ``nodes allow``."""
    add_common(parser)
    parser.add_argument("node", help="id or name of the removed node")
    parser.set_defaults(run=allow)


def allow(args: argparse.Namespace, admin: Admin, render: Renderer) -> Exit:
    """Let the hardware of a removed node join again, with a new token."""
    node = admin.change(NodeView, "POST", f"/v1/nodes/{part(args.node)}/allow")
    render.out(node.name)
    render.say(f"the hardware of {node.name} may join again, with a new token")
    return Exit.DONE


def add_label(parser: Parser) -> None:
    """Add the options of ``nodes label``."""
    add_common(parser)
    parser.add_argument("node", help="name, id or an unambiguous prefix")
    parser.add_argument("labels", nargs="+", metavar="KEY=VALUE", help="set a label; KEY- removes it")
    parser.set_defaults(run=label)


def label(args: argparse.Namespace, admin: Admin, render: Renderer) -> Exit:
    """Set and remove labels."""
    changes = parse_labels(args.labels)
    node = admin.change(
        NodeView, "PATCH", f"/v1/nodes/{part(args.node)}/labels", LabelsRequest(labels=changes)
    )
    render.out(node.name)
    shown = ", ".join(f"{key}={value}" for key, value in sorted(node.labels.items()))
    render.say(f"{node.name} now has {shown or 'no labels'}")
    return Exit.DONE


def parse_labels(words: list[str]) -> dict[str, str | None]:
    """Return ``KEY=VALUE`` and ``KEY-`` words as changes; what keys and values may be is judged there.

    Raises:
        SwarmletError: ``SWL-400`` for a word of neither form.
    """
    changes: dict[str, str | None] = {}
    for word in words:
        key, equals, value = word.partition("=")
        removed = not equals and word.endswith("-")
        key = key[:-1] if removed else key
        if not (equals or removed):
            detail = f"{word[:40]!r} is not KEY=VALUE or KEY-"
            raise error("SWL-400", detail=detail, hint="nodes label NODE zone=garden")
        changes[key] = None if removed else value
    return changes


def add_availability(parser: Parser, wanted: Availability) -> None:
    """Add the options of ``nodes cordon|drain|uncordon``."""
    add_common(parser)
    parser.add_argument("node", help="name, id or an unambiguous prefix")
    parser.set_defaults(run=set_availability, wanted=wanted)


def set_availability(args: argparse.Namespace, admin: Admin, render: Renderer) -> Exit:
    """Let a node take work, or not."""
    node = admin.change(
        NodeView,
        "POST",
        f"/v1/nodes/{part(args.node)}/availability",
        AvailabilityRequest(availability=args.wanted),
    )
    render.out(node.name)
    render.say(f"{node.name} is {node.availability}")
    return Exit.DONE
