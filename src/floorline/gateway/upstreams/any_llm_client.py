"""Send requests to providers with other protocols, through any-llm."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

import msgspec

from floorline.errors import MissingExtra
from floorline.gateway.upstreams.errors import client_error_body
from floorline.gateway.upstreams.provider_errors import read_object
from floorline.gateway.upstreams.sdk_client import (
    SdkClient,
    WholeReply,
    causes,
    error_object,
    error_reply,
)
from floorline.gateway.upstreams.settings import UpstreamSettings

_FIELDS = frozenset(
    {
        "frequency_penalty",
        "logit_bias",
        "logprobs",
        "max_completion_tokens",
        "max_tokens",
        "messages",
        "n",
        "parallel_tool_calls",
        "presence_penalty",
        "prompt_cache_key",
        "reasoning_effort",
        "response_format",
        "seed",
        "service_tier",
        "stop",
        "stream",
        "stream_options",
        "temperature",
        "tool_choice",
        "tools",
        "top_logprobs",
        "top_p",
        "user",
    }
)
"""Fields of a request that become arguments of any-llm's function."""

_CODES = {
    "ContextLengthExceededError": "context_length_exceeded",
    "ContentFilterError": "content_policy_violation",
    "UnsupportedParameterError": "unsupported_parameter",
    "RateLimitError": "rate_limit_exceeded",
    "ModelNotFoundError": "model_not_found",
}
"""Codes of OpenAI for any-llm's errors without a status; others keep the name of the class."""
_STATUSES = {
    "AuthenticationError": 401,
    "MissingApiKeyError": 401,
    "InsufficientFundsError": 402,
    "ModelNotFoundError": 404,
    "RateLimitError": 429,
    "InvalidRequestError": 400,
    "ContextLengthExceededError": 400,
    "ContentFilterError": 400,
    "UnsupportedParameterError": 400,
    "NotImplementedError": 400,
    # The provider's kit is not installed, or there is no such provider.
    "ImportError": 500,
    "UnsupportedProviderError": 500,
}
"""Statuses of errors without one, which any-llm raises before it calls, or has read from words."""


def load_any_llm() -> Any:
    """Import any-llm; takes a second."""
    return importlib.import_module("any_llm")


def split_model(model: str) -> tuple[str, str]:
    """Return any-llm's name of the provider, and the provider's name of the model.

    Examples
    --------
    >>> split_model("ollama:llama3.2:3b")
    ('ollama', 'llama3.2:3b')
    """
    provider, _, name = model.partition(":")
    return provider, name


class AnyLlmClient(SdkClient):
    """Sends requests to one model through any-llm.

    Parameters
    ----------
    name
        The zoo's name of the model, for errors.
    settings
        How the model is called. Its model is ``PROVIDER:MODEL``.

    Raises
    ------
    MissingExtra
        If any-llm is not installed.
    """

    def __init__(self, name: str, settings: UpstreamSettings) -> None:
        if find_spec("any_llm") is None:
            raise MissingExtra("an upstream of kind 'any-llm'", "any-llm")
        super().__init__(name, _FIELDS)
        self._settings = settings
        self._provider, self._model = split_model(settings.model)
        self._headers = {name: value.get_secret_value() for name, value in settings.headers.items()}
        self._sdk: Any = None
        self._is_like_openai = False

    def _create(self) -> Any:
        """Create any-llm's object for the provider, with its own connections."""
        any_llm = load_any_llm()
        openai: Any = importlib.import_module("any_llm.providers.openai.base")
        create = any_llm.AnyLLM.create
        given: dict[str, Any] = {"unified_exceptions": True}
        if self._settings.key is not None:
            given["api_key"] = self._settings.key.get_secret_value()
        if self._settings.endpoint is not None:
            given["api_base"] = self._settings.endpoint
        try:
            # The gateway tries again itself.
            sdk = create(self._provider, **given, max_retries=0)
        except any_llm.exceptions.UnsupportedParameterError:
            sdk = create(self._provider, **given)
        self._is_like_openai = isinstance(sdk, openai.BaseOpenAIProvider)
        return sdk

    async def _complete(
        self, arguments: dict[str, Any], others: dict[str, Any], headers: Mapping[str, str]
    ) -> Any:
        if self._sdk is None:
            self._sdk = await asyncio.to_thread(self._create)
        sdk = self._sdk
        # Kits of one maker, which most providers have, take further fields and headers.
        takes_more = hasattr(getattr(sdk, "client", None), "with_options")
        if takes_more:
            arguments["extra_headers"] = {**headers, **self._headers}
            if others:
                arguments["extra_body"] = others
        elif others or self._headers:
            raise _NotTaken(self._provider, others or self._headers)
        # Fields that do not change the answer are left out where the kit would refuse them.
        if sdk.PROMPT_CACHE_KEY_SUPPORT == "unsupported":
            arguments.pop("prompt_cache_key", None)
        if not self._is_like_openai:
            arguments.pop("user", None)
        if sdk.TIMEOUT_SUPPORT != "unsupported":
            arguments["timeout"] = self._settings.timeouts.total
        return await sdk.acompletion(model=self._model, **arguments)

    def _refusal(self, error: Exception) -> WholeReply | None:
        if isinstance(error, _NotTaken):
            return error_reply(400, client_error_body(str(error), "unsupported_parameter"))
        status = getattr(error, "status_code", None)
        if status is None:
            kinds = [one.__name__ for one in type(error).__mro__]
            status = next((_STATUSES[kind] for kind in kinds if kind in _STATUSES), None)
            if getattr(error, "title", "") == "CompletionParams":
                # Pydantic's error of the library's check of the request.
                status = 400
        elif status < 400:
            # An answer that the kit could not read keeps its status.
            status = 502
        found = self._explain(error)
        if status is None:
            if any(_is_of_connection(cause) for cause in causes(error)):
                return None
            # Either the provider's words say what the client did wrong, or the kit could not read
            # its answer.
            status = 502 if read_object(found).reason == "server_error" else 400
        return error_reply(status, msgspec.json.encode({"error": found}), _headers(error))

    def _explain(self, error: BaseException) -> dict[str, Any]:
        # With a status the class is read from it and from the words, as the gateway does better.
        known = getattr(error, "status_code", None) is not None
        name = type(error).__name__
        code = getattr(error, "code", None) if known else _CODES.get(name, name)
        message = str(getattr(error, "message", error))
        if not known and "unexpected keyword argument" in message:
            # The kit of the provider has no argument for a field of the request.
            code = "unsupported_parameter"
        return error_object(error, message, code)


class _NotTaken(Exception):
    """Fields or headers that the kit of a provider has no argument for."""

    def __init__(self, provider: str, fields: Mapping[str, Any]) -> None:
        shown = ", ".join(sorted(fields)[:20])
        super().__init__(f"{shown}: any-llm cannot send this to {provider}")


def _is_of_connection(error: BaseException) -> bool:
    """Whether an exception says that no answer came; each kit has its own classes."""
    name = type(error).__name__
    return isinstance(error, OSError) or "Connect" in name or "Timeout" in name


def _headers(error: BaseException) -> Mapping[str, str]:
    """Headers of the provider's answer, as far as an exception has them."""
    for cause in causes(error):
        found = getattr(getattr(cause, "response", None), "headers", None)
        if found is not None:
            return dict(found.items())
    return {}
