"""The embedded store over a real file: order, group commit, deadlines, closing, what is on disk."""

from __future__ import annotations

import asyncio
import sqlite3
import stat
import threading
from pathlib import Path

import pytest

from swarmlet.clock import SystemClock
from swarmlet.coordinator.audit import Head
from swarmlet.coordinator.store import schema, writer
from swarmlet.coordinator.store.api import Store
from swarmlet.coordinator.store.commands import SetPairing
from swarmlet.coordinator.store.sqlite import CAPACITY, SqliteStore
from swarmlet.errors import SwarmletError
from swarmlet.model.membership import NodeState
from tests.fakes.history import (
    JTI,
    T0,
    admit,
    init,
    mint,
    move,
    place,
    plan,
    remove,
    report,
    seen,
    submit,
    twin,
    uid,
)


async def opened(tmp_path: Path, **options: float) -> SqliteStore:
    return await SqliteStore.open(tmp_path / "cluster.db", SystemClock(), **options)


async def code_of(waiting) -> str:
    with pytest.raises(SwarmletError) as caught:
        await waiting
    return caught.value.code


async def test_it_keeps_the_interface(tmp_path: Path) -> None:
    async with await opened(tmp_path) as store:
        kept: Store = store
        assert await kept.cluster() is None
        assert await kept.head() == Head(0, bytes(32))
        assert (await kept.verify_audit()).intact
        assert await kept.snapshot() is not None


async def test_what_was_answered_is_read_by_everyone_and_after_a_restart(tmp_path: Path) -> None:
    async with await opened(tmp_path) as store:
        await store.apply(init())
        await store.apply(mint(uses=9))
        admission = (await store.apply(admit(1, profile=twin("f")))).admission
        assert admission is not None
        node = await store.node(uid(1))
        assert (await store.nodes_by_fingerprint("f")) == (node,)
        assert (await store.admission_facts(JTI, f"{1:064x}", "f")).first == admission
        assert (await store.nodes_in_state(NodeState.JOINED)) == (node,)
        await store.apply(submit())
        await store.apply(plan(place(1)))
        before = await store.snapshot()
        assert before.generations == {uid(1): 1}
    async with await opened(tmp_path) as store:
        assert await store.snapshot() == before
        assert (await store.token(JTI)) == (await store.tokens())[0]
        assert await store.generation(uid(1)) == 1
        assert await store.epoch("w", 0) == 1
        assert await store.workload("w") == before.workloads[0]
        assert await store.assignments(node_uid=uid(1), workload_id="w", live=True) == before.assignments
        desired = await store.desired(uid(1))
        assert desired is not None
        assert [one.spec.name for one in desired.assignments] == ["w"]
        assert await store.desired("nobody") is None


async def test_the_files_belong_to_their_owner_alone(tmp_path: Path) -> None:
    async with await opened(tmp_path) as store:
        await store.apply(init())
        for path in tmp_path.iterdir():
            assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    assert [path.name for path in tmp_path.iterdir()] == ["cluster.db"]


async def test_n1_a_commit_is_synced_before_it_is_answered(tmp_path: Path) -> None:
    async with await opened(tmp_path) as store:
        db = store._writer._db
        # Asked on the writing thread, whose connection it is.
        asked = await store._write(
            lambda db: [
                db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("synchronous", "journal_mode")
            ]
        )
        assert asked == [2, "wal"]
        assert db is not None


async def test_a_refused_command_leaves_its_neighbours_alone(tmp_path: Path) -> None:
    async with await opened(tmp_path) as store:
        await store.apply(init())
        await store.apply(mint(uses=100))
        outcomes = await asyncio.gather(
            *(store.apply(admit(number) if number % 3 else remove(number)) for number in range(1, 61)),
            return_exceptions=True,
        )
        assert [isinstance(one, SwarmletError) for one in outcomes] == [
            not number % 3 for number in range(1, 61)
        ]
        assert len(await store.nodes()) == 40
        assert (await store.verify_audit()).records == 42
        assert store.stats()["refused"] == 20


