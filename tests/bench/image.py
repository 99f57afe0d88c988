"""The agent's container image: what it weighs and what it costs on this machine, as far as it is here."""

from __future__ import annotations

import contextlib
import statistics
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.bench import processes
from tests.bench.measure import Figure, Plan, spread
from tests.bench.processes import MB
from tests.image import rootfs, tiny
from tests.image.boxes import NATIVE, Fleet, absent

_MEMORY_BAR_MB, _MEMORY_AIM_MB = 50.0, 20.0
_DEADLINE_S = 60.0


def figures(plan: Plan) -> Iterator[Figure]:
    """Weigh the image of each platform; start and measure that of this machine."""
    for platform in rootfs.TAGS:
        yield from _sizes(plan, platform)
    reason = absent(NATIVE)
    if reason:
        for what, unit in (("memory of an idle joined agent in its container", "MB RSS"), (_START, "s")):
            yield Figure(what, None, unit, note=f"not measured: {reason}")
        return
    directory = plan.directory / "image"
    directory.mkdir()
    with Fleet(directory) as fleet:
        yield from _start(plan, fleet)
        yield _memory(plan, fleet)


# ---- what it weighs


def _sizes(plan: Plan, platform: str) -> Iterator[Figure]:
    tag, names = rootfs.tag_of(platform), [f"image for {platform}, {kind}" for kind in ("files", "gzip")]
    if tag is None:
        for name in names:
            yield Figure(name, None, "MB", note="not measured: it is not here; make images builds it")
        return
    gate = rootfs.load("gate")
    archive = plan.directory / "image.tar"
    saved = rootfs.docker("save", "--output", str(archive), tag)
    if saved.returncode != 0:
        raise RuntimeError(saved.stderr.strip()[-300:])
    layers = gate.read(archive)
    archive.unlink()
    files, budget = gate.merged(layers), gate.BUDGETS["agent"]
    path, largest = max(files.items(), key=lambda item: item[1])
    notes = (
        f"the sum of {len(files)} files; the largest is {path}, {largest / MB:.2f} MB",
        f"the sum of {len(layers)} layers, as a registry has them",
    )
    sizes = (sum(files.values()), sum(layer.gzip for layer in layers))
    bars = (budget.fail, budget.fail_gzip)
    for name, size, bar, note in zip(names, sizes, bars, notes, strict=True):
        yield Figure(name, size / MB, "MB", bar=f"{bar / MB:g} MB", met=size <= bar, note=note)


# ---- what it costs


_START = "docker run to accepting work"
_PEER = "a static program of 150 bytes"


def _start(plan: Plan, fleet: Fleet) -> Iterator[Figure]:
    """Time the image and a program that does nothing, in turn: the difference is not Docker's."""
    rounds = plan.pick(7, 3)
    with _nothing(plan.directory, fleet.network) as nothing:
        pairs = [(_ready(fleet, f"starts-{n}"), _until(fleet, "up", (nothing,))) for n in range(rounds)]
    ours, bare = ([pair[place] for pair in pairs] for place in (0, 1))
    alone = [one - other for one, other in pairs]
    middle, peer = statistics.median(ours), statistics.median(bare)
    yield Figure(
        _START,
        middle,
        "s",
        peer=f"docker run of {_PEER}",
        peer_value=peer,
        ratio=middle / peer,
        note=f"medians; ours: {spread(ours, 's')}; the peer, to its first line: {spread(bare, 's')}",
    )
    yield Figure(
        f"{_START}, without Docker's own part",
        statistics.median(alone),
        "s",
        note=f"median of the differences to {_PEER} started just after; {spread(alone, 's')}; profile, join"
        " by two TLS handshakes and every sync to disk included",
    )


def _ready(fleet: Fleet, name: str) -> float:
    token, data = fleet.secret(f"{name}.token"), fleet.folder(name)
    options = (
        *("--volume", f"{data}:/data", "--volume", f"{token}:/run/secrets/token"),
        *("--env", f"SWARM_NODE_NAME={name}", rootfs.tag_of(NATIVE) or ""),
    )
    return _until(fleet, "accepting work", (*options, "join", "--token-file", "/run/secrets/token"))


def _until(fleet: Fleet, text: str, words: Sequence[str]) -> float:
    """Return the seconds from ``docker run`` to a line with ``text``."""
    box = fleet.box()
    command = ["docker", "run", "--name", box.name, "--network", "host", *words]
    began = time.perf_counter()
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        said = []
        for line in process.stdout:
            said.append(line)
            if text in line:
                took = time.perf_counter() - began
                fleet.remove(box)
                process.communicate(timeout=_DEADLINE_S)
                return took
    raise RuntimeError(f"{' '.join(words)} did not say {text!r}: {''.join(said)[-600:]}")


@contextlib.contextmanager
def _nothing(directory: Path, name: str) -> Iterator[str]:
    """Give the smallest image that can be started."""
    root, tag = directory / "nothing", f"{name}:nothing"
    root.mkdir()
    (root / "up").write_bytes(tiny.program(NATIVE, "up"))
    (root / "up").chmod(0o755)
    archive = subprocess.run(["tar", "-C", str(root), "-c", "."], capture_output=True, check=True).stdout
    change = ["--change", 'ENTRYPOINT ["/up"]']
    subprocess.run(["docker", "import", *change, "-", tag], input=archive, capture_output=True, check=True)
    try:
        yield tag
    finally:
        rootfs.docker("rmi", "--force", tag)


def _memory(plan: Plan, fleet: Fleet) -> Figure:
    box = fleet.member("idle", "--volume", f"{fleet.folder('idle')}:/data")
    fresh = processes.resident(box.pid) / MB
    settle_s = plan.pick(30, 5)
    time.sleep(settle_s)
    used = processes.resident(box.pid) / MB
    aim = "reached" if used <= _MEMORY_AIM_MB else "not reached"
    return Figure(
        "memory of an idle joined agent in its container",
        used,
        "MB RSS",
        bar=f"{_MEMORY_BAR_MB:g} MB",
        met=used <= _MEMORY_BAR_MB,
        note=f"{settle_s} s after it joined, {fresh:.1f} MB then; the image's own CPython on musl; the aim of"
        f" {_MEMORY_AIM_MB:g} MB is {aim}",
    )
