from __future__ import annotations

import asyncio
import contextlib

import pytest

from swarmlet import _native
from swarmlet.coordinator import members as module
from swarmlet.coordinator.connections import MOST_WAITING, Connections, node_bytes
from swarmlet.coordinator.leases import Leases
from swarmlet.coordinator.limiter import Rate
from swarmlet.coordinator.members import Members, World
from swarmlet.coordinator.relay import BrokenStreamError
from swarmlet.coordinator.session import Phase
from swarmlet.coordinator.store.commands import (
    NodeTransition,
    Place,
    PlanAssignments,
    RemoveNode,
    RenewCertificate,
    ReportObserved,
    RevokeToken,
    StopWorkload,
    SubmitWorkload,
    UpdateNode,
)
from swarmlet.errors import error
from swarmlet.link import messages as m
from swarmlet.model.membership import NodeState
from swarmlet.model.workload import AssignmentState, Observation
from tests.fakes.coordinator import CLUSTER_ID, inside
from tests.fakes.records import profile, spec
from tests.fakes.wire import Wire

SETTINGS = m.Settings(CLUSTER_ID, "test", ("h:1",), (bytes(32),), 5000, 15_000)


class Door:
    """Lets everybody in, or nobody."""

    def __init__(self, clock) -> None:
        self.clock = clock
        self.refuse = False
        self.gate = asyncio.Event()
        self.gate.set()

    async def join(self, request, exporter, seen):
        await self.gate.wait()
        if self.refuse:
            return m.Refused("SWL-100")
        return m.Admitted("uid", request.name, (b"leaf",), SETTINGS, 1, "Edge", (), "")

    async def renew(self, node, request):
        return m.Renewed((b"next",), SETTINGS, 1)

    def updated(self, node, hello, seen):
        return UpdateNode(
            at_ms=self.clock.wall_ms(), actor="test", node_uid=node.node_uid, boot_id=hello.boot_id,
            version=hello.version, profile=hello.profile, limits=hello.limits, seen=seen,
        )  # fmt: skip

    def settings(self):
        return SETTINGS


class Cluster:
    """Connections, members and leases on a real store, with a wire that only remembers."""

    def __init__(self, parts) -> None:
        self.parts = parts
        self.wire = Wire()
        self.door = Door(parts.clock)
        self.members = Members(
            World(self.wire, parts.picture, parts.ledger, parts.registry, self.door, parts.clock)
        )
        self.connections = Connections(
            self.wire, parts.picture, parts.clock, parts.tasks, self.members.handlers
        )
        self.leases = Leases(parts.registry, parts.picture, parts.ledger, parts.clock, parts.tasks)
        self.next = 0

    def open(
        self, uid: str | None = None, *, serial: str | None = None, expired: bool = False, role="node"
    ) -> int:
        self.next += 1
        shown = None
        if uid is not None:
            number = serial or self.parts.picture.nodes[uid].serial
            shown = (role, node_bytes(uid), bytes.fromhex(number).lstrip(b"\0"), 2**50, expired)
        self.connections.opened(self.next, f"192.0.2.9:{self.next}", bytes(32), shown)
        return self.next

    def say(self, conn: int, message: m.AnyMessage) -> None:
        self.connections.frame(conn, _native.KIND_CONTROL, 0, m.encode(message))

    def said(self, conn: int, kind: type) -> list:
        return [one for one in self.wire.said.get(conn, []) if isinstance(one, kind)]

    async def hears(self, conn: int, kind: type, count: int = 1):
        await self.parts.until(lambda: len(self.said(conn, kind)) >= count)
        return self.said(conn, kind)[-1]

    def close(self, conn: int, reason: str = "reset") -> None:
        peer = self.connections.closed(conn)
        if peer is not None:
            self.members.closed(peer, reason)

    async def connect(self, uid: str, **hello) -> int:
        """A member's whole greeting."""
        conn = self.open(uid)
        self.say(conn, greeting(**hello))
        await self.hears(conn, m.Welcome)
        self.leases.changed(uid, "joined", 0)
        return conn


