"""A member over real connections: work, observations, output, leases, and where it goes next."""

from __future__ import annotations

import asyncio
import contextlib
import random
import struct

import pytest

from swarmlet import _native
from swarmlet.agent.events import End, LeaveAsked, Outcome, RenewalDue
from swarmlet.agent.member import Member, Passport, Ties, trouble_of
from swarmlet.agent.status import Standing
from swarmlet.clock import SystemClock
from swarmlet.errors import SwarmletError, error
from swarmlet.link import messages as m
from swarmlet.link.engine import Link
from swarmlet.link.events import Lease
from swarmlet.model.profile import Capabilities, Classification, Hardware, Profile
from swarmlet.model.workload import Assignment, AssignmentState, Kind, Observation, WorkloadSpec
from tests.fakes.scripted import Scripted
from tests.fakes.workloads import Idle

PROFILE = Profile("pi", Hardware(), Capabilities(), Classification("Edge", (), ""))


def seen(number, sequence=1):
    return Observation(f"a{number}", 1, sequence, AssignmentState.RUNNING, 0)


class Half:
    """The node's half, without disk: fits ``member.World`` and ``conversation.Duties``."""

    def __init__(self, coordinator, standing):
        self.link = Link(self._on_link)
        self.leaf = coordinator.authority.node()
        self.addresses = {"home:7946": (coordinator.address,)}
        self.order = ("home:7946",)
        self.member = None
        self.workloads = None
        self._coordinator = coordinator
        self._standing = standing
        self.stored = []
        self.keeps_renewed = False

    def _on_link(self, event):
        if isinstance(event, Lease) and self.member is not None:
            self.member.lease(held=event.state == "held")

    def passport(self):
        tls = self._coordinator.authority.client_tls(self.leaf)
        return Passport(tls, self._coordinator.authority.cluster_id, self.leaf.not_after_ms)

    def names(self):
        return self.order

    async def resolve(self, name):
        if name not in self.addresses:
            raise error("SWL-204", host=name, detail="not known")
        return self.addresses[name]

    def dial(self, address, tls, timeout_s):
        return self.link.dial(address, tls, timeout_ms=int(timeout_s * 1000))

    def learn(self, time_ms):
        self.learned = time_ms

    def hello(self):
        return m.Hello(
            m.PROTOCOL_VERSION,
            "0",
            "boot",
            "pi",
            PROFILE,
            self.workloads.generation,
            {},
            self.workloads.observations(),
        )

    def welcomed(self, name, settings):
        self._standing.welcomed(SystemClock().boot())

    def mesh_hello(self):
        return None

    def mesh_told(self, message):
        raise AssertionError(message)

    async def request_renewal(self):
        return _native.KeyPair.generate().csr("pi")

    async def store(self, renewed):
        self.stored.append(renewed)
        return self.keeps_renewed


@contextlib.asynccontextmanager
async def member_of(coordinator):
    standing = Standing(0.0)
    half = Half(coordinator, standing)
    half.workloads = workloads = Idle()
    member = Member(Ties(half, half, workloads, standing, SystemClock(), random.Random(1)))
    half.member, half.standing = member, standing
    task = asyncio.create_task(member.run())
    half.task = task
    try:
        yield half
    finally:
        member.stop()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait({task}, timeout=5)
            task.cancel()
            await task
        await half.link.stop()


def scenario(work, **options):
    async def wrapped():
        async with Scripted(**options).running() as coordinator, member_of(coordinator) as half:
            return await work(coordinator, half)

    return asyncio.run(wrapped())


def an_assignment(name):
    return Assignment(name, "w", 0, 1, WorkloadSpec("w", Kind.PROCESS, ("true",)))


def test_desired_state_is_applied_in_the_order_it_came():
    async def work(coordinator, half):
        await coordinator.hear(m.Hello)
        guest = coordinator.guests[-1]
        for number in range(2, 30):
            coordinator.say(
                guest, m.Desired(number, number - 1, full=False, assignments=(an_assignment(str(number)),))
            )
        coordinator.say(guest, m.Desired(99, 98, full=False, assignments=()))
        resync = await coordinator.hear(m.Resync)
        return resync, [one.generation for one in half.workloads.applied]

    resync, applied = scenario(work)
    assert applied == list(range(1, 30))
    assert resync.generation == 29


