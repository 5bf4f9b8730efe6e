"""Read and decode the bodies of requests."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.types import Receive, Scope

from floorline.gateway.body_memory import RequestMemory
from floorline.gateway.content_encoding import codings, decode
from floorline.gateway.errors import ApiError

_UNCOUNTED_BYTES = 64 * 1024
"""Size up to which a body's values are not counted: most have less, and few values fit."""
_MAX_CONTAINERS = 100_000
"""Lists and objects of a body: some 2 MB of JSON as a prompt, or a decoding of some 0.1 s."""
_CONTAINER_BYTES, _VALUE_BYTES = 100, 50
"""Memory of a decoded list or object, and of another value."""


def too_large(limit: int, limited_by: str = "server.max_body") -> ApiError:
    """Error of a body that is larger than it may be; arguments as for ``read_body``."""
    return ApiError(
        413,
        f"the body is larger than {limit:,} bytes ({limited_by}): send a smaller one",
        code="body_too_large",
    )


async def read_body(
    scope: Scope,
    receive: Receive,
    limit: int,
    memory: RequestMemory,
    limited_by: str = "server.max_body",
) -> bytes:
    """Read a request's whole body, and decode it if it is compressed.

    Parameters
    ----------
    scope, receive
        ASGI's scope and receive function of the request.
    limit
        Largest size of the body in bytes, as it is sent and as it is decoded.
    memory
        Counts the bytes of a body that arrives in pieces.
    limited_by
        What sets the limit, for the error.

    Raises
    ------
    ApiError
        413 if the body is larger, 503 if all bodies together take too much memory, 400 if the
        client disconnected before its end or the body is not encoded as it says, 415 if its coding
        is unknown.
    """
    encoded = codings(scope["headers"])
    message = await receive()
    if not message.get("more_body", False) and message["type"] == "http.request":
        chunks = [message.get("body", b"")]
        size = len(chunks[0])
    else:
        chunks, size = [], 0
        while True:
            if message["type"] == "http.disconnect":
                raise ApiError(400, "the client disconnected before the end of the body")
            chunks.append(message.get("body", b""))
            size += len(chunks[-1])
            if size > limit:
                break
            memory.take(len(chunks[-1]))
            if not message.get("more_body", False):
                break
            message = await receive()
    if size > limit:
        raise too_large(limit, limited_by)
    data = chunks[0] if len(chunks) == 1 else b"".join(chunks)
    if encoded:
        data = decode(data, encoded, limit, memory.take, too_large(limit, limited_by))
    if len(data) > _UNCOUNTED_BYTES:
        _check_values(data, memory)
    return data


def _check_values(data: bytes, memory: RequestMemory) -> None:
    """Bound what decoding a body takes: 20 MiB of ``[]`` held the event loop for 17 s.

    Brackets and commas within texts count as well, which costs less than to tell them apart.
    """
    containers = data.count(b"[") + data.count(b"{")
    if containers > _MAX_CONTAINERS:
        raise ApiError(
            413,
            f"the body has more than {_MAX_CONTAINERS:,} lists and objects: send fewer",
            code="body_too_large",
        )
    memory.take(_CONTAINER_BYTES * containers + _VALUE_BYTES * data.count(b","))


def decode_body(data: bytes, kind: Any) -> Any:
    """Decode a JSON body into a type that msgspec knows.

    Raises
    ------
    ApiError
        400 if it does not fit the type; the text names the field.
    """
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise malformed(error) from error


def malformed(error: Exception) -> ApiError:
    """Error of a body that does not fit the endpoint's type."""
    return ApiError(400, f"the body is malformed: {error}", code="invalid_body")
