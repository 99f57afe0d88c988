"""How an agent stands: since when, why, and what to do."""

from __future__ import annotations

from swarmlet.agent.status import Standing
from swarmlet.errors import error
from swarmlet.model.health import Health

AWAY = error("SWL-200", address="10.0.0.1:7946", detail="nothing listens there")


def test_before_the_first_connection_it_is_offline():
    standing = Standing(0.0)
    assert standing.view(5.0).state == "offline"
    assert standing.health()[0] is Health.DEGRADED


def test_being_cut_off_counts_from_its_beginning_through_every_attempt():
    standing = Standing(0.0)
    standing.welcomed(10.0)
    standing.lost(AWAY, 21.0, 20.0)
    standing.connecting("10.0.0.1:7946", 21.0)
    standing.lost(AWAY, 25.0, 22.0)
    view = standing.view(24.0)
    assert (view.state, view.since_seconds, view.retry_in_seconds) == ("waiting", 4.0, 1.0)
    assert view.why == "10.0.0.1:7946 cannot be reached: nothing listens there"
    assert view.next == "swarmlet test-connection --cluster 10.0.0.1:7946"


def test_a_welcome_clears_the_trouble_and_counts_the_reconnection():
    standing = Standing(0.0)
    standing.welcomed(1.0)
    standing.lost(AWAY, 3.0, 2.0)
    standing.welcomed(3.0)
    view = standing.view(4.0)
    assert (view.state, view.reconnects, view.code, view.since_seconds) == ("connected", 1, None, 1.0)
    assert standing.health() == (Health.OK, "", "")


def test_what_went_wrong_stays_shown_until_it_is_over():
    standing = Standing(0.0)
    standing.lost(AWAY, 2.0, 1.0)
    standing.connecting("10.0.0.1:7946", 2.0)
    assert standing.view(2.5).code == "SWL-200"
    assert standing.health()[2] == AWAY.next
