"""Virtual time: a heap of things to do. Nothing here sleeps."""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Callable


class Clockwork:
    """Runs callbacks in the order of their times; equal times in the order they were asked for."""

    def __init__(self, seed: int) -> None:
        self.now = 0.0
        self.dice = random.Random(seed)
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._count = itertools.count()

    @property
    def ms(self) -> int:
        return 1_700_000_000_000 + int(self.now * 1000)

    def at(self, when: float, act: Callable[[], None]) -> None:
        heapq.heappush(self._heap, (when, next(self._count), act))

    def after(self, low: float, high: float, act: Callable[[], None]) -> None:
        self.at(self.now + self.dice.uniform(low, high), act)

    def run(self, seconds: float, watch: Callable[[], None] = lambda: None) -> None:
        """Let ``seconds`` pass; ``watch`` looks after every event."""
        until = self.now + seconds
        while self._heap and self._heap[0][0] <= until:
            self.now, _, act = heapq.heappop(self._heap)
            act()
            watch()
        self.now = until


class Wire:
    """One connection. Messages take time; in a hostile network they get lost, doubled, or overtake others."""

    def __init__(self, clock: Clockwork, hostile: float) -> None:
        self.clock = clock
        self.hostile = hostile
        self.open = True
        self.held: list[Callable[[], None]] | None = None
        self._last = {True: 0.0, False: 0.0}

    def send(self, deliver: Callable[[], None], *, up: bool) -> None:
        dice = self.clock.dice
        if dice.random() < self.hostile / 3:
            return
        times = 2 if dice.random() < self.hostile / 3 else 1
        for _ in range(times):
            when = self.clock.now + dice.uniform(0.001, 0.1)
            if dice.random() >= self.hostile / 3:
                when = max(when, self._last[up])
            self._last[up] = max(self._last[up], when)
            self.clock.at(when, lambda: self._arrive(deliver))

    def _arrive(self, deliver: Callable[[], None]) -> None:
        if self.held is not None:
            self.held.append(deliver)
        elif self.open:
            deliver()

    def cut(self) -> None:
        """The cable is out: what is under way waits, as TCP would send it again."""
        if self.held is None:
            self.held = []

    def heal(self) -> None:
        held, self.held = self.held or [], None
        for deliver in held:
            if self.open:
                deliver()
