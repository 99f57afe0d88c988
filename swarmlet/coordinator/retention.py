"""What the coordinator need not keep any longer. Pure: the picture and a time in, ids out.

Kept are finished workloads of a week, at most :data:`MOST_FINISHED` of them, and of every replica the last
:data:`MOST_PAST` placements; the audit log keeps what was asked and by whom for good.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Final, NamedTuple

from swarmlet.coordinator.picture import Picture, is_live
from swarmlet.coordinator.standing import standing
from swarmlet.model.records import AssignmentRecord
from swarmlet.model.views import FINISHED

#: How long a workload is kept after it finished, in milliseconds; longer than any idempotency key lives.
KEPT_MS: Final = 7 * 86_400_000
#: Finished workloads that are kept, the newest ones.
MOST_FINISHED: Final = 5000
#: Ended assignments that are kept of one replica beside its newest.
MOST_PAST: Final = 16
#: Most ids of each kind that go at once, so that one command stays small.
AT_ONCE: Final = 500


class Spent(NamedTuple):
    """What may go, some of it: ids of workloads, and of assignments of workloads that stay."""

    workloads: tuple[str, ...]
    assignments: tuple[str, ...]


def spent(picture: Picture, now_ms: int) -> Spent:
    """Return what may go now, at most :data:`AT_ONCE` of each; nothing when all the rest stays."""
    finished = sorted(_finished(picture), reverse=True)
    over = {
        workload_id
        for place, (since_ms, workload_id) in enumerate(finished)
        if place >= MOST_FINISHED or now_ms - since_ms > KEPT_MS
    }
    past = (
        record.assignment_id
        for workload_id in sorted(picture.workloads.keys() - over)
        for record in _past(picture.of_workload(workload_id))
    )
    return Spent(tuple(sorted(over)[:AT_ONCE]), tuple(islice(past, AT_ONCE)))


def _finished(picture: Picture) -> Iterator[tuple[int, str]]:
    """Yield when each finished workload finished, and its id."""
    for workload_id, workload in picture.workloads.items():
        latest = picture.latest(workload_id)
        now = standing(workload, latest, picture.nodes)
        if now.state in FINISHED and not any(is_live(one) for one in picture.of_workload(workload_id)):
            yield now.since_ms, workload_id


def _past(records: list[AssignmentRecord]) -> Iterator[AssignmentRecord]:
    """Yield the ended assignments of a workload that nobody asks about any more; newest epochs come first."""
    seen: dict[int, int] = {}
    for record in records:
        place = seen.get(record.replica, 0)
        seen[record.replica] = place + 1
        if place > MOST_PAST and not is_live(record):
            yield record
