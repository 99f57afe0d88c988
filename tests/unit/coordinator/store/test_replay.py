"""The state is a function of the log: replaying it gives the same rows; and no history breaks a law."""

from __future__ import annotations

import random
import sqlite3

from hypothesis import given
from hypothesis import strategies as st

from swarmlet.coordinator.store import queries
from swarmlet.coordinator.store.apply import decode
from swarmlet.errors import SwarmletError
from swarmlet.model.workload import TERMINAL
from tests.fakes.history import Bench, dump, history


def live(rng: random.Random, length: int) -> Bench:
    """Run a random history; what is refused must be refused by a code, never by a crash."""
    bench = Bench()
    for command in history(rng, length):
        try:
            bench.do(command)
        except SwarmletError as refusal:
            assert refusal.code != "SWL-799"  # noqa: PT017 - any other code is a fine answer
        except sqlite3.IntegrityError:
            # A maker may choose an identifier twice, which the coordinator never does.
            continue
    return bench


@given(st.integers(0, 2**32))
def test_replaying_the_log_gives_the_same_state(seed: int) -> None:
    bench = live(random.Random(seed), 60)
    copy = Bench()
    for record in queries.log(bench.db):
        assert record.payload is not None
        assert copy.do(decode(record.payload)).seq == record.seq
    assert dump(copy.db) == dump(bench.db)
    bench.close()
    copy.close()


@given(st.integers(0, 2**32))
def test_no_history_breaks_a_law(seed: int) -> None:
    bench = live(random.Random(seed), 80)
    db = bench.db
    assert queries.verify_audit(db, ()).intact
    for token in queries.tokens(db):
        assert len(token.nodes) == token.uses <= token.max_uses
    here = queries.nodes(db, removed=False)
    assert len({node.name for node in here}) == len(here)
    denied = set(queries.denied_serials(db))
    assert not denied & {serial for node in here for serial in (node.serial, node.next_serial)}
    for node in queries.nodes(db, removed=True):
        if node not in here:
            assert node.serial in denied
            assert not queries.assignments(db, node_uid=node.node_uid, workload_id=None, live=True)
    seen: dict[tuple[str, int], int] = {}
    for row in queries.assignments(db, node_uid=None, workload_id=None, live=False):
        assert row.epoch > seen.get((row.workload_id, row.replica), 0)
        seen[row.workload_id, row.replica] = row.epoch
        assert queries.epoch(db, row.workload_id, row.replica) >= row.epoch
        wanted = queries.desired(db, row.node_uid)
        assert wanted is not None
        listed = row.assignment_id in {one.assignment_id for one in wanted.assignments}
        assert listed == (row.state not in TERMINAL)
    bench.close()


@given(st.integers(0, 2**32))
def test_equal_generations_mean_equal_desired_sets(seed: int) -> None:
    rng = random.Random(seed)
    bench = Bench()
    known: dict[tuple[str, int], object] = {}
    for command in history(rng, 60):
        try:
            result = bench.do(command)
        except (SwarmletError, sqlite3.IntegrityError):
            continue
        for node in queries.nodes(bench.db, removed=True):
            desired = queries.desired(bench.db, node.node_uid)
            assert desired is not None
            key = (node.node_uid, desired.generation)
            assert known.setdefault(key, desired.assignments) == desired.assignments
            if node.node_uid in result.generations:
                assert result.generations[node.node_uid] == desired.generation
    bench.close()
