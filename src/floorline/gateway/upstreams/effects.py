"""What a failure of a provider leads to, decided in one place.

A failure is retried at the same model or not, another model is called or not, and the model's
circuit breaker counts it, opens at once, or is not affected.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from floorline.gateway.upstreams.error_signs import ErrorReason
from floorline.gateway.upstreams.provider_errors import read_object

if TYPE_CHECKING:
    from floorline.gateway.upstreams.errors import FailureKind, UpstreamError

BreakerEffect = Literal["ignored", "counted", "opens"]
"""``ignored``: it says nothing about the provider; ``counted``: one failure; ``opens``: every call
would fail, so the breaker opens at once."""


class Effect(NamedTuple):
    """What an error with some reason leads to.

    Attributes
    ----------
    retried
        Whether the same model is called again, if its status says that this may help.
    another_model
        Whether another model is called: always, never, or if the model's ``fallback_on`` has the
        reason.
    breaker
        What the circuit breaker does.
    """

    retried: bool
    another_model: Literal["yes", "no", "setting"]
    breaker: BreakerEffect


EFFECTS: dict[ErrorReason, Effect] = {
    "context_length_exceeded": Effect(False, "setting", "ignored"),
    "request_too_large": Effect(False, "setting", "ignored"),
    "model_not_found": Effect(False, "setting", "opens"),
    "content_filter": Effect(False, "setting", "ignored"),
    "unsupported": Effect(False, "setting", "ignored"),
    "invalid_generation": Effect(False, "setting", "ignored"),
    "insufficient_quota": Effect(False, "yes", "opens"),
    "rate_limit": Effect(True, "yes", "counted"),
    "overloaded": Effect(True, "yes", "counted"),
    "key_error": Effect(False, "yes", "counted"),
    "client_error": Effect(False, "no", "ignored"),
    "server_error": Effect(True, "yes", "counted"),
}
"""Effects of errors that a provider answers with."""

_UNANSWERED: dict[FailureKind, BreakerEffect] = {
    "connect": "counted",
    "timeout": "counted",
    "status": "counted",
    "invalid_response": "counted",
    "reset": "counted",
    # Neither comes from the provider.
    "open": "ignored",
    "saturated": "ignored",
    # The limit is the gateway's own.
    "too_large": "ignored",
}
"""What the breaker does after failures without an error of the provider."""


def breaker_effect(failure: UpstreamError) -> BreakerEffect:
    """Return what a failure does to the circuit breaker of its model."""
    meaning = failure.meaning
    if meaning is None:
        return _UNANSWERED[failure.kind]
    effect = EFFECTS[meaning.reason].breaker
    return "ignored" if effect == "opens" and not meaning.certain else effect


def stream_effect(error: dict[str, Any] | None) -> BreakerEffect:
    """Return what a stream that broke off does to the circuit breaker.

    Parameters
    ----------
    error
        The provider's error within the stream; None if the connection broke.
    """
    if error is None:
        return "counted"
    effect = EFFECTS[read_object(error).reason].breaker
    # The request is not at hand, from which the words of the error may come.
    return "counted" if effect == "opens" else effect
