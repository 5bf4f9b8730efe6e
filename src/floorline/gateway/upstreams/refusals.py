"""Turn a provider's error, by its meaning, into a failure of the call or the client's answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from floorline.gateway.lenient_json import read_value
from floorline.gateway.upstreams.completions import is_json_object
from floorline.gateway.upstreams.effects import EFFECTS
from floorline.gateway.upstreams.errors import ErrorAnswer, UpstreamError, client_error_body
from floorline.gateway.upstreams.provider_errors import (
    ErrorFields,
    ProviderError,
    names_field,
    read_error,
    read_fields_of,
    read_object,
    status_in,
)
from floorline.gateway.upstreams.redaction import Redactor
from floorline.gateway.upstreams.retry import RETRIED_STATUSES, retry_after
from floorline.gateway.upstreams.settings import UpstreamSettings

_CLIENT_STATUSES = frozenset({400, 404, 410, 413, 422})
"""Statuses whose body the client gets if no other model answers."""
_FILTER_STATUSES = frozenset({400, 403, 413, 422, 451})
"""The same for refused contents."""
_ADDED_FIELD = "stream_options"
"""The field that the gateway may add to a request; see ``ask_usage``."""
_MAX_BODY = 65_536
"""Bytes of a provider's error that are read, searched for secrets and passed on."""
_MAX_QUOTE = 300
"""Characters of a provider's message that an error repeats."""
_STATUS_OF: Mapping[str, int] = {
    "context_length_exceeded": 400,
    "request_too_large": 413,
    "model_not_found": 404,
    "content_filter": 400,
    "unsupported": 400,
    "insufficient_quota": 402,
    "rate_limit": 429,
    "overloaded": 503,
    "key_error": 401,
}
"""Status of an error within a stream that has none of its own."""


class Refusals:
    """Reads the errors of one model's provider.

    Parameters
    ----------
    name
        The zoo's name of the model, for errors.
    settings
        How the model is called.
    redactor
        Masks the model's secrets.
    wall_clock
        Returns the Unix time in seconds, for dates in ``Retry-After``.
    """

    def __init__(
        self,
        name: str,
        settings: UpstreamSettings,
        redactor: Redactor,
        wall_clock: Callable[[], float],
    ) -> None:
        self._name = name
        self._settings = settings
        self._redactor = redactor
        self._wall_clock = wall_clock

    def of_status(
        self, status: int, headers: Mapping[str, str], body: bytes, request: bytes
    ) -> UpstreamError:
        """Failure of an answer whose status is an error."""
        fields = _read(body)
        meaning = read_error(status, fields, request)
        if status == 404 and meaning.reason == "client_error" and _object(body) is None:
            # A page, or nothing: the path is the gateway's, and there is no API below it.
            meaning = ProviderError("model_not_found")
        text = f"model {self._name!r}: the provider answered {status}"
        wait = retry_after(headers.get("Retry-After"), self._wall_clock)
        failure = self._failure(text, status, meaning, fields, wait)
        statuses = _FILTER_STATUSES if meaning.reason == "content_filter" else _CLIENT_STATUSES
        if status in statuses and meaning.reason not in ("key_error", "insufficient_quota"):
            failure.answer = ErrorAnswer(status, self._client_body(status, body))
        return failure

    def of_success(
        self, body: bytes, what: str, request: bytes, error: dict[str, Any] | None = None
    ) -> UpstreamError:
        """Failure of an answer without an error status that holds no completion.

        Parameters
        ----------
        body
            The body, or the first events of a stream.
        what
            What it holds.
        request
            Body of the request.
        error
            The error in the body, if it is known.
        """
        error = _object(body) if error is None else error
        if error is not None:
            failure = self.of_object(error, request)
            assert failure.meaning is not None
            if failure.meaning.reason != "server_error":
                return failure
        return UpstreamError(
            f"model {self._name!r}: the provider sent {what}",
            "invalid_response",
            quote="" if error is None else self._quote(read_fields_of(error)),
        )

    def of_object(self, error: dict[str, Any], request: bytes) -> UpstreamError:
        """Failure of an answer without an error status, or of a stream, that is an error."""
        fields = read_fields_of(error)
        meaning = read_object(error, request)
        status = status_in(error) or _STATUS_OF.get(meaning.reason, 500)
        text = f"model {self._name!r}: the provider answered with an error"
        failure = self._failure(text, status, meaning, fields, None)
        if failure.model_cannot or meaning.reason == "client_error":
            failure.answer = ErrorAnswer(status, self._error_body(error))
        return failure

    def _failure(
        self,
        text: str,
        status: int,
        meaning: ProviderError,
        fields: ErrorFields,
        wait: float | None,
    ) -> UpstreamError:
        reason = meaning.reason
        if reason == "key_error":
            # The provider's message may repeat the key, whole or in part, so it is not shown.
            why, quote = ": check the model's api_key", ""
        else:
            known = reason not in ("client_error", "server_error")
            why, quote = f" ({reason})" if known else "", self._quote(fields)
        effect = EFFECTS[reason]
        failure = UpstreamError(
            text + why,
            "status",
            status=status,
            retry_after=wait,
            fallback=effect.another_model == "yes"
            or (effect.another_model == "setting" and reason in self._settings.fallback_on),
            retryable=effect.retried and status in RETRIED_STATUSES,
            quote=quote,
            meaning=meaning,
        )
        failure.names_usage = names_field(fields, _ADDED_FIELD)
        return failure

    def _client_body(self, status: int, body: bytes) -> bytes:
        """Body of an error for the client: the provider's own if it is a JSON object."""
        if len(body) <= _MAX_BODY and is_json_object(body):
            return self._redactor.body(body)
        error = _object(body)
        if error is not None:
            # Google sends a list of one error.
            return self._error_body(error)
        return client_error_body(
            f"model {self._name!r}: the provider answered {status}, and no JSON object"
        )

    def _error_body(self, error: dict[str, Any]) -> bytes:
        """Body of an error object, with all fields that clients expect."""
        usual = {"message": "", "type": "invalid_request_error", "param": None, "code": None}
        body = msgspec.json.encode({"error": usual | error})
        if len(body) > _MAX_BODY:
            return client_error_body(f"model {self._name!r}: the provider refused the request")
        return self._redactor.body(body)

    def _quote(self, fields: ErrorFields) -> str:
        text = next((text for text in fields.texts if text), "")
        return " ".join(self._redactor.text(text).split())[:_MAX_QUOTE]


def _object(body: bytes) -> dict[str, Any] | None:
    """Return the error in a body, or in the first event of a stream; None if there is none."""
    if len(body) > _MAX_BODY:
        return None
    start = body.find(b"{")
    if start < 0:
        return None
    try:
        value = read_value(body[start : body.rfind(b"}") + 1])
    except ValueError:
        return None
    if not isinstance(value, dict):
        return None
    inner = value.get("error")
    return inner if isinstance(inner, dict) else value


def _read(body: bytes) -> ErrorFields:
    if len(body) > _MAX_BODY:
        return ErrorFields({}, (), frozenset())
    return read_fields_of(body)
