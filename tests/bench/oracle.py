"""Whether the time of a refusal tells why it was refused (T10): Welch's t-test over interleaved trials.

The method is dudect's (Reparaz, Balasch, Verbauwhede, 2017): two classes in random order, the slowest tenth
of all trials cropped, and |t| below 4.5 means that no difference was found. Both classes are well-formed
requests of somebody who does not hold the token: with claims the cluster never signed, and with a proof of
another connection. Each has many, since the time of one verification varies with its public numbers.
"""

from __future__ import annotations

import asyncio
import math
import random
import statistics
import time
from collections.abc import Iterator

import msgspec

from swarmlet.link.messages import JoinRequest
from swarmlet.tokens.claims import Claims
from tests.bench.measure import Figure, Plan
from tests.unit.coordinator.test_door import EXPORTER, World, ask, cluster

_BAR = 4.5
#: Requests in each class: one for each bit of the token's id.
_REQUESTS = 128


def figures(plan: Plan) -> Iterator[Figure]:
    """Measure the verdict before possession is proven, for both classes."""
    trials = plan.pick(200_000, 20_000)
    forged, stolen = asyncio.run(_times(plan, trials))
    t = welch(forged, stolen)
    note = (
        f"{trials} trials in two classes, medians {statistics.median(forged) / 1000:.1f} and"
        f" {statistics.median(stolen) / 1000:.1f} us; dudect asks for 10^6 trials"
    )
    yield Figure(
        "refusals told apart by time, absolute t", abs(t), "", bar="below 4.5", met=abs(t) < _BAR, note=note
    )


async def _times(plan: Plan, trials: int) -> tuple[list[int], list[int]]:
    place = plan.directory / "oracle"
    place.mkdir(parents=True)
    async with cluster(place) as world:
        return await _trials(world, trials)


async def _trials(world: World, trials: int) -> tuple[list[int], list[int]]:
    token = await world.token()
    held = ask(token)
    at = held.claims.index(Claims.from_tuple(token.claims).jti)
    forged = [_with_claims(held, at + bit // 8, 1 << bit % 8) for bit in range(_REQUESTS)]
    stolen = [ask(token, exporter=number.to_bytes(32)) for number in range(_REQUESTS)]
    requests = (forged, stolen)
    judge = world.door._prove
    assert all(judge(request, EXPORTER) is None for request in (*forged, *stolen))
    assert judge(held, EXPORTER) is not None
    dice, taken = random.Random(10), ([], [])  # type: ignore[var-annotated]
    for _ in range(trials):
        kind = dice.randrange(2)
        request = requests[kind][dice.randrange(_REQUESTS)]
        began = time.perf_counter_ns()
        judge(request, EXPORTER)
        taken[kind].append(time.perf_counter_ns() - began)
    return taken


def _with_claims(held: JoinRequest, at: int, bit: int) -> JoinRequest:
    claims = bytearray(held.claims)
    claims[at] ^= bit
    return msgspec.structs.replace(held, claims=bytes(claims))


def welch(first: list[int], second: list[int]) -> float:
    """Return Welch's t of two samples after the slowest tenth of both together is cropped."""
    limit = sorted(first + second)[int(0.9 * (len(first) + len(second)))]
    one, two = ([value for value in sample if value <= limit] for sample in (first, second))
    spread = statistics.variance(one) / len(one) + statistics.variance(two) / len(two)
    return (statistics.fmean(one) - statistics.fmean(two)) / math.sqrt(spread)
