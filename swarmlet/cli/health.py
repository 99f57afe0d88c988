"""What ``swarmlet health`` asks and concludes; light, as container engines run it each minute."""

from __future__ import annotations

import msgspec

from swarmlet import __version__
from swarmlet.errors import SwarmletError, error
from swarmlet.model.health import Health
from swarmlet.report.health import CheckView, HealthView
from swarmlet.report.local import Command, ask, is_starting

#: Patience with a running agent, in seconds.
TIMEOUT_S = 5.0


def examine(data_dir: str) -> HealthView:
    """Return the health of the agent of ``data_dir``.

    One that starts or joins is *degraded*, not failing: it tries again by itself or ends and says why, and
    whoever restarts it for that only loses time.

    Raises:
        SwarmletError: ``SWL-307`` this device never joined, ``SWL-308`` no agent runs, ``SWL-205`` it
            does not answer.
    """
    try:
        return msgspec.convert(ask(data_dir, Command("health"), TIMEOUT_S), HealthView)
    except SwarmletError as failure:
        if failure.code != "SWL-308":
            raise
        if is_starting(data_dir):
            return _starting()
        if not _has_identity(data_dir):
            raise error("SWL-307", path=data_dir) from None
        raise


def _starting() -> HealthView:
    degraded = Health.DEGRADED.name.lower()
    check = CheckView(name="agent", status=degraded, since_seconds=0, why="it starts, or joins the cluster")
    return HealthView(status=degraded, node=None, version=__version__, uptime_seconds=0, checks=(check,))


def _has_identity(data_dir: str) -> bool:
    from swarmlet._native import IdentityStore, NativeError  # noqa: PLC0415 - only when no agent answers

    try:
        return IdentityStore(f"{data_dir}/identity").load() is not None
    except NativeError:
        return True
