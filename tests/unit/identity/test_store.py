"""Credentials on disk: what is remembered, what is refused, when they are renewed."""

from __future__ import annotations

import uuid

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarmlet import _native
from swarmlet.clock import ClusterTime
from swarmlet.errors import SwarmletError
from swarmlet.identity import store as cr
from swarmlet.identity.rotation import renewal_is_due
from swarmlet.identity.store import Vault
from swarmlet.link.messages import Admitted, Renewed, Settings
from tests.fakes.pki import Authority

AUTHORITY = Authority("ab" * 16)
SETTINGS = Settings(AUTHORITY.cluster_id, "home", ("10.0.0.1:7946",), (AUTHORITY.pin,), 5000, 15000)


class Clock:
    def __init__(self, boot=1000.0):
        self.now = boot

    def boot(self):
        return self.now

    def wall_ms(self):
        return 0


def admitted(leaf, uid, **changes):
    fields = {
        "node_uid": str(uid),
        "name": "pi",
        "chain": tuple(leaf.chain),
        "settings": SETTINGS,
        "time_ms": 1_800_000_000_000,
        "node_class": "Edge",
        "suitability": ("sensors",),
        "reason": "",
    }
    return Admitted(**(fields | changes))


@pytest.fixture
def member():
    uid = uuid.uuid4()
    leaf = AUTHORITY.node(uid)
    return leaf, uid, cr.admission(leaf.key, admitted(leaf, uid), Clock(), "boot-1")


def test_what_was_saved_is_loaded(tmp_path, member):
    _, uid, made = member
    vault = Vault(str(tmp_path))
    assert vault.load() is None
    vault.save(made)
    found = Vault(str(tmp_path)).load()
    assert found.memory == made.memory
    assert found.memory.node_uid == str(uid)
    assert found.identity.chain == made.identity.chain
    vault.wipe()
    assert vault.load() is None


def test_a_certificate_for_another_key_or_node_is_not_taken(member):
    leaf, uid, _ = member
    with pytest.raises(SwarmletError):
        cr.admission(_native.KeyPair.generate(), admitted(leaf, uid), Clock(), "b")
    with pytest.raises(SwarmletError, match="not for swarmlet://"):
        cr.admission(leaf.key, admitted(leaf, uuid.uuid4()), Clock(), "b")


def test_a_renewal_keeps_who_this_is(member):
    _, uid, made = member
    leaf = AUTHORITY.node(uid)
    after = cr.renewal(made, leaf.key, Renewed(tuple(leaf.chain), SETTINGS, 5), Clock(), "boot-2")
    assert (after.memory.node_uid, after.memory.name) == (str(uid), "pi")
    assert after.memory.told_ms == 5
    assert after.identity.serial != made.identity.serial


def test_news_of_the_cluster_is_a_new_value_and_no_news_is_none(member):
    _, _, made = member
    assert cr.updated(made, "pi", SETTINGS) is made
    moved = msgspec.structs.replace(SETTINGS, endpoints=("10.0.0.2:7946",))
    assert cr.updated(made, "pi", moved).memory.settings.endpoints == ("10.0.0.2:7946",)


@pytest.mark.parametrize("meta", [b"", b"\xff", b"\x80"])
def test_a_memory_that_is_none_is_damage(tmp_path, member, meta):
    _, _, made = member
    _native.IdentityStore(str(tmp_path / "identity")).save(made.identity.with_meta(meta))
    with pytest.raises(SwarmletError, match="SWL-300"):
        Vault(str(tmp_path)).load()


def test_one_damaged_slot_costs_nothing(tmp_path, member):
    _, _, made = member
    vault = Vault(str(tmp_path))
    vault.save(made)
    vault.save(made)
    slots = sorted((tmp_path / "identity").iterdir())
    slots[0].write_bytes(slots[0].read_bytes()[:-1] + b"\x00")
    assert vault.load().memory == made.memory


def test_time_is_carried_within_one_boot_and_not_over_a_reboot(member):
    _, _, made = member
    clock = Clock(1060.0)
    time = ClusterTime(clock)
    cr.recall_time(made.memory, "boot-2", clock, time)
    assert time.now_ms() is None
    cr.recall_time(made.memory, "boot-1", clock, time)
    assert time.now_ms() == 1_800_000_060_000


HOUR = 3_600_000


@given(st.integers(0, 10**13), st.integers(1, 1000), st.floats(0, 1), st.integers(-(10**12), 10**14))
def test_renewal_is_due_between_two_and_three_fifths_of_its_life(begin, hours, jitter, now):
    life = hours * HOUR
    due = renewal_is_due(now, begin, begin + life, jitter)
    if now < begin + 0.4 * life:
        assert not due
    if now > begin + 0.6 * life + 1:
        assert due


def test_before_anyone_told_the_time_nothing_is_due():
    assert not renewal_is_due(None, 0, 1, 0.0)