def greeting(**given) -> m.Hello:
    return m.Hello(**{
        "protocol": 1, "version": "0.1.0", "boot_id": "boot", "name": "pi", "profile": profile("pi"),
        "generation": 0,
        **given,
    })  # fmt: skip


JOIN = m.JoinRequest(b"", b"", b"", "pi", profile("pi"), "0.1.0")


@contextlib.asynccontextmanager
async def cluster(tmp_path, **given):
    async with inside(tmp_path, **given) as parts:
        yield Cluster(parts)


# ---- before membership


async def test_everyone_is_challenged_with_the_time_and_the_address_seen(tmp_path) -> None:
    async with cluster(tmp_path) as one:
        conn = one.open()
        (challenge,) = one.wire.said[conn]
        assert challenge.cluster_id == CLUSTER_ID
        assert challenge.seen == "192.0.2.9:1"
        assert abs(challenge.time_ms - one.parts.clock.wall_ms()) < 5000


async def test_a_stranger_may_ask_once(tmp_path) -> None:
    async with cluster(tmp_path) as one:
        conn = one.open()
        one.say(conn, JOIN)
        await one.hears(conn, m.Admitted)
        one.say(conn, JOIN)
        await one.parts.until(lambda: conn in one.wire.closed)
        assert len(one.said(conn, m.Admitted)) == 1


async def test_a_refused_stranger_is_told_and_cut(tmp_path) -> None:
    async with cluster(tmp_path) as one:
        one.door.refuse = True
        conn = one.open()
        one.say(conn, JOIN)
        await one.parts.until(lambda: conn in one.wire.closed)
        assert one.said(conn, m.Refused) == [m.Refused("SWL-100")]


@pytest.mark.parametrize("message", [greeting(), m.Observed(()), m.Leave(), m.RenewRequest(b"")])
async def test_a_stranger_may_not_speak_as_a_member(tmp_path, message) -> None:
    async with cluster(tmp_path) as one:
        conn = one.open()
        one.say(conn, message)
        await one.parts.until(lambda: conn in one.wire.closed)
        assert one.wire.closed[conn] == "protocol"


@pytest.mark.parametrize("payload", [b"", b"\xc1", b"\x80", b"\x81\xa1t\xa4nope", b"\x93\x01\x02\x03"])
async def test_garbage_from_a_stranger_is_cut_and_from_a_member_answered(tmp_path, payload) -> None:
    async with cluster(tmp_path) as one:
        stranger = one.open()
        one.connections.frame(stranger, _native.KIND_CONTROL, 0, payload)
        await one.parts.until(lambda: stranger in one.wire.closed)
        member = await one.connect(await one.parts.join("pi"))
        one.connections.frame(member, _native.KIND_CONTROL, 0, payload)
        assert (await one.hears(member, m.Problem)).code == "SWL-608"
        assert member not in one.wire.closed


async def test_an_expired_certificate_may_renew_and_nothing_else(tmp_path) -> None:
    async with cluster(tmp_path) as one:
        uid = await one.parts.join("pi", state=NodeState.DOWN)
        conn = one.open(uid, expired=True)
        one.say(conn, m.RenewRequest(b"csr"))
        await one.hears(conn, m.Renewed)
        one.say(conn, greeting())
        await one.parts.until(lambda: conn in one.wire.closed)
        assert one.said(conn, m.Welcome) == []


async def test_a_coordinators_certificate_is_no_nodes(tmp_path) -> None:
    async with cluster(tmp_path) as one:
        uid = await one.parts.join("pi")
        conn = one.open(uid, role="coordinator")
        assert one.said(conn, m.Refused)[0].code == "SWL-203"
        assert one.said(conn, m.Challenge) == []
        assert conn in one.wire.closed


