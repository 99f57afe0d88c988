"""What answers at an address that was seen: the one cluster that is looked for, another one, or nothing.

Only a TLS handshake is begun, in which the key is checked; nothing else is sent, and nothing of a token
exists here but the key it names (T3, T12). Without a key to look for, a random one is expected: the handshake
then fails by design, and tells which key is there.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec

from swarmlet._native import NativeError
from swarmlet.clock import Clock
from swarmlet.errors import SwarmletError
from swarmlet.link.engine import Connection, ConnectionClosedError
from swarmlet.link.events import keys_in
from swarmlet.link.messages import Challenge
from swarmlet.model.announcement import MOST_NAME

#: Begins a connection to ``ip:port`` that takes only a server with one of these keys: address, keys, seconds.
Dial = Callable[[str, tuple[bytes, ...], float], Connection]
#: Returns the addresses of ``host:port`` as ``ip:port``.
Resolve = Callable[[str], Awaitable[tuple[str, ...]]]

#: Seconds for one address: on a link a coordinator answers in milliseconds.
PATIENCE_S: Final = 2.5
#: Of a name, so many addresses are tried.
MOST_OF_NAME: Final = 2
_GREETING_S: Final = 1.0

_WORDS: Final = {
    "connection-refused": "nothing listens there",
    "unreachable": "no route to it",
    "address-unavailable": "this machine has no address for it",
    "timed-out": "it did not answer in time",
    "reset": "it cut the connection",
    "closed": "it closed the connection before it answered",
    "certificate-role": "it shows a certificate of the cluster that is no coordinator's",
    "certificate-invalid": "its certificate does not hold",
}


class Proof(msgspec.Struct, frozen=True):
    """What is known of an address after it was tried.

    ``trusted`` is true when it proved to have the key that is looked for, false when it has another, ``None``
    when none is looked for or nothing answered. ``key`` is 64 hex digits; one that is not looked for
    is only shown, not proven. The cluster's id and name are its own words, once trusted.
    """

    address: str
    tried: str = ""
    ms: float | None = None
    key: str = ""
    trusted: bool | None = None
    cluster_id: str = ""
    cluster_name: str = ""
    problem: str = ""


class Prover:
    """Tries addresses.

    Args:
        pins: The keys that are looked for; empty to see which are there.
        dial: Begins connections.
        resolve: Looks names up.
        clock: For measuring.
    """

    def __init__(self, pins: tuple[bytes, ...], dial: Dial, resolve: Resolve, clock: Clock) -> None:
        self._pins = pins
        self._dial = dial
        self._resolve = resolve
        self._clock = clock

    async def prove(self, address: str) -> Proof:
        """Try an address; the best of them when it is a name with several."""
        try:
            async with asyncio.timeout(2 * PATIENCE_S):
                found = await self._resolve(address)
        except SwarmletError as failure:
            return Proof(address, problem=f"the name has no address: {failure.fields.get('detail', '')}")
        except TimeoutError:
            return Proof(address, problem="no name server answered in time")
        best = Proof(address, problem="the name has no address")
        for one in found[:MOST_OF_NAME]:
            proof = await self._try(address, one)
            if proof.trusted or (proof.key and not best.key) or not best.tried:
                best = proof
            if best.trusted:
                break
        return best

    async def _try(self, address: str, tried: str) -> Proof:
        pins = self._pins or (os.urandom(32),)
        began = self._clock.boot()
        try:
            connection = self._dial(tried, pins, PATIENCE_S)
        except NativeError as fault:
            return Proof(address, tried, problem=_WORDS.get(fault.args[0], str(fault.args[-1])))
        try:
            await connection.opened(PATIENCE_S + 0.5)
            ms = (self._clock.boot() - began) * 1000
            greeting = await _greeting(connection)
        except ConnectionClosedError as ended:
            ms = (self._clock.boot() - began) * 1000
            return self._refused(Proof(address, tried, ms), ended)
        except TimeoutError:
            return Proof(address, tried, problem=_WORDS["timed-out"])
        finally:
            connection.close()
        key = self._pins[0].hex() if len(self._pins) == 1 else ""
        return Proof(
            address,
            tried,
            ms,
            key=key,
            trusted=True,
            cluster_id=greeting.cluster_id if greeting else "",
            cluster_name=greeting.cluster_name[:MOST_NAME] if greeting else "",
        )

    def _refused(self, so_far: Proof, ended: ConnectionClosedError) -> Proof:
        reason, detail = ended.closed.reason, ended.closed.detail
        if reason != "pin-mismatch":
            problem = _WORDS.get(reason, f"it is no coordinator ({detail or reason})")
            return Proof(so_far.address, so_far.tried, problem=problem)
        key = keys_in(detail).get("found", "").removeprefix("SHA256:")
        trusted = False if self._pins else None
        problem = "its key is another one" if self._pins else ""
        return Proof(so_far.address, so_far.tried, so_far.ms, key=key, trusted=trusted, problem=problem)


async def _greeting(connection: Connection) -> Challenge | None:
    """Return what a coordinator says first; its key is proven already."""
    try:
        message = await connection.receive(_GREETING_S)
    except (TimeoutError, ConnectionClosedError, msgspec.MsgspecError):
        return None
    return message if isinstance(message, Challenge) else None