async def test_t5_a_thousand_parallel_redemptions_of_fifty_uses_make_fifty_nodes(tmp_path: Path) -> None:
    async with await opened(tmp_path) as store:
        await store.apply(init())
        await store.apply(mint(uses=50))
        outcomes = await asyncio.gather(
            *(store.apply(admit(number)) for number in range(1, 1001)), return_exceptions=True
        )
        refused = [one.code for one in outcomes if isinstance(one, SwarmletError)]
        assert refused == ["SWL-106"] * 950
        assert len(await store.nodes()) == 50
        token = await store.token(JTI)
        assert token is not None
        assert token.uses == len(token.nodes) == 50


async def test_commands_that_wait_together_share_a_commit(tmp_path: Path) -> None:
    async with await opened(tmp_path) as store:
        await store.apply(init())
        await store.apply(mint(uses=1000))
        before = store.stats()
        await asyncio.gather(*(store.apply(admit(number)) for number in range(1, 501)))
        after = store.stats()
        assert after["commands"] - before["commands"] == 500
        assert after["commits"] - before["commits"] < 100
        assert after["largest_batch"] <= writer.MAX_BATCH


async def test_commands_of_one_caller_keep_their_order(tmp_path: Path) -> None:
    async with await opened(tmp_path) as store:
        await store.apply(init())
        await store.apply(mint(uses=1000))
        results = await asyncio.gather(*(store.apply(admit(number)) for number in range(1, 301)))
        assert [one.seq for one in results] == list(range(3, 303))


async def test_a_bug_in_one_command_is_an_answer_and_the_next_one_works(tmp_path: Path) -> None:
    async with await opened(tmp_path) as store:
        await store.apply(init())
        await store.apply(mint(uses=9))
        await store.apply(admit(1))
        assert await code_of(store.apply(admit(1, csr_key="other"))) == "SWL-799"
        assert await code_of(store.apply("no command")) == "SWL-799"  # type: ignore[arg-type]
        await store.apply(admit(2))
        token = await store.token(JTI)
        assert token is not None
        assert token.uses == 2


async def test_a_store_that_hangs_is_given_up_on_and_its_queue_stays_bounded(tmp_path: Path) -> None:
    async with await opened(tmp_path, wait_s=0.2) as store:
        await store.apply(init())
        hold, held = threading.Event(), threading.Event()

        def hang(_db: sqlite3.Connection) -> None:
            held.set()
            assert hold.wait(30)

        hanging = asyncio.create_task(code_of(store._write(hang)))
        await asyncio.to_thread(held.wait, 10)
        codes = await asyncio.gather(
            *(code_of(store.apply(mint(f"{number:032x}"))) for number in range(CAPACITY + 50))
        )
        assert {*codes, await hanging} == {"SWL-205"}
        assert len(store._writer._queue) < CAPACITY
        hold.set()
        # Nobody waits for them any more, and they are applied all the same.
        store._wait_s = 30
        await store.apply(mint("ff" * 16))
        assert len(await store.tokens()) == CAPACITY


async def test_closing_finishes_what_was_taken_and_refuses_what_comes_after(tmp_path: Path) -> None:
    store = await opened(tmp_path)
    await store.apply(init())
    under_way = [asyncio.create_task(store.apply(mint(f"{number:032x}"))) for number in range(200)]
    while store.stats()["commands"] + len(store._writer._queue) < 2:
        await asyncio.sleep(0)
    await store.close()
    await store.close()
    outcomes = await asyncio.gather(*under_way, return_exceptions=True)
    assert await code_of(store.apply(mint())) == "SWL-799"
    assert await code_of(store.nodes()) == "SWL-799"
    async with await opened(tmp_path) as again:
        assert len(await again.tokens()) == sum(not isinstance(one, SwarmletError) for one in outcomes)


