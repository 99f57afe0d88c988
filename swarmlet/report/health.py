"""The health of a node as the sum of its parts; every state carries since, why and what to do. Pure.

A part reports its own state and nobody else's. Being cut off from the cluster is no ill health: work goes on,
and an agent that is restarted for it only loses time.
"""

from __future__ import annotations

import msgspec

from swarmlet.model.health import Health
from swarmlet.model.views import View


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """The state of one part. ``since`` is in boot seconds; ``why`` and ``next`` are empty when it is well."""

    name: str
    health: Health
    since: float
    why: str = ""
    next: str = ""


class CheckView(msgspec.Struct, frozen=True, kw_only=True):
    """One part in ``/health``."""

    name: str
    status: str
    since_seconds: float
    why: str = ""
    next: str = ""


class HealthView(View, frozen=True, kw_only=True):
    """The body of ``/health``."""

    status: str
    node: str | None
    version: str
    uptime_seconds: float
    checks: tuple[CheckView, ...]


class HealthBoard:
    """The last state each part reported."""

    def __init__(self) -> None:
        self._checks: dict[str, Check] = {}

    def report(self, name: str, health: Health, now: float, *, why: str = "", next_step: str = "") -> bool:
        """Take a part's state.

        Args:
            name: The part, such as ``workloads``.
            health: How well it is.
            now: Boot time in seconds.
            why: A sentence, when it is not well.
            next_step: What a person can do about it.

        Returns:
            Whether the state is another one than before: worth a log line.
        """
        before = self._checks.get(name)
        changed = before is None or before.health is not health
        since = now if before is None or changed else before.since
        self._checks[name] = Check(name=name, health=health, since=since, why=why, next=next_step)
        return changed

    def checks(self) -> tuple[Check, ...]:
        """Return the state of every part."""
        return tuple(self._checks.values())

    def overall(self) -> Health:
        """Return the worst state of any part."""
        return max((check.health for check in self._checks.values()), default=Health.OK)

    def view(self, now: float, *, node: str | None, version: str, uptime_s: float) -> HealthView:
        """Return the body of ``/health``, worst parts first."""
        checks = sorted(self._checks.values(), key=lambda check: (-check.health, check.name))
        return HealthView(
            status=self.overall().name.lower(),
            node=node,
            version=version,
            uptime_seconds=round(uptime_s, 1),
            checks=tuple(
                CheckView(
                    name=check.name,
                    status=check.health.name.lower(),
                    since_seconds=round(now - check.since, 1),
                    why=check.why,
                    next=check.next,
                )
                for check in checks
            ),
        )
