"""The owner of the engine's socket and of the ``docker`` package: control calls with deadlines, off the loop.

The package is imported by the first call, never before: an agent without containers does not pay for it. Its
calls block, so they run on a few threads of their own. Every failure becomes an error of the catalogue. What
a container is asked for is decided in ``container.py``; what to do with one, in ``containers.py``.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from stat import S_ISSOCK
from typing import Any, NamedTuple, TypeVar

from swarmlet.errors import SwarmletError, error
from swarmlet.workloads.container import LABEL_ASSIGNMENT, LABEL_NODE, Facts, Found, read_facts, read_found
from swarmlet.workloads.driver import Node
from swarmlet.workloads.engine_stream import open_stream

#: Oldest Engine API that knows all that a container is asked for (17.06: ``Init``, ``Tmpfs``, ``PidsLimit``).
MIN_API = (1, 30)
#: Seconds for one control call; creating and starting can take long on an SD card.
CALL_S = 60
#: Seconds for the engine's first word.
HELLO_S = 10
#: Seconds for a whole pull, over a slow line.
PULL_S = 1800.0
#: Seconds that calls under way are given when the agent ends.
CLOSE_S = 3.0
#: Threads for control calls.
_THREADS = 3

_T = TypeVar("_T")
#: ``docker.APIClient``, whose published types cover only half of it.
_Client = Any
_Work = Callable[[_Client], _T]


class Image(NamedTuple):
    """What matters of an image: who it runs as, and the signal that ends it well."""

    user: str
    stop_signal: str


def usual_sockets() -> tuple[str, ...]:
    """Return where engines usually listen, Docker's first."""
    own = f"/run/user/{os.getuid()}"
    return (
        "/var/run/docker.sock",
        "/run/docker.sock",
        "/run/podman/podman.sock",
        f"{own}/docker.sock",
        f"{own}/podman/podman.sock",
    )


