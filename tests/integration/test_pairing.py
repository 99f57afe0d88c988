"""Joining without a token, with real processes: approved, denied, forgotten, flooded, and spied upon."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from swarmlet import _native
from swarmlet.coordinator.pairings import MOST_OF_SOURCE
from swarmlet.link import messages as m
from swarmlet.link.engine import Link
from swarmlet.model.pairing import commitment, read_code
from tests.fakes.pki import Authority
from tests.fakes.scripted import Scripted
from tests.integration.harness import BIN, Running, World, eventually, free_port
from tests.integration.hostile import no_traceback, refused

pytestmark = pytest.mark.timeout(150)

_CODE = re.compile(r"pairing code: (\S+) ")


class Town(World):
    """A coordinator, and devices that ask it without a token."""

    def ask(self, name: str, *words: str, at: str = "") -> Running:
        return self.start(
            [
                str(BIN / "swarmlet"), "discover-and-join", "--cluster", at or f"127.0.0.1:{self.port}",
                "--data-dir", str(self.directory / name), "--timeout", "1", *words,
            ],
            f"{name}.log", SWARM_NODE_NAME=name, SWARM_API_PORT=str(free_port()),
        )  # fmt: skip

    def code(self, device: Running) -> str:
        """Return the code that a device shows."""

        def shown() -> str | None:
            assert device.process.poll() is None, device.output
            found = _CODE.search(device.output)
            return found and found[1]

        code = eventually(shown, "a code")
        assert read_code(code) == code
        return code

    def pending(self) -> dict[str, Any]:
        return {one["name"]: one for one in self.view("nodes", "pending")["items"]}


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    made = Town(tmp_path)
    made.start_coordinator()
    try:
        yield made
        no_traceback(made)
    finally:
        made.end()


def ended(device: Running, code: str, exit_code: int) -> None:
    """Check that a device gave up for this reason."""
    assert device.process.wait(timeout=20) == exit_code, device.output
    assert f"error {code}: " in device.output


def test_a_device_joins_once_somebody_compared_its_code(town: Town) -> None:
    ended(town.ask("pi"), "SWL-119", 4)
    assert not (town.directory / "pi").exists()
    assert town.stratoswarm_ok("cluster", "discovery", "on") == "on\n"
    assert town.view("cluster", "status")["pairing"] is True

    device = town.ask("pi", "--quiet")
    code = town.code(device)
    waiting = town.pending()["pi"]
    assert (waiting["code"], waiting["seen"], waiting["state"]) == (code, "127.0.0.1", "pending")
    assert town.node("pi") is None

    refused(town.stratoswarm("nodes", "approve", "000-000"), "SWL-618", 5)
    for beginning in (6, 8, 32):  # six hexadecimal digits could be a code; it is not taken for one
        reference = waiting["pairing_id"][:beginning]
        refused(town.stratoswarm("nodes", "approve", reference), "SWL-400", 2)
    refused(town.stratoswarm("nodes", "approve", code, "--allow", "bogus"), "SWL-608", 2)
    assert set(town.pending()) == {"pi"}
    assert town.stratoswarm_ok("nodes", "approve", code.lower(), "--allow", "exec") == "pi\n"
    assert town.stratoswarm_ok("nodes", "approve", code, "--allow", "exec") == "pi\n"
    refused(town.stratoswarm("nodes", "approve", code), "SWL-608", 2)
    town.wait_state("pi", "ready")
    (token,) = town.view("cluster", "token", "ls")["items"]
    assert (token["uses"], token["max_uses"], token["name_pattern"]) == (1, 1, "pi")
    assert token["allow"] == ["exec"]
    assert [one["action"] for one in town.view("audit")["items"]][:3] == [
        "admit-node",
        "mint-token",
        "set-pairing",
    ]
    assert town.pending() == {}

    # It is a member like any other: back without a token or a code.
    device.stop()
    again = town.ask("pi")
    town.wait_state("pi", "ready")
    assert again.output.count("pairing code") == 1  # the log is the same file


def test_who_is_denied_or_forgotten_or_shut_out_is_told(town: Town) -> None:
    town.stratoswarm_ok("cluster", "discovery", "on")
    denied = town.ask("ada")
    assert town.stratoswarm_ok("nodes", "deny", town.code(denied)) == "ada\n"
    ended(denied, "SWL-120", 4)

    forgotten = town.ask("bea")
    town.code(forgotten)
    assert town.coordinator is not None
    town.coordinator.kill()
    eventually(lambda: "still waiting" in forgotten.output, "the device waiting for its coordinator")
    town.start_coordinator()
    ended(forgotten, "SWL-121", 7)

    shut_out = town.ask("cyd")  # that it is on outlived the coordinator
    town.code(shut_out)
    assert town.stratoswarm_ok("cluster", "discovery", "off") == "off\n"
    ended(shut_out, "SWL-119", 4)
    for name in ("ada", "bea", "cyd"):
        assert not (town.directory / name).exists()
        assert town.node(name) is None


def test_a_box_of_devices_behind_one_address_joins_one_after_the_other(town: Town) -> None:
    town.stratoswarm_ok("cluster", "discovery", "on")
    for number in range(MOST_OF_SOURCE + 2):
        device = town.ask(f"pi{number}", "--once")
        town.stratoswarm_ok("nodes", "approve", town.code(device))
        assert device.process.wait(20) == 0, device.output
    assert len(town.view("nodes", "ls")["items"]) == MOST_OF_SOURCE + 2


def test_an_approved_device_waits_for_a_coordinator_that_starts_again(town: Town) -> None:
    town.stratoswarm_ok("cluster", "discovery", "on")
    device = town.ask("pi", "--once")
    town.stratoswarm_ok("nodes", "approve", town.code(device))
    assert town.coordinator is not None
    # Between the fetch and the join, or just after it: what is said is the same.
    eventually(
        lambda: "approved; joining" in device.output or device.process.poll() is not None, "the approval"
    )
    town.coordinator.kill()
    town.start_coordinator()
    assert device.process.wait(60) == 0, device.output
    assert town.node("pi") is not None


def test_an_address_that_was_given_and_does_not_answer_is_named(town: Town) -> None:
    nobody = f"127.0.0.1:{free_port()}"
    device = town.ask("pi", at=nobody)
    ended(device, "SWL-200", 3)
    assert f"{nobody} cannot be reached: nothing listens there" in device.output


def test_a_device_that_waits_ends_when_it_is_told_to(town: Town) -> None:
    town.stratoswarm_ok("cluster", "discovery", "on")
    device = town.ask("pi")
    town.code(device)
    assert device.stop(5) in {0, 130}
    assert not (town.directory / "pi").exists()


async def strangers(address: str, key: bytes, count: int, hardware: str = "Pi") -> list[str]:
    """Ask as ``count`` devices; return what came of each."""
    link = Link(lambda _event: None)

    async def one(number: int) -> str:
        connection = link.dial(address, _native.ClientTls((key,), None, "", None))
        await connection.opened(20)
        await connection.receive(20)
        value = os.urandom(32)
        request = m.PairRequest(os.urandom(32), commitment(value), f"rogue-{number}", "Edge", hardware, "0")
        await connection.send(request)
        offer = await connection.receive(20)
        if isinstance(offer, m.Refused):
            return offer.code
        assert isinstance(offer, m.PairOffer)
        await connection.send(m.PairReveal(offer.pairing, value))
        return type(await connection.receive(20)).__name__

    try:
        return [await one(number) for number in range(count)]
    finally:
        await link.stop()


def test_a_flood_of_requests_takes_the_places_of_its_own_address_and_nothing_else(town: Town) -> None:
    town.stratoswarm_ok("cluster", "discovery", "on")
    key = bytes.fromhex(town.view("cluster", "status")["fingerprint"].removeprefix("SHA256:"))
    before = town.view("audit", "--all")["items"][0]["sequence"]
    came = asyncio.run(strangers(f"127.0.0.1:{town.port}", key, 100))
    loud = asyncio.run(strangers(f"127.0.0.1:{town.port}", key, 3, "\x1b[2J\x1b[31mPi"))
    assert loud == ["SWL-608"] * 3
    assert came == ["PairPending"] * MOST_OF_SOURCE + ["SWL-122"] * (100 - MOST_OF_SOURCE)
    assert town.view("audit", "--all")["items"][0]["sequence"] == before
    assert "rogue-0" in town.stratoswarm_ok("nodes", "pending")
    ended(town.ask("late"), "SWL-122", 4)
    town.device("pi", token=town.token())
    town.wait_state("pi", "ready")


class Between:
    """Somebody between a device and its cluster, who passes on what can be and asks in its place."""

    def __init__(self, evil: Scripted, address: str, key: bytes) -> None:
        self.evil = evil
        self.address = address
        self.key = key
        self.seed = _native.TokenSeed.generate()
        self.value = os.urandom(32)
        self.outcome: asyncio.Queue[object] = asyncio.Queue()
        evil.answers[m.PairRequest] = self._begin
        evil.answers[m.PairReveal] = self._reveal
        evil.answers[m.PairCollect] = lambda guest, _asked: evil.say_and_close(
            guest, m.PairPending(60_000, 500)
        )

    def _begin(self, guest, asked: m.PairRequest) -> None:
        self.task = asyncio.create_task(self._ask_in_its_place(guest, asked))

    async def _ask_in_its_place(self, guest, asked: m.PairRequest) -> None:
        tls = _native.ClientTls((self.key,), None, "", None)
        self.connection = self.evil.link.dial(self.address, tls)
        await self.connection.opened(20)
        await self.connection.receive(20)
        await self.connection.send(
            m.PairRequest(
                self.seed.public_key, commitment(self.value), asked.name, asked.node_class, asked.hardware,
                asked.version,
            )
        )  # fmt: skip
        self.offer = await self.connection.receive(20)
        assert isinstance(self.offer, m.PairOffer)
        self.evil.say(guest, self.offer)

    def _reveal(self, guest, _told: m.PairReveal) -> None:
        async def finish() -> None:
            await self.connection.send(m.PairReveal(self.offer.pairing, self.value))
            await self.outcome.put(await self.connection.receive(20))

        self.finishing = asyncio.create_task(finish())
        self.evil.say_and_close(guest, m.PairPending(60_000, 500))


def test_somebody_in_between_makes_two_codes_and_the_devices_is_not_approved(town: Town) -> None:
    town.stratoswarm_ok("cluster", "discovery", "on")
    key = bytes.fromhex(town.view("cluster", "status")["fingerprint"].removeprefix("SHA256:"))

    async def run() -> tuple[str, Running]:
        async with Scripted(Authority()).running() as evil:
            between = Between(evil, f"127.0.0.1:{town.port}", key)
            device = town.ask("pi", at=evil.address)
            code = await asyncio.to_thread(town.code, device)
            assert isinstance(await between.outcome.get(), m.PairPending)
            return code, device

    code, device = asyncio.run(run())
    asked = town.pending()["pi"]
    assert asked["code"] != code
    refused(town.stratoswarm("nodes", "approve", code), "SWL-618", 5)
    assert town.node("pi") is None
    device.stop()
