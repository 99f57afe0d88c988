"""What the engine is asked for, built from nothing but a job (W1, W4). Pure.

The body of a create request is written here field by field: nothing a workload says reaches the engine unless
a line here puts it there, so no privilege, bind, device, capability or host namespace ever can.

Network: a container gets the engine's default bridge, its own network namespace without published ports, when
the engine has that bridge, else none. A workload without any network would be of little use (sensor data must
leave), and the host's network is what isolation is for.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from swarmlet.errors import SwarmletError, error
from swarmlet.model.workload import Assignment, Resources, WorkloadSpec
from swarmlet.workloads.driver import Job, Node, variables
from swarmlet.workloads.endings import Exit, from_shell_code

LABEL_ASSIGNMENT = "stratoswarm.assignment"
LABEL_EPOCH = "stratoswarm.epoch"
LABEL_WORKLOAD = "stratoswarm.workload"
LABEL_SPEC = "stratoswarm.spec-hash"
LABEL_CLUSTER = "stratoswarm.cluster"
LABEL_NODE = "stratoswarm.node"

#: Who a container runs as when its image does not say, or says root: nobody.
NOBODY = "65534:65534"
#: Processes and threads one container may have (W1).
PIDS = 256
#: Scratch space, in bytes: the root file system is read-only.
TMP_BYTES = 64 * 1024 * 1024
RUN_BYTES = 8 * 1024 * 1024
#: The engine keeps this much of a container's output on disk, for an agent that was away.
LOG_OPTIONS = {"max-size": "1m", "max-file": "2"}
#: Under memory pressure the kernel takes workloads before the agent.
OOM_SCORE = 500

_ROOT_USER = re.compile(r"(root|[+-]?0+)?(:.*)?\Z", re.DOTALL)
#: What Docker's init says before it ends with 127 or 126, when it cannot run the program (tini 0.19).
_INIT_FAILED = re.compile(r"\[FATAL tini \(\d+\)\] exec (.+) failed: (.+)\n?\Z", re.DOTALL)
_NOT_IN_NAMES = re.compile(r"[^a-zA-Z0-9_.-]+")


class Facts(NamedTuple):
    """What an engine can do, as it says itself."""

    cpus: int
    init: bool
    memory: bool
    swap: bool
    cpu: bool
    pids: bool
    bridge: bool
    warnings: tuple[str, ...] = ()


class Found(NamedTuple):
    """A container of this node, as the engine lists it."""

    container_id: str
    assignment_id: str
    epoch: str
    spec_hash: str
    state: str


def read_facts(info: Mapping[str, Any]) -> Facts:
    """Return what matters of an engine's ``/info``."""
    networks = (info.get("Plugins") or {}).get("Network") or ()
    return Facts(
        cpus=int(info.get("NCPU") or 0),
        init=bool(info.get("InitBinary")),
        memory=bool(info.get("MemoryLimit")),
        swap=bool(info.get("SwapLimit")),
        cpu=bool(info.get("CpuCfsQuota", True)),
        pids=bool(info.get("PidsLimit")),
        bridge="bridge" in networks,
        warnings=tuple(str(one) for one in info.get("Warnings") or ()),
    )


def spec_hash(spec: WorkloadSpec) -> str:
    """Return what tells two specs apart, as a label's value."""
    packed = msgspec.msgpack.encode(spec, order="deterministic")
    return hashlib.sha256(packed).hexdigest()[:32]


def labels(assignment: Assignment, node: Node) -> dict[str, str]:
    """Return the labels by which an agent knows its containers again."""
    return {
        LABEL_ASSIGNMENT: assignment.assignment_id,
        LABEL_EPOCH: str(assignment.epoch),
        LABEL_WORKLOAD: assignment.workload_id,
        LABEL_SPEC: spec_hash(assignment.spec),
        LABEL_CLUSTER: node.cluster_id,
        LABEL_NODE: node.node_uid,
    }


def name_of(assignment: Assignment, node: Node) -> str:
    """Return a container's name: readable, and unique over the agents that share an engine."""
    readable = _NOT_IN_NAMES.sub("-", assignment.spec.name).strip("-.")[:40] or "workload"
    unique = hashlib.sha256(f"{node.node_uid}/{assignment.assignment_id}".encode()).hexdigest()[:8]
    return f"swarmlet-{readable}-{assignment.replica}-e{assignment.epoch}-{unique}"


def run_as(image_user: str) -> str:
    """Return the user to run as: the image's own unless that is root or nobody was named."""
    return NOBODY if _ROOT_USER.match(image_user.strip()) else image_user


def create_body(job: Job, node: Node, facts: Facts, image_user: str) -> dict[str, Any]:
    """Return the body of the engine's create request for ``job``.

    Args:
        job: What to run, and its limits.
        node: Whose it is.
        facts: What the engine can do.
        image_user: ``Config.User`` of the image.
    """
    spec = job.assignment.spec
    env = {**spec.env, **variables(job.assignment, node)}
    user = run_as(image_user)
    return {
        "Image": spec.image,
        "Cmd": list(spec.command) or None,
        "Env": [f"{name}={value}" for name, value in env.items()],
        "User": user,
        "Labels": labels(job.assignment, node),
        "Tty": False,
        "OpenStdin": False,
        "AttachStdin": False,
        "AttachStdout": False,
        "AttachStderr": False,
        "HostConfig": _host_config(job.bounds, facts, user),
    }


