"""Follows a workload's output across restarts of the coordinator, which relays it and keeps none of it.

After a restart the output is asked for from its beginning and what was read already is left out. That is
exact as long as the node still keeps the beginning; for what began in the middle, or is longer, reading goes
on with what is written from then on, and that is said.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from swarmlet.cli.admin import RESTART_S, hung_up
from swarmlet.errors import SwarmletError

#: The most bytes that are asked for a second time; every node keeps more than that of a running workload.
_AGAIN_BYTES = 256 * 1024
_PAUSE_S = 0.2

Open = Callable[[dict[str, str]], Iterator[bytes]]


def follow(
    read: Open, query: dict[str, str], say: Callable[[str], None], *, most_s: float = RESTART_S
) -> Iterator[bytes]:
    """Yield the output that ``query`` asks for until it ends.

    Args:
        read: Opens the output once; see :meth:`swarmlet.cli.admin.Admin.stream`.
        query: What was asked for.
        say: Told once that the coordinator is waited for, and when output may be missing.
        most_s: Seconds the coordinator is given to come back, and the node to reach it.

    Raises:
        SwarmletError: As ``read``; what it says before anything was read is final.
    """
    got, begun, told = 0, False, False
    until = 0.0
    while True:
        again, skip = _rest(query, got) if begun else (query, 0)
        try:
            for chunk in read(again):
                begun = True
                rest = chunk[skip:]
                skip -= len(chunk) - len(rest)
                got += len(rest)
                if rest:
                    yield rest
        except SwarmletError as failure:
            now = time.monotonic()
            if hung_up(failure) and now >= until:
                # It was there until now. From here on it is away, and so is the node for a moment after that.
                until, begun = now + most_s, True
            elif failure.code not in ("SWL-700", "SWL-509") or now >= until:
                raise
        else:
            return
        if not told:
            missing = (
                ""
                if "tail" not in _rest(query, got)[0]
                else "; what is written meanwhile is in  stratoswarm logs  without --follow"
            )
            say(f"the coordinator does not answer; waiting for it to come back{missing}")
            told = True
        time.sleep(_PAUSE_S)


def _rest(query: dict[str, str], got: int) -> tuple[dict[str, str], int]:
    """Return what to ask for after ``got`` bytes were read, and how many bytes of that to leave out."""
    if "tail" not in query and got <= _AGAIN_BYTES:
        return query, got
    return {**query, "tail": "0"}, 0
