"""Many devices in one process: the load. Each joins by the product's own join machine.

One native engine holds all connections and speaks the real protocol; every device has its own key, name,
fingerprint and loopback address, and retries, as a real one would. What is left out is what a device does
alone: looking at its hardware, making its key, syncing its disk.
"""

from __future__ import annotations

import heapq
import random
import select
import time
from collections import deque
from collections.abc import Callable, Iterable

import msgspec

from swarmlet import __version__, _native
from swarmlet.agent.reconnect import Backoff
from swarmlet.join import events as ev
from swarmlet.join.machine import JoinMachine
from swarmlet.join.plan import Plan
from swarmlet.link import messages as m
from swarmlet.model.profile import Profile

_BATCH = 2048
#: How often a member that lost its connection tries again before it counts as lost.
_MOST_FAILURES = 20
_CONNECT_MS = 10_000


class Device:
    """One device: when it began, when it was admitted, when it took its first desired state."""

    __slots__ = (
        "admitted",
        "admitted_at",
        "backoff",
        "began",
        "conn",
        "csr",
        "fault",
        "identity",
        "key",
        "leased_at",
        "machine",
        "name",
        "phase",
        "profile",
        "ready_at",
        "source",
        "timer",
    )

    def __init__(self, number: int, profile: Profile) -> None:
        self.name = f"device-{number}"
        self.source = f"127.{1 + number // 62_500}.{number // 250 % 250}.{1 + number % 250}"
        self.profile = msgspec.structs.replace(profile, node_id=self.name, fingerprint=f"{number:064x}")
        self.key = _native.KeyPair.generate()
        self.csr = self.key.csr(self.name)
        self.machine: JoinMachine | None = None
        self.backoff = Backoff(random.Random(number))
        self.admitted: m.Admitted | None = None
        self.identity: _native.Identity | None = None
        self.conn = 0
        self.timer = 0.0
        self.phase = "idle"
        self.fault = ""
        self.began = self.admitted_at = self.ready_at = self.leased_at = 0.0


