"""Errors as clients of OpenAI's API know them: ``{"error": {message, type, param, code}}``."""

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

log = logging.getLogger("floorline.gateway")

_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "invalid_request_error",
    405: "invalid_request_error",
    409: "invalid_request_error",
    410: "invalid_request_error",
    413: "invalid_request_error",
    429: "rate_limit_error",
}


class ApiError(FloorlineError):
    """What a client is told went wrong.

    Parameters
    ----------
    status
        HTTP status.
    text
        What is wrong and how to mend it.
    code, param
        A short name of the error, and the field of the request it is about.
    retry_after
        Seconds after which trying again makes sense.
    headers
        More headers of the answer.
    """

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
        super().__init__(text)
        self.status = status
        self.text = text
        self.code = code
        self.param = param
        self.headers = dict(headers or {})
        if retry_after is not None:
            self.headers["retry-after"] = str(max(1, math.ceil(retry_after)))

    def body(self) -> bytes:
        """OpenAI's error object, as JSON."""
        return error_json(
            self.text, kind=_TYPES.get(self.status, "api_error"), param=self.param, code=self.code
        )

    def response(self) -> Response:
        """Build the answer."""
        return Response(self.body(), self.status, self.headers, media_type="application/json")


def error_json(
    text: str, *, kind: str = "api_error", param: str | None = None, code: str | None = None
) -> bytes:
    """Encode OpenAI's error object."""
    error = {"message": text, "type": kind, "param": param, "code": code}
    return msgspec.json.encode({"error": error})


def api_error(error: FloorlineError) -> ApiError:
    """Say an error of the library in HTTP's words."""
    if isinstance(error, ApiError):
        return error
    if isinstance(error, UnknownDecision):
        return ApiError(404, str(error), code="decision_not_found", param="id")
    if isinstance(error, BudgetExhausted):
        return ApiError(429, str(error), code="budget_exhausted", retry_after=60)
    if isinstance(error, InvalidInput):
        return ApiError(400, str(error), code="invalid_value", param=error.field)
    if isinstance(error, ConfigError):
        return ApiError(400, "; ".join(error.problems), code="invalid_value")
    if isinstance(error, StoreUnavailable):
        return ApiError(503, str(error), code="log_unavailable", retry_after=5)
    return ApiError(500, str(error), code="internal_error")


def unexpected(what: str, error: Exception) -> ApiError:
    """Log an error that nobody foresaw, and make one that tells the client no more than that."""
    log.error("%s failed", what, exc_info=error)
    return ApiError(500, "the gateway failed; its log says why", code="internal_error")
