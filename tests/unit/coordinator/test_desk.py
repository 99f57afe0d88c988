"""Two administrators and one device at the same moment (``coordinator/pairing.py``)."""

from __future__ import annotations

import asyncio
import random

import pytest

from swarmlet.clock import SystemClock
from swarmlet.coordinator.pairing import Desk
from swarmlet.coordinator.pairings import Came, Pairing, Pairings, State
from swarmlet.errors import SwarmletError
from swarmlet.link.messages import PairRequest
from swarmlet.model.pairing import commitment
from swarmlet.model.requests import MintRequest
from swarmlet.model.views import MintedView
from swarmlet.tokens.check import Refusal


class Office:
    """A desk, a device that waits at it, and a minter that takes as long as the test likes."""

    def __init__(self) -> None:
        self.clock = SystemClock()
        self.table = Pairings("ab" * 16, on=True)
        self.asked: list[MintRequest] = []
        self.ready = asyncio.Event()
        loop = asyncio.get_running_loop()
        self.desk = Desk(self.table, lambda: bytes(32), self.mint, self.clock, loop)  # type: ignore[arg-type]
        dice, now = random.Random(3), self.clock.boot()
        value = dice.randbytes(32)
        asks = PairRequest(dice.randbytes(32), commitment(value), "pi", "Edge", "a Pi", "0.1.0")
        made = self.table.begin(asks, Came("s", "s", b"e" * 32, dice.randbytes(16).hex(), bytes(32)), now)
        assert not isinstance(made, Refusal)
        self.one: Pairing = made
        self.table.reveal(made.pairing_id, value, b"e" * 32, bytes(32), now)

    async def mint(self, wishes: MintRequest, actor: str, key: str) -> MintedView:
        self.asked.append(wishes)
        await self.ready.wait()
        return MintedView(
            jti="aa" * 16,
            signed=b"claims",
            expires_ms=1,
            max_uses=1,
            endpoints=(),
            cluster_name="home",
            cluster_id="ab" * 16,
            fingerprint="-",
        )

    async def meanwhile(self, *works) -> list[object]:
        """Begin all of it in this order, let the minter be done then, and return what came of each."""
        tasks = []
        for work in works:
            tasks.append(asyncio.ensure_future(work))
            for _ in range(5):
                await asyncio.sleep(0)
        self.ready.set()
        return await asyncio.gather(*tasks, return_exceptions=True)


def code_of(outcome: object) -> str:
    assert isinstance(outcome, SwarmletError), outcome
    return outcome.code


async def test_two_who_approve_alike_make_one_token() -> None:
    office = Office()
    approve = office.desk.approve
    came = await office.meanwhile(
        approve(office.one, ("exec", " EXEC "), "ada"), approve(office.one, ("exec",), "bob")
    )
    assert came == [None, None]
    assert [wishes.allow for wishes in office.asked] == [("exec",)]


async def test_the_second_of_two_who_approve_differently_is_told() -> None:
    office = Office()
    approve = office.desk.approve
    first, second = await office.meanwhile(
        approve(office.one, (), "ada"), approve(office.one, ("exec",), "bob")
    )
    assert first is None
    assert code_of(second) == "SWL-608"
    assert "with no --allow" in str(second)
    assert len(office.asked) == 1


async def test_whoever_denies_during_an_approval_is_told_how_to_take_it_back() -> None:
    office = Office()
    first, second = await office.meanwhile(
        office.desk.approve(office.one, (), "ada"), office.desk.deny(office.one)
    )
    assert first is None
    assert isinstance(second, SwarmletError)
    assert "token revoke aaaaaaaaaaaa" in second.next
    assert office.one.state is State.APPROVED


async def test_pairing_turned_off_during_an_approval_wins() -> None:
    office = Office()

    async def turn_off() -> None:
        office.table.turn(on=False)

    first, _ = await office.meanwhile(office.desk.approve(office.one, (), "ada"), turn_off())
    assert code_of(first) == "SWL-608"
    assert office.one.signed == b""
    assert office.one.state is State.SPENT


async def test_a_failed_approval_leaves_the_device_waiting() -> None:
    office = Office()
    office.ready.set()

    async def full(*_given: object) -> MintedView:
        raise OSError

    office.desk._mint = full  # type: ignore[assignment]
    with pytest.raises(SwarmletError, match="SWL-799"):
        await office.desk.approve(office.one, (), "ada")
    office.desk._mint = office.mint
    await office.desk.approve(office.one, (), "ada")
    assert office.one.state is State.APPROVED


async def test_an_unknown_capability_is_refused_by_its_own_command() -> None:
    office = Office()
    with pytest.raises(SwarmletError, match="SWL-608") as refused:
        await office.desk.approve(office.one, ("bogus",), "ada")
    assert "nodes approve --help" in refused.value.next
    assert office.asked == []


async def test_an_approval_goes_on_when_its_caller_goes_away() -> None:
    office = Office()
    asking = asyncio.ensure_future(office.desk.approve(office.one, ("exec",), "ada"))
    for _ in range(5):
        await asyncio.sleep(0)
    asking.cancel()
    office.ready.set()
    with pytest.raises(asyncio.CancelledError):
        await asking
    await office.desk.approve(office.one, ("exec",), "ada")
    assert office.one.state is State.APPROVED
    assert len(office.asked) == 1