def _scratch(size: int, user: str) -> str:
    """Return the mount options of scratch space that ``user`` can write to.

    A runtime may give the mount the mode that the image's own directory has, whatever mode is asked for; so
    it is also given to the user, where that is a number.
    """
    uid, _, gid = user.partition(":")
    owner = (f",uid={uid}" if uid.isdecimal() else "") + (f",gid={gid}" if gid.isdecimal() else "")
    return f"rw,nosuid,nodev,mode=1777,size={size}{owner}"


def _host_config(bounds: Resources, facts: Facts, user: str) -> dict[str, Any]:
    config: dict[str, Any] = {
        "Privileged": False,
        "CapDrop": ["ALL"],
        "SecurityOpt": ["no-new-privileges:true"],
        "ReadonlyRootfs": True,
        "Tmpfs": {
            "/tmp": _scratch(TMP_BYTES, user),  # noqa: S108 - inside the container
            "/run": _scratch(RUN_BYTES, user),
        },
        "IpcMode": "private",
        "NetworkMode": "bridge" if facts.bridge else "none",
        "PublishAllPorts": False,
        "Init": facts.init,
        "OomScoreAdj": OOM_SCORE,
        "LogConfig": {"Type": "json-file", "Config": dict(LOG_OPTIONS)},
        "RestartPolicy": {"Name": "no"},
        "AutoRemove": False,
    }
    if facts.pids:
        config["PidsLimit"] = PIDS
    if bounds.memory_mb is not None and facts.memory:
        config["Memory"] = bounds.memory_mb * 1_000_000
        if facts.swap:
            config["MemorySwap"] = config["Memory"]
    if bounds.cpu is not None and facts.cpu:
        # An engine refuses more processors than there are; more than there are is no limit.
        cores = min(bounds.cpu, float(facts.cpus)) if facts.cpus else bounds.cpu
        config["NanoCpus"] = int(cores * 1_000_000_000)
    return config


def unenforced(asked: Resources, facts: Facts) -> str:
    """Return which limits that were asked for this engine does not enforce (W3), or an empty text."""
    missing = []
    if asked.memory_mb is not None and not facts.memory:
        missing.append("memory")
    if asked.cpu is not None and not facts.cpu:
        missing.append("processor")
    return f"the {' and '.join(missing)} limit is not enforced by this engine" if missing else ""


def read_exit(state: Mapping[str, Any]) -> Exit:
    """Return how a container ended from ``State`` of its inspection."""
    if state.get("Error"):
        return Exit(code=int(state.get("ExitCode") or 0) or 255, detail=str(state["Error"]))
    return from_shell_code(int(state.get("ExitCode") or 0), out_of_memory=bool(state.get("OOMKilled")))


def has_ended(state: Mapping[str, Any]) -> bool:
    """Say whether a container's ``State`` is one it does not leave by itself."""
    return state.get("Status") in {"exited", "dead"}


def read_found(listed: Mapping[str, Any]) -> Found:
    """Return one entry of the engine's list of containers."""
    own = listed.get("Labels") or {}
    return Found(
        container_id=str(listed.get("Id", "")),
        assignment_id=str(own.get(LABEL_ASSIGNMENT, "")),
        epoch=str(own.get(LABEL_EPOCH, "")),
        spec_hash=str(own.get(LABEL_SPEC, "")),
        state=str(listed.get("State", "")),
    )


def matches(found: Found, assignment: Assignment) -> bool:
    """Say whether a container is this very assignment: same epoch, same spec, and it was started."""
    return (
        found.assignment_id == assignment.assignment_id
        and found.epoch == str(assignment.epoch)
        and found.spec_hash == spec_hash(assignment.spec)
        and found.state in {"running", "paused", "restarting", "exited"}
    )


def runs(found: Found, assignment: Assignment) -> bool:
    """Say whether a container is this very assignment and has not ended."""
    return found.state != "exited" and matches(found, assignment)


def why_unstarted(words: str, command: str, node: str) -> SwarmletError | None:
    """Return what an engine's words about a failed start mean, when they are about the program itself.

    Args:
        words: The engine's, which are those of the OCI runtime.
        command: The program, for the error.
        node: This node's name, for the error.
    """
    lower = words.lower()
    if "exec" not in lower:
        return None
    if "no such file" in lower or "not found" in lower:
        return error("SWL-501", command=command, node=node)
    if "permission denied" in lower:
        return error("SWL-510", node=node, detail=f"{command}: permission denied")
    return None


def unstarted(output: bytes, node: str) -> SwarmletError | None:
    """Return why nothing ran, when ``output`` is all there is and is the engine's init saying so.

    With an init before the program the runtime sees only that start, and cannot tell.
    """
    said = _INIT_FAILED.match(output.decode(errors="replace"))
    if said is None:
        return None
    return why_unstarted(f"exec: {said[2]}", said[1], node)
