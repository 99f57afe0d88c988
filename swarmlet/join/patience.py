"""How long a join goes on knocking where nothing answers, when somebody said how long. Pure.

Without that a failure is worth what ``failures.py`` says. With it, whatever may pass by itself is tried until
the time is over, and not a moment longer: a connection that is being made is bounded by what is left.
"""

from __future__ import annotations

from msgspec import structs

from swarmlet.join.failures import PASSING, PATIENT, Failure


def insisted(failure: Failure) -> Failure:
    """Return ``failure`` as it counts for a join that was told how long to try."""
    passing = failure.code in PASSING or failure.rounds > 1
    return structs.replace(failure, rounds=PATIENT) if passing else failure


def given_up(worst: Failure, where: str, timeout_s: float) -> tuple[str, dict[str, str]]:
    """Return the catalogue code and fields for a join whose time is over.

    Args:
        worst: The most telling of its failures.
        where: The address of that, as a person knows it.
        timeout_s: How long it was to try, in seconds.
    """
    if worst.code not in PASSING:
        return worst.code, worst.fields
    return "SWL-205", {"what_waited": f"joining ({where}: {worst.short})", "seconds": f"{timeout_s:g}"}


def within(seconds: float, left_s: float | None) -> float:
    """Return a deadline's seconds, no more than are left."""
    return seconds if left_s is None else max(0.0, min(seconds, left_s))
