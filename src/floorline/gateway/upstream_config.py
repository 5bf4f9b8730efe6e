"""Turn the models of the configuration into settings of calls."""

from __future__ import annotations

from floorline.config import ModelSettings, ProviderSettings, Settings
from floorline.config.provider import KEY_FIELDS
from floorline.config.proxy import NO_PROXY
from floorline.errors import ConfigError, InvalidInput
from floorline.gateway.upstreams import UpstreamSettings

_SHARED_FIELDS = [name for name in ProviderSettings.model_fields if name not in KEY_FIELDS]


def upstream_settings(model: ModelSettings) -> UpstreamSettings:
    """Return how a model's provider is called.

    Parameters
    ----------
    model
        A model of the configuration, completed by the defaults.

    Raises
    ------
    InvalidInput
        If the model has no endpoint and needs one, has both a key and the header that would carry
        it, or a proxy that its kind does not use.
    """
    if model.kind == "openai" and model.endpoint is None:
        fix = "give the base URL of its API, such as http://127.0.0.1:8000/v1"
        raise InvalidInput("endpoint", model.endpoint, fix)
    if model.key is not None and "authorization" in map(str.lower, model.headers):
        raise InvalidInput(
            "headers", "Authorization", "remove this header, or the key (api_key, api_key_env, …)"
        )
    proxy = NO_PROXY if model.proxy is None else model.proxy.get_secret_value()
    if model.kind == "litellm" and proxy != NO_PROXY:
        fix = "write proxy: none for this model: LiteLLM reads HTTPS_PROXY itself"
        raise InvalidInput("proxy", "that of the settings", fix)
    fields = {name: getattr(model, name) for name in _SHARED_FIELDS}
    return UpstreamSettings(
        model=model.upstream_model,
        api_key=model.key,
        check_addresses=model.added_over_http,
        **fields,
    )


def all_upstream_settings(settings: Settings) -> dict[str, UpstreamSettings]:
    """Return how every model's provider is called, by the model's name.

    Raises
    ------
    ConfigError
        If some models have no endpoint and need one, or have both a key and the header that would
        carry it.
    """
    found: dict[str, UpstreamSettings] = {}
    problems = []
    for model in settings.models:
        try:
            found[model.name] = upstream_settings(model)
        except InvalidInput as error:
            problems.append(f"model {model.name!r}: {error}")
    if problems:
        raise ConfigError(problems)
    return found
