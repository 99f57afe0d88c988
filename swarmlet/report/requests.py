"""What the local API answers and what it refuses. Pure: a request in, a response out.

It is read-only and for this machine: a web page that rebinds a name to 127.0.0.1 is told apart by ``Host``
and ``Origin`` (L2), and no header allows another origin to read anything.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec

#: Hosts by which a program on this machine may call the local API.
OWN_HOSTS = frozenset({"localhost", "127.0.0.1", "[::1]"})


class Request(msgspec.Struct, frozen=True):
    """The part of a request that matters here; ``headers`` have lower-case names."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...] = ()

    def all(self, name: str) -> list[str]:
        """Return every value of a header."""
        return [value for key, value in self.headers if key == name]


class Response(msgspec.Struct, frozen=True):
    """What goes back."""

    status: int
    content_type: str
    body: bytes
    extra: tuple[tuple[str, str], ...] = ()


#: Makes the response for a path; gets the request for its ``Accept`` header.
Route = Callable[[Request], Response]


def json_response(value: object, status: int = 200) -> Response:
    """Return ``value`` as a JSON response."""
    return Response(status, "application/json", msgspec.json.encode(value) + b"\n")


def failure(status: int, message: str, *extra: tuple[str, str]) -> Response:
    """Return an error response of one sentence."""
    return Response(status, "application/json", msgspec.json.encode({"error": message}) + b"\n", extra)


def answer(request: Request, routes: Mapping[str, Route]) -> Response:
    """Return the response to ``request``: of its route, or the reason why not."""
    refused = refusal(request)
    if refused is not None:
        return refused
    path = request.target.partition("?")[0]
    route = routes.get(path)
    if route is None:
        return failure(404, f"there is no such path; try {' '.join(sorted(routes))}")
    if request.method != "GET":
        return failure(405, "only GET is served here", ("Allow", "GET"))
    return route(request)


def refusal(request: Request) -> Response | None:
    """Return the refusal of a request that a foreign web page may have caused, or ``None``."""
    if not _own(request.all("host")):
        return failure(403, "the Host header must be localhost, 127.0.0.1 or [::1]")
    origins = request.all("origin")
    if origins and not _own([origin.removeprefix("http://") for origin in origins]):
        return failure(403, "requests from other origins are not served")
    return None


def _own(hosts: Sequence[str]) -> bool:
    return len(hosts) == 1 and _without_port(hosts[0].strip().lower()) in OWN_HOSTS


def _without_port(host: str) -> str:
    name, colon, port = host.rpartition(":")
    return name if colon and port.isascii() and port.isdigit() else host
