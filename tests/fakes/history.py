"""Commands for tests of the store: makers that fill in what does not matter, and seeded histories."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from swarmlet.coordinator.store import commands as c
from swarmlet.coordinator.store import schema
from swarmlet.coordinator.store.api import Result
from swarmlet.coordinator.store.apply import apply
from swarmlet.coordinator.store.connection import migrate, open_writer
from swarmlet.errors import SwarmletError
from swarmlet.model.membership import Availability, NodeState
from swarmlet.model.profile import Profile
from swarmlet.model.workload import AssignmentState, Observation
from tests.fakes.records import profile, spec

T0 = 1_700_000_000_000
HOUR = 3_600_000
JTI = "aa" * 16


def uid(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012x}"


def serial(number: int) -> str:
    return f"4{number:031x}"


def twin(fingerprint: str | None, name: str = "pi") -> Profile:
    """A profile with a hardware fingerprint."""
    made = profile(name)
    return Profile(**{**{f: getattr(made, f) for f in made.__struct_fields__}, "fingerprint": fingerprint})


def init(**given: Any) -> c.InitCluster:
    fields: dict[str, Any] = {
        "at_ms": T0,
        "actor": "uid:0",
        "cluster_id": "ab" * 16,
        "name": "test",
        "root": b"root",
        "intermediate": b"intermediate",
        "token_kid": bytes(8),
        "token_key": bytes(32),
    }
    return c.InitCluster(**{**fields, **given})


def mint(jti: str = JTI, uses: int = 1, **given: Any) -> c.MintToken:
    fields: dict[str, Any] = {
        "at_ms": T0,
        "actor": "uid:0",
        "jti": jti,
        "claims": b"claims",
        "expires_ms": T0 + HOUR,
        "max_uses": uses,
    }
    return c.MintToken(**{**fields, **given})


def admit(number: int, name: str = "pi", **given: Any) -> c.AdmitNode:
    fields: dict[str, Any] = {
        "at_ms": T0 + 1000,
        "actor": f"token:{JTI}",
        "jti": JTI,
        "csr_key": f"{number:064x}",
        "node_uid": uid(number),
        "name": name,
        "asked_name": name,
        "chain": (b"leaf %d" % number,),
        "serial": serial(number),
        "not_after_ms": T0 + 24 * HOUR,
        "profile": profile(name),
        "capabilities": (),
        "clamped": (),
        "version": "0.1.0",
        "seen": "192.0.2.7",
    }
    return c.AdmitNode(**{**fields, **given})


def move(number: int, state: NodeState, at_ms: int = T0 + 2000) -> c.NodeTransition:
    return c.NodeTransition(
        at_ms=at_ms, actor="coordinator", node_uid=uid(number), state=state, reason="its lease says so"
    )


def renew(number: int, fresh: int, **given: Any) -> c.RenewCertificate:
    fields: dict[str, Any] = {
        "at_ms": T0 + 12 * HOUR,
        "actor": f"node:{uid(number)}",
        "node_uid": uid(number),
        "serial": serial(fresh),
        "not_after_ms": T0 + 36 * HOUR,
        "chain": (b"leaf %d" % fresh,),
        "csr_key": f"{fresh:064x}",
    }
    return c.RenewCertificate(**{**fields, **given})


def confirm(number: int, fresh: int, at_ms: int = T0 + 13 * HOUR) -> c.ConfirmCertificate:
    return c.ConfirmCertificate(
        at_ms=at_ms, actor=f"node:{uid(number)}", node_uid=uid(number), serial=serial(fresh)
    )


def remove(number: int, **given: Any) -> c.RemoveNode:
    return c.RemoveNode(**{"at_ms": T0 + 5000, "actor": "uid:0", "node_uid": uid(number), **given})


def submit(workload_id: str = "w", **given: Any) -> c.SubmitWorkload:
    fields = {name: given.pop(name) for name in ("at_ms", "actor", "key", "intent") if name in given}
    return c.SubmitWorkload(
        **{
            "at_ms": T0 + 3000,
            "actor": "uid:0",
            "workload_id": workload_id,
            "spec": spec(given.pop("name", workload_id), **given),
            **fields,
        }
    )


def place(number: int, workload_id: str = "w", replica: int = 0, epoch: int = 1) -> c.Place:
    return c.Place(f"{workload_id}.{replica}.{epoch}", workload_id, replica, epoch, uid(number))


def plan(*places: c.Place, **given: Any) -> c.PlanAssignments:
    return c.PlanAssignments(**{"at_ms": T0 + 4000, "actor": "coordinator", "place": places, **given})


def seen(assignment_id: str, state: str, sequence: int, **given: Any) -> Observation:
    fields: dict[str, Any] = {
        "assignment_id": assignment_id,
        "epoch": 1,
        "sequence": sequence,
        "state": AssignmentState(state),
        "since_ms": T0 + 4500 + sequence,
    }
    return Observation(**{**fields, **given})


def report(number: int, *observations: Observation) -> c.ReportObserved:
    return c.ReportObserved(
        at_ms=T0 + 5000, actor=f"node:{uid(number)}", node_uid=uid(number), observations=observations
    )


# ---- the application functions without threads


class Bench:
    """A database and the application functions, as the writing thread uses them, one command at a time.

    In memory without a ``path``.
    """

    def __init__(self, path: Path | None = None) -> None:
        if path is not None:
            self.db = open_writer(path)
            return
        self.db = sqlite3.connect(":memory:", isolation_level=None)
        self.db.execute("PRAGMA foreign_keys = ON")
        migrate(self.db)

    def do(self, command: c.AnyCommand) -> Result:
        """Apply one command; a refused one leaves nothing."""
        self.db.execute("BEGIN")
        try:
            result = apply(self.db, command)
        except BaseException:
            self.db.execute("ROLLBACK")
            raise
        self.db.execute("COMMIT")
        return result

    def refusal(self, command: c.AnyCommand) -> str:
        """Apply a command that must be refused and change nothing; return its code."""
        before = dump(self.db)
        try:
            self.do(command)
        except SwarmletError as failure:
            assert dump(self.db) == before
            return failure.code
        raise AssertionError("the command was taken")

    def close(self) -> None:
        self.db.close()


def dump(db: sqlite3.Connection) -> dict[str, list[tuple[object, ...]]]:
    """Return every row of every table."""
    tables = (*schema.STATE_TABLES, "log", "head")
    return {table: sorted(db.execute(f"SELECT * FROM {table}").fetchall(), key=repr) for table in tables}  # noqa: S608


# ---- histories


def history(rng: random.Random, length: int) -> Iterator[c.AnyCommand]:
    """Yield a founding and then ``length`` plausible commands, some of which will be refused."""
    yield init()
    at_ms = T0
    for number in range(1, length + 1):
        at_ms += rng.choice((0, 1, 250, 30_000, 700_000))
        yield rng.choice(_MAKERS)(rng, number, at_ms)


def _jti(rng: random.Random) -> str:
    return f"{rng.randrange(4):032x}"


def _some(rng: random.Random, number: int) -> int:
    return rng.randrange(1, max(2, number))


def _states(rng: random.Random) -> NodeState:
    return rng.choice(list(NodeState))


def _history_admit(rng: random.Random, number: int, at_ms: int) -> c.AnyCommand:
    fingerprint = rng.choice((None, "f1", "f2"))
    replaces = uid(_some(rng, number)) if rng.random() < 0.5 else None
    return admit(
        number,
        rng.choice(("pi", "pi-2", "garden")),
        at_ms=at_ms,
        jti=_jti(rng),
        csr_key=f"{_some(rng, number) if rng.random() < 0.2 else number:064x}",
        profile=twin(fingerprint),
        replaces=replaces,
    )


def _history_report(rng: random.Random, number: int, at_ms: int) -> c.AnyCommand:
    def one() -> Observation:
        workload, replica, epoch = rng.randrange(4), rng.randrange(2), rng.randrange(1, 4)
        state = rng.choice(list(AssignmentState)).value
        return seen(f"w{workload}.{replica}.{epoch}", state, rng.randrange(1, 9), epoch=epoch)

    return report(_some(rng, number), *(one() for _ in range(rng.randrange(1, 4))))


def _history_plan(rng: random.Random, number: int, at_ms: int) -> c.AnyCommand:
    ids = [f"w{rng.randrange(4)}.{rng.randrange(2)}.{rng.randrange(1, 4)}" for _ in range(2)]
    return plan(
        place(_some(rng, number), f"w{rng.randrange(4)}", rng.randrange(2), rng.randrange(1, 5)),
        at_ms=at_ms,
        stop=tuple(ids[:1]) if rng.random() < 0.3 else (),
        lose=tuple(ids[1:]) if rng.random() < 0.3 else (),
    )


_MAKERS = (
    lambda rng, number, at_ms: mint(
        _jti(rng), rng.randrange(1, 30), at_ms=at_ms, expires_ms=at_ms + 40 * HOUR
    ),
    _history_admit,
    _history_admit,
    _history_admit,
    lambda rng, number, at_ms: move(_some(rng, number), _states(rng), at_ms),
    lambda rng, number, at_ms: move(_some(rng, number), _states(rng), at_ms),
    lambda rng, number, at_ms: renew(_some(rng, number), 10_000 + number, at_ms=at_ms),
    lambda rng, number, at_ms: confirm(_some(rng, number), 10_000 + _some(rng, number), at_ms),
    lambda rng, number, at_ms: remove(
        _some(rng, number), at_ms=at_ms, left=rng.random() < 0.5, block=rng.random() < 0.2
    ),
    lambda rng, number, at_ms: c.RevokeToken(
        at_ms=at_ms, actor="uid:0", jti=_jti(rng), cascade=rng.random() < 0.3
    ),
    lambda rng, number, at_ms: c.LabelNode(
        at_ms=at_ms, actor="uid:0", key=f"k{rng.randrange(9)}", node_uid=uid(_some(rng, number)),
        labels={rng.choice("ab"): rng.choice(("x", None))},
    ),
    lambda rng, number, at_ms: c.SetAvailability(
        at_ms=at_ms, actor="uid:0", node_uid=uid(_some(rng, number)),
        availability=rng.choice(list(Availability)),
    ),
    lambda rng, number, at_ms: c.SetPairing(at_ms=at_ms, actor="uid:0", on=rng.random() < 0.5),
    lambda rng, number, at_ms: submit(f"w{rng.randrange(4)}", at_ms=at_ms, name=f"n{rng.randrange(3)}"),
    lambda rng, number, at_ms: c.StopWorkload(at_ms=at_ms, actor="uid:0", workload_id=f"w{rng.randrange(4)}"),
    _history_plan,
    _history_plan,
    _history_report,
    _history_report,
)  # fmt: skip
