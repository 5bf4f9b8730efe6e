"""How a model's provider is called: endpoint, key, headers, timeouts, retries and limits."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, PrivateAttr, SecretStr, ValidationInfo, model_validator

from floorline.config.base_url import BaseUrl
from floorline.config.passed_headers import PassedHeaders
from floorline.config.proxy import NoProxy, ProxyUrl, proxy_secrets
from floorline.config.secrets import Headers, Key, KeyFile, KeyVariable, LoadContext, key_in
from floorline.config.types import Count, Duration, Fix, Section, Share, Size, Whole, field
from floorline.config.variables import variable

KEY_FIELDS = ("api_key", "api_key_env", "api_key_file")
"""The ways to give a provider's key, of which a model takes one."""


class TimeoutSettings(Section):
    """Seconds after which a call of a provider ends with an error."""

    connect: Duration = field(
        "5s", "Longest time for name lookup, connection and TLS handshake together."
    )
    first_byte: Duration = field(
        "120s",
        "Longest time from the start of an attempt to the first content of the answer. Comments of "
        "a stream are none. Without streaming the content comes with the whole answer.",
    )
    idle: Duration = field(
        "60s", "Longest time between two chunks of an answer that has begun; comments are chunks."
    )
    total: Duration = field(
        "600s", "Longest time for a call, with all attempts and the waits between them."
    )


class BreakerSettings(Section):
    """Circuit breaker: stop calling a failing model and probe for its recovery.

    The breaker opens once the last ``window_seconds`` saw ``failures`` failed calls or more and
    these are at least the share ``rate`` of all calls. A call with all its retries counts once. It
    stays open for ``open_for`` seconds, then lets ``probes`` calls through at a time: as many
    successes in a row close it, any failure opens it again.

    In the file ``window_seconds`` is ``window``, because its value has a unit there ("30s").
    """

    failures: Count = Field(
        5,
        description="Failed calls within the window that open the breaker. A call with its retries "
        "counts once, so that a few unlucky requests do not cost a model its traffic.",
    )
    rate: Share = Field(
        0.5, description="Share of all calls in the window that must have failed, too."
    )
    window_seconds: Duration = field(
        "30s", "Time span of the latest calls that count.", alias="window"
    )
    open_for: Duration = field("15s", "Time from opening until probes are let through.")
    probes: Count = Field(
        1,
        description="Calls let through at a time after that; as many successes in a row close the "
        "breaker.",
    )


FallbackReason = Literal[
    "context_length_exceeded",
    "request_too_large",
    "model_not_found",
    "unsupported",
    "invalid_generation",
    "content_filter",
]


ProviderKind = Literal["openai", "anthropic", "responses", "azure", "litellm", "any-llm"]
DialectName = Literal["openai", "anthropic", "responses"]
"""The forms in which requests and answers are written."""
LIBRARY_KINDS = frozenset({"litellm", "any-llm"})
"""Kinds whose providers are called through a library."""
PROVIDER_SIGNS = {"litellm": "/", "any-llm": ":"}
"""What separates a library's name of the provider from the model in the field ``model``."""


