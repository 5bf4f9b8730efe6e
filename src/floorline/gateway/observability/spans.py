"""Traces of calls, by OpenTelemetry's semantic conventions for generative AI.

Without an OTLP endpoint OpenTelemetry is not imported, and tracing a call costs two attribute
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

_TRACE_HEADERS = ("traceparent", "tracestate")


class CallSpan(Protocol):
    """One call of a provider, from its start to its end.

    Attributes
    ----------
    headers
        Headers for the provider, so that its spans join the trace.
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
        cached_tokens: int | None = None,
        cache_write_tokens: int | None = None,
        reasoning_tokens: int | None = None,
        finish_reasons: Sequence[str] = (),
        cost: float | None = None,
        content: bytes | None = None,
    ) -> None:
        """Note the answer of the provider.

        Parameters
        ----------
        status, completion, model, finish_reasons
            HTTP status, id of the completion, the provider's name of the model, why choices ended.
        input_tokens, output_tokens, cost
            Size and cost of the call, in the zoo's unit.
        cached_tokens, cache_write_tokens, reasoning_tokens
            Parts of the input that were read from the provider's cache and written to it, and of
            the output that is hidden reasoning.
        content
            Body of the answer, kept only with ``capture_content``.
        """
        ...

    def end(self, error: str | None = None, reason: str = "") -> None:
        """End the span; ``error`` is the error's type, ``reason`` its text."""
        ...


class RequestSpan(Protocol):
    """One request of a client, whose calls of providers are its children.

    Attributes
    ----------
    headers
        Trace context of the request, in which its calls begin their spans.
    """

    headers: Mapping[str, str]

    def end(self, *, status: int | None, attempts: int, error: str | None = None) -> None:
        """End the span.

        Parameters
        ----------
        status
            HTTP status that the client got; None if it left before.
        attempts
            Number of requests that were sent to providers.
        error
            Type of the error, if there was one.
        """
        ...


class Telemetry(Protocol):
    """Makes a span for each request, and for each call of a provider within it."""

    def request(self, incoming: Mapping[str, str], route: str, model: str) -> RequestSpan:
        """Begin the span of a request.

        Parameters
        ----------
        incoming
            Headers of the client's request, names in lower case.
        route
            Path of the endpoint, without names in it.
        model
            What the request asks for: ``floorline/SLA`` or a model.
        """
        ...

    def call(
        self,
        decision: Decision,
        upstream: UpstreamSettings,
        incoming: Mapping[str, str],
        *,
        stream: bool = False,
        content: bytes | None = None,
        operation: str = "chat",
    ) -> CallSpan:
        """Begin the span of a call.

        Parameters
        ----------
        decision
            The decision on the request.
        upstream
            How the model is called.
        incoming
            Trace context of the request (``RequestSpan.headers``), or headers of the client.
        stream
            Whether the request asks for a stream.
        content
            Body of the request, kept only with ``capture_content``.
        operation
            What is asked, as the conventions name it.
        """
        ...

    def close(self) -> None:
        """Export the remaining spans."""
        ...


class _Untraced:
    """A call without a span; the client's trace context is passed on to the provider."""

    __slots__ = ("headers",)

    def __init__(self, headers: Mapping[str, str]) -> None:
        self.headers = headers

    def answered(self, **about: object) -> None:
        """Do nothing."""

    def end(self, error: str | None = None, reason: str = "") -> None:
        """Do nothing."""


class _UntracedRequest:
    """A request without a span."""

    __slots__ = ("headers",)

    def __init__(self, headers: Mapping[str, str]) -> None:
        self.headers = headers

    def end(self, *, status: int | None, attempts: int, error: str | None = None) -> None:
        """Do nothing."""


class NoTelemetry:
    """Traces no call."""

    def __init__(self) -> None:
        self._plain = _Untraced({})

    def request(self, incoming: Mapping[str, str], route: str, model: str) -> RequestSpan:
        """Return a span that does nothing; the client's trace context is passed on."""
        return _UntracedRequest(incoming)

    def call(
        self,
        decision: Decision,
        upstream: UpstreamSettings,
        incoming: Mapping[str, str],
        *,
        stream: bool = False,
        content: bytes | None = None,
        operation: str = "chat",
    ) -> CallSpan:
        """Return a span that does nothing."""
        if "traceparent" not in incoming:
            return self._plain
        return _Untraced({name: incoming[name] for name in _TRACE_HEADERS if name in incoming})

    def close(self) -> None:
        """Do nothing."""


def make_telemetry(settings: TelemetrySettings) -> Telemetry:
    """Build the telemetry that the settings ask for.

    Raises
    ------
    MissingExtra
        If an OTLP endpoint is set and OpenTelemetry is not installed.
    """
    if settings.otlp_endpoint is None:
        return NoTelemetry()
    with needs("otel", "sending traces"):
        from floorline.gateway.observability.gen_ai_metrics import GenAiMetrics, meters_to
        from floorline.gateway.observability.otel import Tracing, export_to
    return Tracing(
        export_to(settings),
        capture_content=settings.capture_content,
        metrics=GenAiMetrics(meters_to(settings)) if settings.metrics else None,
    )