class Engine:
    """One container engine, behind one unix socket."""

    def __init__(self, where: str, node: Node) -> None:
        """Use the socket at ``where``; ``auto`` takes the first usual one, ``off`` none at all."""
        self._where = where
        self._node = node
        self._client: _Client | None = None
        self._facts: Facts | None = None
        self._path = ""
        self._connecting = asyncio.Lock()
        self._pulling = asyncio.Lock()
        self._threads: ThreadPoolExecutor | None = None
        self._puller: ThreadPoolExecutor | None = None

    @property
    def known(self) -> bool:
        """Say whether the engine ever answered: without that nothing of ours can be there."""
        return self._facts is not None

    async def connect(self) -> Facts:
        """Return what the engine can do; the first call imports the package and opens the connection.

        Raises:
            SwarmletError: ``SWL-503``: there is no engine, it may not be used, or it is too old.
        """
        async with self._connecting:
            if self._client is None or self._facts is None:
                self._path = self._find_socket()
                await _knock(self._path)
                self._client, info = await self._in_thread(lambda: _open_client(self._path))
                self._facts = read_facts(info)
            return self._facts

    async def containers(self, assignment_id: str | None = None) -> list[Found]:
        """Return this node's containers in any state, or those of one assignment."""
        labels = [f"{LABEL_NODE}={self._node.node_uid}"]
        if assignment_id is not None:
            labels.append(f"{LABEL_ASSIGNMENT}={assignment_id}")
        listed = await self._call(lambda client: client.containers(all=True, filters={"label": labels}))
        return [read_found(one) for one in listed]

    async def image(self, name: str) -> Image | None:
        """Return a local image, or ``None`` when the engine does not have it."""
        found = await self._maybe(lambda client: client.inspect_image(name))
        if found is None:
            return None
        config = found.get("Config") or {}
        return Image(str(config.get("User") or ""), str(config.get("StopSignal") or "SIGTERM"))

    async def pull(self, name: str) -> None:
        """Fetch an image from its registry, one at a time.

        Raises:
            SwarmletError: ``SWL-502`` with the engine's words.
        """
        await self.connect()
        if self._puller is None:
            self._puller = ThreadPoolExecutor(1, thread_name_prefix="pull")
        given_up = threading.Event()
        async with self._pulling:
            loop = asyncio.get_running_loop()
            client = self._client
            try:
                async with asyncio.timeout(PULL_S):
                    await loop.run_in_executor(self._puller, _pull, client, name, given_up)
            except TimeoutError as late:
                detail = f"it was not here after {PULL_S / 60:.0f} minutes"
                raise error("SWL-502", image=name, detail=detail) from late
            finally:
                given_up.set()

    async def create(self, body: dict[str, Any], name: str) -> str:
        """Create a container and return its id.

        Raises:
            SwarmletError: ``SWL-502`` the image is gone, ``SWL-507`` refused.
        """
        made = await self._maybe(lambda client: client.create_container_from_config(body, name))
        if made is None:
            raise error("SWL-502", image=str(body["Image"]), detail="it was removed meanwhile")
        return str(made["Id"])

    async def start(self, container_id: str) -> None:
        """Start a created container.

        Raises:
            SwarmletError: ``SWL-507`` with the engine's words.
        """
        await self._call(lambda client: client.start(container_id))

    async def state(self, container_id: str) -> dict[str, Any] | None:
        """Return ``State`` of a container's inspection, or ``None`` when it is gone."""
        found = await self._maybe(lambda client: client.inspect_container(container_id))
        return None if found is None else dict(found["State"])

    async def kill(self, container_id: str, signal: str) -> None:
        """Send a signal to a container; one that does not run is left alone."""
        await self._maybe(lambda client: client.kill(container_id, signal))

    async def remove(self, container_id: str) -> None:
        """Kill and remove a container and its anonymous volumes; one that is gone is fine."""
        await self._maybe(lambda client: client.remove_container(container_id, force=True, v=True))

    def stream(self, target: str, method: str = "GET") -> AbstractAsyncContextManager[asyncio.StreamReader]:
        """Open a long answer of a connected engine; ``target`` is a path without the API version."""
        version = self._client.api_version if self._client is not None else "1.30"
        return open_stream(self._path, f"/v{version}{target}", method)

    def lost(self) -> None:
        """The engine went away: the next call looks for it anew."""
        client, self._client = self._client, None
        if client is not None and self._threads is not None:
            self._threads.submit(client.close)

    async def close(self) -> None:
        """Let go of the engine once the calls under way are over; whatever runs there runs on."""
        if self._puller is not None:
            self._puller.shutdown(wait=False, cancel_futures=True)
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_S):
                    await asyncio.to_thread(self._threads.shutdown, wait=True)
        if self._client is not None:
            self._client.close()
            self._client = None

    def _find_socket(self) -> str:
        if self._where == "off":
            raise error("SWL-503", detail="it is turned off here (SWARM_DOCKER_HOST=off)")
        tried = usual_sockets() if self._where == "auto" else (self._where.removeprefix("unix://"),)
        for path in tried:
            try:
                if S_ISSOCK(Path(path).stat().st_mode):
                    return path
            except PermissionError as failure:
                raise error("SWL-503", detail=f"this user may not use {path}") from failure
            except OSError:
                continue
        raise error("SWL-503", detail=f"there is no socket at {tried[0]}")

    async def _call(self, work: _Work[_T]) -> _T:
        try:
            return await self._reach(work)
        except _GoneError as failure:
            raise error("SWL-507", detail=str(failure)) from failure

    async def _maybe(self, work: _Work[_T]) -> _T | None:
        """Return what ``work`` gives, or ``None`` when the engine knows no such thing or it has ended."""
        try:
            return await self._reach(work)
        except _GoneError:
            return None

    async def _reach(self, work: _Work[_T]) -> _T:
        await self.connect()
        client = self._client
        if client is None:
            raise error("SWL-503", detail="the connection to it was closed")
        try:
            return await self._in_thread(lambda: _mapped(work, client))
        except SwarmletError as failure:
            if failure.code == "SWL-503":
                self.lost()
            raise

    async def _in_thread(self, work: Callable[[], _T]) -> _T:
        if self._threads is None:
            self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="engine")
        try:
            async with asyncio.timeout(CALL_S + 5.0):
                return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        except TimeoutError as late:
            raise error("SWL-503", detail=f"it did not answer within {CALL_S:.0f} s") from late


class _GoneError(Exception):
    """The engine knows no such thing, or it is in no state for what was asked."""


