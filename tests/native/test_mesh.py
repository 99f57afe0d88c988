"""Gossip of real engines: what a process may do again, how long it stays a member, who is left out."""

from __future__ import annotations

from pathlib import Path

from swarmlet.coordinator.hub import AFTER_REMOVAL
from tests.fakes.meshes import Circle, Member, circle


def _all_see(made: Circle, *members: Member) -> None:
    def seen() -> bool:
        every = (made.hub, *members)
        states = [one.sees(other) for one in every for other in every]
        return all(state is not None and state[0] == "alive" for state in states)

    made.until(seen, "all seeing all")


def test_a_process_that_begins_again_uses_no_number_of_its_packets_twice(tmp_path: Path) -> None:
    with circle(tmp_path) as made:
        member = made.member()
        _all_see(made, member)
        made.until(lambda: made.hub.count("gossip_in") > 20, "packets of the first start")
        member.mesh.stop()
        before = made.hub.count("gossip_dropped"), made.hub.count("gossip_in")
        # The same keys and the same address: to others it must be another process with keys of its own.
        member.join(member.address)
        made.until(lambda: made.hub.count("gossip_in") > before[1] + 20, "packets of the second start")
        assert made.hub.count("gossip_dropped") == before[0]
        _all_see(made, member)


def test_a_process_is_seen_by_who_comes_after_its_first_credential_ended(tmp_path: Path) -> None:
    with circle(tmp_path) as made:
        old = made.member(life_ms=1500)
        _all_see(made, old)
        ends_ms = made.cluster_ms() + 1500
        old.refresh()
        made.until(lambda: made.cluster_ms() > ends_ms, "the end of the first credential")
        _all_see(made, old, made.member())


def test_g4_a_removed_node_has_no_key_of_what_the_others_say_or_listen_to(tmp_path: Path) -> None:
    with circle(tmp_path) as made:
        kept, removed = made.member(), made.member()
        _all_see(made, kept, removed)
        # No verdict is told: the epoch alone has to keep it out.
        made.hub.turn(AFTER_REMOVAL)
        kept.refresh()
        kept_dropped = kept.count("gossip_dropped") + made.hub.count("gossip_dropped")
        sent = removed.count("gossip_out")
        assert removed.mesh.broadcast(b"removed")
        assert kept.mesh.broadcast(b"kept")
        made.until(lambda: made.hub.heard("event", b"kept"), "an event of a member")
        made.until(lambda: removed.count("gossip_out") > sent + 5, "packets of the removed")
        assert kept.count("gossip_dropped") + made.hub.count("gossip_dropped") > kept_dropped
        assert not removed.heard("event", b"kept")
        assert not any(one.heard("event", b"removed") for one in (kept, made.hub))


def test_a_node_that_udp_did_not_reach_says_so_and_takes_it_back(tmp_path: Path) -> None:
    with circle(tmp_path) as made:
        member = made.member()
        _all_see(made, member)
        address = made.hub.address
        made.hub.mesh.stop()
        made.until(lambda: member.heard("no-udp"), "nobody answering")
        made.hub.lead(address)
        # The coordinator is back: so is the connection, and with it a grant.
        member.refresh()
        made.until(lambda: member.heard("udp"), "an answer")
        made.until(lambda: made.hub.sees(member) == ("alive", member.address, True), "the hub seeing it")
