"""Where this process runs, and whether what it writes lasts. ``mounts.py`` decides; this reads."""

from __future__ import annotations

import errno
import os

from swarmlet.agent.mounts import Fleeting, fleeting
from swarmlet.config.load import in_container
from swarmlet.hardware.gather import is_container
from swarmlet.hardware.reader import Reader


def how_fleeting(data_dir: str) -> Fleeting | None:
    """Say why what is in the data directory will be lost, if it will."""
    return fleeting(_mountinfo(), os.path.realpath(data_dir), in_container=contained())


def contained() -> bool:
    """Say whether this runs in a container. An overlay at the root alone is no sign: systems have it, too."""
    reader = Reader()
    return in_container() or is_container(reader, None, reader.text("/proc/self/cgroup"))


def _mountinfo() -> str | None:
    try:
        # A machine with many containers has more than the reader's 64 KiB of it.
        with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as file:  # noqa: PTH123
            return file.read()
    except OSError:
        return None


def refusal(path: str, fault: OSError) -> str:
    """Return the system's words for why a directory cannot be made or written, and what they may mean."""
    words = (fault.strerror or str(fault)).lower()
    lost = how_fleeting(path) if fault.errno == errno.EROFS else None
    return f"{words}, and it is no volume: {lost.fix}" if lost and lost.unmounted else words
