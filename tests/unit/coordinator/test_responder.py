"""Which questions get an answer: whole ones, from the link, not too often; and what is in it."""

from __future__ import annotations

import sys

import pytest

from swarmlet.coordinator.responder import ALTOGETHER, PER_SOURCE, SOURCES, Answerer
from swarmlet.link.datagrams import Datagram
from swarmlet.model import inquiry
from swarmlet.model.announcement import Announcement
from swarmlet.model.inquiry import Question
from swarmlet.model.nearness import Route

NUMBER = bytes(range(16))
WHAT = Announcement(
    cluster_id="ab" * 16,
    cluster_name="home",
    key="cd" * 32,
    protocol=1,
    port=7946,
    endpoints=("10.0.0.1:7946",),
)
NETWORK, MASK = (int.from_bytes(bytes(part), sys.byteorder) for part in ((10, 77, 0, 0), (255, 255, 0, 0)))
NEAR = (Route("eth0", NETWORK, MASK),)
ASKED = Datagram(inquiry.write_question(Question(NUMBER)), "10.77.0.9", 40_000, "eth0", 2, 255, "10.77.0.1")
ANY = "0.0.0.0"  # noqa: S104 - compared, not bound


def told(came, bind=ANY, now=0.0, answerer=None):
    data = (answerer or Answerer(bind)).answer(came, WHAT, NEAR, now)
    return None if data is None else inquiry.read_answer(data, NUMBER)


def test_a_neighbour_is_told_where_the_cluster_is():
    assert told(ASKED) == WHAT


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"data": b"junk"}, "junk"),
        ({"data": bytes(inquiry.LENGTH)}, "junk"),
        ({"data": inquiry.write_question(Question(NUMBER, "ee" * 16))}, "for_others"),
        ({"hops": 254}, "routed"),
        ({"hops": 0}, "routed"),
        ({"host": "10.78.0.9"}, "off_link"),
        ({"host": "192.0.2.1"}, "off_link"),
        ({"interface": "eth1"}, "off_link"),
        ({"interface": ""}, "off_link"),
        ({"host": "2001:db8::1"}, "off_link"),
    ],
)
def test_everybody_else_is_told_nothing_and_counted(change, reason):
    answerer = Answerer(ANY)
    assert told(ASKED._replace(**change), answerer=answerer) is None
    assert dict(answerer.counts) == {reason: 1}


def test_who_looks_for_this_cluster_is_told():
    assert told(ASKED._replace(data=inquiry.write_question(Question(NUMBER, WHAT.cluster_id)))) == WHAT


@pytest.mark.parametrize(
    ("bind", "host", "local", "port"),
    [
        (ANY, "10.77.0.9", "10.77.0.1", 7946),
        (ANY, "fe80::1%eth0", "", None),
        ("::", "fe80::1%eth0", "", 7946),
        ("::", "10.77.0.9", "10.77.0.1", 7946),
        ("10.77.0.1", "10.77.0.9", "10.77.0.1", 7946),
        ("192.0.2.1", "10.77.0.9", "10.77.0.1", None),
    ],
)
def test_a_port_is_told_only_to_who_can_reach_it_there(bind, host, local, port):
    found = told(ASKED._replace(host=host, local=local), bind)
    assert found is not None
    assert found.port == port
    assert found.endpoints == WHAT.endpoints


def test_who_asks_too_often_waits_and_others_do_not():
    answerer = Answerer(ANY)
    answers = [told(ASKED, answerer=answerer) for _ in range(50)]
    assert sum(one is not None for one in answers) == PER_SOURCE.burst
    assert told(ASKED._replace(host="10.77.0.10"), answerer=answerer) == WHAT
    assert told(ASKED, now=1.0, answerer=answerer) == WHAT


def test_all_together_get_only_so_many_and_few_are_remembered():
    answerer = Answerer(ANY)
    hosts = [f"10.77.{high}.{low}" for high in range(20) for low in range(1, 255)]
    answers = [told(ASKED._replace(host=host), answerer=answerer) for host in hosts]
    assert sum(one is not None for one in answers) == ALTOGETHER.burst
    assert len(answerer._limiter) <= SOURCES
    assert sum(answerer.counts.values()) == len(hosts)
