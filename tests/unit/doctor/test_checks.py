"""The doctor's judgement, a case for each finding."""

from __future__ import annotations

import pytest

from swarmlet.agent.mounts import Fleeting
from swarmlet.agent.reach import ReachView
from swarmlet.doctor import checks, facts
from swarmlet.doctor.checks import FAILED, OK, UNKNOWN, WARNING
from swarmlet.hardware.engine import EngineView, Lack
from swarmlet.model.profile import Enforcement

FULL = Enforcement("cgroup-v2", "cgroup-v2", "cgroup-v2", "landlock", "seccomp", "user")
GOOD = facts.Facts(
    settings=facts.Settings(),
    disk=facts.Disk("/data", free_bytes=10**10, total_bytes=2 * 10**10),
    membership=facts.Membership("garden-01"),
    ports=(facts.Port("SWARM_API_PORT", 8080, chosen=False),),
    network=facts.Network(
        (
            ReachView(
                "c:7946", "10.0.0.1:7946", reached=True, rtt_ms=3.0, trusted=True, cluster="home", skew_s=0.2
            ),
        ),
        "eth0",
        1500,
    ),
    device=facts.Device(
        kind="raspberry_pi_4",
        memory_controller="v2",
        enforcement=FULL,
        throttled=0,
        degrees=45.0,
        most_degrees=85.0,
    ),
    engine=EngineView("docker 27.3.1 (api 1.47)", "/var/run/docker.sock", ""),
    user=facts.User(0, 1_790_000_000_000),
)


def _seen(**fields: object) -> facts.Facts:
    view = ReachView("c:7946", "10.0.0.1:7946", **{"reached": True, **fields})  # type: ignore[arg-type]
    return GOOD._replace(network=GOOD.network._replace(reached=(view,)))


def _device(**fields: object) -> facts.Facts:
    return GOOD._replace(device=GOOD.device._replace(**fields))  # type: ignore[arg-type]


def _disk(**fields: object) -> facts.Facts:
    return GOOD._replace(disk=GOOD.disk._replace(**fields))  # type: ignore[arg-type]


def _engine(lack: Lack, reason: str) -> facts.Facts:
    return GOOD._replace(engine=EngineView(None, None, reason, lack))


def _port(**fields: object) -> facts.Facts:
    return GOOD._replace(ports=(GOOD.ports[0]._replace(**fields),))  # type: ignore[arg-type]


def test_a_device_that_is_well_has_no_finding_but_ok() -> None:
    report = checks.examine(GOOD)
    assert report.state == OK
    assert [one for one in report.findings if one.state != OK or one.fix] == []
    assert [one.check for one in report.findings] == [
        "settings", "data directory", "free space", "identity", "port 8080", "connection", "trust", "clock",
        "packet size", "container engine", "memory limits", "isolation", "power", "temperature",
    ]  # fmt: skip


