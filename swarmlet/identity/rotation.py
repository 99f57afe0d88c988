"""When a certificate is to be renewed. Pure: cluster time is an argument."""

from __future__ import annotations


def renewal_is_due(now_ms: int | None, not_before_ms: int, not_after_ms: int, jitter: float) -> bool:
    """Say whether to ask for the next certificate: after half of its life, give or take a tenth (C4).

    Args:
        now_ms: Cluster time; before anyone told it nothing is due.
        not_before_ms: When the certificate begins.
        not_after_ms: When it ends.
        jitter: 0 to 1, drawn once a certificate, so that nodes that joined together renew apart.
    """
    if now_ms is None:
        return False
    life_ms = not_after_ms - not_before_ms
    return now_ms >= not_before_ms + life_ms * (0.4 + 0.2 * jitter)
