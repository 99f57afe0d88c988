"""What the local API answers and refuses, without a socket."""

from __future__ import annotations

import pytest

from swarmlet.report.requests import Request, answer, json_response

ROUTES = {"/health": lambda _request: json_response({"status": "ok"}), "/metrics": lambda _request: 1 / 0}


def ask(method="GET", target="/health", host="localhost:8080", **headers):
    pairs = [("host", host), *((name.replace("_", "-"), value) for name, value in headers.items())]
    return answer(Request(method, target, tuple(pairs)), ROUTES)


@pytest.mark.parametrize(
    "host", ["localhost", "localhost:8080", "127.0.0.1:9", "[::1]", "[::1]:80", "LOCALHOST"]
)
def test_a_program_on_this_machine_is_served(host):
    assert ask(host=host).status == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8080", "127.0.0.1.evil.example", "", "localhost:x", "[::2]", "::1"]
)
def test_a_rebound_name_is_refused(host):
    assert ask(host=host).status == 403


def test_two_hosts_or_none_are_refused():
    assert answer(Request("GET", "/health"), ROUTES).status == 403
    assert (
        answer(Request("GET", "/health", (("host", "localhost"), ("host", "localhost"))), ROUTES).status
        == 403
    )


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "https://localhost", "http://localhost.evil"]
)
def test_another_origin_is_refused(origin):
    assert ask(origin=origin).status == 403


def test_our_own_origin_is_served():
    assert ask(origin="http://localhost:8080").status == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "HEAD", "PATCH", "TRACE"])
def test_nothing_but_get_is_served(method):
    response = ask(method)
    assert response.status == 405
    assert ("Allow", "GET") in response.extra


def test_no_answer_opens_anything_to_other_origins():
    for response in (ask(), ask("OPTIONS"), ask(target="/x")):
        assert not [name for name, _ in response.extra if name.lower().startswith("access-control")]


def test_an_unknown_path_names_the_known_ones():
    response = ask(target="/")
    assert response.status == 404
    assert b"/health /metrics" in response.body


def test_a_query_does_not_hide_the_path():
    assert ask(target="/health?x=1").status == 200
