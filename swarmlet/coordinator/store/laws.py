"""Laws of the cluster's state that more than one part asks about. Pure.

Times are Unix milliseconds by the coordinator's clock, taken from commands.
"""

from __future__ import annotations

from typing import Final

from swarmlet.model.membership import NodeState
from swarmlet.model.records import NodeRecord

#: A lost join reply may be asked for again this long, without burning another use (T5).
RETRY_MS: Final = 10 * 60_000

#: A node that was admitted and never came back counts as gone after this long.
NEVER_CAME_MS: Final = 60_000

#: A removed node's serials are refused this long past their expiry: as long as an expired certificate may
#: renew.
REMOVED_GRACE_MS: Final = 90 * 86_400_000

#: A superseded serial is refused this long past its expiry; from then on it is no node's current one anyway.
SUPERSEDED_GRACE_MS: Final = 86_400_000

#: How long the answer to an idempotency key is remembered.
KEY_MS: Final = 86_400_000


def lease_lapsed(node: NodeRecord, now_ms: int) -> bool:
    """Say whether ``node`` holds no lease, so that a twin may take its place.

    A suspect node still holds its lease. One that was admitted and has not connected yet is given a minute.
    """
    if node.state is NodeState.JOINED:
        return now_ms - node.state_since_ms > NEVER_CAME_MS
    return node.state in {NodeState.DOWN, NodeState.LEFT}


def may_repeat(first_ms: int, now_ms: int) -> bool:
    """Say whether an admission of ``first_ms`` may still be repeated to the same device."""
    return now_ms - first_ms <= RETRY_MS
