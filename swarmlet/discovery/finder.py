"""All ways at once, and everything they see tried: what of it is the cluster, or a cluster at all.

Finds; decides nothing about trust, which is for the handshake (``prove.py``). Bounded in what it keeps and in
how long it takes, whatever comes from the network.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections import Counter
from collections.abc import Sequence
from typing import Final, NamedTuple

from swarmlet.discovery.prove import Proof, Prover
from swarmlet.discovery.sighting import DIRECT, Pool, Sighting
from swarmlet.discovery.ways import Tell, Way

#: Addresses tried at a time: a hundred that hang must not hold up the right one.
AT_A_TIME: Final = 256
#: Seconds from a try that reached nobody to the next one of that address, if it is seen again.
AGAIN_S: Final = 2.0
#: The rank of a second try: after every first one.
_SECOND_TRY: Final = 9
#: Seconds to wait for tries that are under way once the time is up.
_LAST_S: Final = 1.0


class Given:
    """Addresses a person, a token or an identity gave; fits ``Way``.

    Args:
        addresses: As ``host:port``, with where each is from.
    """

    name = DIRECT

    def __init__(self, addresses: Sequence[tuple[str, str]]) -> None:
        self.trouble = "" if addresses else "no address was given: not by --cluster, a token or an identity"
        self.idle = not addresses
        self.ignored: Counter[str] = Counter()
        self._addresses = tuple(addresses)

    async def look(self, tell: Tell) -> None:
        """Tell them, and again: what is behind one may be about to start."""
        while self._addresses:
            for address, source in self._addresses:
                tell(Sighting(address, DIRECT, source))
            await asyncio.sleep(AGAIN_S)


class Trial(NamedTuple):
    """An address: what was said of it, and what came of trying it; ``None`` when there was no time to."""

    sightings: tuple[Sighting, ...]
    proof: Proof | None


class Outcome(NamedTuple):
    """What a search found, in the order of coming, and how it went."""

    trials: tuple[Trial, ...]
    too_many: Counter[str]


class Finder:
    """One search.

    Args:
        ways: Where to look.
        pins: The keys that are looked for; empty for any cluster.
        prover: Tries addresses.
    """

    def __init__(self, ways: Sequence[Way], pins: tuple[bytes, ...], prover: Prover) -> None:
        self._ways = tuple(ways)
        self._pool = Pool(tuple(pin.hex() for pin in pins))
        self._prover = prover
        self._order = itertools.count()
        self._queue: asyncio.PriorityQueue[tuple[int, int, str]] = asyncio.PriorityQueue()
        self._proofs: dict[str, Proof] = {}
        #: When tries that reached nobody ended, by the loop's clock.
        self._unreached: dict[str, float] = {}
        self._trusted = asyncio.Event()

    async def search(self, timeout_s: float, *, until_trusted: bool) -> Outcome:
        """Look everywhere.

        Args:
            timeout_s: Seconds to look.
            until_trusted: End as soon as an address proved to have a key that is looked for.
        """
        looking = [asyncio.create_task(way.look(self._see)) for way in self._ways]
        trying = [asyncio.create_task(self._try()) for _ in range(AT_A_TIME)]
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout_s):
                    await self._trusted.wait()
                    if not until_trusted:
                        await asyncio.get_running_loop().create_future()
            await _end(looking)
            if not (until_trusted and self._trusted.is_set()):
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_LAST_S):
                        await self._queue.join()
        finally:
            await _end([*looking, *trying])
        for task in (*looking, *trying):
            if not task.cancelled() and task.exception() is not None:
                task.result()
        trials = [Trial(self._pool.of(one), self._proofs.get(one)) for one in self._pool.addresses()]
        return Outcome(tuple(trials), self._pool.too_many)

    def _see(self, one: Sighting) -> None:
        if self._pool.add(one):
            self._put(self._pool.rank(one), one.address)
            return
        ended = self._unreached.get(one.address)
        if ended is not None and asyncio.get_running_loop().time() - ended > AGAIN_S:
            del self._unreached[one.address]
            self._put(_SECOND_TRY, one.address)

    def _put(self, rank: int, address: str) -> None:
        self._queue.put_nowait((rank, next(self._order), address))

    async def _try(self) -> None:
        while True:
            _, _, address = await self._queue.get()
            try:
                proof = await self._prover.prove(address)
                self._proofs[address] = proof
                if proof.trusted:
                    self._trusted.set()
                elif not proof.key:
                    self._unreached[address] = asyncio.get_running_loop().time()
            finally:
                self._queue.task_done()


async def _end(tasks: Sequence[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
