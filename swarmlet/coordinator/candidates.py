"""The nodes that can take replicas of one workload, best first. Pure.

Placing a replica changes only the node it is put on, so a heap answers a thousand replicas on ten thousand
nodes without judging every pair.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from swarmlet.coordinator.filters import Demand, Refusal, Site, Usage, refuse
from swarmlet.coordinator.picture import Picture
from swarmlet.coordinator.scoring import worth
from swarmlet.model.health import Health, Reading
from swarmlet.model.membership import PAST


class Row(NamedTuple):
    """A node in the heap: the order is best score, then name, so that equal ones are taken in order."""

    rank: float
    name: str
    node_uid: str
    parts: tuple[float, ...]


class Pick(NamedTuple):
    """The node taken and the table it was taken from, best first."""

    node_uid: str
    name: str
    table: tuple[Row, ...]


class Candidates:
    """Nodes for the replicas of one workload; ``usage`` is shared by the workloads of one plan."""

    def __init__(
        self,
        demand: Demand,
        picture: Picture,
        readings: Mapping[str, Reading],
        usage: dict[str, Usage],
        taken: Iterable[str],
    ) -> None:
        self._demand = demand
        self._picture = picture
        self._readings = readings
        self._usage = usage
        self._same = Counter(taken)
        self.refused: dict[str, Refusal] = {}
        present = (node_uid for node_uid, node in picture.nodes.items() if node.state not in PAST)
        rows = (self._judge(node_uid) for node_uid in present)
        self._heap: list[Row] = [row for row in rows if row is not None]
        heapq.heapify(self._heap)

    def take(self, *, table: int) -> Pick | None:
        """Take the best node for one replica, or ``None`` when none can.

        Args:
            table: How many rows of the score table to return; the taken one is always there.
        """
        if not self._heap:
            return None
        rows = heapq.nsmallest(table, self._heap) if table > 1 else self._heap[:1]
        best = heapq.heappop(self._heap)
        usage = self._usage_of(best.node_uid)
        self._usage[best.node_uid] = usage.plus(self._demand.spec.resources)
        self._same[best.node_uid] += 1
        row = self._judge(best.node_uid)
        if row is not None:
            heapq.heappush(self._heap, row)
        return Pick(best.node_uid, best.name, tuple(rows))

    def _judge(self, node_uid: str) -> Row | None:
        """Return the node's place in the heap, or note why it is refused."""
        node = self._picture.nodes[node_uid]
        usage = self._usage_of(node_uid)
        site = Site(
            node, self._picture.health.get(node_uid, Health.OK), self._picture.capacity(node_uid), usage
        )
        refusal = refuse(self._demand, site)
        if refusal is not None:
            self.refused[node.name] = refusal
            return None
        asked = self._demand.spec.resources
        parts = worth(site, asked, self._same[node_uid], self._readings.get(node_uid))
        return Row(-sum(parts), node.name, node_uid, parts)

    def _usage_of(self, node_uid: str) -> Usage:
        return self._usage.get(node_uid) or self._picture.usage(node_uid)
