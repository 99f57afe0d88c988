"""Where the admin socket goes: into the coordinator's directory, or a short one when that is too long."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from swarmlet.errors import error
from swarmlet.model import places


def prepare(directory: Path) -> tuple[str, list[str]]:
    """Return the path for the admin socket, its directory made, and what is worth saying about it.

    Raises:
        SwarmletError: ``SWL-301`` when the short directory belongs to somebody else.
    """
    path = places.admin_socket(str(directory), directory.stat().st_uid)
    place = Path(path).parent
    if place == directory:
        return path, []
    try:
        place.mkdir(mode=0o700, exist_ok=True)
        status = place.lstat()
    except OSError as failure:
        raise error("SWL-301", path=str(place), detail=failure.strerror or "?") from None
    private = stat.S_ISDIR(status.st_mode) and not status.st_mode & 0o077
    if not private or status.st_uid != os.geteuid():
        raise error("SWL-301", path=str(place), detail="it belongs to another user or is open to others")
    return path, [f"the path of the directory is too long for a socket; the admin socket is {path}"]
