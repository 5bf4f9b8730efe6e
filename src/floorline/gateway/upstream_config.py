"""From the models of the configuration to what calls their providers."""

from __future__ import annotations

from floorline.config import ModelSettings, Settings
from floorline.errors import ConfigError, InvalidInput
from floorline.gateway.upstreams.settings import (
    BreakerSettings,
    Retries,
    Secret,
    Timeouts,
    UpstreamSettings,
)


def upstream(model: ModelSettings) -> UpstreamSettings:
    """Return how a model's provider is called.

    Raises
    ------
    InvalidInput
        If headers contradict the key or belong to the client.
    """
    timeouts, breaker = model.timeouts, model.breaker
    return UpstreamSettings(
        model=model.upstream_model,
        base_url=model.endpoint or "",
        kind=model.kind,
        api_key=None if model.key is None else Secret(model.key),
        headers={name: Secret(value.get_secret_value()) for name, value in model.headers.items()},
        timeouts=Timeouts(
            connect=timeouts.connect,
            first_byte=timeouts.first_byte,
            idle=timeouts.idle,
            total=timeouts.total,
        ),
        retries=Retries(attempts=1 + model.retries),
        breaker=BreakerSettings(
            failures=breaker.failures,
            rate=breaker.rate,
            window_seconds=breaker.window,
            open_for=breaker.open_for,
            probes=breaker.probes,
        ),
        max_concurrency=model.max_concurrency,
        queue_length=model.queue_length,
        queue_wait=model.queue_wait,
        max_body=model.max_answer,
        ask_usage=model.ask_usage,
    )


def upstreams(settings: Settings) -> dict[str, UpstreamSettings]:
    """Return how every model's provider is called, by model.

    Raises
    ------
    ConfigError
        If headers of some models contradict their keys or belong to the client.
    """
    found: dict[str, UpstreamSettings] = {}
    problems = []
    for model in settings.models:
        try:
            found[model.name] = upstream(model)
        except InvalidInput as error:
            problems.append(f"model {model.name!r}: {error}")
    if problems:
        raise ConfigError(problems)
    return found
