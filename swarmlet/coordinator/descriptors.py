"""Takes every file descriptor the system grants: each node's connection is one of them. Holds no rule.

The soft limit is 1024 almost everywhere, for the sake of programs that call select(2); this one does not, and
would stop letting nodes in at about a thousand.
"""

from __future__ import annotations

import contextlib
import resource


def take_all() -> int:
    """Raise the soft limit of open files to the hard one; return the limit that holds now."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # A kernel may cap it below the hard limit (fs.nr_open); then it stays as it is.
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        soft = hard
    return soft
