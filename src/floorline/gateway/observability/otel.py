"""Spans by OpenTelemetry; imported only if traces are exported."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import AttributeValue

from floorline._version import __version__
from floorline.config import TelemetrySettings
from floorline.config.provider import PROVIDER_SIGNS
from floorline.events import Decision
from floorline.gateway.observability.gen_ai_metrics import GenAiMetrics
from floorline.gateway.upstreams import UpstreamSettings

_PROVIDERS = {
    "api.openai.com": "openai",
    "openai.azure.com": "azure.ai.openai",
    "api.anthropic.com": "anthropic",
    "api.mistral.ai": "mistral_ai",
    "api.groq.com": "groq",
    "api.deepseek.com": "deepseek",
    "api.x.ai": "x_ai",
    "api.perplexity.ai": "perplexity",
    "generativelanguage.googleapis.com": "gcp.gemini",
    "aiplatform.googleapis.com": "gcp.vertex_ai",
    "api.cohere.com": "cohere",
    "api.together.xyz": "together_ai",
}
"""Providers by the end of their host names, in the words of the semantic conventions if they have
one."""

_MAX_CONTENT = 64 * 1024
"""Bytes of a request or an answer that a span holds."""


_KINDS = {
    "openai": "openai_compatible",
    "responses": "openai_compatible",
    "azure": "azure.ai.openai",
}
"""Names of providers by kind, where the endpoint tells no more."""


def provider_name(upstream: UpstreamSettings) -> str:
    """Name of the provider in the semantic conventions.

    Examples
    --------
    >>> provider_name(UpstreamSettings(model="gpt-4o", endpoint="https://api.openai.com/v1"))
    'openai'
    >>> provider_name(UpstreamSettings(model="bedrock/claude", kind="litellm"))
    'bedrock'
    """
    sign = PROVIDER_SIGNS.get(upstream.kind)
    if sign is not None and sign in upstream.model:
        return upstream.model.partition(sign)[0]
    host = urlsplit(upstream.endpoint or "").hostname or ""
    for end, name in _PROVIDERS.items():
        if host == end or host.endswith(f".{end}"):
            return name
    return _KINDS.get(upstream.kind, upstream.kind)


def export_to(settings: TelemetrySettings) -> TracerProvider:
    """Build a tracer provider that sends spans over OTLP/HTTP; the process's own is not changed."""
    endpoint = settings.otlp_endpoint or ""
    if not endpoint.endswith("/v1/traces"):
        endpoint += "/v1/traces"
    about = {"service.name": settings.service_name, "service.version": __version__}
    provider = TracerProvider(
        resource=Resource.create(about),
        sampler=ParentBased(TraceIdRatioBased(settings.sample)),
        # The gateway closes it after the end of its last stream.
        shutdown_on_exit=False,
    )
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint)))
    return provider


class TracedCall:
    """A call of a provider with a span.

    Attributes
    ----------
    headers
        Headers for the provider, so that its spans join this trace.
    """

    def __init__(
        self,
        span: Span,
        headers: Mapping[str, str],
        *,
        capture_content: bool,
        metrics: GenAiMetrics | None = None,
        about: Mapping[str, AttributeValue] | None = None,
    ) -> None:
        self.headers = headers
        self._span = span
        self._capture_content = capture_content
        self._metrics = metrics
        self._about = about or {}
        self._began = time.perf_counter()
        self._tokens: tuple[int | None, int | None] = (None, None)
        self._error: str | None = None

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
        """Set the attributes of the answer."""
        if status >= 400:
            self._fail(str(status), f"the provider answered {status}")
        else:
            self._tokens = input_tokens, output_tokens
        if not self._span.is_recording():
            return
        found: dict[str, AttributeValue | None] = {
            "http.response.status_code": status,
            "gen_ai.response.id": completion,
            "gen_ai.response.model": model,
            "gen_ai.usage.input_tokens": input_tokens,
            "gen_ai.usage.output_tokens": output_tokens,
            "gen_ai.usage.cache_read.input_tokens": cached_tokens or None,
            "gen_ai.usage.cache_creation.input_tokens": cache_write_tokens or None,
            "gen_ai.usage.reasoning.output_tokens": reasoning_tokens or None,
            "gen_ai.response.finish_reasons": tuple(finish_reasons) or None,
            "floorline.cost": cost,
            "gen_ai.output.messages": self._text(content),
        }
        self._span.set_attributes({k: v for k, v in found.items() if v is not None})

    def end(self, error: str | None = None, reason: str = "") -> None:
        """End the span; ``error`` is the error's type, ``reason`` its text."""
        if error is not None:
            self._fail(error, reason)
        self._span.end()
        if self._metrics is not None:
            seconds = time.perf_counter() - self._began
            self._metrics.call(self._about, seconds, *self._tokens, error=self._error)

    def _fail(self, error: str, reason: str) -> None:
        self._error = error
        self._span.set_attribute("error.type", error)
        self._span.set_status(Status(StatusCode.ERROR, reason or None))

    def _text(self, content: bytes | None) -> str | None:
        if content is None or not self._capture_content:
            return None
        return content[:_MAX_CONTENT].decode(errors="replace")


