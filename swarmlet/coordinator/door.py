"""The door of the cluster: verifies, asks for a verdict, signs, records, answers (``admission.py`` decides).

A join costs two signature checks, one check of a certification request, one read, one signature and one
command of the store; the checks run beside the event loop, and joins that are under way together share the
store's syncs. Everything that fails is counted against its source (D2), and a source that failed too often
is told to wait before its next request is looked at.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import uuid
from collections.abc import Awaitable, Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Final, NamedTuple, TypeVar

from swarmlet import _native
from swarmlet.clock import Clock
from swarmlet.coordinator import admission
from swarmlet.coordinator.admission import UNPROVEN, Admit, Applicant, Ceiling, Repeat
from swarmlet.coordinator.ca import Authority, BadCsrError, CheckedCsr, Issued, Role, check_csr
from swarmlet.coordinator.limiter import Limiter, Rate, source_of
from swarmlet.coordinator.store.api import Admission, AdmissionFacts, Result
from swarmlet.coordinator.store.commands import (
    AdmitNode,
    AnyCommand,
    RefuseJoin,
    RenewCertificate,
    UpdateNode,
)
from swarmlet.errors import RefusedError, SwarmletError, UsageError
from swarmlet.link.messages import (
    Admitted,
    Hello,
    JoinRequest,
    Refused,
    Renewed,
    RenewRequest,
    Settings,
)
from swarmlet.model.names import to_node_name
from swarmlet.model.records import NodeRecord, TokenRecord
from swarmlet.tokens import check
from swarmlet.tokens.check import Refusal, portless
from swarmlet.tokens.claims import Claims

logger = logging.getLogger(__name__)

_T = TypeVar("_T")

#: Most joins under way at once; one more is told to come back (D2: good ones queue to 1,000).
QUEUE: Final = 1000
_QUEUE_RETRY_MS: Final = 1000

#: A member that renews in a circle would fill the disk; one that lost replies must not be kept out.
RENEWALS: Final = Rate(1 / 60, 10.0)
_NO_CEILING: Final = Rate(1e9, 1e9)

#: Threads that verify and sign. The work releases the interpreter lock, so more than the cores gain nothing.
_THREADS: Final = 2


class Books(NamedTuple):
    """What the door reads and writes. ``apply`` is the ledger's, so that memory follows the disk."""

    apply: Callable[[AnyCommand], Awaitable[Result]]
    facts: Callable[[str, str, str | None], Awaitable[AdmissionFacts]]
    node: Callable[[str], Awaitable[NodeRecord | None]]


class _Proven(NamedTuple):
    """A request whose token and proof hold; ``csr`` is the reason when it is not honoured."""

    claims: Claims
    csr: CheckedCsr | Refusal