def test_observations_go_out_as_they_come_and_again_after_a_reconnect():
    async def work(coordinator, half):
        await coordinator.hear(m.Hello)
        half.workloads.observe(seen(1), seen(2))
        first = await coordinator.hear(m.Observed)
        coordinator.say(coordinator.guests[-1], m.ObservedAck((("a1", 1, 1),)))
        half.workloads.observe(seen(2, 2))
        second = await coordinator.hear(m.Observed, 2)
        coordinator.close(coordinator.guests[-1])
        hello = await coordinator.hear(m.Hello, 2)
        third = await coordinator.hear(m.Observed, 3)
        return first, second, third, hello

    first, second, third, hello = scenario(work)
    assert first.observations == (seen(1), seen(2))
    assert second.observations == (seen(2, 2),)
    assert third.observations == (seen(2), seen(2, 2))
    assert hello.observed == (seen(2), seen(2, 2))


def test_output_travels_within_its_credit():
    async def work(coordinator, half):
        await coordinator.hear(m.Hello)
        guest = coordinator.guests[-1]
        half.workloads.outputs = {"a": [b"line\n" * 20_000]}
        coordinator.say(guest, m.LogsOpen(5, "a"))
        coordinator.link.engine.send(guest.conn, _native.KIND_CREDIT, 5, struct.pack(">I", 1 << 20))
        end = await coordinator.hear(m.StreamClose)
        return end, guest.data

    end, data = scenario(work)
    assert end == m.StreamClose(5)
    assert {(kind, stream) for kind, stream, _ in data} == {(_native.KIND_DATA, 5)}
    assert b"".join(payload for _, _, payload in data) == b"line\n" * 20_000


def test_a_lease_is_held_and_when_it_lapses_the_dead_connection_is_left():
    async def work(coordinator, half):
        await coordinator.until(lambda: half.workloads.held == [True], "the lease to be held")
        # From here on the coordinator's engine no longer answers heartbeats, as a host that lost its network.
        coordinator.answers[m.Hello] = lambda _guest, _hello: None
        coordinator.link.engine.forget(coordinator.guests[-1].uid)
        coordinator.close(coordinator.guests[-1])
        await coordinator.until(lambda: half.workloads.held == [True, False], "the lease to lapse")
        return half.standing.lease

    assert scenario(work, heartbeat_ms=50, lease_ms=600) == "lapsed"


def test_an_unknown_message_and_a_failed_renewal_do_not_end_the_session():
    async def work(coordinator, half):
        await coordinator.hear(m.Hello)
        await coordinator.until(lambda: half.standing.connected, "the welcome")
        guest = coordinator.guests[-1]
        coordinator.link.engine.send(guest.conn, _native.KIND_CONTROL, 0, b"\x81\xa1t\xa8from-now")
        await coordinator.hear(m.Problem)
        half.member.post(RenewalDue())
        await coordinator.until(lambda: half.stored, "the renewed certificate")
        half.workloads.observe(seen(1))
        await coordinator.hear(m.Observed)
        return len(coordinator.guests), half.stored

    guests, stored = scenario(work)
    assert guests == 1
    assert len(stored) == 1


def settled(half) -> bool:
    """Say whether it was welcomed and holds its lease, whichever came first: a renewal before is put off."""
    return half.workloads.held == [True] and half.standing.connected


def test_c4_a_renewal_connects_anew_before_it_parts_and_is_no_absence():
    async def work(coordinator, half):
        half.keeps_renewed = True
        await coordinator.until(lambda: settled(half), "a held lease of a welcomed member")
        old = coordinator.guests[-1]
        welcome, ends = coordinator.answers[m.Hello], []

        def note(guest, hello):
            ends.append(old.closed)
            welcome(guest, hello)

        coordinator.answers[m.Hello] = note
        half.member.post(RenewalDue())
        await coordinator.until(lambda: old.closed, "the old connection's end")
        beats = coordinator.link.engine.stats()["heartbeats_in"]
        await coordinator.until(
            lambda: coordinator.link.engine.stats()["heartbeats_in"] > beats + 2, "heartbeats on the new one"
        )
        return ends, list(coordinator.standings), list(half.workloads.held), half.standing.connected

    ends, standings, held, connected = scenario(work)
    assert ends == [None]
    assert standings == ["joined"]
    assert held == [True]
    assert connected


