"""Metrics of calls by OpenTelemetry's semantic conventions for generative AI; see ``otel``."""

from __future__ import annotations

from collections.abc import Mapping

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricReader, PeriodicExportingMetricReader
from opentelemetry.sdk.metrics.view import ExplicitBucketHistogramAggregation, View
from opentelemetry.sdk.resources import Resource
from opentelemetry.util.types import AttributeValue

from floorline._version import __version__
from floorline.config import TelemetrySettings

_DURATION = "gen_ai.client.operation.duration"
_TOKENS = "gen_ai.client.token.usage"
_SECONDS = tuple(0.01 * 2**power for power in range(14))
"""Bounds of the buckets of durations, from the conventions: 0.01 s to 81.92 s."""
_COUNTS = tuple(float(4**power) for power in range(14))
"""Bounds of the buckets of tokens, from the conventions: 1 to 67,108,864."""
_LABELS = (
    "gen_ai.operation.name",
    "gen_ai.provider.name",
    "gen_ai.request.model",
    "server.address",
    "server.port",
)
"""Attributes of a span that its metrics have; none of them is chosen by clients."""


def meters_to(settings: TelemetrySettings) -> MeterProvider:
    """Build a meter provider that sends metrics over OTLP/HTTP once a minute."""
    endpoint = (settings.otlp_endpoint or "").removesuffix("/v1/traces")
    exporter = OTLPMetricExporter(endpoint=f"{endpoint}/v1/metrics")
    about = {"service.name": settings.service_name, "service.version": __version__}
    return meters(PeriodicExportingMetricReader(exporter), about)


def meters(reader: MetricReader, about: Mapping[str, AttributeValue]) -> MeterProvider:
    """Build a meter provider with the buckets of the conventions."""
    views = [
        View(
            instrument_name=name,
            aggregation=ExplicitBucketHistogramAggregation(boundaries=bounds),
        )
        for name, bounds in ((_DURATION, _SECONDS), (_TOKENS, _COUNTS))
    ]
    return MeterProvider(
        [reader], resource=Resource.create(about), views=views, shutdown_on_exit=False
    )


class GenAiMetrics:
    """Durations and tokens of calls of providers.

    Parameters
    ----------
    provider
        Exports the metrics.
    """

    def __init__(self, provider: MeterProvider) -> None:
        self._provider = provider
        meter = provider.get_meter("floorline", __version__)
        self._duration = meter.create_histogram(
            _DURATION, unit="s", description="Duration of a call of a provider."
        )
        self._tokens = meter.create_histogram(
            _TOKENS, unit="{token}", description="Tokens of a call of a provider."
        )

    def call(
        self,
        about: Mapping[str, AttributeValue],
        seconds: float,
        input_tokens: int | None,
        output_tokens: int | None,
        *,
        error: str | None = None,
    ) -> None:
        """Count a call.

        Parameters
        ----------
        about
            Attributes of its span.
        seconds
            Time from its start to its end.
        input_tokens, output_tokens
            Tokens; None if no answer came.
        error
            Type of the error, if there was one.
        """
        labels = {name: about[name] for name in _LABELS if name in about}
        failed = labels if error is None else {**labels, "error.type": error}
        self._duration.record(seconds, failed)
        for kind, tokens in (("input", input_tokens), ("output", output_tokens)):
            if tokens is not None:
                self._tokens.record(tokens, {**labels, "gen_ai.token.type": kind})

    def close(self) -> None:
        """Export what is left."""
        self._provider.shutdown()
