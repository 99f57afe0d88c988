"""The ways to run things, each made when it is first needed: an agent without containers pays for none."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from swarmlet.model.workload import Kind
from swarmlet.workloads.driver import Driver, Settings
from swarmlet.workloads.process import ProcessDriver
from swarmlet.workloads.workdirs import WorkDirs

Spawn = Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]]


class Drivers:
    """One driver for each kind of workload."""

    def __init__(self, made: Mapping[Kind, Driver], make_containers: Callable[[], Driver] | None) -> None:
        """Begin with those that are ``made``; ``make_containers`` gives the other."""
        self._made = dict(made)
        self._make_containers = make_containers

    @staticmethod
    def real(settings: Settings, work: WorkDirs, spawn: Spawn) -> Drivers:
        """Return the real ones; processes work in ``work``, and tasks are started by ``spawn``."""
        node = settings.node

        def containers() -> Driver:
            from swarmlet.workloads.containers import ContainerDriver  # noqa: PLC0415 - only for containers
            from swarmlet.workloads.docker import Engine  # noqa: PLC0415

            return ContainerDriver(Engine(settings.engine, node), node, spawn)

        processes = ProcessDriver(work, settings.data_dir, node, settings.limits, hidden=settings.hidden)
        return Drivers({Kind.PROCESS: processes}, containers)

    def __getitem__(self, kind: Kind) -> Driver:
        """Return the driver of ``kind``."""
        driver = self._made.get(kind)
        if driver is None:
            if self._make_containers is None:
                raise KeyError(kind)
            driver = self._made[kind] = self._make_containers()
        return driver

    def made(self) -> list[Driver]:
        """Return those that were needed so far."""
        return list(self._made.values())
