"""How a call of an upstream fails."""

from __future__ import annotations

from typing import Any, Literal

from floorline.errors import FloorlineError

Kind = Literal[
    "connect", "timeout", "status", "invalid_response", "reset", "open", "saturated", "too_large"
]

_STATUS: dict[Kind, int] = {
    "connect": 502,
    "timeout": 504,
    "status": 502,
    "invalid_response": 502,
    "reset": 502,
    "open": 503,
    "saturated": 429,
    "too_large": 502,
}


class UpstreamError(FloorlineError):
    """A model's provider did not answer as it should.

    Parameters
    ----------
    text
        One line without secrets.
    kind
        ``connect``: no connection came about; ``timeout``: one of the ``Timeouts`` passed;
        ``status``: the provider answered with an error that is not the client's;
        ``invalid_response``: it answered with something that is no completion; ``reset``: the
        connection broke, or a stream ended, before the answer was complete; ``open``: the
        circuit breaker lets nothing through; ``saturated``: all calls and the queue are
        taken; ``too_large``: the answer exceeds
        ``max_body``.
    status
        HTTP status that the provider answered with, if it did.
    retry_after
        Seconds after which it may be worth to ask again, where known.
    fallback
        Whether another model may do better.
    again
        Whether the same request may be sent to the same model again.
    """

    def __init__(
        self,
        text: str,
        kind: Kind,
        *,
        status: int | None = None,
        retry_after: float | None = None,
        fallback: bool = True,
        retryable: bool = False,
    ) -> None:
        self.kind: Kind = kind
        self.status = status
        self.retry_after = retry_after
        self.fallback = fallback
        self.retryable = retryable
        super().__init__(text)

    def __reduce__(self) -> tuple[Any, ...]:
        return _upstream_error, (
            str(self),
            self.kind,
            self.status,
            self.retry_after,
            self.fallback,
            self.retryable,
        )

    @property
    def client_status(self) -> int:
        """HTTP status with which to tell the client."""
        return 429 if self.status == 429 else _STATUS[self.kind]

    def as_openai(self) -> dict[str, dict[str, str | None]]:
        """Body of the answer to the client, in the shape of OpenAI's errors."""
        limited = self.client_status == 429
        return {
            "error": {
                "message": str(self),
                "type": "rate_limit_error" if limited else "upstream_error",
                "param": None,
                "code": f"upstream_{self.kind}",
            }
        }


def _upstream_error(
    text: str,
    kind: Kind,
    status: int | None,
    retry_after: float | None,
    fallback: bool,
    retryable: bool,
) -> UpstreamError:
    return UpstreamError(
        text, kind, status=status, retry_after=retry_after, fallback=fallback, retryable=retryable
    )