class Crowd:
    """Devices of one cluster.

    Args:
        address: The coordinator's ``ip:port`` on loopback.
        token: Text of a token with enough uses.
        profile: What every device says of itself, but for name and fingerprint.
    """

    def __init__(self, address: str, token: str, profile: Profile) -> None:
        self.engine = _native.Engine(event_capacity=65_536)
        self.devices: list[Device] = []
        #: Those that are neither connected members with their desired state nor given up.
        self.pending: set[Device] = set()
        self._address = address
        self._token = _native.Token.parse(token)
        self._profile = profile
        claims = self._token.claims
        self._cluster_id, self._pins, self._expires_s = claims[1].hex(), tuple(claims[7]), claims[6]
        self._stranger = _native.ClientTls(list(self._pins), None, self._cluster_id, None)
        self._by_conn: dict[int, Device] = {}
        self._timers: list[tuple[float, int, Device]] = []
        self._tie = 0
        self._poller = select.poll()
        self._poller.register(self.engine.event_fd, select.POLLIN)

    # ---- what a measurement asks

    def make(self, count: int) -> list[Device]:
        """Make devices with their keys; nothing is sent yet."""
        made = [Device(len(self.devices) + n, self._profile) for n in range(count)]
        self.devices += made
        return made

    def join(self, devices: Iterable[Device], *, at_once: int, deadline_s: float) -> None:
        """Have devices join and become members, at most ``at_once`` of them under way."""
        waiting = deque(devices)

        def done() -> bool:
            while waiting and len(self.pending) < at_once:
                self._begin(waiting.popleft())
            return not self.pending

        self.until(done, deadline_s)

    def until(self, done: Callable[[], bool], deadline_s: float) -> bool:
        """Handle what happens until ``done``; false after the deadline."""
        until = time.perf_counter() + deadline_s
        while not done():
            if time.perf_counter() > until:
                return False
            self._pump(0.02)
        return True

    def hurry(self) -> None:
        """Have members that wait before they try again try now, with a fresh back-off."""
        for device in self.pending:
            device.backoff.failures = 0
            if device.phase == "away":
                self._set_timer(device, 0.0)

    def hold(self, seconds: float) -> None:
        """Only hold the connections for a while; heartbeats are the engine's."""
        self.until(lambda: False, seconds)

    def close(self) -> None:
        """End every connection."""
        self.engine.stop()

    # ---- the loop

    def _pump(self, seconds: float) -> None:
        now = time.perf_counter()
        wait = min(seconds, max(0.0, self._timers[0][0] - now)) if self._timers else seconds
        if self._poller.poll(wait * 1000):
            for event in self.engine.poll(_BATCH):
                self._on(event)
        now = time.perf_counter()
        while self._timers and self._timers[0][0] <= now:
            at, _, device = heapq.heappop(self._timers)
            if device.timer == at:
                device.timer = 0.0
                self._timed_out(device)

    def _set_timer(self, device: Device, seconds: float | None) -> None:
        device.timer = 0.0 if seconds is None else time.perf_counter() + seconds
        if seconds is not None:
            self._tie += 1
            heapq.heappush(self._timers, (device.timer, self._tie, device))

    def _timed_out(self, device: Device) -> None:
        if device.phase == "joining":
            self._feed(device, ev.TimedOut())
        elif device.phase == "away":
            self._return(device)

    def _on(self, event: _native.EventTuple) -> None:
        kind, conn, first, second, *_ = event
        device = self._by_conn.get(conn)
        if device is None:
            return
        if kind == _native.EVENT_CLOSED:
            del self._by_conn[conn]
            self._closed(device, str(first), str(second))
        elif kind == _native.EVENT_OPENED and device.phase == "joining":
            self._feed(device, ev.Opened(bytes(second)))  # type: ignore[call-overload]
        elif kind == _native.EVENT_FRAME:
            self._received(device, m.decode(event[4]))  # type: ignore[arg-type]
        elif kind == _native.EVENT_LEASE and not device.leased_at:
            device.leased_at = time.perf_counter()

    def _dial(self, device: Device, tls: _native.ClientTls, timeout_ms: int) -> None:
        device.conn = self.engine.connect(self._address, tls, timeout_ms=timeout_ms, source=device.source)
        self._by_conn[device.conn] = device

    def _send(self, device: Device, message: m.AnyMessage) -> None:
        self.engine.send(device.conn, _native.KIND_CONTROL, 0, m.encode(message))

    def _hang_up(self, device: Device) -> None:
        if self._by_conn.pop(device.conn, None) is not None:
            self.engine.close(device.conn)

    # ---- joining: the machine decides

    def _begin(self, device: Device) -> None:
        self.pending.add(device)
        device.phase, device.began = "joining", time.perf_counter()
        device.machine = JoinMachine(
            Plan((self._address,), device.name, self._cluster_id, self._pins, self._expires_s, "memory"),
            random.Random(device.name),
        )
        self._feed(device, ev.Started(int(time.time() * 1000)))

    def _feed(self, device: Device, event: ev.Event) -> None:
        following: ev.Event | None = event
        while following is not None and device.machine is not None:
            actions, following = device.machine.handle(following, time.perf_counter()), None
            for action in actions:
                following = self._do(device, action) or following

    def _do(self, device: Device, action: ev.Action) -> ev.Event | None:
        match action:
            case ev.Resolve(name):
                return ev.Resolved((name,))
            case ev.Dial(_, timeout_s):
                self._dial(device, self._stranger, int(timeout_s * 1000))
            case ev.SetTimer(seconds):
                self._set_timer(device, seconds)
            case ev.SendRequest(exporter):
                self._ask(device, exporter)
            case ev.Save(admitted):
                return self._save(device, admitted)
            case ev.Hangup():
                self._hang_up(device)
            case ev.Fail(code, fields):
                device.machine = None
                self._give_up(device, f"{code} {fields}")
            case ev.Finish():
                device.machine = None
                self._return(device)
        return None

    def _ask(self, device: Device, exporter: bytes) -> None:
        proof = self._token.proof(device.csr, exporter)
        self._send(
            device,
            m.JoinRequest(self._token.signed, device.csr, proof, device.name, device.profile, __version__),
        )

    def _save(self, device: Device, admitted: m.Admitted) -> ev.Event:
        device.admitted_at = time.perf_counter()
        device.admitted = admitted
        device.identity = _native.Identity.create(device.key, admitted.chain, b"")
        return ev.Saved(device.identity.not_after_ms)

    # ---- as a member

    def _return(self, device: Device) -> None:
        """Connect with the certificate."""
        device.phase = "returning"
        now_ms = device.admitted.time_ms if device.admitted else None
        tls = _native.ClientTls(list(self._pins), device.identity, self._cluster_id, now_ms)
        self._dial(device, tls, _CONNECT_MS)

    def _received(self, device: Device, message: m.AnyMessage) -> None:
        if device.phase == "joining":
            self._feed(device, ev.Received(message, int(time.time() * 1000)))
        elif isinstance(message, m.Challenge):
            self._send(device, self._hello(device))
        elif isinstance(message, m.Desired) and not message.more:
            device.phase = "ready"
            device.ready_at = time.perf_counter()
            self.pending.discard(device)
        elif isinstance(message, m.Refused):
            self._give_up(device, f"{message.code} {message.detail}")

    @staticmethod
    def _hello(device: Device) -> m.Hello:
        return m.Hello(m.PROTOCOL_VERSION, __version__, "bench", device.name, device.profile, 0)

    def _closed(self, device: Device, reason: str, detail: str) -> None:
        if device.phase == "joining":
            self._feed(device, ev.Closed(reason, detail))
        elif device.phase in {"returning", "ready"}:
            if device.backoff.failures >= _MOST_FAILURES:
                self._give_up(device, f"{reason} {detail}")
                return
            was, device.phase = device.phase, "away"
            self.pending.add(device)
            now = time.perf_counter()
            lasted_s = 0.0 if was == "returning" else now - device.ready_at
            self._set_timer(device, device.backoff.after(lasted_s, now))

    def _give_up(self, device: Device, why: str) -> None:
        device.phase, device.fault = "failed", why
        self.pending.discard(device)