class TracedRequest:
    """A request with a span, in which its calls begin theirs.

    Attributes
    ----------
    headers
        Trace context of the span.
    """

    def __init__(self, span: Span, headers: Mapping[str, str]) -> None:
        self.headers = headers
        self._span = span

    def end(self, *, status: int | None, attempts: int, error: str | None = None) -> None:
        """End the span."""
        self._span.set_attribute("floorline.attempts", attempts)
        if status is not None:
            self._span.set_attribute("http.response.status_code", status)
        if error is not None:
            self._span.set_attribute("error.type", error)
            # By the conventions an error that is the client's own is none of the server.
            if status is None or status >= 500:
                self._span.set_status(Status(StatusCode.ERROR))
        self._span.end()


class Tracing:
    """Makes a span for each request and for each call.

    Parameters
    ----------
    provider
        Exports the spans.
    capture_content
        Whether spans hold the texts of requests and answers, up to 64 KiB each.
    metrics
        Counts every call, whether or not its span is sampled; None for no metrics.
    """

    def __init__(
        self,
        provider: TracerProvider,
        *,
        capture_content: bool = False,
        metrics: GenAiMetrics | None = None,
    ) -> None:
        self._metrics = metrics
        self._provider = provider
        self._tracer = provider.get_tracer("floorline", __version__)
        self._context = TraceContextTextMapPropagator()
        self._capture_content = capture_content

    def call(
        self,
        decision: Decision,
        upstream: UpstreamSettings,
        incoming: Mapping[str, str],
        *,
        stream: bool = False,
        content: bytes | None = None,
        operation: str = "chat",
    ) -> TracedCall:
        """Begin the span of a call, in the trace of its request."""
        attributes = _attributes(decision, upstream, operation, stream=stream)
        span = self._tracer.start_span(
            f"{operation} {upstream.model}",
            context=self._context.extract(incoming),
            kind=SpanKind.CLIENT,
            attributes=attributes,
        )
        if self._capture_content and content is not None and span.is_recording():
            text = content[:_MAX_CONTENT].decode(errors="replace")
            span.set_attribute("gen_ai.input.messages", text)
        headers: dict[str, str] = {}
        self._context.inject(headers, context=set_span_in_context(span))
        return TracedCall(
            span,
            headers,
            capture_content=self._capture_content,
            metrics=self._metrics,
            about=attributes,
        )

    def request(self, incoming: Mapping[str, str], route: str, model: str) -> TracedRequest:
        """Begin the span of a request, in the client's trace if it has one."""
        span = self._tracer.start_span(
            f"POST {route}",
            context=self._context.extract(incoming),
            kind=SpanKind.SERVER,
            attributes={
                "http.request.method": "POST",
                "http.route": route,
                "floorline.asked": model,
            },
        )
        headers: dict[str, str] = {}
        self._context.inject(headers, context=set_span_in_context(span))
        return TracedRequest(span, headers)

    def close(self) -> None:
        """Export the remaining spans and metrics."""
        self._provider.shutdown()
        if self._metrics is not None:
            self._metrics.close()


def _attributes(
    decision: Decision, upstream: UpstreamSettings, operation: str, *, stream: bool
) -> dict[str, AttributeValue]:
    provider = provider_name(upstream)
    found: dict[str, AttributeValue] = {
        "gen_ai.operation.name": operation,
        "gen_ai.provider.name": provider,
        # The attribute's name before version 1.37 of the conventions; many backends still read it.
        "gen_ai.system": provider,
        "gen_ai.request.model": upstream.model,
        "gen_ai.request.stream": stream,
        "floorline.decision.id": decision.id,
        "floorline.model": decision.model,
        "floorline.sla": decision.sla,
        "floorline.policy": decision.policy,
        "floorline.explored": decision.explored,
    }
    if decision.sla:
        found["floorline.floor"] = decision.floor
        found["floorline.expected_quality"] = decision.expected_quality
        found["floorline.propensity"] = decision.propensity
    found["floorline.expected_cost"] = decision.expected_cost
    if decision.after:
        found["floorline.decision.after"] = decision.after
    if decision.session:
        found["gen_ai.conversation.id"] = decision.session
    address = urlsplit(upstream.endpoint or "")
    if address.hostname:
        found["server.address"] = address.hostname
        found["server.port"] = address.port or (443 if address.scheme == "https" else 80)
    return found