async def test_messages_that_pile_up_cut_the_peer(tmp_path) -> None:
    async with cluster(tmp_path) as one:
        one.door.gate.clear()
        conn = one.open()
        for _ in range(MOST_WAITING + 1):
            one.say(conn, JOIN)
        assert one.wire.closed[conn] == "protocol"
        one.door.gate.set()


# ---- members


async def test_a_hello_is_recorded_welcomed_and_followed_by_a_snapshot(tmp_path) -> None:
    async with cluster(tmp_path) as one:
        uid = await one.parts.join("pi", state=NodeState.JOINED)
        conn = await one.connect(uid, version="9.9", limits={"cpu_cores": 2.0})
        await one.hears(conn, m.Desired)
        kinds = [type(message) for message in one.wire.said[conn]]
        assert kinds == [m.Challenge, m.Welcome, m.Desired]
        assert one.wire.admitted == [(conn, node_bytes(uid))]
        node = one.parts.picture.nodes[uid]
        assert (node.version, node.limits, node.seen) == ("9.9", {"cpu_cores": 2.0}, "192.0.2.9:1")
        await one.parts.until(lambda: one.parts.picture.nodes[uid].state is NodeState.READY)


async def test_work_reaches_the_node_and_its_reports_reach_the_disk(tmp_path) -> None:
    async with cluster(tmp_path) as one:
        uid = await one.parts.join("pi", state=NodeState.JOINED)
        conn = await one.connect(uid)
        await one.parts.apply(SubmitWorkload, workload_id="w", spec=spec())
        change = await one.hears(conn, m.Desired, 2)
        assert (change.full, change.base, [row.assignment_id for row in change.assignments]) == (
            False,
            0,
            ["w.0.1"],
        )
        for sequence, state in enumerate((AssignmentState.RUNNING, AssignmentState.SUCCEEDED), 1):
            seen = Observation("w.0.1", 1, sequence, state, one.parts.clock.wall_ms(), exit_code=0)
            one.say(conn, m.Observed((seen,)))
            ack = await one.hears(conn, m.ObservedAck, sequence)
            assert ack.taken == (("w.0.1", 1, sequence),)
            (stored,) = await one.parts.store.assignments()
            assert stored.state is state
        ended = await one.hears(conn, m.Desired, 3)
        assert [(row.assignment_id, row.stop) for row in ended.assignments] == [("w.0.1", True)]


async def test_an_observation_has_its_effect_once_however_often_it_comes(tmp_path) -> None:
    async with cluster(tmp_path) as one:
        uid = await one.parts.join("pi", state=NodeState.JOINED)
        conn = await one.connect(uid)
        await one.parts.apply(SubmitWorkload, workload_id="w", spec=spec())
        await one.hears(conn, m.Desired, 2)
        later = Observation("w.0.1", 1, 2, AssignmentState.SUCCEEDED, 5, exit_code=0)
        earlier = Observation("w.0.1", 1, 1, AssignmentState.RUNNING, 4)
        for count, seen in enumerate((later, earlier, later, earlier), 1):
            one.say(conn, m.Observed((seen,)))
            ack = await one.hears(conn, m.ObservedAck, count)
            assert ack.taken == (("w.0.1", 1, seen.sequence),)
        (stored,) = await one.parts.store.assignments()
        assert (stored.state, stored.sequence) == (AssignmentState.SUCCEEDED, 2)


async def test_a_member_that_says_too_much_is_listened_to_later(tmp_path, monkeypatch) -> None:
    """Else one member could fill the coordinator's disk (D4)."""
    monkeypatch.setattr(module, "RECORDED", Rate(2000.0, 3000.0))
    async with cluster(tmp_path) as one:
        uid = await one.parts.join("pi", state=NodeState.JOINED)
        conn = await one.connect(uid)
        await one.parts.apply(SubmitWorkload, workload_id="w", spec=spec())
        await one.hears(conn, m.Desired, 2)
        began = one.parts.clock.boot()
        for sequence in (1, 2):
            seen = Observation("w.0.1", 1, sequence, AssignmentState.RUNNING, 5, "x" * 4000)
            one.say(conn, m.Observed((seen,)))
        await one.hears(conn, m.ObservedAck, 2)
        assert one.parts.clock.boot() - began >= 0.4
        one.say(conn, m.Observed((seen,)))  # what changes nothing costs nothing
        assert conn not in one.wire.closed


