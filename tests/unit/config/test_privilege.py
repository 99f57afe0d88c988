"""Who root becomes, with which groups, and what is said of it."""

from __future__ import annotations

import stat

import pytest

from swarmlet.config import privilege
from swarmlet.config.privilege import Socket, Standing, User

AGENT = User(10001, 10001)


def engine(gid: int, mode: int = 0o660, uid: int = 0) -> Socket:
    return Socket("/var/run/docker.sock", uid, gid, stat.S_IFSOCK | mode)


def test_a_setting_becomes_a_user():
    assert privilege.user_of(None) is None
    assert privilege.user_of("10001:998") == User(10001, 998)
    assert str(User(10001, 998)) == "10001:998"


@pytest.mark.parametrize(
    ("socket", "groups"),
    [
        (None, ()),
        (engine(998), (998,)),
        (engine(998, 0o666), ()),  # everybody may already
        (engine(10001), ()),  # its own group may
        (engine(998, 0o600), ()),  # the group would not help
        (engine(998, 0o600, uid=10001), ()),
    ],
)
def test_the_group_of_the_engines_socket_is_taken_where_it_helps(socket, groups):
    assert privilege.agents_standing(AGENT, socket) == Standing(AGENT, groups)


def test_the_group_of_root_is_taken_and_that_is_said():
    found = privilege.agents_standing(AGENT, engine(0))
    assert found.groups == (0,)
    assert "keeps group 0 (root's)" in found.notes[0]


@pytest.mark.parametrize(
    ("agents", "user"), [(None, AGENT), (User(0, 0), AGENT), (User(1234, 5), User(1234, 5)), (AGENT, AGENT)]
)
def test_a_command_runs_as_whoever_the_agent_runs_as(agents, user):
    assert privilege.callers_user(AGENT, agents) == user


@pytest.mark.parametrize(
    "path", ["/", "/etc", "/usr/lib", "/var/lib", "/tmp", "/home", "/proc/1", "/dev/shm"]
)
def test_a_directory_of_the_system_is_given_to_nobody(path):
    assert privilege.unusable_directory(path)


@pytest.mark.parametrize(
    "path", ["/data", "/opt/swarmlet", "/var/lib/swarmlet", "/srv/data", "/home/pi/data"]
)
def test_a_directory_of_its_own_may_be_given(path):
    assert privilege.unusable_directory(path) == ""


def test_new_privileges_are_given_up_only_where_a_workload_is_known_by_more_than_that():
    assert privilege.counts_filters("NoNewPrivs:\t0\nSeccomp:\t2\nSeccomp_filters:\t1\n")
    assert not privilege.counts_filters("NoNewPrivs:\t0\nSeccomp:\t2\n")
    assert not privilege.counts_filters("")


def test_the_home_is_the_data_directory():
    assert privilege.home({"HOME": "/root", "USER": "root"}, "/data") == {"HOME": "/data", "USER": "swarmlet"}
    assert privilege.home({}, "/data") == {"HOME": "/data"}


@pytest.mark.parametrize(
    ("gids", "socket", "in_container", "fix"),
    [
        ((1234,), engine(998), True, "--group-add 998"),
        ((1234,), engine(998), False, "usermod -aG docker"),
        ((1234, 998), engine(998, 0o600), True, "chgrp docker"),
    ],
)
def test_what_an_agent_that_is_not_root_lacks_comes_with_what_mends_it(gids, socket, in_container, fix):
    said = privilege.lacking(1234, gids, socket, in_container=in_container)
    assert said.startswith("user 1234 may not use /var/run/docker.sock: containers cannot be run here")
    assert fix in said
