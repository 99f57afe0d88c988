"""From an outcome to a status and a body. Pure: the catalogue's exit codes decide."""

from __future__ import annotations

import msgspec

from swarmlet.errors import (
    LocalError,
    NotFoundError,
    RefusedError,
    SwarmletError,
    UnreachableError,
    UsageError,
    WorkError,
    error,
)
from swarmlet.model.views import ErrorBody, ErrorView

#: Status by whose fault it is; the first kind that fits counts.
_STATUS: tuple[tuple[type[SwarmletError], int], ...] = (
    (UsageError, 400),
    (NotFoundError, 404),
    (RefusedError, 403),
    (UnreachableError, 503),
    (WorkError, 409),
    (LocalError, 503),
)
_encoder = msgspec.json.Encoder()


def status_of(failure: SwarmletError) -> int:
    """Return the HTTP status of a failure."""
    return next((status for kind, status in _STATUS if isinstance(failure, kind)), 500)


def body_of(failure: SwarmletError) -> bytes:
    """Return the JSON body of a failure."""
    body = ErrorBody(
        code=failure.code,
        what=failure.what,
        unchanged=failure.unchanged,
        next=failure.next,
        exit_code=int(failure.exit_code),
        fields=failure.fields,
    )
    return _encoder.encode(ErrorView(error=body))


def encode(view: msgspec.Struct) -> bytes:
    """Return the JSON body of a view."""
    return _encoder.encode(view)


def no_such_route(method: str, path: str) -> SwarmletError:
    """Return the refusal of a path or method without a row."""
    detail = f"there is no {method[:10]} {path[:100]}"
    return error("SWL-608", detail=detail, hint="use the stratoswarm of the same version as the coordinator")