CASES = {
    "a bad setting": (GOOD._replace(settings=facts.Settings(("SWARM_API_PORT=x",))), "settings", FAILED, "x"),
    "a strange setting": (
        GOOD._replace(settings=facts.Settings((), ("X is set",))),
        "settings",
        WARNING,
        "X",
    ),
    "no room to write": (
        _disk(trouble=("it is read-only", "mount it")),
        "data directory",
        FAILED,
        "read-only",
    ),
    "a layer of the container": (
        _disk(fleeting=Fleeting("it goes with the container", "-v /a:/b")),
        "data directory",
        WARNING,
        "goes with",
    ),
    "a full disk": (_disk(free_bytes=9_000_000), "free space", FAILED, "0.0 of 20.0 GB"),
    "a nearly full disk": (_disk(free_bytes=150_000_000), "free space", WARNING, "0.1 of"),
    "a small disk with room": (
        _disk(free_bytes=60_000_000, total_bytes=500_000_000),
        "free space",
        OK,
        "0.1",
    ),
    "a damaged identity": (
        GOOD._replace(membership=facts.Membership(None, ("both slots are damaged", "join"))),
        "identity",
        FAILED,
        "both slots",
    ),
    "no identity": (GOOD._replace(membership=facts.Membership()), "identity", OK, "not joined"),
    "the default port taken": (_port(holder=" by nginx (process 7)"), "port 8080", WARNING, "by nginx"),
    "a chosen port taken": (
        _port(holder=" by nginx (process 7)", chosen=True),
        "port 8080",
        FAILED,
        "by nginx",
    ),
    "our own port": (_port(ours=True), "port 8080", OK, "agent"),
    "no address": (GOOD._replace(network=facts.Network()), "cluster", UNKNOWN, "no address"),
    "an unknown name": (
        _seen(reached=False, code="SWL-204", problem="no address"),
        "name",
        FAILED,
        "no address",
    ),
    "silence": (
        _seen(reached=False, code="SWL-200", problem="it did not answer"),
        "connection",
        FAILED,
        "not answer",
    ),
    "another cluster": (
        _seen(trusted=False, code="SWL-202", problem="another key"),
        "trust",
        FAILED,
        "another",
    ),
    "no key to compare": (_seen(trusted=None, key="SHA256:ab"), "trust", UNKNOWN, "SHA256:ab"),
    "a clock that is ahead": (_seen(trusted=True, skew_s=90.0), "clock", WARNING, "90.0 s ahead"),
    "a clock that is behind": (_seen(trusted=True, skew_s=-6.0), "clock", WARNING, "6.0 s behind"),
    "a clock at 1970": (
        GOOD._replace(network=facts.Network(), user=facts.User(0, 5_000)),
        "clock",
        WARNING,
        "never set",
    ),
    "small packets": (
        GOOD._replace(network=GOOD.network._replace(mtu=1200)),
        "packet size",
        WARNING,
        "1200 bytes on eth0",
    ),
    "no engine": (
        _engine(Lack.ABSENT, "no engine's socket is here: /a"),
        "container engine",
        OK,
        "only process workloads",
    ),
    "an engine that may not be used": (
        _engine(Lack.FORBIDDEN, "this user may not use /a; add"),
        "container engine",
        WARNING,
        "may not use",
    ),
    "an old engine": (
        _engine(Lack.OLD, "docker 1.11 (api 1.23) at /a is too old: API 1.24 or newer is needed"),
        "container engine",
        WARNING,
        "API 1.24 or newer",
    ),
    "Docker Desktop": (
        _device(container=True)._replace(network=GOOD.network._replace(desktop=True)),
        "host network",
        WARNING,
        "virtual machine",
    ),
    "no memory cgroup": (_device(memory_controller="off"), "memory limits", WARNING, "cannot be bounded"),
    "an old kernel": (_device(enforcement=Enforcement()), "isolation", WARNING, "files, syscalls"),
    "a masked device tree": (_device(tree_masked=True), "device tree", WARNING, "masked"),
    "too little voltage now": (_device(throttled=0x50005), "power", WARNING, "voltage now"),
    "too little voltage before": (_device(throttled=0x10000), "power", WARNING, "voltage since"),
    "an alarm of the sensor": (_device(throttled=None, undervoltage=True), "power", WARNING, "voltage now"),
    "slowed down by heat": (_device(throttled=0x8), "power", WARNING, "heat now"),
    "nearly too hot": (_device(degrees=81.0), "temperature", WARNING, "81 C, slows down at 85 C"),
}


@pytest.mark.parametrize("name", CASES)
def test_a_finding_says_what_was_found_and_what_mends_it(name: str) -> None:
    seen, check, state, words = CASES[name]
    found = [one for one in checks.examine(seen).findings if one.check == check]
    assert [one.state for one in found] == [state]
    assert words in found[0].found
    assert bool(found[0].fix) == (state != OK)


def test_a_name_in_local_is_told_apart() -> None:
    seen = GOOD._replace(
        network=facts.Network(
            (
                ReachView(
                    "pi.local:7946", "pi.local:7946", reached=False, code="SWL-204", problem="no address"
                ),
            )
        )
    )
    [found] = [one for one in checks.examine(seen).findings if one.check == "name"]
    assert "mDNS" in found.fix


def test_the_remedy_for_the_memory_cgroup_names_the_file_of_a_raspberry_pi() -> None:
    for kind, named in (("raspberry_pi_4", True), ("laptop", False)):
        seen = _device(kind=kind, memory_controller="off")
        [found] = [one for one in checks.examine(seen).findings if one.check == "memory limits"]
        assert ("/boot/firmware/cmdline.txt" in found.fix) == named