async def _knock(path: str) -> None:
    """See that someone listens, before a package is loaded for nothing.

    Raises:
        SwarmletError: ``SWL-503`` with the reason.
    """
    try:
        async with asyncio.timeout(HELLO_S):
            _, writer = await asyncio.open_unix_connection(path)
        writer.close()
    except PermissionError as failure:
        raise error("SWL-503", detail=f"this user may not use {path}") from failure
    except ConnectionRefusedError as failure:
        raise error("SWL-503", detail=f"nothing listens on {path}") from failure
    except OSError as failure:
        raise error("SWL-503", detail=f"{path}: {failure.strerror or failure}") from failure


def _open_client(path: str) -> tuple[_Client, dict[str, Any]]:
    """Connect, agree on a version, and return the client with the engine's ``/info``."""
    try:
        import docker  # noqa: PLC0415 - twelve megabytes that only a node with containers pays
    except ImportError as failure:
        raise error("SWL-503", detail=f"its client cannot be loaded: {failure}") from failure

    def client_of(version: str, timeout: int) -> _Client:
        made = docker.APIClient(base_url=f"unix://{path}", version=version, timeout=timeout)
        # A kept connection may be closed by the engine just as it is used again, and a create cannot be
        # repeated blindly; a new one costs nothing over a unix socket.
        made.headers["Connection"] = "close"
        return made

    oldest = ".".join(str(part) for part in MIN_API)
    with contextlib.closing(client_of(oldest, HELLO_S)) as probe:
        spoken = str(_asked(lambda one: one.version(api_version=False), probe, path)["ApiVersion"])
    if tuple(int(part) for part in spoken.split(".")) < MIN_API:
        raise error("SWL-503", detail=f"its API {spoken} is older than {oldest}")
    client = client_of(spoken, CALL_S)
    return client, _asked(lambda one: one.info(), client, path)


def _asked(work: _Work[_T], client: _Client, path: str) -> _T:
    """Return the first answers of what should be an engine; whatever else it says, it is none."""
    try:
        return _mapped(work, client)
    except (SwarmletError, _GoneError) as failure:
        client.close()
        detail = failure.fields["detail"] if isinstance(failure, SwarmletError) else str(failure)
        raise error("SWL-503", detail=f"what listens on {path} is no engine: {detail}") from failure


def _mapped(work: _Work[_T], client: _Client) -> _T:
    """Run ``work``, with the package's failures as errors of the catalogue."""
    import docker.errors  # noqa: PLC0415 - imported by now
    import requests  # noqa: PLC0415 - comes with docker

    try:
        return work(client)
    except docker.errors.ImageNotFound as failure:
        raise _GoneError(_words(failure.explanation or "")) from failure
    except docker.errors.APIError as failure:
        words = _words(failure.explanation or str(failure))
        if failure.status_code in {404, 304}:
            raise _GoneError(words) from failure
        if failure.status_code == 409 and ("is not running" in words or "in progress" in words):
            raise _GoneError(words) from failure
        raise error("SWL-507", detail=words) from failure
    except (docker.errors.DockerException, ValueError) as failure:
        raise error("SWL-507", detail=_words(str(failure))) from failure
    except requests.exceptions.RequestException as failure:
        raise error("SWL-503", detail=_words(str(failure))) from failure


def _pull(client: _Client, name: str, given_up: threading.Event) -> None:
    """Pull in a thread, line by line, so that it can be given up between two of them."""
    import docker.errors  # noqa: PLC0415 - imported by now
    import docker.utils  # noqa: PLC0415
    import requests  # noqa: PLC0415 - comes with docker

    repository, tag = docker.utils.parse_repository_tag(name)
    try:
        for line in client.pull(repository, tag=tag or "latest", stream=True, decode=True):
            if given_up.is_set():
                return
            if "error" in line:
                raise error("SWL-502", image=name, detail=_words(str(line["error"])))
    except docker.errors.DockerException as failure:
        words = getattr(failure, "explanation", None) or str(failure)
        raise error("SWL-502", image=name, detail=_words(words)) from failure
    except requests.exceptions.RequestException as failure:
        raise error("SWL-503", detail=_words(str(failure))) from failure


def _words(text: str) -> str:
    """Return an engine's words as one short line."""
    line = " ".join(text.split()).rstrip(".")
    return line if len(line) <= 300 else line[:297] + "..."
