"""Views as rows: which columns a table has. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from swarmlet.cli.words import age, gigabytes, instant, percent_of
from swarmlet.model.views import AuditView, EventView, NodeView, TokenView, WorkloadView

Table = tuple[Sequence[str], list[list[str]]]


def nodes(items: Sequence[NodeView], *, wide: bool) -> Table:
    """Return the node table; ``wide`` adds address, age, labels and the state's reason."""
    headers = ["NAME", "STATUS", "CLASS", "ARCH", "CPU", "MEM", "TEMP", "WORK", "HEARTBEAT", "VERSION"]
    rows = [
        [
            node.name,
            status_of(node),
            node.node_class.lower(),
            node.arch or "-",
            percent_of(node.cpu_permille, node.cpu_cores),
            gigabytes(node.memory_used, node.memory_total),
            "-" if node.temperature_c is None else f"{node.temperature_c:.0f}C",
            str(node.workloads),
            age(node.heartbeat_age_ms),
            node.version,
        ]
        for node in items
    ]
    if wide:
        headers += ["ADDRESS", "LABELS", "UID", "WHY"]
        for row, node in zip(rows, items, strict=True):
            labels = ",".join(f"{key}={value}" for key, value in sorted(node.labels.items()))
            row += [node.seen, labels or "-", node.node_uid, node.reason or "-"]
    return headers, rows


def status_of(node: NodeView) -> str:
    """Return a node's state, with what an administrator and its peers say beside it."""
    words: list[str] = [node.state, *([] if node.availability == "active" else [node.availability])]
    if node.mesh is not None and node.mesh.note:
        words.append("alive" if node.mesh.state == "alive" else "no-udp")
    return ",".join(words)


def events(items: Sequence[EventView]) -> Table:
    """Return the events."""
    headers = ["TIME", "FROM", "EVENT", "NODE", "DETAIL"]
    return headers, [
        [instant(one.at_ms), one.source, one.what, one.node or "-", one.detail or "-"] for one in items
    ]


def tokens(items: Sequence[TokenView], *, wide: bool) -> Table:
    """Return the token table; ``wide`` adds limits and who came with each."""
    headers = ["ID", "STATE", "USES", "EXPIRES", "CLASSES", "ALLOW"]
    rows = [
        [
            token.jti if wide else token.jti[:12],
            token.state,
            f"{token.uses}/{token.max_uses}",
            instant(token.expires_ms),
            ",".join(token.node_classes) or "any",
            ",".join(token.allow) or "-",
        ]
        for token in items
    ]
    if wide:
        headers += ["CIDR", "NAME", "NODES"]
        for row, token in zip(rows, items, strict=True):
            names = ",".join(node.name for node in token.nodes)
            row += [",".join(token.cidrs) or "any", token.name_pattern or "any", names or "-"]
    return headers, rows


def workloads(items: Sequence[WorkloadView], now_ms: int, *, wide: bool) -> Table:
    """Return the workload table; ``wide`` adds the id and what it runs."""
    headers = ["NAME", "STATE", "REPLICAS", "NODES", "SINCE", "WHY"]
    rows = [
        [
            item.name,
            item.state,
            f"{item.running}/{item.wanted}",
            ",".join(dict.fromkeys(one.node for one in item.assignments if not one.stop)) or "-",
            age(now_ms - item.since_ms),
            item.reason or "-",
        ]
        for item in items
    ]
    if wide:
        headers += ["ID", "RUNS"]
        for row, item in zip(rows, items, strict=True):
            row += [item.workload_id, item.spec.image or " ".join(item.spec.command)]
    return headers, rows


def assignments(item: WorkloadView, now_ms: int) -> Table:
    """Return the replicas of one workload."""
    headers = ["REPLICA", "NODE", "STATE", "SINCE", "EXIT", "RESTARTS", "EPOCH", "WHY"]
    rows = [
        [
            str(one.replica),
            one.node,
            one.state,
            age(now_ms - one.since_ms),
            "-" if one.exit_code is None else str(one.exit_code),
            str(one.restarts),
            str(one.epoch),
            one.reason or "-",
        ]
        for one in item.assignments
    ]
    return headers, rows


def audit(items: Sequence[AuditView]) -> Table:
    """Return the audit lines."""
    headers = ["SEQ", "TIME", "ACTOR", "ACTION", "SUBJECT", "DETAIL"]
    return headers, [
        [str(one.sequence), instant(one.at_ms), one.actor, one.action, one.subject, one.detail]
        for one in items
    ]
