"""Send requests to providers with other protocols, through LiteLLM."""

from __future__ import annotations

import asyncio
import importlib
import os
import re
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

import msgspec

from floorline.errors import MissingExtra
from floorline.gateway.upstreams.provider_errors import read_object
from floorline.gateway.upstreams.sdk_client import (
    SdkClient,
    WholeReply,
    error_object,
    error_reply,
)
from floorline.gateway.upstreams.settings import UpstreamSettings

_FIELDS = frozenset(
    {
        "audio",
        "frequency_penalty",
        "function_call",
        "functions",
        "logit_bias",
        "logprobs",
        "max_completion_tokens",
        "max_tokens",
        "messages",
        "modalities",
        "n",
        "parallel_tool_calls",
        "prediction",
        "presence_penalty",
        "reasoning_effort",
        "response_format",
        "seed",
        "service_tier",
        "stop",
        "store",
        "stream",
        "stream_options",
        "temperature",
        "tool_choice",
        "tools",
        "top_logprobs",
        "top_p",
        "user",
        "verbosity",
        "web_search_options",
    }
)
"""Fields of a request that become arguments of LiteLLM's function. All others are sent as
``extra_body``."""

_OPENAI_CODES = {
    "ContextWindowExceededError": "context_length_exceeded",
    "ContentPolicyViolationError": "content_policy_violation",
    "UnsupportedParamsError": "unsupported_parameter",
    "RateLimitError": "rate_limit_exceeded",
}
"""Codes of OpenAI for LiteLLM's classes of errors; others keep the name of the class."""
_STATUSES = {
    "context_length_exceeded": 400,
    "content_filter": 400,
    "unsupported": 400,
    "model_not_found": 404,
    "insufficient_quota": 402,
    "rate_limit": 429,
    "key_error": 401,
}
"""Statuses of errors that LiteLLM reports as errors of the connection."""

_PREFIX = re.compile(r"^(?:(?:litellm\.)?\w+(?:Error|Exception)(?:: | - )+)+")
"""What LiteLLM writes before the words of providers."""


def load_litellm() -> Any:
    """Import LiteLLM; takes seconds."""
    # Without this LiteLLM downloads a list of prices at its import.
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    litellm: Any = importlib.import_module("litellm")
    litellm.suppress_debug_info = True
    litellm.telemetry = False
    return litellm


class LitellmClient(SdkClient):
    """Sends requests to one model through LiteLLM.

    Parameters
    ----------
    name
        The zoo's name of the model, for errors.
    settings
        How the model is called.

    Raises
    ------
    MissingExtra
        If LiteLLM is not installed.
    """

    def __init__(self, name: str, settings: UpstreamSettings) -> None:
        if find_spec("litellm") is None:
            raise MissingExtra("an upstream of kind 'litellm'", "litellm")
        super().__init__(name, _FIELDS)
        self._litellm: Any = None
        self._headers = {name: value.get_secret_value() for name, value in settings.headers.items()}
        self._fixed: dict[str, Any] = {
            "model": settings.model,
            "timeout": settings.timeouts.total,
            "max_retries": 0,
            "num_retries": 0,
        }
        if settings.endpoint is not None:
            self._fixed["api_base"] = settings.endpoint
        if settings.key is not None:
            self._fixed["api_key"] = settings.key.get_secret_value()

    async def _complete(
        self, arguments: dict[str, Any], others: dict[str, Any], headers: Mapping[str, str]
    ) -> Any:
        if others:
            arguments["extra_body"] = others
        arguments |= self._fixed | {"extra_headers": {**headers, **self._headers}}
        if self._litellm is None:
            self._litellm = await asyncio.to_thread(load_litellm)
        return await self._litellm.acompletion(**arguments)

    def _refusal(self, error: Exception) -> WholeReply | None:
        found = self._explain(error)
        # For several providers LiteLLM reports all errors as errors of the connection.
        unknown = self._litellm is not None and isinstance(error, self._litellm.APIConnectionError)
        meant = read_object(found).reason if unknown else None
        if meant == "server_error":
            return None
        status = _STATUSES.get(meant or "", getattr(error, "status_code", None) or 500)
        headers = getattr(error, "litellm_response_headers", None)
        return error_reply(status, msgspec.json.encode({"error": found}), headers)

    def _explain(self, error: BaseException) -> dict[str, Any]:
        name = type(error).__name__
        message = _PREFIX.sub("", str(getattr(error, "message", error)))
        return error_object(error, message, _OPENAI_CODES.get(name, name))