async def test_observations_in_a_hello_are_taken_and_acknowledged(tmp_path) -> None:
    async with cluster(tmp_path) as one:
        uid = await one.parts.join("pi", state=NodeState.JOINED)
        first = await one.connect(uid)
        await one.parts.apply(SubmitWorkload, workload_id="w", spec=spec())
        await one.hears(first, m.Desired, 2)
        seen = Observation("w.0.1", 1, 1, AssignmentState.RUNNING, 5)
        second = await one.connect(uid, observed=(seen,))
        assert (await one.hears(second, m.ObservedAck)).taken == (("w.0.1", 1, 1),)
        assert one.parts.picture.assignments["w.0.1"].state is AssignmentState.RUNNING


async def test_a_full_disk_keeps_no_member_out(tmp_path, monkeypatch) -> None:
    """Else every node that has something to tell would lose its lease with its connection (N9)."""
    async with cluster(tmp_path) as one:
        uid = await one.parts.join("pi")
        apply = one.parts.store.apply

        async def full(command, *rest):
            if isinstance(command, UpdateNode | ReportObserved):
                raise error("SWL-302", path="x")
            return await apply(command, *rest)

        monkeypatch.setattr(one.parts.store, "apply", full)
        seen = Observation("w.0.1", 1, 1, AssignmentState.RUNNING, 5)
        conn = await one.connect(uid, observed=(seen,))
        assert one.wire.admitted == [(conn, node_bytes(uid))]
        await one.hears(conn, m.Desired)
        assert one.said(conn, m.ObservedAck) == []
        one.say(conn, m.Observed((seen,)))
        assert (await one.hears(conn, m.Problem)).about == "Observed"


async def test_a_node_has_one_voice(tmp_path) -> None:
    async with cluster(tmp_path) as one:
        uid = await one.parts.join("pi")
        first = await one.connect(uid)
        second = await one.connect(uid)
        assert one.said(first, m.Goodbye) == [m.Goodbye("superseded")]
        assert one.wire.closed == {first: "superseded"}
        one.close(first, "superseded")
        await one.parts.apply(SubmitWorkload, workload_id="w", spec=spec())
        await one.hears(second, m.Desired, 2)


async def test_a_node_that_asks_again_gets_a_snapshot(tmp_path) -> None:
    async with cluster(tmp_path) as one:
        conn = await one.connect(await one.parts.join("pi"))
        await one.hears(conn, m.Desired)
        one.say(conn, m.Resync(0))
        assert (await one.hears(conn, m.Desired, 2)).full


async def test_what_found_no_room_is_told_anew_once_there_is_some(tmp_path) -> None:
    async with cluster(tmp_path) as one:
        uid = await one.parts.join("pi")
        conn = await one.connect(uid)
        await one.hears(conn, m.Desired)
        one.wire.full.add(conn)
        await one.parts.apply(SubmitWorkload, workload_id="w", spec=spec())
        await one.parts.until(lambda: "w.0.1" in one.parts.picture.assignments)
        await one.parts.apply(StopWorkload, workload_id="w")
        one.wire.full.clear()
        one.members.drained(one.connections.get(conn))
        last = await one.hears(conn, m.Desired, 2)
        assert last.full
        assert [(row.assignment_id, row.stop) for row in last.assignments] == [("w.0.1", True)]


