"""The local API of a running agent as the specification uses it: its paths, ports, callers (L1, L2)."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import os
import pathlib
import signal
import socket

import pytest
from prometheus_client.parser import text_string_to_metric_families

from swarmlet import _native
from swarmlet.agent.app import Options, run_agent, status
from swarmlet.config.keys import Config
from swarmlet.errors import SwarmletError
from swarmlet.link import messages as m
from tests.contract.test_metrics import NAMED
from tests.fakes.progress import Recorder
from tests.fakes.scripted import Scripted


@pytest.fixture(autouse=True)
def _soft(monkeypatch):
    # This process is the test runner: it must stay debuggable.
    monkeypatch.setattr(_native, "harden", list, raising=False)
    if not hasattr(_native, "build_info"):
        monkeypatch.setattr(_native, "build_info", dict, raising=False)


def get(port, path, host="127.0.0.1", method="GET", **headers):
    connection = http.client.HTTPConnection(host, port, timeout=10)
    try:
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()
    finally:
        connection.close()


def with_agent(tmp_path, ask, *, chosen=(), **changes):
    """Run ``ask(agent's status, coordinator)`` in a thread beside a joined agent."""
    fields = {"data_dir": str(tmp_path / "data"), "api_port": 0, "node_name": "pi", "docker_host": "off"}
    config = Config(**(fields | changes))

    async def work():
        steps = Recorder()
        async with Scripted().running() as coordinator:
            token = coordinator.token(tmp_path)
            options = Options(chosen=frozenset(chosen))
            task = asyncio.create_task(run_agent(config, lambda: token, steps=steps, options=options))
            async with asyncio.timeout(15):
                await coordinator.hear(m.Hello)
                found = None
                while found is None or not (found.connected and found.lease == "held"):
                    with contextlib.suppress(SwarmletError):
                        found = await status(config)
                    await asyncio.sleep(0.01)
                try:
                    return await asyncio.to_thread(ask, found), steps, found
                finally:
                    os.kill(os.getpid(), signal.SIGTERM)
                    assert await task == 0

    return asyncio.run(work())


def test_health_is_200_and_says_how_each_part_is(tmp_path):
    (code, headers, body), _, _ = with_agent(tmp_path, lambda found: get(found.api_port, "/health"))
    shown = json.loads(body)
    assert code == 200
    assert headers["Content-Type"] == "application/json"
    assert shown["apiVersion"] == "swarmlet/v1"
    assert shown["node"] == "pi"
    assert shown["status"] in {"ok", "degraded"}
    for check in shown["checks"]:
        assert {"name", "status", "since_seconds", "why", "next"} <= set(check)


def test_cluster_status_tells_the_connection(tmp_path):
    (code, _, body), _, _ = with_agent(tmp_path, lambda found: get(found.api_port, "/cluster/status"))
    shown = json.loads(body)
    assert code == 200
    assert (shown["node"], shown["cluster"], shown["connected"], shown["lease"]) == (
        "pi",
        "home",
        True,
        "held",
    )
    assert shown["connection"]["state"] == "connected"
    assert shown["certificate_not_after_ms"] > 0


def test_metrics_have_the_six_names_and_live_values(tmp_path):
    (code, headers, body), _, _ = with_agent(tmp_path, lambda found: get(found.api_port, "/metrics"))
    assert code == 200
    assert headers["Content-Type"].startswith("text/plain; version=")
    samples = {
        sample.name: sample.value
        for family in text_string_to_metric_families(body.decode())
        for sample in family.samples
    }
    assert set(NAMED) <= set(samples)
    assert samples["swarmlet_cluster_heartbeat_success"] == 1
    assert samples["swarmlet_memory_usage_bytes"] > 1_000_000


def listening(port):
    """Return the addresses this machine listens on at a TCP port, as the kernel writes them."""
    found = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with contextlib.suppress(FileNotFoundError):
            for row in pathlib.Path(table).read_text().splitlines()[1:]:
                local, state = row.split()[1], row.split()[3]
                if state == "0A" and local.endswith(f":{port:04X}"):
                    found.add(local.partition(":")[0])
    return found


def test_it_listens_on_loopback_only(tmp_path):
    addresses, _, _ = with_agent(tmp_path, lambda found: listening(found.api_port))
    assert addresses
    assert addresses <= {"0100007F", "00000000000000000000000001000000"}


def test_a_page_that_rebinds_a_name_reads_nothing(tmp_path):
    def ask(found):
        return [
            get(found.api_port, "/cluster/status", Host="evil.example"),
            get(found.api_port, "/cluster/status", Origin="http://evil.example"),
            get(found.api_port, "/cluster/status", method="OPTIONS", Origin="http://evil.example"),
        ]

    answers, _, _ = with_agent(tmp_path, ask)
    for code, headers, body in answers:
        assert code == 403
        assert b"pi" not in body
        assert not [name for name in headers if name.lower().startswith("access-control")]


def test_no_method_changes_anything_over_tcp(tmp_path):
    def ask(found):
        return [get(found.api_port, path, method=method)[0] for path in ("/health", "/v1/leave", "/exec")
                for method in ("POST", "PUT", "DELETE", "PATCH")]  # fmt: skip

    codes, _, _ = with_agent(tmp_path, ask)
    assert set(codes) <= {404, 405}


def test_the_metrics_port_is_off_unless_asked_for_and_serves_nothing_else(tmp_path):
    def ask(found):
        assert found.metrics_port is None
        return True

    with_agent(tmp_path, ask)

    def ask_again(found):
        return get(found.metrics_port, "/metrics")[0], get(found.metrics_port, "/health")[0]

    codes, _, _ = with_agent(_made(tmp_path / "b"), ask_again, metrics_port=0, chosen=["metrics_port"])
    assert codes == (200, 404)


def test_the_default_port_moves_when_it_is_taken_and_says_so(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        (code, _, _), steps, found = with_agent(
            tmp_path, lambda found: get(found.api_port, "/health"), api_port=port
        )
    assert code == 200
    assert found.api_port != port
    assert any(str(port) in warning for warning in steps.warnings)
    assert any(str(port) in note for note in found.notes)


def _made(path):
    path.mkdir()
    return path
