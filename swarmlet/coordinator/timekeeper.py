"""The cluster's time: this machine's clock, but never before what the cluster has recorded (ADR 15).

Certificates, tokens and members are judged by it. A clock without a battery starts in 1970, another is set
back: the cluster then goes on from the newest time in its command log, carried on by the boot clock, and says
so loudly. Only what was *recorded* holds time up; a clock that jumps ahead for a moment leaves no trace.
"""

from __future__ import annotations

import logging
from typing import Final

from swarmlet.clock import Clock
from swarmlet.tokens.durations import instant, spoken

#: A clock that is behind by no more than this is followed: it is set right all the time, a little either way,
#: and tokens and certificates bear as much.
FOLLOWED_MS: Final = 60_000

logger = logging.getLogger(__name__)


class Timekeeper:
    """A :class:`~swarmlet.clock.Clock`.

    Args:
        clock: This machine's.
        recorded_ms: When the newest command was recorded, Unix milliseconds; 0 when there is none, or when
            an administrator said that the clock is right and the record is not.
    """

    def __init__(self, clock: Clock, recorded_ms: int) -> None:
        self._clock = clock
        self._floor_ms = recorded_ms
        self._since = clock.boot()
        self._told = False

    def boot(self) -> float:
        """Return seconds since boot, suspend included."""
        return self._clock.boot()

    def wall_ms(self) -> int:
        """Return the cluster's time in Unix milliseconds."""
        wall_ms, floor_ms = self._clock.wall_ms(), self._floor_now_ms()
        behind = floor_ms - wall_ms > FOLLOWED_MS
        if behind is not self._told:
            self._told = behind
            logger.warning("%s", self.note or "this machine's clock is right again")
        return floor_ms if behind else wall_ms

    def recorded(self, at_ms: int) -> None:
        """A command of this time is on disk: there is no way back before it."""
        if at_ms > self._floor_now_ms():
            self._floor_ms = at_ms
            self._since = self._clock.boot()

    @property
    def note(self) -> str | None:
        """What is to be said of a clock that is behind, or ``None``."""
        wall_ms, floor_ms = self._clock.wall_ms(), self._floor_now_ms()
        if floor_ms - wall_ms <= FOLLOWED_MS:
            return None
        behind = spoken((floor_ms - wall_ms) / 1000)
        return (
            f"this machine's clock says {instant(wall_ms // 1000)}, {behind} before what this cluster"
            f" recorded; the cluster goes on from there, at {instant(floor_ms // 1000)}; set the clock."
            " If it is right and the record is not: stratoswarm cluster start --accept-clock"
        )

    def _floor_now_ms(self) -> int:
        if not self._floor_ms:
            return 0
        return self._floor_ms + int((self._clock.boot() - self._since) * 1000)
