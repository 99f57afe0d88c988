"""``test-connection``: what answers at an address, without joining, without state.

With a token or an identity the cluster's key is known, and what answers is proven to be it or not. Without
one the key it shows is only told. Nothing but a TLS handshake is sent either way.
"""

from __future__ import annotations

import secrets

import msgspec

from swarmlet import _native
from swarmlet.clock import SystemClock
from swarmlet.config.keys import Config
from swarmlet.discovery.direct import Resolver, candidates
from swarmlet.errors import SwarmletError, error
from swarmlet.identity.store import Vault
from swarmlet.join.events import Closed
from swarmlet.join.failures import failure_of
from swarmlet.link.engine import Connection, ConnectionClosedError, Link
from swarmlet.link.events import keys_in
from swarmlet.link.messages import Challenge
from swarmlet.tokens.claims import Claims

_TIMEOUT_S = 8.0
_CLOCK = SystemClock()


class ReachView(msgspec.Struct, frozen=True):
    """What was found at one address.

    ``trusted`` is true when its key is the one expected, ``None`` when none was expected. ``key`` is
    ``SHA256:`` and 64 hex digits, as ``stratoswarm cluster status`` shows it. ``skew_s`` is how far this
    machine's clock is ahead, known only from a trusted coordinator.
    """

    address: str
    tried: str
    reached: bool
    rtt_ms: float | None = None
    key: str | None = None
    trusted: bool | None = None
    cluster: str | None = None
    seen: str | None = None
    skew_s: float | None = None
    problem: str | None = None
    code: str | None = None


class Known(msgspec.Struct, frozen=True):
    """What is known of the cluster beforehand."""

    pins: tuple[bytes, ...] = ()
    cluster_id: str = ""
    endpoints: tuple[str, ...] = ()


def known(config: Config, token: _native.Token | None) -> Known:
    """Return what a token, or else the identity on disk, tells of the cluster."""
    if token is not None:
        claims = Claims.from_tuple(token.claims)
        return Known(claims.ca_pins, claims.cluster_id.hex(), claims.endpoints)
    try:
        credentials = Vault(config.data_dir).load()
    except SwarmletError:
        return Known()
    if credentials is None:
        return Known()
    settings = credentials.memory.settings
    return Known(settings.ca_pins, settings.cluster_id, settings.endpoints)


async def test_connection(config: Config, expected: Known) -> tuple[ReachView, ...]:
    """Try every address and return what answers there.

    Raises:
        SwarmletError: ``SWL-400`` when no address is known.
    """
    given = () if config.cluster is None else (config.cluster,)
    names = candidates(config.discovery_port, given) or candidates(config.discovery_port, expected.endpoints)
    if not names:
        raise error(
            "SWL-400", detail="no address to test is known", hint="test-connection --cluster HOST:PORT"
        )
    link = Link(lambda _event: None)
    resolver = Resolver()
    found = []
    try:
        for name in names:
            try:
                addresses = await resolver.resolve(name)
            except SwarmletError as failure:
                found.append(ReachView(name, name, reached=False, problem=failure.what, code=failure.code))
                continue
            found += [await _try(link, name, address, expected) for address in addresses[:2]]
    finally:
        await link.stop()
    return tuple(found)


async def _try(link: Link, name: str, address: str, expected: Known) -> ReachView:
    # Without a pin of our own a random one is expected: the handshake then fails by design, telling the key.
    pins = expected.pins or (secrets.token_bytes(32),)
    tls = _native.ClientTls(pins, None, expected.cluster_id, None)
    began = _CLOCK.boot()
    try:
        connection = link.dial(address, tls, timeout_ms=int(_TIMEOUT_S * 1000))
        await connection.opened(_TIMEOUT_S)
        rtt_ms = (_CLOCK.boot() - began) * 1000
        key = f"SHA256:{expected.pins[0].hex()}" if len(expected.pins) == 1 else None
        return await _greeted(connection, ReachView(name, address, reached=True, rtt_ms=rtt_ms, key=key))
    except ConnectionClosedError as ended:
        return _refused(name, address, ended, (_CLOCK.boot() - began) * 1000, expected)
    except TimeoutError:
        return ReachView(name, address, reached=False, problem="it did not answer in time", code="SWL-200")


async def _greeted(connection: Connection, seen: ReachView) -> ReachView:
    challenge = await connection.receive(_TIMEOUT_S)
    connection.close()
    if not isinstance(challenge, Challenge):
        return msgspec.structs.replace(seen, problem="it said something unexpected")
    skew_s = (_CLOCK.wall_ms() - challenge.time_ms) / 1000
    return msgspec.structs.replace(
        seen,
        trusted=True,
        cluster=challenge.cluster_name,
        seen=challenge.seen,
        skew_s=skew_s,
    )


def _refused(
    name: str, address: str, ended: ConnectionClosedError, rtt_ms: float, expected: Known
) -> ReachView:
    closed = Closed(ended.closed.reason, ended.closed.detail)
    failure = failure_of(closed, name, asked=False)
    if failure.code == "SWL-202":
        key = keys_in(closed.detail).get("found")
        if not expected.pins:
            return ReachView(name, address, reached=True, rtt_ms=rtt_ms, key=key)
        text = error(failure.code, **failure.fields).what
        return ReachView(
            name, address, reached=True, rtt_ms=rtt_ms, key=key, trusted=False, problem=text, code="SWL-202"
        )
    text = error(failure.code, **failure.fields).what
    return ReachView(name, address, reached=False, problem=text, code=failure.code)
