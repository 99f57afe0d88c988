"""Whether a run that ended is started again, and after which pause. Pure: jitter is an argument."""

from __future__ import annotations

from swarmlet.model.workload import RestartPolicy
from swarmlet.workloads.endings import Exit

#: First pause before a restart, in seconds; it doubles with every quick end.
BACKOFF_BASE_S = 1.0
#: The longest pause before a restart, in seconds (the kubelet's figure).
BACKOFF_MAX_S = 300.0
#: A run that lasted this many seconds was no quick end: the pauses begin anew.
STEADY_S = 60.0


def backoff_s(failures: int, jitter: float) -> float:
    """Return the pause in seconds before restart number ``failures``; ``jitter`` spreads it by a quarter."""
    pause = min(BACKOFF_MAX_S, BACKOFF_BASE_S * 2.0 ** min(failures, 16))
    return pause * (0.75 + 0.5 * jitter)


def restarts_after(policy: RestartPolicy, ended: Exit) -> bool:
    """Say whether a run that ended so is started again."""
    if policy is RestartPolicy.ALWAYS:
        return True
    return policy is RestartPolicy.ON_FAILURE and not ended.success
