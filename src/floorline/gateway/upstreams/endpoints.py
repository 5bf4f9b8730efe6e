"""URLs and headers with which providers of each kind are called."""

from __future__ import annotations

import re
from collections.abc import Mapping

from yarl import URL

from floorline.gateway.upstreams.settings import UpstreamSettings

_VERSION_HEADER = {"anthropic-version": "2023-06-01"}
"""Version of Anthropic's API that is asked for if the client names none; the only one there is."""

KEY_HEADERS: Mapping[str, tuple[str, ...]] = {
    "anthropic": ("x-api-key", "Authorization"),
    "azure": ("api-key", "Authorization"),
}
"""Headers of a key by kind, the one that is sent first; of the others it is ``Authorization``."""

_CALL_PATHS = {"anthropic": "/messages", "responses": "/responses"}
_CHAT_PATH = "/chat/completions"
_VERSION = re.compile(r"/v\d+\w*$")
_AZURE_OWN_PATH = re.compile(r"/deployments/|/v\d+\w*$")


def endpoint_url(settings: UpstreamSettings, path: str) -> URL:
    """Return the URL of a path below the endpoint, with the endpoint's query."""
    base = URL(settings.endpoint or "")
    return base.with_path(base.path.rstrip("/") + path, keep_query=True)


def call_url(settings: UpstreamSettings) -> URL:
    """Return the URL to which requests of a model are sent.

    Examples
    --------
    >>> def url(kind, endpoint):
    ...     return str(call_url(UpstreamSettings(model="m", kind=kind, endpoint=endpoint)))
    >>> url("openai", "https://api.openai.com/v1"), url("responses", "https://api.openai.com/v1")
    ('https://api.openai.com/v1/chat/completions', 'https://api.openai.com/v1/responses')
    >>> url("anthropic", "https://api.anthropic.com")
    'https://api.anthropic.com/v1/messages'
    >>> url("azure", "https://me.openai.azure.com?api-version=2024-10-21")
    'https://me.openai.azure.com/openai/deployments/m/chat/completions?api-version=2024-10-21'
    >>> url("azure", "https://me.openai.azure.com/openai/v1")
    'https://me.openai.azure.com/openai/v1/chat/completions'
    """
    return endpoint_url(settings, _below(settings) + _CALL_PATHS.get(settings.kind, _CHAT_PATH))


def path_url(settings: UpstreamSettings, path: str) -> URL:
    """Return the URL of another endpoint of the provider, such as ``/embeddings``."""
    return endpoint_url(settings, _below(settings) + path)


def _below(settings: UpstreamSettings) -> str:
    """Return what comes between the endpoint and the paths of its API."""
    path = URL(settings.endpoint or "").path.rstrip("/")
    if settings.kind == "anthropic" and not _VERSION.search(path):
        # The SDKs of Anthropic take base URLs without the version.
        return "/v1"
    if settings.kind == "azure" and not _AZURE_OWN_PATH.search(path):
        root = "" if path.endswith("/openai") else "/openai"
        return f"{root}/deployments/{settings.model}"
    return ""


def default_headers(settings: UpstreamSettings) -> dict[str, str]:
    """Return the headers that a call has unless its client or the settings give others."""
    if settings.kind != "anthropic":
        return {}
    return {} if "anthropic-version" in map(str.lower, settings.headers) else _VERSION_HEADER


def request_headers(settings: UpstreamSettings) -> dict[str, str]:
    """Return the settings' headers, with the key as its kind sends it; they hold secrets."""
    headers = {name: value.get_secret_value() for name, value in settings.headers.items()}
    if settings.key is not None:
        key = settings.key.get_secret_value()
        if settings.kind == "anthropic":
            headers["x-api-key"] = key
        elif settings.kind == "azure":
            headers["api-key"] = key
        else:
            headers["Authorization"] = f"Bearer {key}"
    return headers
