"""How a call of a provider fails."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from floorline.errors import FloorlineError

FailureKind = Literal[
    "connect", "timeout", "status", "invalid_response", "reset", "open", "saturated", "too_large"
]
"""Why a call failed; see ``UpstreamError``."""


def client_error_body(message: str) -> bytes:
    """Encode OpenAI's error object of an error that is the client's."""
    error = {"message": message, "type": "invalid_request_error", "param": None, "code": None}
    return msgspec.json.encode({"error": error})


class UpstreamError(FloorlineError):
    """A call of a model's provider failed.

    Parameters
    ----------
    text
        One line without secrets and without the provider's words: it is logged and stored.
    kind
        ``connect``: no connection was made; ``timeout``: one of the model's timeouts passed;
        ``status``: the provider answered with an error that is not the client's;
        ``invalid_response``: the answer is no chat completion; ``reset``: the connection broke,
        or a stream ended, before the answer was complete; ``open``: the circuit breaker is open;
        ``saturated``: the limit on calls is reached and the queue is full; ``too_large``: the
        answer is larger than ``max_answer``.
    status
        HTTP status of the provider's answer, if it answered.
    retry_after
        Seconds after which a new request may succeed, if known.
    fallback
        Whether a call of another model may succeed.
    retryable
        Whether the same request may be sent to the same model again.
    quote
        The provider's own words, on one line without secrets. They can repeat the prompt, so they
        are for the client only.
    """

    def __init__(
        self,
        text: str,
        kind: FailureKind,
        *,
        status: int | None = None,
        retry_after: float | None = None,
        fallback: bool = True,
        retryable: bool = False,
        quote: str = "",
    ) -> None:
        self.kind: FailureKind = kind
        self.status = status
        self.retry_after = retry_after
        self.fallback = fallback
        self.retryable = retryable
        self.quote = quote
        super().__init__(text)

    @property
    def for_client(self) -> str:
        """The text with the provider's own words."""
        return f"{self}: {self.quote}" if self.quote else str(self)

    def __reduce__(self) -> tuple[Any, ...]:
        return _upstream_error, (
            str(self),
            self.kind,
            self.status,
            self.retry_after,
            self.fallback,
            self.retryable,
            self.quote,
        )


def _upstream_error(
    text: str,
    kind: FailureKind,
    status: int | None,
    retry_after: float | None,
    fallback: bool,
    retryable: bool,
    quote: str,
) -> UpstreamError:
    return UpstreamError(
        text,
        kind,
        status=status,
        retry_after=retry_after,
        fallback=fallback,
        retryable=retryable,
        quote=quote,
    )