async def test_the_first_use_of_a_renewed_certificate_ends_the_old_one(tmp_path) -> None:
    async with cluster(tmp_path) as one:
        uid = await one.parts.join("pi")
        old = one.parts.picture.nodes[uid].serial
        first = await one.connect(uid)
        await one.parts.apply(
            RenewCertificate, node_uid=uid, serial="77" * 16, not_after_ms=2**50, chain=(b"n",), csr_key="k"
        )
        conn = one.open(uid, serial="77" * 16)
        one.wire.log.clear()
        one.say(conn, greeting())
        await one.hears(conn, m.Welcome)
        # Else a renewal would make the node suspect for a moment.
        done = [what for what, _ in one.wire.log]
        assert done.index("admit") < done.index("close") < done.index("deny")
        assert ("close", first) in one.wire.log
        assert one.parts.picture.nodes[uid].serial == "77" * 16
        assert one.wire.denied == [bytes.fromhex(old)]
        assert one.said(conn, m.Goodbye) == []


# ---- the end


@pytest.mark.parametrize("how", ["removed", "token revoked"])
async def test_a_removed_node_is_told_before_it_is_cut_and_at_once(tmp_path, how) -> None:
    async with cluster(tmp_path) as one:
        uid = await one.parts.join("pi")
        conn = await one.connect(uid)
        await one.hears(conn, m.Desired)
        one.wire.log.clear()
        if how == "removed":
            await one.parts.apply(RemoveNode, node_uid=uid)
        else:
            await one.parts.apply(RevokeToken, jti="aa" * 16, cascade=True)
        assert [what for what, _ in one.wire.log] == ["say", "close", "deny"]
        assert one.wire.log[0][1] == m.Goodbye("revoked")
        assert one.wire.denied == [bytes.fromhex(one.parts.picture.nodes[uid].serial)]
        assert one.wire.forgotten == [node_bytes(uid)]
        again = one.open(uid)
        assert one.said(again, m.Goodbye) == [m.Goodbye("revoked")]
        assert one.said(again, m.Challenge) == []


async def test_messages_of_a_node_removed_meanwhile_are_not_taken(tmp_path) -> None:
    async with cluster(tmp_path) as one:
        uid = await one.parts.join("pi")
        conn = one.open(uid)
        await one.parts.apply(RemoveNode, node_uid=uid)
        one.say(conn, greeting())
        await one.parts.until(lambda: conn in one.wire.closed)
        assert one.said(conn, m.Welcome) == []


async def test_a_node_that_leaves_is_let_go(tmp_path) -> None:
    async with cluster(tmp_path) as one:
        uid = await one.parts.join("pi")
        conn = await one.connect(uid)
        one.say(conn, m.Leave())
        assert (await one.hears(conn, m.Goodbye)).reason == "left"
        await one.parts.until(lambda: one.parts.picture.nodes[uid].state is NodeState.LEFT)


async def test_a_lost_connection_names_its_reason_in_the_nodes_state(tmp_path) -> None:
    async with cluster(tmp_path) as one:
        uid = await one.parts.join("pi", state=NodeState.JOINED)
        conn = await one.connect(uid)
        await one.parts.until(lambda: one.parts.picture.nodes[uid].state is NodeState.READY)
        one.close(conn, "timed-out")
        one.leases.changed(uid, "suspect", 100)
        one.leases.changed(uid, "lost", 15_000)
        await one.parts.until(lambda: one.parts.picture.nodes[uid].state is NodeState.DOWN)
        assert "timed-out" in one.parts.picture.nodes[uid].state_reason
        assert one.connections.peers == []


async def test_lease_events_of_an_unknown_or_removed_node_change_nothing(tmp_path) -> None:
    async with cluster(tmp_path) as one:
        uid = await one.parts.join("pi")
        await one.parts.apply(RemoveNode, node_uid=uid)
        head = (await one.parts.store.head()).seq
        one.leases.changed(uid, "back", 0)
        one.leases.changed("00000000-0000-4000-8000-00000000ffff", "lost", 0)
        await asyncio.sleep(0.05)
        assert (await one.parts.store.head()).seq == head


