"""Turn the models of the configuration into settings of calls."""

from __future__ import annotations

from floorline.config import ModelSettings, ProviderSettings, Settings
from floorline.config.provider import KEY_FIELDS, LIBRARY_KINDS
from floorline.config.proxy import NO_PROXY
from floorline.errors import ConfigError, InvalidInput
from floorline.gateway.upstreams import UpstreamSettings
from floorline.gateway.upstreams.any_llm_client import split_model
from floorline.gateway.upstreams.endpoints import KEY_HEADERS

_EXAMPLES = {
    "openai": "http://127.0.0.1:8000/v1",
    "anthropic": "https://api.anthropic.com",
    "responses": "https://api.openai.com/v1",
    "azure": "https://NAME.openai.azure.com?api-version=2024-10-21",
}
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
    if model.kind not in LIBRARY_KINDS and model.endpoint is None:
        fix = f"give the base URL of its API, such as {_EXAMPLES[model.kind]}"
        raise InvalidInput("endpoint", model.endpoint, fix)
    if model.key is not None:
        given = set(map(str.lower, model.headers))
        for name in KEY_HEADERS.get(model.kind, ("Authorization",)):
            if name.lower() in given:
                fix = "remove this header, or the key (api_key, api_key_env, …)"
                raise InvalidInput("headers", name, fix)
    proxy = NO_PROXY if model.proxy is None else model.proxy.get_secret_value()
    if model.kind in LIBRARY_KINDS and proxy != NO_PROXY:
        fix = f"write proxy: none for this model: {model.kind} reads HTTPS_PROXY itself"
        raise InvalidInput("proxy", "that of the settings", fix)
    if model.kind == "any-llm" and not all(split_model(model.upstream_model)):
        fix = "write the provider before the model, such as mistral:mistral-small-latest"
        raise InvalidInput("model", model.upstream_model, fix)
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
