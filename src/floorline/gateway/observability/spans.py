"""Traces of calls, by OpenTelemetry's semantic conventions for generative AI.

Without an OTLP endpoint nothing of OpenTelemetry is imported, and a call costs two attribute
look-ups.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from floorline._extras import needs

if TYPE_CHECKING:
    from floorline.config import TelemetrySettings
    from floorline.events import Decision
    from floorline.gateway.upstreams import UpstreamSettings

_PASSED_ON = ("traceparent", "tracestate")


class CallSpan(Protocol):
    """One call of a provider, from its start to its end.

    Attributes
    ----------
    headers
        To send to the provider, so that its trace joins the caller's.
    """

    headers: Mapping[str, str]

    def answered(
        self,
        *,
        status: int,
        completion: str | None = None,
        model: str | None = None,
        input_tokens: int | None = None,
        output_tokens: int | None = None,
        finish_reasons: Sequence[str] = (),
        cost: float | None = None,
        content: bytes | None = None,
    ) -> None:
        """Note what came back; ``content`` is the answer's body."""
        ...

    def end(self, error: str | None = None, reason: str = "") -> None:
        """End the span; ``error`` is a word for what went wrong, ``reason`` its text."""
        ...


class Telemetry(Protocol):
    """Makes a span of each call."""

    def call(
        self,
        decision: Decision,
        upstream: UpstreamSettings,
        incoming: Mapping[str, str],
        *,
        stream: bool = False,
        content: bytes | None = None,
    ) -> CallSpan:
        """Begin a call.

        Parameters
        ----------
        decision
            What was decided.
        upstream
            How the model is called.
        incoming
            Headers of the client's request, names in lower case.
        stream
            Whether a stream was asked for.
        content
            Body of the request, taken down only where ``capture_content`` is set.
        """
        ...

    def close(self) -> None:
        """Send what has not been sent yet."""
        ...


class _Untraced:
    """A call that nobody traces; the client's own trace context goes on to the provider."""

    __slots__ = ("headers",)

    def __init__(self, headers: Mapping[str, str]) -> None:
        self.headers = headers

    def answered(self, **about: object) -> None:
        """Do nothing."""

    def end(self, error: str | None = None, reason: str = "") -> None:
        """Do nothing."""


class NoTelemetry:
    """Traces nothing."""

    def __init__(self) -> None:
        self._plain = _Untraced({})

    def call(
        self,
        decision: Decision,
        upstream: UpstreamSettings,
        incoming: Mapping[str, str],
        *,
        stream: bool = False,
        content: bytes | None = None,
    ) -> CallSpan:
        """Return a span that does nothing."""
        if "traceparent" not in incoming:
            return self._plain
        return _Untraced({name: incoming[name] for name in _PASSED_ON if name in incoming})

    def close(self) -> None:
        """Do nothing."""


def make_telemetry(settings: TelemetrySettings) -> Telemetry:
    """Build what the settings ask for.

    Raises
    ------
    MissingExtra
        If traces are wanted and OpenTelemetry is not installed.
    """
    if settings.otlp_endpoint is None:
        return NoTelemetry()
    with needs("otel", "sending traces"):
        from floorline.gateway.observability.otel import Tracing, export_to
    return Tracing(export_to(settings), capture_content=settings.capture_content)
