"""Memory, and the cgroup limits above this process, from the text of /proc and /sys/fs/cgroup. Pure.

A limit counts at every level from this process's cgroup up to the mount: a pod limits its containers too.
Sources: cgroups(7), proc(5), Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/memory.rst.
"""

from __future__ import annotations

import re
from typing import NamedTuple

#: Version 1 writes "no limit" as the greatest multiple of a page; anything near it is none.
_NO_LIMIT = 1 << 60
_MAX_DEPTH = 32
_NUMBER = re.compile(r"[0-9]{1,19}\Z")
_ESCAPE = re.compile(r"\\([0-7]{3})")


class Mount(NamedTuple):
    """One mounted cgroup hierarchy. ``root`` is which part of it is mounted at ``point``."""

    version: int
    controllers: frozenset[str]
    root: str
    point: str


def parse_meminfo(text: str | None) -> int | None:
    """Return ``MemTotal`` in bytes."""
    for line in (text or "").splitlines():
        if line.startswith("MemTotal:"):
            fields = line.split()
            if len(fields) >= 2 and _NUMBER.match(fields[1]) and 0 < int(fields[1]) < _NO_LIMIT >> 10:
                return int(fields[1]) * 1024
    return None


def parse_mounts(mountinfo: str | None) -> tuple[Mount, ...]:
    """Return the cgroup hierarchies in /proc/self/mountinfo."""
    mounts = []
    for line in (mountinfo or "").splitlines():
        left, separator, right = line.partition(" - ")
        fields, kind = left.split(" "), right.split(" ")
        if not separator or len(fields) < 6 or len(kind) < 3 or kind[0] not in {"cgroup", "cgroup2"}:
            continue
        version = 2 if kind[0] == "cgroup2" else 1
        controllers = frozenset() if version == 2 else frozenset(kind[2].split(","))
        mounts.append(Mount(version, controllers, _unescape(fields[3]), _unescape(fields[4])))
    return tuple(mounts)


def _unescape(text: str) -> str:
    return _ESCAPE.sub(lambda match: chr(int(match.group(1), 8)), text)


def has_overlay_root(mountinfo: str | None) -> bool:
    """Say whether the root file system is an overlay, as a container's is."""
    for line in (mountinfo or "").splitlines():
        left, _, right = line.partition(" - ")
        fields = left.split(" ")
        if len(fields) >= 5 and fields[4] == "/" and right.startswith("overlay "):
            return True
    return False


def parse_membership(text: str | None) -> dict[str, str]:
    """Return the cgroup of this process by controller; version 2's is under the empty name."""
    paths: dict[str, str] = {}
    for line in (text or "").splitlines():
        fields = line.split(":", 2)
        if len(fields) == 3 and fields[2].startswith("/"):
            for controller in fields[1].split(","):
                paths.setdefault(controller, fields[2])
    return paths


def levels(mount: Mount, path: str) -> tuple[str, ...]:
    """Return the directories that hold limits on a process in cgroup ``path``, the innermost first.

    A container may see its own cgroup mounted as the whole (``root`` is then its path), or a path outside its
    cgroup namespace (with ``..``); then the mount point itself is its cgroup.
    """
    root = mount.root.rstrip("/")
    inside = path == mount.root or path.startswith(root + "/")
    steps = [step for step in path[len(root) :].split("/") if step] if inside else []
    if ".." in steps:
        steps = []
    steps = steps[:_MAX_DEPTH]
    point = mount.point.rstrip("/")
    return tuple("/".join([point, *steps[:depth]]) for depth in range(len(steps), -1, -1))


def memory_mount(mounts: tuple[Mount, ...]) -> Mount | None:
    """Return the hierarchy that limits memory: a version 1 one when there is, else version 2."""
    return _mount(mounts, "memory")


def cpu_mount(mounts: tuple[Mount, ...]) -> Mount | None:
    """Return the hierarchy that limits processor time."""
    return _mount(mounts, "cpu")


def _mount(mounts: tuple[Mount, ...], controller: str) -> Mount | None:
    for mount in mounts:
        if controller in mount.controllers:
            return mount
    return next((mount for mount in mounts if mount.version == 2), None)


def parse_limit(text: str | None) -> int | None:
    """Return a memory limit in bytes; ``None`` for "no limit" and for what is no number."""
    if text is None or not _NUMBER.match(text.strip()):
        return None
    value = int(text)
    return value if 0 < value < _NO_LIMIT else None


def parse_cpu_max(text: str | None) -> float | None:
    """Return the quota in ``cpu.max`` (``150000 100000``) in cores; ``None`` for "no limit"."""
    fields = (text or "").split()
    return quota(fields[0], fields[1]) if len(fields) == 2 else None


def quota(amount: str | None, period: str | None) -> float | None:
    """Return a quota in cores from microseconds of processor time in each period; ``-1`` is "no limit"."""
    if not (amount and period and _NUMBER.match(amount.strip()) and _NUMBER.match(period.strip())):
        return None
    if not 0 < int(amount) < _NO_LIMIT or not 0 < int(period) < _NO_LIMIT:
        return None
    return int(amount) / int(period)


def memory_controller(mounts: tuple[Mount, ...], controllers: str | None, cgroups: str | None) -> str | None:
    """Say what can limit memory here: ``v1``, ``v2``, or ``off`` when the kernel was told not to.

    Args:
        mounts: The mounted hierarchies.
        controllers: ``cgroup.controllers`` at version 2's mount point.
        cgroups: /proc/cgroups. Recent kernels leave version 2's controllers out of it, so it comes second.

    Returns:
        ``None`` when nothing is known.
    """
    if any("memory" in mount.controllers for mount in mounts):
        return "v1"
    if controllers is not None and "memory" in controllers.split():
        return "v2"
    if controllers is None and not cgroups:
        return None
    return "off"
