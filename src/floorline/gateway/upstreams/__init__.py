"""Calls of the models' providers.

``Upstreams`` sends chat completions to OpenAI-compatible endpoints over pooled connections, with
timeouts, retries, a circuit breaker and a limit per model; see ``docs/upstreams.md``.
"""

from floorline.gateway.upstreams.answer import Answer
from floorline.gateway.upstreams.errors import UpstreamError
from floorline.gateway.upstreams.pool import Health, Upstreams
from floorline.gateway.upstreams.settings import (
    BreakerSettings,
    Retries,
    Secret,
    Timeouts,
    UpstreamSettings,
)
from floorline.gateway.upstreams.usage import Usage, cost_of, estimate_usage

__all__ = [
    "Answer",
    "BreakerSettings",
    "Health",
    "Retries",
    "Secret",
    "Timeouts",
    "UpstreamError",
    "UpstreamSettings",
    "Upstreams",
    "Usage",
    "cost_of",
    "estimate_usage",
]
