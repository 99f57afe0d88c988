"""Observations in portions that fit a frame. Pure."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from swarmlet.model.workload import Observation

#: Observations in one message, in bytes as estimated: below the frame's 64 KiB with room for the profile.
BATCH_BYTES = 32_768
#: Longer reasons of observations are cut, in characters.
MOST_REASON = 2_000


def batches(observations: Iterable[Observation]) -> list[tuple[Observation, ...]]:
    """Return ``observations`` in order, in groups that each fit one frame; long reasons are cut."""
    groups: list[list[Observation]] = []
    room = 0
    for seen in observations:
        one = seen
        if len(seen.reason) > MOST_REASON:
            one = msgspec.structs.replace(seen, reason=seen.reason[: MOST_REASON - 3] + "...")
        size = 160 + len(one.reason.encode())
        if not groups or size > room:
            groups.append([])
            room = BATCH_BYTES
        groups[-1].append(one)
        room -= size
    return [tuple(group) for group in groups]