class Door:
    """Admits and renews. Owner of its threads: :meth:`close` ends them.

    Args:
        books: Reads and writes.
        authority: Signs certificates; replaced by :meth:`use` when the intermediate is renewed.
        token_keys: Keys that signed tokens, by kid (hex).
        settings: What members need to know, asked at every answer.
        clock: The coordinator's, which alone judges time.
        limiter: Counts failures.
    """

    def __init__(  # noqa: PLR0913 - one collaborator each
        self,
        books: Books,
        authority: Authority,
        token_keys: Mapping[str, bytes],
        settings: Callable[[], Settings],
        clock: Clock,
        *,
        limiter: Limiter | None = None,
    ) -> None:
        self._books = books
        self._authority = authority
        self._token_keys = dict(token_keys)
        self._settings = settings
        self._clock = clock
        self._limiter = limiter or Limiter()
        self._renewals = Limiter(RENEWALS, _NO_CEILING, capacity=20_000)
        self._ceilings: dict[str, Ceiling] = {}
        self._under_way = 0
        self._threads = ThreadPoolExecutor(_THREADS, "door")

    def use(self, authority: Authority) -> None:
        """Sign with ``authority`` from now on."""
        self._authority = authority

    def remember(self, tokens: Iterable[TokenRecord]) -> None:
        """Learn the ceilings of tokens that were minted before this process started."""
        for token in tokens:
            claims = _decode(token.claims + bytes(64))
            if claims is not None:
                self._ceilings[token.jti] = Ceiling.of(claims)

    def settings(self) -> Settings:
        """Return what members need to know of the cluster."""
        return self._settings()

    def close(self) -> None:
        """End the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    # ---- joining

    async def join(self, request: JoinRequest, exporter: bytes, seen: str) -> Admitted | Refused:
        """Answer a request for admission, durably.

        Args:
            request: What the stranger sent.
            exporter: TLS exporter of its connection, 32 bytes: binds the proof to it (T4).
            seen: Its TCP peer address.

        Returns:
            ``Admitted`` once use, node and audit record are on disk; else the reason, as exact as the
            stranger may know it.
        """
        source = source_of(seen)
        wait_s = self._limiter.wait_s(source, self._clock.boot())
        if wait_s > 0:
            return _wait(seen, int(wait_s * 1000) + 1)
        if self._under_way >= QUEUE:
            return _wait(seen, _QUEUE_RETRY_MS)
        self._under_way += 1
        try:
            answer = await self._join(request, exporter, seen)
        except SwarmletError as failure:
            answer = await self._failed(failure, request, source, seen)
        finally:
            self._under_way -= 1
        if answer is UNPROVEN:
            self._limiter.failed(source, self._clock.boot())
        return answer

    async def _join(self, request: JoinRequest, exporter: bytes, seen: str) -> Admitted | Refused:
        proven = await self._beside(self._prove, request, exporter)
        if proven is None:
            return UNPROVEN
        claims, csr = proven
        if isinstance(csr, Refusal):
            raise csr.to_error()
        jti = claims.jti.hex()
        facts = await self._books.facts(jti, csr.key_digest, request.profile.fingerprint)
        applicant = Applicant(request, claims, facts, seen, self._clock.wall_ms())
        verdict = admission.judge(applicant)
        if isinstance(verdict, Refusal):
            raise verdict.to_error()
        if isinstance(verdict, Repeat):
            return await self._again(verdict.first, facts.token)
        node_uid = str(uuid.uuid4())
        issued = await self._beside(self._authority.issue, csr, Role.NODE, node_uid, applicant.now_ms)
        self._ceilings[jti] = Ceiling.of(claims)
        result = await self._books.apply(_admission_command(applicant, verdict, csr, issued, node_uid))
        if result.admission is None or result.repeated:
            first = result.admission
            return await self._again(first, facts.token) if first else UNPROVEN
        return self._admitted(
            result.admission.node_uid, result.admission.name, issued.chain, verdict, result.admission.replaced
        )

    def _prove(self, request: JoinRequest, exporter: bytes) -> _Proven | None:
        """Verify token and proof; ``None`` for every way in which they do not hold (T10)."""
        claims = _decode(request.claims)
        if claims is None:
            return None
        key = self._token_keys.get(claims.kid.hex(), bytes(32))
        # Both are always verified: the time taken shall not tell which of them failed.
        signed = _native.verify_claims(request.claims, key)
        proof = _native.verify_proof(request.claims, request.csr, exporter, request.proof)
        ours = claims.cluster_id.hex() == self._authority.cluster_id
        if not (signed and proof and ours):
            return None
        try:
            return _Proven(claims, check_csr(request.csr))
        except BadCsrError as bad:
            return _Proven(claims, Refusal("SWL-608", {"detail": str(bad), "hint": "update swarmlet"}))

    async def _again(self, first: Admission, token: TokenRecord | None) -> Admitted | Refused:
        """Give the answer of the first time to a device that did not get it."""
        node = await self._books.node(first.node_uid)
        refusal = None if node is None else admission.judge_renewal(node, self._clock.wall_ms())
        if node is None or (refusal is not None and refusal.code == "SWL-207"):
            # Removed since: it never was a member that could leave, it needs another token.
            used = token and check.used_up(token.jti, token.uses, token.max_uses)
            raise (used or Refusal("SWL-100")).to_error()
        if refusal is not None:
            raise refusal.to_error()
        chain = self._authority.complete(first.chain[0])
        return self._admitted(first.node_uid, node.name, chain, node, None)

    def _admitted(
        self,
        node_uid: str,
        name: str,
        chain: tuple[bytes, ...],
        row: Admit | NodeRecord,
        replaced: str | None,
    ) -> Admitted:
        judged = row.profile.classification
        return Admitted(
            node_uid=node_uid,
            name=name,
            chain=chain,
            settings=self._settings(),
            time_ms=self._clock.wall_ms(),
            node_class=judged.node_class,
            suitability=judged.suitability,
            reason=judged.reason,
            replaced=replaced,
        )

    async def _failed(self, failure: SwarmletError, request: JoinRequest, source: str, seen: str) -> Refused:
        """Answer somebody who proved possession with the reason, and record it."""
        now_ms = self._clock.wall_ms()
        if not isinstance(failure, RefusedError | UsageError):
            # The coordinator's own trouble (a full disk, say): the device did nothing wrong and may try
            # again.
            logger.error("a join could not be recorded", extra={"code": failure.code, "peer": seen})
            return Refused("SWL-116", {"theirs": failure.code}, now_ms, seen, retry_after_ms=5000)
        if self._limiter.failed(source, self._clock.boot()):
            await self._record(failure, request, seen, now_ms)
        return Refused(failure.code, failure.fields, now_ms, seen)

    async def _record(self, failure: SwarmletError, request: JoinRequest, seen: str, now_ms: int) -> None:
        claims = _decode(request.claims)
        jti = claims.jti.hex() if claims else ""
        command = RefuseJoin(
            at_ms=now_ms,
            actor=f"token:{jti}",
            jti=jti,
            code=failure.code,
            name=to_node_name(request.name) or "",
            seen=portless(seen),
        )
        try:
            await self._books.apply(command)
        except SwarmletError as trouble:
            logger.warning("a refusal was not recorded", extra={"code": trouble.code, "peer": seen})

    # ---- members

    async def renew(self, node: NodeRecord, request: RenewRequest) -> Renewed | Refused:
        """Answer a member's request for a new certificate, durably; the same key gets the same one (C4)."""
        now_ms = self._clock.wall_ms()
        wait_s = self._renewals.wait_s(node.node_uid, self._clock.boot())
        if wait_s > 0:
            detail = {"detail": f"it asks too often; again in {int(wait_s) + 1} s"}
            return Refused("SWL-203", detail, now_ms, retry_after_ms=int(wait_s * 1000) + 1)
        self._renewals.failed(node.node_uid, self._clock.boot())
        refusal = admission.judge_renewal(node, now_ms)
        try:
            if refusal is not None:
                raise refusal.to_error()
            return await self._renew(node, request, now_ms)
        except BadCsrError as bad:
            return Refused("SWL-203", {"detail": str(bad)}, now_ms)
        except SwarmletError as failure:
            return Refused(failure.code, failure.fields, now_ms)

    async def _renew(self, node: NodeRecord, request: RenewRequest, now_ms: int) -> Renewed:
        csr = await self._beside(check_csr, request.csr)
        issued = await self._beside(self._authority.issue, csr, Role.NODE, node.node_uid, now_ms)
        result = await self._books.apply(
            RenewCertificate(
                at_ms=now_ms,
                actor=f"node:{node.node_uid}",
                node_uid=node.node_uid,
                serial=issued.serial,
                not_after_ms=issued.not_after_ms,
                chain=(issued.leaf,),
                csr_key=csr.key_digest,
            )
        )
        return Renewed(self._authority.complete(result.chain[0]), self._settings(), self._clock.wall_ms())

    def updated(self, node: NodeRecord, hello: Hello, seen: str) -> UpdateNode:
        """Return what is recorded of a member's hello, within the ceiling of its token (T8)."""
        ceiling = self._ceilings.get(node.jti) or Ceiling.kept(node)
        profile, clamped = admission.judge_update(node, hello, ceiling)
        return UpdateNode(
            at_ms=self._clock.wall_ms(),
            actor=f"node:{node.node_uid}",
            node_uid=node.node_uid,
            boot_id=hello.boot_id[:64],
            version=hello.version[: admission.MAX_VERSION],
            profile=profile,
            limits={name: value for name, value in list(hello.limits.items())[:16] if len(name) <= 32},
            seen=portless(seen),
            clamped=clamped,
        )

    async def _beside(self, work: Callable[..., _T], *args: object) -> _T:
        """Run ``work`` on one of the door's threads."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, functools.partial(work, *args))


def _admission_command(
    applicant: Applicant, verdict: Admit, csr: CheckedCsr, issued: Issued, node_uid: str
) -> AdmitNode:
    jti = applicant.claims.jti.hex()
    return AdmitNode(
        at_ms=applicant.now_ms,
        actor=f"token:{jti}",
        jti=jti,
        csr_key=csr.key_digest,
        node_uid=node_uid,
        name=verdict.name,
        asked_name=verdict.name,
        # The leaf alone: the certificates above it are the same for everybody, and the log is kept for years.
        chain=(issued.leaf,),
        serial=issued.serial,
        not_after_ms=issued.not_after_ms,
        profile=verdict.profile,
        capabilities=verdict.capabilities,
        clamped=verdict.clamped,
        version=applicant.request.version,
        seen=portless(applicant.seen),
        replaces=verdict.replaces,
    )


def _decode(signed: bytes) -> Claims | None:
    """Return the claims in ``claims || signature``, verified or not; ``None`` when they are none."""
    try:
        return Claims.from_tuple(_native.decode_claims(signed))
    except _native.NativeError:
        return None


def _wait(seen: str, retry_ms: int) -> Refused:
    seconds = str(-(-retry_ms // 1000))
    return Refused("SWL-110", {"seen": portless(seen), "seconds": seconds}, retry_after_ms=retry_ms)
