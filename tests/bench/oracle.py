"""Whether the time of a refusal tells why it was refused (T10): Welch's t-test over interleaved trials.

The method is dudect's (Reparaz, Balasch, Verbauwhede, 2017): two classes in random order, the slowest tenth
of all trials cropped, and |t| below 4.5 means that no difference was found. Both classes are well-formed
requests of somebody who does not hold the token: with claims the cluster never signed, and with a proof of
another connection.

The time of a verification varies by a few tenths of a microsecond with its public numbers, which anybody can
see and time alone. So every request of both classes has a token of its own, and a request, not a trial, is
one sample: with one token for a whole class, t grew with the trials and its sign changed from token to token.
"""

from __future__ import annotations

import asyncio
import math
import random
import statistics
import time
from collections.abc import Iterator

import msgspec

from swarmlet._native import Token
from swarmlet.link.messages import JoinRequest
from swarmlet.tokens.claims import Claims
from tests.bench.measure import Figure, Plan
from tests.unit.coordinator.test_door import EXPORTER, World, ask, cluster

_BAR = 4.5
#: Requests in each class, each with a token of its own: one for each bit of the token's id.
_REQUESTS = 128


def figures(plan: Plan) -> Iterator[Figure]:
    """Measure the verdict before possession is proven, for both classes."""
    trials = plan.pick(200_000, 20_000)
    forged, stolen = asyncio.run(_times(plan, trials))
    t = welch(forged, stolen)
    note = (
        f"{trials} trials of {_REQUESTS} requests in each of two classes, means "
        f"{statistics.fmean(forged) / 1000:.2f} and {statistics.fmean(stolen) / 1000:.2f} us; a request is "
        "one sample; dudect asks for 10^6 trials"
    )
    yield Figure(
        "refusals told apart by time, absolute t", abs(t), "", bar="below 4.5", met=abs(t) < _BAR, note=note
    )


async def _times(plan: Plan, trials: int) -> tuple[list[float], list[float]]:
    place = plan.directory / "oracle"
    place.mkdir(parents=True)
    async with cluster(place) as world:
        return await _trials(world, trials)


async def _trials(world: World, trials: int) -> tuple[list[float], list[float]]:
    forged = [_forged(await world.token(), number) for number in range(_REQUESTS)]
    stolen = [ask(await world.token(), exporter=number.to_bytes(32)) for number in range(_REQUESTS)]
    requests = (forged, stolen)
    judge = world.door._prove
    assert all(judge(request, EXPORTER) is None for request in (*forged, *stolen))
    assert judge(ask(await world.token()), EXPORTER) is not None
    dice = random.Random(10)
    taken = [[list[int]() for _ in range(_REQUESTS)] for _ in requests]
    for _ in range(trials):
        kind, number = dice.randrange(2), dice.randrange(_REQUESTS)
        request = requests[kind][number]
        began = time.perf_counter_ns()
        judge(request, EXPORTER)
        taken[kind][number].append(time.perf_counter_ns() - began)
    limit = sorted(one for kind in taken for request in kind for one in request)[int(0.9 * trials)]
    first, second = ([_mean(request, limit) for request in kind] for kind in taken)
    return first, second


def _mean(taken: list[int], limit: int) -> float:
    """Return the mean of a request's trials that are not among the slowest of all."""
    return statistics.fmean(one for one in taken if one <= limit)


def _forged(token: Token, number: int) -> JoinRequest:
    """Return a request whose claims differ from the signed ones in one bit of the token's id."""
    held = ask(token)
    at = held.claims.index(Claims.from_tuple(token.claims).jti)
    return _with_claims(held, at + number // 8, 1 << number % 8)


def _with_claims(held: JoinRequest, at: int, bit: int) -> JoinRequest:
    claims = bytearray(held.claims)
    claims[at] ^= bit
    return msgspec.structs.replace(held, claims=bytes(claims))


def welch(first: list[float], second: list[float]) -> float:
    """Return Welch's t of two samples."""
    spread = statistics.variance(first) / len(first) + statistics.variance(second) / len(second)
    return (statistics.fmean(first) - statistics.fmean(second)) / math.sqrt(spread)
