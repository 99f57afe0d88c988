"""The local API over real sockets: bounds, deadlines, and requests that are none."""

# ruff: noqa: PTH208

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket

import pytest

from swarmlet.report import http
from swarmlet.report.http import MOST_CONNECTIONS, MOST_HEADER, LocalServer
from swarmlet.report.ports import bind_loopback
from swarmlet.report.requests import json_response

ROUTES = {"/health": lambda _request: json_response({"status": "ok"}), "/broken": lambda _request: 1 / 0}


@contextlib.asynccontextmanager
async def serving():
    bound = bind_loopback(0, "SWARM_API_PORT", insisted=True)
    task = asyncio.create_task(LocalServer(bound, ROUTES).serve())
    try:
        yield bound.port
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def talk(port, data, host="127.0.0.1"):
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(data)
        await writer.drain()
        with contextlib.suppress(ConnectionError):
            return await asyncio.wait_for(reader.read(), 10)
        return b""
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


def get(path="/health", **headers):
    lines = [f"GET {path} HTTP/1.1", "Host: localhost", *(f"{k}: {v}" for k, v in headers.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def run(scenario):
    async def wrapped():
        async with serving() as port:
            return await scenario(port)

    return asyncio.run(wrapped())


def status(answer):
    return int(answer.split(b" ", 2)[1]) if answer else 0


def test_a_request_gets_its_answer_and_the_connection_ends():
    answer = run(lambda port: talk(port, get()))
    head, body = answer.split(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ")
    assert b"connection: close" in head.lower()
    assert b"cache-control: no-store" in head.lower()
    assert body == b'{"status":"ok"}\n'


def test_it_answers_on_ipv6_loopback_too():
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET6) as probe:
        probe.bind(("::1", 0))
        assert status(run(lambda port: talk(port, get(), "::1"))) == 200
        return
    pytest.skip("no IPv6 loopback here")


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"GET /health HTTP/1.1\r\n\r\n", 400),
        (b"GET /health HTTP/1.0\r\n\r\n", 403),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
        (b"SSH-2.0-OpenSSH_9.6\r\n\r\n", 400),
        (get(Cookie="x" * (MOST_HEADER + 5000)), 431),
        (b"HEAD /health HTTP/1.1\r\nHost: localhost\r\n\r\n", 405),
        (b"POST /health HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello", 405),
        (b"POST /health HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz", 405),
        (b"CONNECT example.org:443 HTTP/1.1\r\nHost: localhost\r\n\r\n", 404),
        (get("/%2e%2e/etc/passwd"), 404),
        (get(Host2="x") + get(), 200),
    ],
)
def test_bad_requests_are_answered_not_feared(data, expected):
    assert status(run(lambda port: talk(port, data))) == expected


def test_a_half_sent_request_is_timed_out(monkeypatch):
    monkeypatch.setattr(http, "REQUEST_S", 0.2)
    assert status(run(lambda port: talk(port, b"GET /health HT"))) == 408


def test_a_failing_route_is_a_500_and_the_server_lives_on(caplog):
    caplog.set_level(logging.CRITICAL, "swarmlet.report.http")

    async def twice(port):
        return status(await talk(port, get("/broken"))), status(await talk(port, get()))

    assert run(twice) == (500, 200)


def test_dawdlers_lose_their_places_to_callers_who_ask(monkeypatch):
    """Nobody waits for a deadline here: neither of them ever comes."""
    monkeypatch.setattr(http, "REQUEST_S", 3600.0)
    monkeypatch.setattr(http, "DEADLINE_S", 3600.0)

    async def crowded(port):
        idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(MOST_CONNECTIONS * 5)]
        for _, writer in idle[::2]:
            writer.write(b"GET /health HT")
        answer = await talk(port, get())
        for _, writer in idle:
            writer.close()
        return status(answer)

    assert run(crowded) == 200


def test_callers_who_do_not_read_their_answer_lose_their_places_too(monkeypatch):
    monkeypatch.setattr(http, "DEADLINE_S", 3600.0)

    async def crowded(port):
        kept = [await asyncio.open_connection("127.0.0.1", port) for _ in range(MOST_CONNECTIONS * 2)]
        for _, writer in kept:
            writer.write(get())
        answer = await talk(port, get())
        for _, writer in kept:
            writer.close()
        return status(answer)

    assert run(crowded) == 200


def test_a_burst_of_honest_callers_is_answered_whole():
    async def burst(port):
        return await asyncio.gather(*(talk(port, get()) for _ in range(MOST_CONNECTIONS * 10)))

    assert {status(answer) for answer in run(burst)} == {200}


def test_a_caller_that_hangs_up_early_costs_nothing():
    async def rude(port):
        for _ in range(50):
            with socket.create_connection(("127.0.0.1", port)) as one:
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
                one.sendall(get())
        return status(await talk(port, get()))

    assert run(rude) == 200


def test_descriptors_are_given_back():
    async def many(port):
        await talk(port, get())
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(30):
            await talk(port, get())
        return before, len(os.listdir("/proc/self/fd"))

    before, after = run(many)
    assert after <= before + 1