class ProviderSettings(Section):
    """How a model's provider is called: the one declaration, for the file and for the calls."""

    endpoint: BaseUrl | None = Field(
        None,
        description="Base URL of the provider's API, with a query if it needs one; optional with "
        "the kinds litellm and any-llm.",
    )
    kind: ProviderKind = Field(
        "openai",
        description="openai: any endpoint of OpenAI's chat completions. anthropic: Anthropic's "
        "messages. responses: OpenAI's responses. azure: Azure OpenAI, with its paths and its "
        "header api-key. litellm: another provider, through LiteLLM (extra litellm). any-llm: "
        "another provider, through any-llm (extra any-llm).",
    )
    api_key: Key | None = Field(
        None, description="The provider's key, best written as ${NAME}. Never shown or logged."
    )
    api_key_env: KeyVariable | None = Field(
        None, description="Environment variable that holds the key."
    )
    api_key_file: KeyFile | None = Field(
        None,
        description="File that holds the key, relative to this file; read again when it changes.",
    )
    headers: Headers = Field(
        {}, description="Further headers of every call. Never shown or logged."
    )
    pass_headers: PassedHeaders = Field(
        [],
        description="Headers of clients that are passed on to the provider, such as "
        "[x-user-id, openai-organization].",
    )
    proxy: ProxyUrl | None = Field(
        None,
        description="URL of the HTTP proxy through which the provider is called, with user and "
        "password if it needs them; environment: HTTPS_PROXY, HTTP_PROXY and NO_PROXY; none: no "
        "proxy, as without this field. Never shown or logged.",
    )
    no_proxy: NoProxy = Field(
        [],
        description="Hosts that are called without the proxy: names, which stand for the names "
        "below them too, addresses and networks.",
    )
    keep_alive: Duration = field(
        "4s",
        "Longest time that an unused connection is kept: shorter than that of providers, which "
        "close connections after 5s (vLLM and others on uvicorn, Node.js, llama.cpp) or later; a "
        "provider's own Keep-Alive: timeout=N shortens it.",
    )
    timeouts: TimeoutSettings = field({}, "Longest times of the stages of a call.")
    retries: Annotated[Whole, Field(ge=0, le=10), Fix("give a whole number from 0 to 10")] = Field(
        2, description="Attempts after the first one, before another model is called."
    )
    fallback_on: list[FallbackReason] = Field(
        [
            "context_length_exceeded",
            "request_too_large",
            "model_not_found",
            "unsupported",
            "invalid_generation",
        ],
        description="Errors with which a provider says that this model cannot serve a request, and "
        "after which another model is called; content_filter is another one. The client gets the "
        "provider's answer for those that are not listed, or if no other model can serve.",
    )
    breaker: BreakerSettings = field(
        {}, "Circuit breaker: stop calling a failing model and probe for its recovery."
    )
    max_concurrency: Count = Field(256, description="Largest number of calls at a time.")
    queue_length: Annotated[Whole, Field(ge=0), Fix("give a whole number of 0 or more")] = Field(
        256, description="Largest number of calls that wait while max_concurrency is reached."
    )
    queue_wait: Duration = field("5s", "Longest time that a call waits in the queue.")
    max_answer: Size = field("64MiB", "Largest size of an answer, streamed or not.")
    ask_usage: bool = Field(
        True,
        description="Ask providers for token counts at the end of streams, so that costs are not "
        "estimates; clients that did not ask for them do not see them.",
    )

    _key: SecretStr | None = PrivateAttr(None)
    _key_path: Path | None = PrivateAttr(None)

    @model_validator(mode="after")
    def _find_key(self, info: ValidationInfo) -> ProviderSettings:
        context = LoadContext.of(info)
        self._key = self.api_key
        if self.api_key_env is not None:
            self._key = SecretStr(variable(self.api_key_env, context.environ))
        if self.api_key_file is not None:
            self._key_path = context.folder / self.api_key_file
            self._key = SecretStr(key_in(self._key_path))
        return self

    @property
    def dialect(self) -> DialectName:
        """The form in which the provider takes requests and sends answers."""
        return self.kind if self.kind in ("anthropic", "responses") else "openai"

    @property
    def key(self) -> SecretStr | None:
        """The provider's key, from whichever field it was given in."""
        return self._key

    @property
    def key_path(self) -> Path | None:
        """The file that holds the key, if one does."""
        return self._key_path

    def secrets(self) -> list[str]:
        """Return the texts that no log, message or answer may show."""
        hidden = [*self.headers.values(), *([] if self._key is None else [self._key])]
        return [*(secret.get_secret_value() for secret in hidden), *proxy_secrets(self.proxy)]
