"""What a new token says: wishes in, claims out, every problem named at once. Pure.

Defaults are the safe ones: one hour and one use (T6). What was not asked for is not allowed: no capability,
any class, any network, any name.
"""

from __future__ import annotations

import dataclasses
import hashlib
import re
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from swarmlet.errors import SwarmletError, error
from swarmlet.model.address import parse_address
from swarmlet.model.classification import NODE_CLASSES, parse_class
from swarmlet.model.requests import MintRequest
from swarmlet.tokens.check import network
from swarmlet.tokens.claims import CAPABILITIES, VERSION, Claims
from swarmlet.tokens.durations import short

#: The longest life without ``force``, in seconds (T6).
MOST_S: Final = 7 * 86_400
#: The latest moment a token can name, Unix seconds: the end of the year 9999.
LAST_S: Final = 253_402_300_799
MOST_USES: Final = 1_000_000
MOST_ENDPOINTS: Final = 4
MOST_PATTERN: Final = 63

_PATTERN: Final = re.compile(r"[a-z0-9*?-]*\Z")


@dataclasses.dataclass(frozen=True, slots=True)
class Mint:
    """What every token of a cluster has in common, and what is chosen for this one.

    Attributes:
        cluster_id: 32 hex digits.
        cluster_name: For people.
        kid: Which key signs.
        ca_pins: Pins of the root, two while it is being changed.
        endpoints: Where nodes reach the cluster, best first; used when none was asked for.
        jti: 16 random bytes.
        now_s: Unix seconds by the coordinator's clock.
    """

    cluster_id: str
    cluster_name: str
    kid: bytes
    ca_pins: tuple[bytes, ...]
    endpoints: tuple[str, ...]
    jti: bytes
    now_s: int


def build_claims(wishes: MintRequest, mint: Mint) -> Claims:
    """Return the claims of a token.

    Args:
        wishes: What was asked for.
        mint: What else goes into it.

    Raises:
        UsageError: ``SWL-607`` for a life of more than 7 days without ``force``, else ``SWL-608`` naming
            everything that cannot be used.
    """
    if wishes.expires_s > MOST_S and not wishes.force:
        raise error("SWL-607", asked=short(wishes.expires_s))
    problems: list[str] = []
    node_classes = _each(wishes.node_classes, _node_class, problems)
    allow = _each(wishes.allow, capability, problems)
    cidrs = _each(wishes.cidrs, _cidr, problems)
    endpoints = _each(wishes.endpoints or mint.endpoints[:MOST_ENDPOINTS], _endpoint, problems)
    problems += _other_problems(wishes, mint.now_s)
    if problems:
        raise _unusable(problems)
    return Claims(
        version=VERSION,
        cluster_id=bytes.fromhex(mint.cluster_id),
        cluster_name=mint.cluster_name,
        jti=mint.jti,
        kid=mint.kid,
        issued_s=mint.now_s,
        expires_s=mint.now_s + wishes.expires_s,
        ca_pins=mint.ca_pins,
        endpoints=endpoints,
        max_uses=wishes.max_uses,
        cidrs=cidrs,
        node_classes=node_classes,
        allow=allow,
        name_pattern=wishes.name_pattern.lower(),
        public_key=wishes.public_key,
    )


def intent(wishes: MintRequest) -> str:
    """Return a digest of what was asked, by which a repeated request is known (P3)."""
    return hashlib.sha256(msgspec.json.encode(wishes)).hexdigest()


def _other_problems(wishes: MintRequest, now_s: int) -> list[str]:
    problems = []
    if len(wishes.public_key) != 32:
        problems.append(f"public_key has {len(wishes.public_key)} bytes: it may have 32")
    if not 1 <= wishes.max_uses <= MOST_USES:
        problems.append(
            f"max_uses (--uses) is {wishes.max_uses}: it may be a whole number from 1 to {MOST_USES}"
        )
    if wishes.expires_s < 1 or now_s + wishes.expires_s > LAST_S:
        problems.append(f"expires_s (--expires) is {wishes.expires_s}: it may be one second to the year 9999")
    pattern = wishes.name_pattern.lower()
    if len(pattern) > MOST_PATTERN or not _PATTERN.match(pattern):
        problems.append(
            f"name_pattern (--name) is {wishes.name_pattern[:40]!r}: it may be letters, digits, hyphens,"
            f" * and ?, at most {MOST_PATTERN} characters"
        )
    return problems


def _each(items: Sequence[str], read: Callable[[str], str], problems: list[str]) -> tuple[str, ...]:
    """Read every item, once each and in order; collect what is wrong with the others."""
    good: dict[str, None] = {}
    for item in items:
        try:
            good[read(item)] = None
        except ValueError as failure:
            problems.append(str(failure))
    return tuple(good)


def _node_class(text: str) -> str:
    found = parse_class(text)
    if found is None:
        raise ValueError(
            f"node_classes (--node-type) has {text[:40]!r}: it may have {', '.join(NODE_CLASSES).lower()}"
        )
    return found.lower()


def capability(text: str) -> str:
    """Return what a node may be given, as it is written.

    Raises:
        ValueError: There is no such thing; the text says what there is.
    """
    found = text.strip().lower()
    if found not in CAPABILITIES:
        raise ValueError(f"allow (--allow) has {text[:40]!r}: it may have {', '.join(CAPABILITIES)}")
    return found


def _cidr(text: str) -> str:
    try:
        return str(network(text.strip()))
    except ValueError as failure:
        raise ValueError(
            f"cidrs (--cidr) has {text[:40]!r}: it may have a network such as 10.1.0.0/16 ({failure})"
        ) from failure


def _endpoint(text: str) -> str:
    try:
        return str(parse_address(text))
    except ValueError as failure:
        raise ValueError(
            f"endpoints (--endpoint) has {text[:40]!r}: it may have HOST:PORT ({failure})"
        ) from failure


def _unusable(problems: list[str]) -> SwarmletError:
    return error("SWL-608", detail="; ".join(problems), hint="stratoswarm cluster create-join-token --help")
