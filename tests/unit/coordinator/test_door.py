"""The door over a real store, a real authority and real tokens: who gets in, what is kept, what is said."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from swarmlet import _native
from swarmlet.coordinator import ca
from swarmlet.coordinator.ca_files import AuthorityFiles
from swarmlet.coordinator.door import QUEUE, Books, Door
from swarmlet.coordinator.minter import Books as MinterBooks
from swarmlet.coordinator.minter import Minter
from swarmlet.coordinator.store import commands as c
from swarmlet.coordinator.store.apply import decode
from swarmlet.coordinator.store.sqlite import SqliteStore
from swarmlet.errors import SwarmletError, error
from swarmlet.link.messages import (
    Admitted,
    Hello,
    JoinRequest,
    Refused,
    Renewed,
    RenewRequest,
    Settings,
    encode,
)
from swarmlet.model.membership import NodeState
from swarmlet.model.profile import Capabilities, Classification, Hardware, Profile
from swarmlet.model.requests import MintRequest
from tests.fakes.history import init
from tests.fakes.records import profile
from tests.fakes.requests_for_certificates import asking_for_more, not_to_be_read

CLUSTER = "ab" * 16
EXPORTER = b"e" * 32
HERE = "192.0.2.7:40000"


class Watch:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.ms = 1_900_000_000_000

    def boot(self) -> float:
        return self.ms / 1000

    def wall_ms(self) -> int:
        return self.ms


@dataclasses.dataclass
class World:
    """A cluster without its network."""

    store: SqliteStore
    door: Door
    minter: Minter
    key: _native.SigningKey
    authority: ca.Authority
    clock: Watch
    apply: Callable[[c.AnyCommand], Awaitable[Any]]

    async def token(self, **wishes: Any) -> _native.Token:
        seed = _native.TokenSeed.generate()
        minted = await self.minter(MintRequest(public_key=seed.public_key, **wishes), "uid:0", "")
        return _native.Token.parse(seed.assemble(minted.signed))

    async def kinds(self) -> list[str]:
        return [one.kind for one in await self.store.audit(everything=True)]


@contextlib.asynccontextmanager
async def cluster(directory: Path, clock: Watch | None = None) -> AsyncIterator[World]:
    clock = clock or Watch()
    authority = AuthorityFiles(directory / "ca", directory / "kek").found(CLUSTER, clock.ms)
    key = _native.SigningKey.load_or_create(str(directory / "token.key"))
    async with await SqliteStore.open(directory / "cluster.db", clock) as store:
        await store.apply(init(at_ms=clock.ms, token_kid=key.kid, token_key=key.public_key))
        settings = Settings(CLUSTER, "test", ("192.0.2.1:7946",), (authority.pin,), 5000, 15_000)

        async def apply(command: c.AnyCommand) -> Any:
            return await world.apply(command)  # looked up at every call, so that a test may replace it

        books = Books(apply, store.admission_facts, store.node)
        door = Door(books, authority, {key.kid.hex(): key.public_key}, lambda: settings, clock)
        minter = Minter(
            MinterBooks(store.apply, store.token),
            key,
            authority,
            clock,
            cluster_name="test",
            endpoints=lambda: ("192.0.2.1:7946",),
        )
        world = World(store, door, minter, key, authority, clock, store.apply)
        try:
            yield world
        finally:
            door.close()


def ask(token: _native.Token, *, exporter: bytes = EXPORTER, key: Any = None, **given_: Any) -> JoinRequest:
    csr = given_.pop("csr", None) or (key or _native.KeyPair.generate()).csr("pi")
    fields = {
        "claims": token.signed,
        "csr": csr,
        "proof": token.proof(csr, exporter),
        "name": "pi",
        "profile": profile("pi"),
        "version": "0.1.0",
    }
    return JoinRequest(**{**fields, **given_})


async def join(world: World, request: JoinRequest, seen: str = HERE) -> Admitted | Refused:
    return await world.door.join(request, EXPORTER, seen)


async def code(world: World, request: JoinRequest, seen: str = HERE) -> str:
    answer = await join(world, request, seen)
    assert isinstance(answer, Refused)
    return answer.code


# ---- getting in


async def test_a_device_with_a_token_gets_a_certificate_for_its_key_and_is_on_disk(tmp_path: Path) -> None:
    async with cluster(tmp_path) as world:
        key = _native.KeyPair.generate()
        answer = await join(world, ask(await world.token(), key=key))
        assert isinstance(answer, Admitted)
        identity = _native.Identity.create(key, list(answer.chain), b"")
        assert identity.uris == [f"swarmlet://{CLUSTER}/node/{answer.node_uid}"]
        assert answer.chain[1:] == (world.authority.intermediate, world.authority.root)
        node = await world.store.node(answer.node_uid)
        assert node is not None
        assert (node.serial, node.not_after_ms) == (identity.serial.hex(), identity.not_after_ms)
        assert (node.name, node.seen, node.state) == (answer.name, "192.0.2.7", NodeState.JOINED)
        assert (answer.node_class, answer.time_ms) == ("Edge", world.clock.ms)


async def test_t5_a_lost_reply_is_given_again_and_burns_nothing(tmp_path: Path) -> None:
    async with cluster(tmp_path) as world:
        token, key = await world.token(), _native.KeyPair.generate()
        first = await join(world, ask(token, key=key))
        # The device comes back on another connection, so its proof is another one.
        other = b"f" * 32
        again = await world.door.join(ask(token, key=key, exporter=other), other, HERE)
        assert isinstance(first, Admitted)
        assert isinstance(again, Admitted)
        assert (again.node_uid, again.chain, again.name) == (first.node_uid, first.chain, first.name)
        assert len(await world.store.nodes()) == 1
        assert await code(world, ask(token)) == "SWL-106"


async def test_t5_the_same_device_asking_twice_at_once_is_one_node(tmp_path: Path) -> None:
    async with cluster(tmp_path) as world:
        token, key = await world.token(max_uses=9), _native.KeyPair.generate()
        request = ask(token, key=key)
        answers = await asyncio.gather(*(join(world, request) for _ in range(20)))
        assert all(isinstance(one, Admitted) for one in answers)
        assert len({one.chain for one in answers if isinstance(one, Admitted)}) == 1
        record = (await world.store.tokens())[0]
        assert record.uses == len(record.nodes) == 1


async def test_t5_a_thousand_parallel_redemptions_of_fifty_uses_are_fifty_nodes(tmp_path: Path) -> None:
    async with cluster(tmp_path) as world:
        token = await world.token(max_uses=50)
        requests = [ask(token) for _ in range(1000)]
        answers = await asyncio.gather(
            *(
                join(world, request, f"10.0.{number // 250}.{number % 250}:1")
                for number, request in enumerate(requests)
            )
        )
        assert sum(isinstance(one, Admitted) for one in answers) == 50
        assert {one.code for one in answers if isinstance(one, Refused)} == {"SWL-106"}
        record = (await world.store.tokens())[0]
        assert record.uses == len(record.nodes) == 50
        names = {node.name for node in await world.store.nodes()}
        assert names == {"pi", *(f"pi-{number}" for number in range(2, 51))}


async def test_a_wiped_device_takes_its_old_place(tmp_path: Path) -> None:
    async with cluster(tmp_path) as world:
        made = msgspec.structs.replace(profile("pi"), fingerprint="f")
        token = await world.token(max_uses=2)
        first = await join(world, ask(token, profile=made))
        assert isinstance(first, Admitted)
        for state in (NodeState.READY, NodeState.DOWN):
            await world.store.apply(
                c.NodeTransition(
                    at_ms=world.clock.ms, actor="c", node_uid=first.node_uid, state=state, reason="r"
                )
            )
        second = await join(world, ask(token, profile=made))
        assert isinstance(second, Admitted)
        assert (second.replaced, second.name) == (first.node_uid, "pi")


# ---- possession (T4)


async def test_t4_a_captured_request_is_worth_nothing_on_another_connection(tmp_path: Path) -> None:
    async with cluster(tmp_path) as world:
        captured = ask(await world.token())
        assert await world.door.join(captured, b"x" * 32, HERE) == Refused("SWL-100")
        assert isinstance(await join(world, captured), Admitted)


async def test_t4_the_database_and_the_log_cannot_join(tmp_path: Path) -> None:
    async with cluster(tmp_path) as world:
        await world.token()
        # All that is kept: the claims. Signing them again is possible for the coordinator alone, and even so:
        signed = world.key.sign_claims((await world.store.tokens())[0].claims)
        csr = _native.KeyPair.generate().csr("pi")
        thief = await world.token()
        stolen = ask(thief, csr=csr, claims=signed)
        assert await join(world, stolen) == Refused("SWL-100")
        assert not await world.store.nodes()


# ---- one answer before proof (T10)


async def test_t10_before_proof_every_failure_is_the_same_bytes(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    async with cluster(tmp_path / "one") as world, cluster(tmp_path / "two") as other:
        token = await world.token()
        revoked = await world.token()
        await world.store.apply(
            c.RevokeToken(at_ms=world.clock.ms, actor="a", jti=bytes(revoked.claims[3]).hex())
        )
        good = ask(token)
        flipped = bytearray(token.signed)
        flipped[-1] ^= 1
        bad = [
            msgspec.structs.replace(good, proof=bytes(64)),
            msgspec.structs.replace(good, proof=b""),
            msgspec.structs.replace(good, claims=bytes(flipped)),
            msgspec.structs.replace(good, claims=b""),
            msgspec.structs.replace(good, claims=b"\xff" * 300),
            msgspec.structs.replace(good, csr=_native.KeyPair.generate().csr("pi")),
            msgspec.structs.replace(good, csr=b""),
            msgspec.structs.replace(ask(revoked), proof=good.proof),
            ask(await other.token()),
            ask(token, exporter=b"o" * 32),
        ]
        answers = {
            encode(await world.door.join(request, EXPORTER, f"10.0.0.{number}:1"))
            for number, request in enumerate(bad)
        }
        answers.add(encode(await world.door.join(good, b"short", "10.0.0.99:1")))
        assert answers == {encode(Refused("SWL-100"))}
        # D4: none of it was written.
        assert await world.kinds() == ["revoke-token", "mint-token", "mint-token", "init-cluster"]


# ---- exact reasons after proof, and their record


async def test_t6_an_expired_token_is_told_by_the_coordinators_clock(tmp_path: Path) -> None:
    async with cluster(tmp_path) as world:
        token = await world.token()
        world.clock.ms += 2 * 3_600_000
        answer = await join(world, ask(token))
        assert isinstance(answer, Refused)
        assert (answer.code, answer.detail["ago"]) == ("SWL-104", "1 h")
        assert (answer.time_ms, answer.seen) == (world.clock.ms, HERE)


async def test_t7_the_peer_address_decides_and_is_told(tmp_path: Path) -> None:
    async with cluster(tmp_path) as world:
        token = await world.token(cidrs=("10.1.0.0/16",), max_uses=2)
        answer = await join(world, ask(token))
        assert isinstance(answer, Refused)
        assert answer.code == "SWL-107"
        assert answer.detail == {"seen": "192.0.2.7", "cidrs": "10.1.0.0/16"}
        assert isinstance(await join(world, ask(token), "[::ffff:10.1.2.3]:5"), Admitted)


async def test_t9_a_revoked_token_is_told_and_recorded(tmp_path: Path) -> None:
    async with cluster(tmp_path) as world:
        token = await world.token()
        jti = bytes(token.claims[3]).hex()
        await world.store.apply(c.RevokeToken(at_ms=world.clock.ms, actor="uid:0", jti=jti))
        assert await code(world, ask(token)) == "SWL-105"
        newest = (await world.store.audit())[0]
        told = decode(newest.payload or b"")
        assert isinstance(told, c.RefuseJoin)
        assert (told.jti, told.code, told.name, told.seen) == (jti, "SWL-105", "pi", "192.0.2.7")


async def test_t8_what_was_cut_at_the_join_is_in_the_audit(tmp_path: Path) -> None:
    async with cluster(tmp_path) as world:
        server = Profile(
            "pi",
            Hardware(cpu_cores=64, memory_gb=256.0, device_type="server"),
            Capabilities(gpu_count=8),
            Classification("DataCenter", (), ""),
        )
        token = await world.token(node_classes=("edge",))
        answer = await join(world, ask(token, profile=server, capabilities=("gpu",)))
        assert isinstance(answer, Admitted)
        assert answer.node_class == "Edge"
        admitted = decode((await world.store.audit())[0].payload or b"")
        assert isinstance(admitted, c.AdmitNode)
        assert admitted.clamped == ("gpu_count 8 to 0", "class DataCenter to Edge", "gpu was not granted")


async def test_t8_a_later_hello_is_cut_by_the_same_token_also_after_a_restart(tmp_path: Path) -> None:
    async with cluster(tmp_path) as world:
        answer = await join(world, ask(await world.token(node_classes=("edge",))))
        assert isinstance(answer, Admitted)
        node = await world.store.node(answer.node_uid)
        assert node is not None
        boast = Profile(
            "pi",
            Hardware(cpu_cores=64, memory_gb=256.0, device_type="server"),
            Capabilities(gpu_count=8),
            Classification("DataCenter", (), ""),
        )
        hello = Hello(1, "0.1.0", "boot", "pi", boast, 0)
        told = world.door.updated(node, hello, HERE)
        books = Books(world.apply, world.store.admission_facts, world.store.node)
        fresh = Door(books, world.authority, {}, world.door.settings, world.clock)
        assert fresh.updated(node, hello, HERE) == told  # a node keeps what it has while tokens are not read
        fresh.remember(await world.store.tokens())
        assert fresh.updated(node, hello, HERE) == told
        fresh.close()
        assert told.profile.classification.node_class == "Edge"
        assert told.clamped == ("gpu_count 8 to 0", "class DataCenter to Edge")
        assert told.seen == "192.0.2.7"


@pytest.mark.parametrize("requests", [asking_for_more(), not_to_be_read()], ids=["well-formed", "malformed"])
async def test_c2_no_hostile_request_is_honoured_even_with_a_good_token(
    tmp_path: Path, requests: dict[str, bytes]
) -> None:
    async with cluster(tmp_path) as world:
        token = await world.token(max_uses=99)
        for number, csr in enumerate(requests.values()):
            answer = await join(world, ask(token, csr=csr), f"10.0.0.{number}:1")
            if isinstance(answer, Refused):
                assert answer.code == "SWL-608"
                continue
            leaf = ca.x509.load_der_x509_certificate(answer.chain[0])
            names = leaf.extensions.get_extension_for_class(ca.x509.SubjectAlternativeName).value
            assert [one.value for one in names] == [f"swarmlet://{CLUSTER}/node/{answer.node_uid}"]


async def test_a_coordinator_in_trouble_says_so_and_blames_nobody(tmp_path: Path) -> None:
    async with cluster(tmp_path) as world:
        token = await world.token()

        async def full(_command: c.AnyCommand) -> Any:
            raise error("SWL-302", path="/data")

        whole, world.apply = world.apply, full
        request = ask(token)
        for _ in range(10):
            answer = await join(world, request)
            assert isinstance(answer, Refused)
            assert (answer.code, answer.retry_after_ms) == ("SWL-116", 5000)
            assert answer.detail == {"theirs": "SWL-302"}
        world.apply = whole
        assert isinstance(await join(world, request), Admitted)


# ---- floods (D2)


async def test_d2_after_five_failures_a_source_waits_and_others_do_not(tmp_path: Path) -> None:
    async with cluster(tmp_path) as world:
        token = await world.token(max_uses=9)
        bad = msgspec.structs.replace(ask(token), proof=bytes(64))
        assert [await code(world, bad) for _ in range(7)] == ["SWL-100"] * 5 + ["SWL-110"] * 2
        answer = await join(world, ask(token))
        assert isinstance(answer, Refused)
        assert (answer.code, answer.retry_after_ms) == ("SWL-110", 1001)
        assert answer.detail == {"seen": "192.0.2.7", "seconds": "2"}
        assert isinstance(await join(world, ask(token), "192.0.2.8:1"), Admitted)
        world.clock.ms += 1001
        assert isinstance(await join(world, ask(token)), Admitted)


async def test_d2_an_ipv6_source_is_its_whole_network(tmp_path: Path) -> None:
    async with cluster(tmp_path) as world:
        bad = msgspec.structs.replace(ask(await world.token()), proof=bytes(64))
        codes = [await code(world, bad, f"[2001:db8::{number:x}]:1") for number in range(1, 8)]
        assert codes[5:] == ["SWL-110"] * 2
        assert await code(world, bad, "[2001:db8:0:1::1]:1") == "SWL-100"


async def test_d2_a_flood_of_bad_joins_leaves_good_ones_and_the_disk_alone(tmp_path: Path) -> None:
    async with cluster(tmp_path) as world:
        token = await world.token(max_uses=1000)
        spent = await world.token()
        assert isinstance(await join(world, ask(spent)), Admitted)
        bad = msgspec.structs.replace(ask(token), proof=bytes(64))
        late = ask(spent)
        admitted = 0
        for second in range(20):
            # Two hundred tries a second from ten addresses: half cannot prove anything, half come too late.
            flood = [
                join(world, late if number % 2 else bad, f"203.0.113.{number % 10}:1")
                for number in range(200)
            ]
            good = join(world, ask(token), f"10.0.0.{second}:1")
            *_, answer = await asyncio.gather(*flood, good)
            admitted += isinstance(answer, Admitted)
            world.clock.ms += 1000
        assert admitted == 20
        refusals = (await world.kinds()).count("refuse-join")
        assert 0 < refusals <= 10 * (20 + 5)


async def test_d2_more_than_a_thousand_at_once_are_told_to_come_back(tmp_path: Path) -> None:
    async with cluster(tmp_path) as world:
        token = await world.token(max_uses=10)
        request = ask(token)
        answers = await asyncio.gather(*(join(world, request) for _ in range(QUEUE + 5)))
        waiting = [one for one in answers if isinstance(one, Refused)]
        assert [one.code for one in waiting] == ["SWL-110"] * 5


# ---- renewal (C4)


async def member(world: World) -> Any:
    answer = await join(world, ask(await world.token()))
    assert isinstance(answer, Admitted)
    node = await world.store.node(answer.node_uid)
    assert node is not None
    return node


async def test_c4_a_member_gets_a_certificate_for_a_new_key_and_the_old_stays_valid(tmp_path: Path) -> None:
    async with cluster(tmp_path) as world:
        node = await member(world)
        world.clock.ms += 12 * 3_600_000
        key = _native.KeyPair.generate()
        answer = await world.door.renew(node, RenewRequest(key.csr("pi")))
        assert isinstance(answer, Renewed)
        fresh = _native.Identity.create(key, list(answer.chain), b"")
        assert fresh.not_after_ms == world.clock.ms + 86_400_000
        after = await world.store.node(node.node_uid)
        assert after is not None
        assert (after.serial, after.next_serial) == (node.serial, fresh.serial.hex())
        again = await world.door.renew(node, RenewRequest(key.csr("pi")))
        assert isinstance(again, Renewed)
        assert again.chain == answer.chain


async def test_c4_a_renewal_needs_a_new_key_and_an_honest_request(tmp_path: Path) -> None:
    async with cluster(tmp_path) as world:
        key = _native.KeyPair.generate()
        answer = await join(world, ask(await world.token(), key=key))
        assert isinstance(answer, Admitted)
        node = await world.store.node(answer.node_uid)
        assert node is not None
        for csr in (key.csr("pi"), b"", not_to_be_read()["somebody else's key"]):
            refused = await world.door.renew(node, RenewRequest(csr))
            assert isinstance(refused, Refused)
            assert refused.code == "SWL-203"


async def test_c4_a_removed_member_gets_none(tmp_path: Path) -> None:
    async with cluster(tmp_path) as world:
        node = await member(world)
        await world.store.apply(c.RemoveNode(at_ms=world.clock.ms, actor="uid:0", node_uid=node.node_uid))
        answer = await world.door.renew(node, RenewRequest(_native.KeyPair.generate().csr("pi")))
        assert isinstance(answer, Refused)
        assert answer.code == "SWL-207"


async def test_t5_a_device_removed_before_it_heard_its_answer_is_told_that_its_token_is_used_up(
    tmp_path: Path,
) -> None:
    async with cluster(tmp_path) as world:
        token, key = await world.token(), _native.KeyPair.generate()
        first = await join(world, ask(token, key=key))
        assert isinstance(first, Admitted)
        await world.store.apply(c.RemoveNode(at_ms=world.clock.ms, actor="a", node_uid=first.node_uid))
        again = await join(world, ask(token, key=key))
        assert isinstance(again, Refused)
        assert again.code == "SWL-106"


async def test_c4_a_member_that_renews_in_a_circle_is_slowed(tmp_path: Path) -> None:
    async with cluster(tmp_path) as world:
        node = await member(world)

        async def once() -> Renewed | Refused:
            return await world.door.renew(node, RenewRequest(_native.KeyPair.generate().csr("pi")))

        answers = [await once() for _ in range(12)]
        assert [isinstance(one, Renewed) for one in answers] == [True] * 10 + [False] * 2
        assert isinstance(answers[-1], Refused)
        assert answers[-1].retry_after_ms is not None
        world.clock.ms += 61_000
        assert isinstance(await once(), Renewed)


async def test_a_leaf_signed_before_the_intermediate_changed_keeps_its_chain(tmp_path: Path) -> None:
    async with cluster(tmp_path) as world:
        token, key = await world.token(), _native.KeyPair.generate()
        first = await join(world, ask(token, key=key))
        renewed = AuthorityFiles(tmp_path / "ca", tmp_path / "kek").renew(world.clock.ms)
        assert renewed is not None
        world.door.use(renewed)
        again = await join(world, ask(token, key=key))
        assert isinstance(first, Admitted)
        assert isinstance(again, Admitted)
        assert again.chain == first.chain


# ---- minting


async def test_p3_the_same_key_mints_the_same_token(tmp_path: Path) -> None:
    async with cluster(tmp_path) as world:
        wishes = MintRequest(public_key=_native.TokenSeed.generate().public_key)
        first = await world.minter(wishes, "uid:0", "k")
        world.clock.ms += 5000
        assert await world.minter(wishes, "uid:0", "k") == first
        assert len(await world.store.tokens()) == 1
        assert _native.verify_claims(first.signed, world.key.public_key)
        other = MintRequest(public_key=wishes.public_key, max_uses=2)
        with pytest.raises(SwarmletError) as caught:
            await world.minter(other, "uid:0", "k")
        assert caught.value.code == "SWL-608"


async def test_a_token_that_would_be_too_long_is_refused_with_what_to_do(tmp_path: Path) -> None:
    async with cluster(tmp_path) as world:
        long = tuple(f"{letter * 60}.{letter * 60}.{letter * 60}.example:7946" for letter in "abcd")
        with pytest.raises(SwarmletError) as caught:
            await world.token(endpoints=long)
        assert caught.value.code == "SWL-608"
        assert not await world.store.tokens()


async def test_no_secret_of_a_token_is_on_disk(tmp_path: Path) -> None:
    async with cluster(tmp_path) as world:
        seed = _native.TokenSeed.generate()
        minted = await world.minter(MintRequest(public_key=seed.public_key), "uid:0", "")
        text = seed.assemble(minted.signed)
        assert isinstance(await join(world, ask(_native.Token.parse(text))), Admitted)
        import base64  # noqa: PLC0415 - only here

        body = text.removeprefix("swarm_join_")[:-6]
        raw = base64.urlsafe_b64decode(body + "=" * (-len(body) % 4))
        secret = raw[-32:]
        for path in tmp_path.rglob("*"):
            if path.is_file():
                content = path.read_bytes()
                assert secret not in content
                assert text.encode() not in content
