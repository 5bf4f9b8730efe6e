"""Errors that clients see, in OpenAI's form: ``{"error": {message, type, param, code}}``.

``api_error`` maps every error of the library, and every failure of a provider, to its HTTP status
and code; ``docs/upstreams.md`` and the OpenAPI document list the same.
"""

from __future__ import annotations

import logging
import math

import msgspec
from starlette.responses import Response

from floorline.errors import (
    BudgetExhausted,
    ConfigError,
    FloorlineError,
    InvalidInput,
    StoreUnavailable,
    UnknownDecision,
)
from floorline.gateway.upstreams.errors import ErrorAnswer, FailureKind, UpstreamError

log = logging.getLogger("floorline.gateway")

_BUDGET_RETRY_SECONDS = 60
_LOG_RETRY_SECONDS = 5

_MAX_TEXT = 4_000
"""Characters of an error; some repeat what a client sent, which may be megabytes."""

_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "invalid_request_error",
    405: "invalid_request_error",
    409: "invalid_request_error",
    408: "invalid_request_error",
    410: "invalid_request_error",
    413: "invalid_request_error",
    414: "invalid_request_error",
    415: "invalid_request_error",
    431: "invalid_request_error",
    429: "rate_limit_error",
}
"""OpenAI's error types by HTTP status; all others are ``api_error``."""

_UPSTREAM_STATUS: dict[FailureKind, int] = {
    "connect": 502,
    "timeout": 504,
    "status": 502,
    "invalid_response": 502,
    "reset": 502,
    "open": 503,
    "saturated": 429,
    "too_large": 502,
}
"""HTTP status for the client by the kind of the provider's failure."""


class ApiError(FloorlineError):
    """An error with the HTTP status and the code that its client gets.

    Parameters
    ----------
    status
        HTTP status.
    text
        What is wrong, and how the client can correct it.
    code
        Short name of the error for programs.
    param
        Field of the request that is wrong.
    retry_after
        Seconds after which the client may send the request again.
    headers
        Further headers of the answer.

    Attributes
    ----------
    overloaded
        Whether the provider has no capacity at present, for which Anthropic has a status of its
        own.
    """

    overloaded = False

    def __init__(
        self,
        status: int,
        text: str,
        *,
        code: str | None = None,
        param: str | None = None,
        retry_after: float | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        if len(text) > _MAX_TEXT:
            text = text[: _MAX_TEXT - 1] + "…"
        super().__init__(text)
        self.status = status
        self.text = text
        self.code = code
        self.param = param
        self.headers = dict(headers or {})
        if retry_after is not None:
            self.headers["retry-after"] = str(max(1, math.ceil(retry_after)))

    def body(self) -> bytes:
        """Encode OpenAI's error object as JSON."""
        error = {
            "message": self.text,
            "type": error_type(self.status),
            "param": self.param,
            "code": self.code,
        }
        return msgspec.json.encode({"error": error})

    def response(self) -> Response:
        """Build the HTTP answer."""
        return Response(self.body(), self.status, self.headers, media_type="application/json")


class ProviderAnswer(ApiError):
    """A provider's own error, which the client gets because no other model can serve.

    Parameters
    ----------
    answer
        Status and body.
    headers
        Headers of the provider's answer that the client gets.
    """

    def __init__(self, answer: ErrorAnswer, headers: dict[str, str]) -> None:
        super().__init__(answer.status, f"the provider answered {answer.status}", headers=headers)
        self._body = answer.body

    def body(self) -> bytes:
        """Return the provider's body."""
        return self._body


def error_type(status: int) -> str:
    """Return OpenAI's type of an error with a status."""
    return _TYPES.get(status, "api_error")


def api_error(error: FloorlineError) -> ApiError:
    """Return the error that a client gets for an error of the library."""
    if isinstance(error, ApiError):
        return error
    if isinstance(error, UpstreamError):
        return _upstream_error(error)
    if isinstance(error, UnknownDecision):
        return ApiError(404, str(error), code="decision_not_found", param="id")
    if isinstance(error, BudgetExhausted):
        return ApiError(429, str(error), code="budget_exhausted", retry_after=_BUDGET_RETRY_SECONDS)
    if isinstance(error, InvalidInput):
        return ApiError(400, str(error), code="invalid_value", param=error.field)
    if isinstance(error, ConfigError):
        return ApiError(400, "; ".join(error.problems), code="invalid_value")
    if isinstance(error, StoreUnavailable):
        return ApiError(503, str(error), code="log_unavailable", retry_after=_LOG_RETRY_SECONDS)
    return ApiError(500, str(error), code="internal_error")


def _upstream_error(error: UpstreamError) -> ApiError:
    headers = {name.decode(): value.decode() for name, value in error.headers}
    if error.answer is not None:
        return ProviderAnswer(error.answer, headers)
    found = ApiError(
        upstream_status(error),
        error.for_client,
        code=f"upstream_{error.kind}",
        retry_after=error.retry_after,
        headers=headers,
    )
    found.overloaded = error.meaning is not None and error.meaning.reason == "overloaded"
    return found


def upstream_status(error: UpstreamError) -> int:
    """HTTP status for the client when no model could answer.

    A provider's 429 stays a 429, so that clients wait as they would without the gateway.
    """
    return 429 if error.status == 429 else _UPSTREAM_STATUS[error.kind]


def unexpected(what: str, error: Exception) -> ApiError:
    """Log an error that is a defect of the gateway, and return one without its details."""
    log.error("%s failed", what, exc_info=error)
    return ApiError(
        500, "the gateway failed: its log has the details of this error", code="internal_error"
    )
