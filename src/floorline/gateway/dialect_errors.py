"""Errors in the dialect of the endpoint that answers with them."""

from __future__ import annotations

from collections.abc import Callable

from starlette.responses import Response

from floorline.config.provider import DialectName
from floorline.gateway.dialects.registry import dialect_named
from floorline.gateway.errors import ApiError, ProviderAnswer, error_type
from floorline.gateway.upstreams.client_errors import for_client
from floorline.gateway.upstreams.errors import ErrorAnswer

_OVERLOADED = 529
"""Anthropic's status of an overload; it has no 503."""


def dialect_of(path: str) -> DialectName:
    """Return the dialect of the endpoint with a path, or below it.

    Examples
    --------
    >>> dialect_of("/v1/messages/count_tokens"), dialect_of("/v1/feedback")
    ('anthropic', 'openai')
    """
    if path.startswith("/v1/messages"):
        return "anthropic"
    return "responses" if path.startswith("/v1/responses") else "openai"


def error_body(error: ApiError, dialect: DialectName) -> bytes:
    """Encode an error in a dialect; a provider's own is in the client's dialect already."""
    if dialect == "openai" or isinstance(error, ProviderAnswer):
        return error.body()
    return dialect_named(dialect).write_error(
        status_of(error, dialect),
        error.text,
        kind=error_type(error.status),
        code=error.code,
        param=error.param,
    )


def error_response(error: ApiError, dialect: DialectName) -> Response:
    """Build the HTTP answer of an error in a dialect."""
    if dialect == "openai":
        return error.response()
    body = error_body(error, dialect)
    status = status_of(error, dialect)
    return Response(body, status, error.headers, media_type="application/json")


def status_of(error: ApiError, dialect: DialectName) -> int:
    """Return the HTTP status of an error in a dialect."""
    if dialect == "anthropic" and (error.overloaded or error.status == 503):
        return _OVERLOADED
    return error.status


def in_dialect(response: Response, dialect: DialectName) -> Response:
    """Return an error that is in OpenAI's form, or an answer without a body, in a dialect."""
    if dialect != "anthropic" or response.status_code < 400:
        return response
    body = for_client(ErrorAnswer(response.status_code, bytes(response.body)), None, dialect).body
    response.body = body
    for place, (name, _) in enumerate(response.raw_headers):
        if name == b"content-length":
            response.raw_headers[place] = (name, str(len(body)).encode())
    return response


def openai_error_event(error: bytes) -> bytes:
    """Write the body of an error as an event of a stream of chat completions."""
    return b"data: " + error.replace(b"\r", b" ").replace(b"\n", b" ") + b"\n\n"


def error_event(dialect: DialectName) -> Callable[[bytes], bytes]:
    """Return the function that writes the body of an error as an event of a stream."""
    if dialect == "openai":
        return openai_error_event
    return dialect_named(dialect).write_stream_error