def test_a_renewed_node_whose_next_connection_fails_parts_from_the_old_one_too():
    async def work(coordinator, half):
        half.keeps_renewed = True
        await coordinator.until(lambda: settled(half), "a held lease of a welcomed member")
        old = coordinator.guests[-1]
        honest = coordinator.answers[m.Hello]
        coordinator.answers[m.Hello] = lambda guest, _hello: coordinator.close(guest)
        half.member.post(RenewalDue())
        await coordinator.until(lambda: old.closed, "the old connection's end")
        coordinator.answers[m.Hello] = honest
        await coordinator.until(lambda: "back" in coordinator.standings, "its return")
        return list(coordinator.standings)

    assert scenario(work) == ["joined", "suspect", "back"]


def test_every_address_is_tried_and_the_one_that_works_is_kept():
    async def work(coordinator, half):
        await coordinator.hear(m.Hello)
        half.order = ("dead:1", "nowhere:1", "home:7946")
        half.addresses["dead:1"] = ("127.0.0.1:1",)
        coordinator.close(coordinator.guests[-1])
        await coordinator.hear(m.Hello, 2)
        return half.standing.coordinator

    assert scenario(work) == "home:7946"


def test_being_superseded_does_not_start_a_fight():
    async def work(coordinator, half):
        await coordinator.hear(m.Hello)
        coordinator.say_and_close(coordinator.guests[-1], m.Goodbye("superseded"))
        async with asyncio.timeout(20):
            while half.standing.state != "waiting":
                await asyncio.sleep(0.01)
        return half.standing.view(SystemClock().boot())

    view = scenario(work)
    assert view.code == "SWL-210"
    assert view.retry_in_seconds > 25


def test_leaving_ends_its_life():
    async def work(coordinator, half):
        await coordinator.hear(m.Hello)
        half.member.leave()
        async with asyncio.timeout(20):
            return await half.task

    assert scenario(work) is Outcome.LEFT


def test_leaving_cuts_a_wait_short():
    async def work(coordinator, half):
        await coordinator.hear(m.Hello)
        coordinator.say_and_close(coordinator.guests[-1], m.Goodbye("superseded"))
        async with asyncio.timeout(20):
            while half.standing.state != "waiting":
                await asyncio.sleep(0.01)
            half.member.leave()
            return await half.task

    assert scenario(work) is Outcome.LEFT


def test_a_flood_of_local_news_is_bounded_and_kept():
    async def work(coordinator, half):
        await coordinator.hear(m.Hello)
        for number in range(2000):
            half.workloads.observe(seen(number))
            half.member.post(LeaveAsked() if number == 1999 else RenewalDue())
        await coordinator.hear(m.Leave)
        return sum(len(one.observations) for one in coordinator.heard(m.Observed))

    assert scenario(work) in {0, 2000}


@pytest.mark.parametrize(
    ("end", "code"),
    [
        (End(Outcome.LOST, "connection-refused", ""), "SWL-200"),
        (End(Outcome.LOST, "name-unresolved", "x"), "SWL-204"),
        (End(Outcome.LOST, "pin-mismatch", "found=a expected=b"), "SWL-202"),
        (End(Outcome.LOST, "certificate-invalid", "it has expired"), "SWL-211"),
        (End(Outcome.LOST, "lease-lapsed", ""), "SWL-200"),
        (End(Outcome.LOST, "shutdown", ""), "SWL-200"),
        (End(Outcome.LOST, "protocol", "odd"), "SWL-201"),
        (End(Outcome.REFUSED, "certificate-refused", "it has expired"), "SWL-203"),
        (End(Outcome.SUPERSEDED, "superseded", ""), "SWL-210"),
        (End(Outcome.REVOKED, "revoked", ""), "SWL-207"),
    ],
)
def test_every_end_has_words(end, code):
    trouble = trouble_of(end, "10.0.0.1:7946")
    assert isinstance(trouble, SwarmletError)
    assert trouble.code == code
    assert "?" not in trouble.what
    assert trouble.next