async def test_audit_pages_newest_first_and_leaves_out_the_frequent(tmp_path: Path) -> None:
    async with await opened(tmp_path) as store:
        for command in (init(), mint(uses=9), admit(1), move(1, NodeState.READY), submit(), plan(place(1))):
            await store.apply(command)
        await store.apply(report(1, seen("w.0.1", "running", 1)))
        kinds = [one.kind for one in await store.audit()]
        assert kinds == ["plan-assignments", "submit-workload", "admit-node", "mint-token", "init-cluster"]
        page = await store.audit(limit=2, before=5)
        assert [one.seq for one in page] == [3, 2]
        everything = await store.audit(everything=True)
        assert [one.seq for one in everything] == [7, 6, 5, 4, 3, 2, 1]


async def test_pruning_drops_frequent_payloads_and_the_chain_holds(tmp_path: Path) -> None:
    async with await opened(tmp_path) as store:
        for command in (init(), mint(uses=9), admit(1)):
            await store.apply(command)
        for number in range(20):
            await store.apply(move(1, NodeState.READY if number % 2 == 0 else NodeState.DOWN, T0 + number))
        assert await store.prune(T0 + 10) == 10
        assert await store.prune(T0 + 10) == 0
        assert (await store.verify_audit([await store.head()])).records == 23
        everything = await store.audit(everything=True)
        assert sum(one.payload is None for one in everything) == 10


async def test_u1_a_changed_row_of_the_log_is_named(tmp_path: Path) -> None:
    async with await opened(tmp_path) as store:
        for command in (init(), mint(uses=9), admit(1), admit(2)):
            await store.apply(command)
    db = sqlite3.connect(tmp_path / "cluster.db")
    db.execute("UPDATE log SET actor = 'nobody' WHERE seq = 3")
    db.commit()
    db.close()
    async with await opened(tmp_path) as store:
        verdict = await store.verify_audit()
        assert (verdict.broken, verdict.problem) == (3, "record 3 was edited")


async def test_an_interrupted_founding_leaves_no_file_that_looks_like_a_store(tmp_path: Path) -> None:
    (tmp_path / "cluster.db.new").write_bytes(b"half")
    async with await opened(tmp_path) as store:
        await store.apply(init())
    assert not (tmp_path / "cluster.db.new").exists()


async def test_a_file_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    async with await opened(tmp_path) as store:
        await store.apply(init())
    path = tmp_path / "cluster.db"
    db = sqlite3.connect(path)
    db.execute(f"PRAGMA user_version = {schema.VERSION + 1}")
    db.close()
    before = path.read_bytes()
    assert await code_of(opened(tmp_path)) == "SWL-609"
    assert path.read_bytes() == before


async def test_a_file_of_the_first_version_is_brought_to_this_one(tmp_path: Path) -> None:
    path = tmp_path / "cluster.db"
    db = sqlite3.connect(path)
    for statement in schema.MIGRATIONS[0]:
        db.execute(statement)
    db.execute(
        "INSERT INTO cluster (id, cluster_id, name, root, intermediate, created_ms)"
        " VALUES (1, ?, 'old', x'', x'', 7)",
        ("ab" * 16,),
    )
    db.execute("PRAGMA user_version = 1")
    db.execute(f"PRAGMA application_id = {schema.APPLICATION_ID}")
    db.commit()
    db.close()
    async with await opened(tmp_path) as store:
        found = await store.cluster()
        assert found is not None
        assert (found.name, found.pairing) == ("old", False)
        result = await store.apply(SetPairing(at_ms=T0, actor="uid:0", on=True))
        assert result.changed
        assert not (await store.apply(SetPairing(at_ms=T0, actor="uid:0", on=True))).changed
    async with await opened(tmp_path) as store:
        found = await store.cluster()
        assert found is not None
        assert found.pairing


async def test_a_directory_that_is_not_there_is_an_error_of_the_catalogue(tmp_path: Path) -> None:
    assert await code_of(opened(tmp_path / "nothing")) == "SWL-301"
