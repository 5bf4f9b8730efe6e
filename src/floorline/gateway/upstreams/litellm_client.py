"""Send requests to providers with other protocols, through LiteLLM."""

from __future__ import annotations

import asyncio
import importlib
import os
import re
from collections.abc import AsyncIterator, Mapping
from importlib.util import find_spec
from typing import Any

import msgspec

from floorline.errors import MissingExtra
from floorline.gateway.lenient_json import read_value
from floorline.gateway.upstreams.errors import UpstreamError, client_error_body
from floorline.gateway.upstreams.provider_errors import read_object
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
"""Fields of a request that become arguments of LiteLLM's function.

It has further arguments, such as the address to which the key is sent, which a client must not be
able to set. All other fields of a request are sent as ``extra_body``.
"""

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
_MAX_CAUSES = 5
"""Exceptions behind one of LiteLLM that are looked at; one of them has the provider's body."""


def load_litellm() -> Any:
    """Import LiteLLM; takes seconds."""
    # Without this LiteLLM downloads a list of prices at its import.
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    litellm: Any = importlib.import_module("litellm")
    litellm.suppress_debug_info = True
    litellm.telemetry = False
    return litellm


class WholeReply:
    """A whole answer."""

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self._body = body

    async def read(self) -> bytes:
        """Return the body, then nothing."""
        body, self._body = self._body, b""
        return body

    def abort(self) -> None:
        """Do nothing: the answer is complete."""

    def release(self) -> None:
        """Do nothing: the answer is complete."""


class EventReply:
    """A stream of LiteLLM's chunks as server-sent events."""

    status = 200

    def __init__(self, chunks: AsyncIterator[Any], name: str) -> None:
        self.headers: Mapping[str, str] = {"Content-Type": "text/event-stream"}
        self._chunks = chunks
        self._name = name
        self._ended = self._aborted = False
        self._pending: asyncio.Task[bytes] | None = None
        self._closing: asyncio.Task[None] | None = None

    async def read(self) -> bytes:
        """Return the next event; empty after ``[DONE]``; UpstreamError if the stream broke."""
        if self._ended:
            return b""
        # A task of its own, which ``abort`` can cancel, and which outlasts a reader that leaves.
        if self._pending is None:
            self._pending = asyncio.create_task(self._next())
        try:
            data = await asyncio.shield(self._pending)
        except asyncio.CancelledError:
            if not self._aborted:
                raise
            what = "aborted"
        except Exception as error:
            what = type(error).__name__
            found = _provider_error(error)
            if read_object(found).reason != "server_error":
                self._ended = True
                return b"data: " + msgspec.json.encode({"error": found}) + b"\n\n"
        else:
            self._pending = None
            return data
        raise UpstreamError(f"model {self._name!r}: the stream broke ({what})", "reset")

    async def _next(self) -> bytes:
        async for chunk in self._chunks:
            return b"data: " + msgspec.json.encode(_as_openai(chunk)) + b"\n\n"
        self._ended = True
        return b"data: [DONE]\n\n"

    def release(self) -> None:
        """Do nothing: LiteLLM has read the stream to its end."""

    def abort(self) -> None:
        """Close the stream and the provider's connection."""
        if self._aborted:
            return
        self._aborted = True
        if self._pending is not None:
            self._pending.cancel()
        self._closing = asyncio.create_task(self._close())

    async def _close(self) -> None:
        if self._pending is not None:
            # A generator cannot be closed while it runs.
            await asyncio.wait([self._pending])
        await self._chunks.aclose()  # type: ignore[attr-defined]


def _as_openai(chunk: Any) -> dict[str, Any]:
    fields: dict[str, Any] = chunk.model_dump(exclude_none=True)
    choices = fields.get("choices", [])
    if fields.get("usage") and not any(c.get("delta") or c.get("finish_reason") for c in choices):
        # OpenAI's chunk with the usage has no choices; LiteLLM's has an empty one.
        fields["choices"] = []
    return fields


class LitellmClient:
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
        self._name = name
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

    async def send(
        self,
        body: bytes,
        *,
        stream: bool,
        headers: Mapping[str, str] | None,
        path: str = "",
        query: str = "",
    ) -> WholeReply | EventReply:
        """Send a request; return its answer once it begins, else UpstreamError."""
        if path:
            text = f"models of kind litellm have no {path}: name a model of another kind"
            return _error_reply(404, {}, client_error_body(text))
        try:
            # LiteLLM takes values, so that of odd ones not every byte is kept.
            request: dict[str, Any] = read_value(body)
        except ValueError as error:
            text = f"the request cannot be read: {error}"
            return _error_reply(400, {}, client_error_body(text))
        arguments = {key: value for key, value in request.items() if key in _FIELDS}
        others = {k: v for k, v in request.items() if k not in _FIELDS and k != "model"}
        if others:
            arguments["extra_body"] = others
        arguments |= self._fixed | {"extra_headers": {**(headers or {}), **self._headers}}
        if self._litellm is None:
            self._litellm = await asyncio.to_thread(load_litellm)
        try:
            answer = await self._litellm.acompletion(**arguments)
        except Exception as error:
            found = _provider_error(error)
            # For several providers LiteLLM reports all errors as errors of the connection.
            unknown = isinstance(error, self._litellm.APIConnectionError)
            meant = read_object(found).reason if unknown else None
            if meant != "server_error":
                status = _STATUSES.get(meant or "", getattr(error, "status_code", None) or 500)
                headers = getattr(error, "litellm_response_headers", None) or {}
                return _error_reply(status, headers, msgspec.json.encode({"error": found}))
            failure = UpstreamError(
                f"model {self._name!r}: no connection", "connect", retryable=True
            )
        else:
            if stream:
                return EventReply(answer, self._name)
            body = msgspec.json.encode(answer.model_dump())
            return WholeReply(200, {"Content-Type": "application/json"}, body)
        raise failure


def _error_reply(status: int, headers: Mapping[str, str], body: bytes) -> WholeReply:
    kept = {key.title(): value for key, value in headers.items() if key.lower() == "retry-after"}
    kept["Content-Type"] = "application/json"
    return WholeReply(int(status), kept, body)


def _provider_error(error: BaseException) -> dict[str, Any]:
    """Return the provider's error object, as far as LiteLLM keeps it."""
    name = type(error).__name__
    found: dict[str, Any] = {
        "message": _PREFIX.sub("", str(getattr(error, "message", error))),
        "type": "invalid_request_error",
        "param": None,
        "code": _OPENAI_CODES.get(name, name),
    }
    cause: BaseException | None = error
    for _ in range(_MAX_CAUSES):
        if cause is None:
            break
        body = getattr(cause, "body", None)
        if isinstance(body, list) and body:
            # Google sends a list of one error.
            body = body[0]
        if isinstance(body, dict):
            body = body.get("error", body)
        if isinstance(body, str):
            return found | {"message": body}
        if isinstance(body, dict):
            return found | {key: value for key, value in body.items() if value is not None}
        cause = cause.__cause__ or cause.__context__
    return found
