"""N1: what was acknowledged is there after a kill at any moment; damage and a full disk are said."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import random
import select
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from swarmlet.clock import SystemClock
from swarmlet.coordinator.store import commands as c
from swarmlet.coordinator.store.sqlite import SqliteStore
from swarmlet.errors import SwarmletError
from swarmlet.model.membership import NodeState
from tests.fakes.history import JTI, T0, admit, init, mint, remove, uid

ROUNDS = 100


async def opened(directory: Path) -> SqliteStore:
    return await SqliteStore.open(directory / "cluster.db", SystemClock())


@contextlib.contextmanager
def doomed(run: Callable[[Callable[[str], None]], None]) -> Iterator[tuple[int, int]]:
    """Fork a process that runs ``run(acknowledge)``; yield its pid and the pipe of its acknowledgements.

    It is killed on leaving. Each line is one system call, as an answer over a socket would be.
    """
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.close(reading)
            run(lambda line: os.write(writing, line.encode() + b"\n") and None)
            code = 0
        finally:
            os._exit(code)
    os.close(writing)
    try:
        yield pid, reading
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(reading)


def kill_after(pid: int, reading: int, lines: int, delay_s: float) -> list[str]:
    """Wait for so many acknowledgements, then a little longer, then kill; return all that were given."""
    got = b""
    deadline = time.monotonic() + 20
    while got.count(b"\n") < lines and time.monotonic() < deadline:
        if select.select([reading], [], [], 0.5)[0]:
            chunk = os.read(reading, 65536)
            if not chunk:
                break
            got += chunk
    time.sleep(delay_s)  # a random moment inside the next transactions is the point
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    while chunk := os.read(reading, 65536):
        got += chunk
    return [line.decode() for line in got.split(b"\n") if line]


@pytest.mark.timeout(180)
def test_n1_killed_at_a_hundred_random_moments_nothing_acknowledged_is_lost(
    tmp_path: Path, seed: int
) -> None:
    rng = random.Random(seed)
    admitted: dict[str, str] = {}
    removed: set[str] = set()

    async def begin() -> None:
        async with await opened(tmp_path) as store:
            await store.apply(init())
            await store.apply(mint(uses=1_000_000, expires_ms=T0 + 2**40))

    asyncio.run(begin())

    def live(round_: int, choices: random.Random, old: list[str]) -> Callable[[Callable[[str], None]], None]:
        async def one(store: SqliteStore, lane: int, acknowledge: Callable[[str], None]) -> None:
            for turn in range(10_000):
                number = round_ * 1_000_000 + lane * 20_000 + turn
                if old and choices.random() < 0.2:
                    victim = choices.choice(old)
                    await store.apply(c.RemoveNode(at_ms=T0, actor="uid:0", node_uid=victim))
                    acknowledge(f"removed {victim}")
                else:
                    result = await store.apply(admit(number, f"n{choices.randrange(50)}"))
                    assert result.admission is not None
                    acknowledge(f"admitted {result.admission.node_uid} {result.admission.name}")

        async def run(acknowledge: Callable[[str], None]) -> None:
            store = await opened(tmp_path)
            async with asyncio.TaskGroup() as tasks:
                for lane in range(8):
                    tasks.create_task(one(store, lane, acknowledge))

        return lambda acknowledge: asyncio.run(run(acknowledge))

    async def check() -> None:
        async with await opened(tmp_path) as store:
            rows = {node.node_uid: node for node in await store.nodes(removed=True)}
            denied = set(await store.denied_serials())
            for node_uid, name in admitted.items():
                assert rows[node_uid].name == name
            for node_uid in removed:
                assert rows[node_uid].state is NodeState.REVOKED
                assert rows[node_uid].serial in denied
            token = await store.token(JTI)
            assert token is not None
            assert token.uses == len(token.nodes)

    async def check_chain() -> None:
        async with await opened(tmp_path) as store:
            assert (await store.verify_audit()).intact

    for round_ in range(1, ROUNDS + 1):
        old = rng.sample(sorted(admitted), min(20, len(admitted)))
        with doomed(live(round_, random.Random(rng.random()), old)) as (pid, reading):
            acknowledged = kill_after(pid, reading, rng.randrange(1, 30), rng.random() * 0.01)
        assert acknowledged
        for line in acknowledged:
            what, node_uid, *name = line.split()
            if what == "admitted":
                admitted[node_uid] = name[0]
            else:
                removed.add(node_uid)
        asyncio.run(check())
    asyncio.run(check_chain())
    assert len(admitted) > ROUNDS
    assert removed


@pytest.mark.timeout(120)
def test_t5_fifty_uses_make_fifty_nodes_also_across_kills_midway(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    devices = list(range(1, 1001))
    rng.shuffle(devices)
    answers: dict[int, str] = {}

    async def begin() -> None:
        async with await opened(tmp_path) as store:
            await store.apply(init())
            await store.apply(mint(uses=50))

    def redeem(attempt: int, whole: bool) -> Callable[[Callable[[str], None]], None]:
        async def one(store: SqliteStore, device: int, acknowledge: Callable[[str], None]) -> None:
            # A device keeps its key over its tries; the coordinator chooses another uid each time.
            command = admit(attempt * 10_000 + device, csr_key=f"{device:064x}")
            try:
                result = await store.apply(command)
            except SwarmletError as refusal:
                acknowledge(f"{device} {refusal.code}")
                return
            assert result.admission is not None
            acknowledge(f"{device} {result.admission.node_uid}")

        async def run(acknowledge: Callable[[str], None]) -> None:
            async with await opened(tmp_path) as store:
                if whole:
                    await asyncio.gather(*(one(store, device, acknowledge) for device in devices))
                    return
                for start in range(0, len(devices), 4):
                    await asyncio.gather(*(one(store, d, acknowledge) for d in devices[start : start + 4]))

        return lambda acknowledge: asyncio.run(run(acknowledge))

    def take(lines: list[str]) -> None:
        for line in lines:
            device, answer = line.split()
            if not answer.startswith("SWL"):
                # Whoever was admitted is admitted again as the same node, whatever was killed in between.
                assert answers.setdefault(int(device), answer) == answer
            else:
                assert answer == "SWL-106"
                assert int(device) not in answers

    asyncio.run(begin())
    for attempt in range(1, 7):
        with doomed(redeem(attempt, whole=False)) as (pid, reading):
            take(kill_after(pid, reading, rng.randrange(1, 14), rng.random() * 0.005))
    with doomed(redeem(9, whole=True)) as (pid, reading):
        take(kill_after(pid, reading, 1000, 0.0))

    async def check() -> None:
        async with await opened(tmp_path) as store:
            token = await store.token(JTI)
            assert token is not None
            assert token.uses == len(token.nodes) == 50
            assert set(answers.values()) == set(token.nodes)
            assert (await store.verify_audit()).intact

    asyncio.run(check())


# ---- damage


async def filled(directory: Path) -> Path:
    async with await opened(directory) as store:
        await store.apply(init())
        await store.apply(mint(uses=1000))
        await asyncio.gather(*(store.apply(admit(number)) for number in range(1, 200)))
        await store.apply(remove(5))
    return directory / "cluster.db"


async def opened_or_code(directory: Path) -> tuple[SqliteStore | None, str]:
    try:
        return await opened(directory), ""
    except SwarmletError as failure:
        return None, failure.code


async def code_of_reading(store: SqliteStore) -> str | None:
    try:
        await store.snapshot()
        await store.nodes(removed=True)
        await store.tokens()
        await store.audit(everything=True, limit=10_000)
        await store.verify_audit()
    except SwarmletError as failure:
        return failure.code
    return None


async def test_a_damaged_page_is_said_and_the_file_left_as_it_is(tmp_path: Path, seed: int) -> None:
    path = await filled(tmp_path)
    good = path.read_bytes()
    rng = random.Random(seed)
    refused = 0
    pages = len(good) // 4096
    for _ in range(60):
        page = rng.randrange(pages)
        start = page * 4096 + rng.choice((0, 0, rng.randrange(4000)))
        bad = bytearray(good)
        bad[start : start + 64] = rng.randbytes(64)
        path.write_bytes(bad)
        digest = hashlib.sha256(bad).digest()
        store, code = await opened_or_code(tmp_path)
        if store is None:
            assert code in {"SWL-602", "SWL-609"}
            assert hashlib.sha256(path.read_bytes()).digest() == digest
            refused += 1
            continue
        # Damage inside a value leaves the structure whole: then every read works or says so.
        assert await code_of_reading(store) in {None, "SWL-602"}
        await store.close()
    assert refused > 20


def test_damage_found_after_a_kill_changes_neither_the_file_nor_its_log(tmp_path: Path) -> None:
    async def begin() -> None:
        await filled(tmp_path)

    async def run(acknowledge: Callable[[str], None]) -> None:
        store = await opened(tmp_path)
        for number in range(300, 320):
            await store.apply(admit(number))
            acknowledge(str(number))

    asyncio.run(begin())
    with doomed(lambda acknowledge: asyncio.run(run(acknowledge))) as (pid, reading):
        kill_after(pid, reading, 5, 0.0)
    path = tmp_path / "cluster.db"
    bad = bytearray(path.read_bytes())
    for page in range(4, len(bad) // 4096):
        bad[page * 4096 : page * 4096 + 8] = b"\xff" * 8
    path.write_bytes(bad)
    log = tmp_path / "cluster.db-wal"
    before = log.read_bytes()
    assert before
    store, code = asyncio.run(opened_or_code(tmp_path))
    assert (store, code) == (None, "SWL-602")
    assert path.read_bytes() == bad
    assert log.read_bytes() == before


@pytest.mark.parametrize(
    "content",
    [b"", b"SQLite format 3\0", b"\0" * 8192, b"hello, I am no database" * 400],
    ids=["empty", "header only", "zeros", "text"],
)
async def test_a_file_that_is_no_database_is_said_and_left_as_it_is(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "cluster.db"
    path.write_bytes(content)
    with pytest.raises(SwarmletError) as caught:
        await opened(tmp_path)
    assert caught.value.code == "SWL-602"
    assert path.read_bytes() == content


async def test_a_truncated_file_is_said(tmp_path: Path) -> None:
    path = await filled(tmp_path)
    whole = path.read_bytes()
    for length in (len(whole) // 2, len(whole) - 4096, 5000):
        path.write_bytes(whole[:length])
        with pytest.raises(SwarmletError) as caught:
            await opened(tmp_path)
        assert caught.value.code == "SWL-602"


async def test_another_programs_database_is_not_touched(tmp_path: Path) -> None:
    import sqlite3  # noqa: PLC0415 - plays another program

    path = tmp_path / "cluster.db"
    db = sqlite3.connect(path)
    db.execute("CREATE TABLE theirs (x)")
    db.close()
    before = path.read_bytes()
    with pytest.raises(SwarmletError) as caught:
        await opened(tmp_path)
    assert caught.value.code == "SWL-602"
    assert path.read_bytes() == before


# ---- a full disk


@pytest.fixture
def tiny(tmp_path: Path) -> Iterator[Path]:
    """A file system of three megabytes."""
    if os.geteuid() != 0:
        pytest.skip("mounting a tiny file system needs root")
    place = tmp_path / "tiny"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(place)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"cannot mount: {mounted.stderr.decode().strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


async def test_a_full_disk_is_said_and_the_store_works_again_when_there_is_room(tiny: Path) -> None:
    async with await opened(tiny) as store:
        await store.apply(init())
        await store.apply(mint(uses=100_000))
        ballast = tiny / "ballast"
        taken = 0
        with contextlib.suppress(OSError):
            ballast.write_bytes(bytes(1_500_000))
        code = ""
        for number in range(1, 3000):
            try:
                await store.apply(admit(number))
            except SwarmletError as failure:
                code = failure.code
                break
            taken += 1
        assert code == "SWL-302"
        assert len(await store.nodes()) == taken > 0
        ballast.unlink()
        for number in range(5000, 5005):
            await store.apply(admit(number))
        assert len(await store.nodes()) == taken + 5
        assert (await store.verify_audit()).intact
    async with await opened(tiny) as store:
        assert len(await store.nodes()) == taken + 5
        assert await store.node(uid(1)) is not None