@pytest.mark.parametrize(("told", "late", "ends"), [
    ("back", NodeState.DOWN, NodeState.READY),
    ("lost", NodeState.READY, NodeState.DOWN),
    ("suspect", NodeState.READY, NodeState.SUSPECT),
])  # fmt: skip
async def test_a_state_that_the_disk_took_late_gives_way_to_what_was_told_since(
    tmp_path, told, late, ends
) -> None:
    async with cluster(tmp_path) as one:
        uid = await one.parts.join("pi")
        one.leases.changed(uid, told, 0)
        await one.parts.until(lambda: one.parts.picture.nodes[uid].state is ends)
        if late is NodeState.READY:  # as if it had been decided before
            await one.parts.apply(NodeTransition, node_uid=uid, state=NodeState.DOWN, reason="test")
            await one.parts.until(lambda: one.parts.picture.nodes[uid].state is NodeState.DOWN)
        await one.parts.apply(NodeTransition, node_uid=uid, state=late, reason="late")
        await one.parts.until(lambda: one.parts.picture.nodes[uid].state is ends)


async def test_a_state_that_cannot_be_recorded_does_not_keep_the_coordinator_from_ending(
    tmp_path, monkeypatch
) -> None:
    async def full(*_):
        raise error("SWL-302", path="x")

    async with asyncio.timeout(20), cluster(tmp_path) as one:
        uid = await one.parts.join("pi")
        monkeypatch.setattr(one.parts.store, "apply", full)
        one.leases.changed(uid, "lost", 15_000)
        await asyncio.sleep(0)
        one.leases.stop()


async def test_after_a_restart_nodes_are_suspect_until_they_come_back(tmp_path) -> None:
    async with cluster(tmp_path) as one:
        uid = await one.parts.join("pi")
        other = await one.parts.join("down", state=NodeState.DOWN)
    async with cluster(tmp_path) as one:
        assert await one.leases.restart() == [uid]
        assert one.parts.picture.nodes[uid].state is NodeState.SUSPECT
        assert one.parts.picture.nodes[other].state is NodeState.DOWN
        conn = one.open(uid)
        one.say(conn, greeting())
        await one.hears(conn, m.Welcome)
        one.leases.changed(uid, "back", 0)
        await one.parts.until(lambda: one.parts.picture.nodes[uid].state is NodeState.READY)


async def test_a_node_that_came_back_is_told_nothing_before_the_disk_says_so(tmp_path) -> None:
    """Else it would begin again what a plan under way gives to another node (N4)."""
    async with cluster(tmp_path, planning=False) as one:
        uid = await one.parts.join("pi")
        await one.parts.apply(SubmitWorkload, workload_id="w", spec=spec())
        await one.parts.apply(PlanAssignments, place=(Place("w.0.1", "w", 0, 1, uid),))
        await one.parts.apply(NodeTransition, node_uid=uid, state=NodeState.DOWN, reason="test")
        conn = one.open(uid)
        one.say(conn, greeting())
        await one.hears(conn, m.Welcome)
        assert one.said(conn, m.Desired) == []
        await one.parts.apply(PlanAssignments, lose=("w.0.1",))
        assert one.said(conn, m.Desired) == []
        one.leases.changed(uid, "back", 0)
        told = await one.hears(conn, m.Desired)
        assert (told.full, told.assignments) == (True, ())
        assert one.parts.picture.nodes[uid].state is NodeState.READY


async def test_a_bug_in_one_handler_costs_one_connection(tmp_path, monkeypatch, caplog) -> None:
    async with cluster(tmp_path) as one:
        monkeypatch.setattr(one.door, "updated", lambda *_: 1 / 0)
        conn = one.open(await one.parts.join("pi"))
        one.say(conn, greeting())
        await one.parts.until(lambda: conn in one.wire.closed)
        monkeypatch.undo()
        await one.connect(await one.parts.join("other"))
    assert "ZeroDivisionError" in caplog.text


