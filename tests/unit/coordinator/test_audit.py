"""U1: whoever edits, drops or reorders a record of the chain is found, and the record is named."""

from __future__ import annotations

import hashlib
import random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarmlet.coordinator.audit import (
    GENESIS,
    AuditRecord,
    Head,
    content,
    next_record,
    record_hash,
    verify,
)

replace = msgspec.structs.replace


def chain(length: int, rng: random.Random | None = None) -> list[AuditRecord]:
    rng = rng or random.Random(7)
    records: list[AuditRecord] = []
    head = Head(0, GENESIS)
    for number in range(length):
        record = next_record(
            head,
            at_ms=1000 + number,
            actor=rng.choice(["uid:0", "coordinator", "node:é"]),
            kind=rng.choice(["admit-node", "report-observed"]),
            payload=rng.randbytes(rng.randrange(20)),
            audited=rng.random() < 0.5,
        )
        records.append(record)
        head = head_of(records)
    return records


def head_of(records: list[AuditRecord]) -> Head:
    return Head(records[-1].seq, records[-1].hash) if records else Head(0, GENESIS)


def test_a_chain_as_it_was_written_is_intact() -> None:
    records = chain(50)
    verdict = verify(records, head_of(records))
    assert verdict.intact
    assert (verdict.records, verdict.broken) == (50, None)
    assert verify([], Head(0, GENESIS)).intact


FIELDS = ["at_ms", "actor", "kind", "audited", "payload", "digest", "previous", "hash"]


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("place", [0, 1, 20, 49])
def test_u1_an_edited_field_names_its_record(field: str, place: int) -> None:
    records = chain(50)
    value = getattr(records[place], field)
    if isinstance(value, bytes):
        edited: object = bytes([value[0] ^ 1]) + value[1:] if value else b"x"
    elif isinstance(value, bool):
        edited = not value
    else:
        edited = value + (1 if isinstance(value, int) else "x")
    head = head_of(records)
    records[place] = replace(records[place], **{field: edited})
    verdict = verify(records, head)
    assert verdict.broken == place + 1
    assert verdict.records == place
    assert f"record {place + 1} was edited" in verdict.problem


@pytest.mark.parametrize("place", [0, 1, 20, 48, 49])
def test_u1_a_dropped_record_is_named(place: int) -> None:
    records = chain(50)
    head = head_of(records)
    del records[place]
    verdict = verify(records, head)
    assert verdict.broken == place + 1
    assert "missing" in verdict.problem


@pytest.mark.parametrize("place", [0, 1, 20, 48])
def test_u1_reordered_records_are_found_at_the_first_of_them(place: int) -> None:
    records = chain(50)
    first, second = records[place], records[place + 1]
    # Both as they lie, and with their numbers changed to fit the new order.
    for one, other in ((second, first), (replace(second, seq=place + 1), replace(first, seq=place + 2))):
        swapped = [*records[:place], one, other, *records[place + 2 :]]
        assert verify(swapped, head_of(records)).broken == place + 1


def test_u1_a_record_written_anew_with_a_fitting_hash_is_named_by_the_one_after_it() -> None:
    records = chain(50)
    forged = replace(records[20], actor="nobody")
    records[20] = replace(forged, hash=record_hash(forged))
    verdict = verify(records, head_of(records))
    assert verdict.broken == 21
    assert "record 21 is not the one that record 22 was written after" in verdict.problem


def test_u1_a_chain_written_anew_from_some_place_is_caught_by_a_head_kept_elsewhere() -> None:
    records = chain(50)
    kept = Head(records[29].seq, records[29].hash)
    rewritten = records[:20]
    for record in records[20:]:
        rewritten.append(
            next_record(
                head_of(rewritten),
                at_ms=record.at_ms,
                actor="forger",
                kind=record.kind,
                payload=record.payload or b"",
                audited=record.audited,
            )
        )
    assert verify(rewritten, head_of(rewritten)).intact
    assert verify(rewritten, head_of(rewritten), [kept]).broken == 30


def test_u1_a_tail_cut_off_together_with_the_head_is_caught_by_a_head_kept_elsewhere() -> None:
    records = chain(50)
    kept = head_of(records)
    assert verify(records[:40], head_of(records[:40]), [kept]).broken == 41


def test_u1_a_record_the_store_did_not_write_is_named() -> None:
    records = chain(50)
    assert verify(records, head_of(records[:49])).broken == 50


def test_dropping_the_payload_of_a_frequent_record_keeps_the_chain_and_of_an_audited_one_breaks_it() -> None:
    records = chain(50)
    frequent = next(place for place, one in enumerate(records) if not one.audited)
    audited = next(place for place, one in enumerate(records) if one.audited)
    pruned = list(records)
    pruned[frequent] = replace(records[frequent], payload=None)
    assert verify(pruned, head_of(records)).intact
    pruned[audited] = replace(records[audited], payload=None)
    assert verify(pruned, head_of(records)).broken == audited + 1


@given(st.integers(0, 2**32), st.integers(1, 30), st.data())
def test_u1_no_single_change_goes_unseen(seed: int, length: int, data: st.DataObject) -> None:
    records = chain(length, random.Random(seed))
    head = head_of(records)
    place = data.draw(st.integers(0, length - 1))
    what = data.draw(st.sampled_from(["drop", "double", "edit"]))
    if what == "drop":
        del records[place]
    elif what == "double":
        records.insert(place, records[place])
    else:
        records[place] = replace(records[place], at_ms=records[place].at_ms + data.draw(st.integers(1, 9)))
    verdict = verify(records, head)
    # A doubled record is found where it stands a second time.
    assert verdict.broken == place + (2 if what == "double" else 1)


def test_fields_cannot_be_moved_between_each_other() -> None:
    record = chain(1)[0]
    one = replace(record, actor="ab", kind="c")
    other = replace(record, actor="a", kind="bc")
    assert record_hash(one) != record_hash(other)


def test_content_is_the_command_and_empty_once_dropped() -> None:
    payload = msgspec.msgpack.encode({"c": "x", "at_ms": 1})
    record = replace(chain(1)[0], payload=payload, digest=hashlib.sha256(payload).digest())
    assert content(record) == {"c": "x", "at_ms": 1}
    assert content(replace(record, payload=None)) == {}
