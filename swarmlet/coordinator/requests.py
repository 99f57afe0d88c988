"""Judges what somebody asks to be run, beyond what the types of ``model/requests.py`` hold. Pure.

Every refusal is ``SWL-608`` with what is wrong and what would be taken.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from swarmlet.coordinator.constraints import parse_constraint
from swarmlet.coordinator.dispatcher import fits
from swarmlet.errors import SwarmletError, error
from swarmlet.model.classification import NODE_CLASSES, parse_class
from swarmlet.model.names import MAX_NAME, is_node_name, to_node_name
from swarmlet.model.requests import SubmitRequest
from swarmlet.model.workload import Assignment, Kind, WorkloadSpec

#: The longest any assignment id gets: workload id, replica, epoch.
_LONG_ID = "x" * 64


def workload_spec(asked: SubmitRequest, workload_id: str) -> WorkloadSpec:
    """Return the workload that is asked for, under the asked name or one made for it.

    Args:
        asked: The request.
        workload_id: Its id; its beginning tells generated names apart.

    Raises:
        SwarmletError: ``SWL-608``.
    """
    for refusal in _refusals(asked):
        raise refusal
    spec = asked.spec(asked.name or _made_name(asked, workload_id))
    if spec.node_type is not None:  # by its own name, which nodes carry
        spec = msgspec.structs.replace(spec, node_type=parse_class(spec.node_type))
    whole = Assignment(_LONG_ID, _LONG_ID, spec.replicas, 1 << 63, spec)
    if not fits(whole):
        raise _refused(
            "the workload with its command and environment is larger than 58 KiB", "put data in files"
        )
    return spec


def _refusals(asked: SubmitRequest) -> Iterator[SwarmletError]:
    if asked.name and not is_node_name(asked.name):
        near = to_node_name(asked.name)
        yield _refused(
            f"name (--name) is {asked.name!r}: it may be letters a-z, digits and inner hyphens",
            f"--name {near}" if near else "choose another --name",
        )
    if asked.node_type is not None and parse_class(asked.node_type) is None:
        classes = ", ".join(NODE_CLASSES).lower()
        yield _refused(
            f"node_type (--node-type) is {asked.node_type[:40]!r}: it may be {classes}", "--node-type edge"
        )
    yield from _what_is_run(asked)
    for text in asked.constraints:
        try:
            parse_constraint(text)
        except ValueError as fault:
            yield _refused(f"the constraint {fault}", "--constraint zone==garden, --constraint arch!=armv7")


def _what_is_run(asked: SubmitRequest) -> Iterator[SwarmletError]:
    if asked.kind is Kind.PROCESS and not asked.command:
        yield _refused("a process workload needs a command", "stratoswarm run -- COMMAND...")
    if asked.kind is Kind.PROCESS and asked.image:
        yield _refused("a process workload has no image", "leave the image out, or run a container")
    if asked.kind is Kind.CONTAINER and not asked.image:
        yield _refused("a container workload needs an image", "stratoswarm run IMAGE")
    if asked.command and not asked.command[0].strip():
        yield _refused("command, number 1 (after --) is empty: it may be a program", "-- COMMAND...")
    if any("\0" in word for word in (*asked.command, *asked.env, *asked.env.values())):
        yield _refused("a command or an environment variable holds a zero byte", "leave it out")
    for name in asked.env:
        if not name or "=" in name:
            yield _refused(f"{name[:40]!r} cannot name an environment variable", "--env NAME=VALUE")


def _made_name(asked: SubmitRequest, workload_id: str) -> str:
    what = (
        asked.image.rpartition("/")[2].partition(":")[0]
        if asked.image
        else asked.command[0].rpartition("/")[2]
    )
    return f"{(to_node_name(what) or 'work')[: MAX_NAME - 7]}-{workload_id[:6]}"


def _refused(detail: str, hint: str) -> SwarmletError:
    return error("SWL-608", detail=detail, hint=hint)