# ---- streams and readings


async def test_output_goes_through_the_connection_of_the_node(tmp_path) -> None:
    async with cluster(tmp_path) as one:
        uid = await one.parts.join("pi")
        conn = await one.connect(uid)
        with one.members.logs(uid, "w.0.1", follow=False, tail=3) as stream:
            asked = await one.hears(conn, m.LogsOpen)
            assert (asked.assignment_id, asked.tail) == ("w.0.1", 3)
            assert one.wire.credit[conn][0][0] == asked.stream
            one.connections.frame(conn, _native.KIND_DATA, asked.stream, b"hello")
            one.say(conn, m.StreamClose(asked.stream))
            assert [chunk async for chunk in stream.read()] == [b"hello"]


async def test_output_of_a_node_that_is_not_connected_is_refused(tmp_path) -> None:
    async with cluster(tmp_path) as one:
        uid = await one.parts.join("pi")
        with (
            pytest.raises(BrokenStreamError, match="not connected"),
            one.members.logs(uid, "w", follow=False, tail=None),
        ):
            pass
        conn = await one.connect(uid)
        with one.members.logs(uid, "w", follow=True, tail=None) as stream:
            one.close(conn)
            with pytest.raises(BrokenStreamError, match="ended"):
                await anext(stream.read())


async def test_readings_come_with_their_age(tmp_path) -> None:
    async with cluster(tmp_path) as one:
        first, second = await one.parts.join("a"), await one.parts.join("b")
        heard = one.members.heartbeats([first, second])
        assert list(heard) == [first]
        assert (heard[first][0], heard[first][1].cpu_permille) == (10, 120)


async def test_a_peer_of_the_past_is_not_listened_to(tmp_path) -> None:
    async with cluster(tmp_path) as one:
        conn = one.open(await one.parts.join("pi"))
        peer = one.connections.get(conn)
        one.close(conn)
        assert peer.phase is Phase.ENDING
        one.say(conn, greeting())
        one.connections.frame(conn, _native.KIND_DATA, 1, b"late")


# ---- versions, clones


async def test_a_member_of_another_protocol_version_is_told_and_the_admin_sees_why(tmp_path) -> None:
    async with cluster(tmp_path) as one:
        uid = await one.parts.join("pi")
        conn = one.open(uid)
        one.say(conn, greeting(protocol=2))
        refused = await one.hears(conn, m.Refused)
        assert (refused.code, refused.detail["theirs"], refused.detail["ours"]) == ("SWL-208", "1", "2")
        assert one.wire.closed == {conn: "protocol-version"}
        assert one.said(conn, m.Welcome) == []
        one.close(conn, "protocol-version")
        one.leases.changed(uid, "lost", 15_000)
        await one.parts.until(lambda: one.parts.picture.nodes[uid].state is NodeState.DOWN)
        assert "protocol version 2, the coordinator 1" in one.parts.picture.nodes[uid].state_reason


async def test_two_devices_with_one_identity_are_seen_and_recorded_once(tmp_path) -> None:
    async with cluster(tmp_path) as one:
        uid = await one.parts.join("pi")
        for boot in ("card", "copy", "card", "copy", "card"):
            await one.connect(uid, boot_id=boot)
        why = one.members.suspicions()[uid]
        assert "speaks again after boot" in why
        records = [record for record in await one.parts.store.audit() if record.kind == "suspect-clone"]
        assert len(records) == 1


async def test_a_device_that_reboots_renews_and_comes_back_is_no_clone(tmp_path) -> None:
    async with cluster(tmp_path) as one:
        uid = await one.parts.join("pi")
        for boot in ("first", "first", "second"):
            await one.connect(uid, boot_id=boot)
        assert one.members.suspicions() == {}
