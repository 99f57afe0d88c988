"""Whether what is written to a directory lasts, from ``/proc/self/mountinfo``. Pure.

In a container only a mount outlives it; a file system in memory outlives nothing. The file's form: proc(5).
"""

from __future__ import annotations

import re
from typing import NamedTuple

_ESCAPE = re.compile(r"\\([0-7]{3})")
_IN_MEMORY = frozenset({"tmpfs", "ramfs", "devtmpfs", "rootfs"})
#: File systems that lay one over another; what is written goes to the upper one, of which nothing is known.
_LAYERED = frozenset({"overlay", "aufs", "fuse.fuse-overlayfs", "fuse-overlayfs", "vfs"})
#: Docker and Podman name a volume that nobody named by 64 hexadecimal digits.
_ANONYMOUS = re.compile(r"/volumes/[0-9a-f]{64}/_data(/|\Z)")

VOLUME = "-v /opt/swarmlet:/data"
_ON_DISK = "set SWARM_DATA_DIR to a directory on a disk"


class Mount(NamedTuple):
    """A mounted file system: which part of it (``root``), where (``point``), and of what kind."""

    root: str
    point: str
    kind: str


class Fleeting(NamedTuple):
    """Why what is in a directory will be lost, and what mends it."""

    why: str
    fix: str
    unmounted: bool = False  # nothing is mounted there at all

    def __str__(self) -> str:
        """Return it as one warning."""
        return f"{self.why}.  fix: {self.fix}"


def parse_mounts(text: str) -> tuple[Mount, ...]:
    """Return the mounts in ``text``, in order; lines that are none are passed over."""
    mounts = []
    for line in text.splitlines():
        left, separator, right = line.partition(" - ")
        fields, kind = left.split(" "), right.split(" ")[0]
        if separator and kind and len(fields) >= 6:
            mounts.append(Mount(_unescape(fields[3]), _unescape(fields[4]), kind))
    return tuple(mounts)


def mount_of(mounts: tuple[Mount, ...], path: str) -> Mount | None:
    """Return the mount that holds ``path``: the deepest, and of several at one place the last."""
    found: Mount | None = None
    for mount in mounts:
        inside = path == mount.point or path.startswith(mount.point.rstrip("/") + "/")
        if inside and (found is None or len(mount.point) >= len(found.point)):
            found = mount
    return found


def fleeting(mountinfo: str | None, path: str, *, in_container: bool) -> Fleeting | None:
    """Return why the data directory ``path`` will be lost, or ``None`` when it lasts or nothing is known.

    Args:
        mountinfo: The text of ``/proc/self/mountinfo``.
        path: An absolute path without links.
        in_container: Whether this process runs in a container.
    """
    mount = mount_of(parse_mounts(mountinfo or ""), path)
    if mount is None:
        return None
    volume = VOLUME if path == "/data" else f"-v /opt/swarmlet:{path}"
    fix = f"run it with  {volume}" if in_container else _ON_DISK
    if mount.point == "/" and in_container:
        why = f"{path} is not a volume: this device's identity will be lost with this container"
    elif mount.kind in _IN_MEMORY:
        lost = "stops" if in_container else "reboots"
        who = "this container" if in_container else "this device"
        why = f"{path} is in memory ({mount.kind}): this device's identity will be lost when {who} {lost}"
    elif mount.point == "/" and mount.kind in _LAYERED:
        why = (
            f"{path} is on a layer ({mount.kind}): what may be thrown away with it is this device's identity"
        )
        fix = f"in a container run it with  {volume};  else {_ON_DISK}"
    elif in_container and _ANONYMOUS.search(mount.root):
        why = f"{path} is a volume without a name: a new container will not find this device's identity"
    else:
        return None
    return Fleeting(why, fix, mount.point == "/")


def _unescape(text: str) -> str:
    return _ESCAPE.sub(lambda match: chr(int(match.group(1), 8)), text)
