"""How a call of a provider fails."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import msgspec

from floorline.errors import FloorlineError
from floorline.gateway.upstreams.effects import EFFECTS
from floorline.gateway.upstreams.provider_errors import ProviderError
from floorline.gateway.upstreams.settings import UpstreamSettings

FailureKind = Literal[
    "connect", "timeout", "status", "invalid_response", "reset", "open", "saturated", "too_large"
]
"""Why a call failed; see ``UpstreamError``."""


def client_error_body(message: str, code: str | None = None) -> bytes:
    """Encode OpenAI's error object of an error that is the client's."""
    error = {"message": message, "type": "invalid_request_error", "param": None, "code": code}
    return msgspec.json.encode({"error": error})


class ErrorAnswer(NamedTuple):
    """A provider's error as a client may get it, without the gateway's secrets."""

    status: int
    body: bytes


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
    meaning
        What the provider's error means, if it answered with one.
    answer
        What the client gets if no other model answers; None for an error of the gateway.

    Attributes
    ----------
    attempts
        Number of attempts that the call took.
    headers
        Headers of the provider's answer that the client gets, such as the id of its request.
    names_usage
        Whether the provider's error is about ``stream_options``; None if it names no field.
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
        meaning: ProviderError | None = None,
        answer: ErrorAnswer | None = None,
    ) -> None:
        self.kind: FailureKind = kind
        self.status = status
        self.retry_after = retry_after
        self.fallback = fallback
        self.retryable = retryable
        self.quote = quote
        self.meaning = meaning
        self.answer = answer
        self.attempts = 1
        self.headers: list[tuple[bytes, bytes]] = []
        self.names_usage: bool | None = False
        super().__init__(text)

    @property
    def for_client(self) -> str:
        """The text with the provider's own words."""
        return f"{self}: {self.quote}" if self.quote else str(self)

    @property
    def model_cannot(self) -> bool:
        """Whether this model cannot serve the request, although its provider works."""
        return self.meaning is not None and EFFECTS[self.meaning.reason].another_model == "setting"

    def __reduce__(self) -> tuple[Any, ...]:
        return _upstream_error, (str(self), vars(self))


def _upstream_error(text: str, attributes: dict[str, Any]) -> UpstreamError:
    error = UpstreamError(text, attributes["kind"])
    vars(error).update(attributes)
    return error


def breaker_open(model: str, wait: float) -> UpstreamError:
    """Error of a call that the circuit breaker refuses for so many seconds."""
    text = f"circuit breaker open for model {model!r}: its provider keeps failing"
    return UpstreamError(text, "open", retry_after=wait)


def saturated(model: str, settings: UpstreamSettings) -> UpstreamError:
    """Error of a call for which the model has no place."""
    text = (
        f"model {model!r}: {settings.max_concurrency} calls run already (max_concurrency), and the "
        f"queue is full or none of them ended within {settings.queue_wait:g} s (queue_wait)"
    )
    return UpstreamError(text, "saturated", retry_after=max(1.0, settings.queue_wait))
