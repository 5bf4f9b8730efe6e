"""Calls of the models' providers.

``Upstreams`` sends chat completions to OpenAI-compatible endpoints over pooled connections, with
timeouts, retries, a circuit breaker and a limit on calls for each model; ``docs/upstreams.md`` has
the details.
"""

from floorline.gateway.upstreams.answer import Answer
from floorline.gateway.upstreams.errors import UpstreamError
from floorline.gateway.upstreams.pool import Health, OpenBreaker, Upstreams
from floorline.gateway.upstreams.retry import Backoff
from floorline.gateway.upstreams.settings import UpstreamSettings
from floorline.gateway.upstreams.usage import Usage, cost_of, estimate_usage

__all__ = [
    "Answer",
    "Backoff",
    "Health",
    "OpenBreaker",
    "UpstreamError",
    "UpstreamSettings",
    "Upstreams",
    "Usage",
    "cost_of",
    "estimate_usage",
]
