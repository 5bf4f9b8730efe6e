"""The table of signs by which providers say what is wrong: codes, types, statuses and words."""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

ErrorReason = Literal[
    "context_length_exceeded",
    "request_too_large",
    "model_not_found",
    "content_filter",
    "unsupported",
    "invalid_generation",
    "insufficient_quota",
    "rate_limit",
    "overloaded",
    "key_error",
    "client_error",
    "server_error",
]
"""What an error of a provider means.

``context_length_exceeded``: the request is larger than the model's context window;
``request_too_large``: it is larger than this provider or account takes; ``model_not_found``: the
model is retired, not deployed or not open to this account; ``content_filter``: the provider refuses
the content; ``unsupported``: the model cannot do what the request asks for;
``invalid_generation``: the model wrote what the provider cannot use; ``insufficient_quota``: the
account has no money or quota left; ``rate_limit``: too many requests or tokens at present;
``overloaded``: the provider has no capacity at present; ``key_error``: the gateway's key is wrong;
``client_error``: the request is wrong for every model; ``server_error``: all others.
"""


def normalised(name: str) -> str:
    """Return a code or type as signs have it: letters and digits only, in lower case.

    Examples
    --------
    >>> normalised("DeploymentNotFound"), normalised("context_length_exceeded")
    ('deploymentnotfound', 'contextlengthexceeded')
    """
    return re.sub(r"[^a-z0-9]", "", name.casefold())


class Sign(NamedTuple):
    """One sign of a reason; it is present if all parts that it has are.

    Attributes
    ----------
    reason
        What the error means.
    providers
        Providers that are known to send it.
    codes
        Values of ``code``, ``type``, ``status`` or ``reason`` in the error, one of which it has.
    statuses
        HTTP statuses, one of which the answer has.
    words
        Regular expression that matches within a message of the error. Its named groups, if it has
        any, are the words that prove the reason; else the whole match is.
    params
        Fields of the request that the error names, one of which it has.
    """

    reason: ErrorReason
    providers: str
    codes: tuple[str, ...] = ()
    statuses: tuple[int, ...] = ()
    words: str = ""
    params: tuple[str, ...] = ()


_REFUSALS = (400, 403, 404, 410, 422)

SIGNS: tuple[Sign, ...] = (
    # Codes that say less than the words beside them come after those words.
    Sign(
        "request_too_large",
        "OpenAI, Groq (limit of tokens per minute)",
        statuses=(413, 429),
        words=r"request too large for (model|gpt|o\d)",
    ),
    Sign(
        "request_too_large",
        "OpenRouter (credits do not hold the answer)",
        statuses=(402,),
        words=r"fewer max_tokens",
    ),
    Sign(
        "content_filter",
        "OpenAI, Azure, Moonshot, LiteLLM, one-api, DashScope, Zhipu, Google",
        codes=(
            "content_filter",
            "content_filtered",
            "content_policy_violation",
            "ContentPolicyViolationError",
            "ResponsibleAIPolicyViolation",
            "moderation_blocked",
            "sensitive_words_detected",
            "data_inspection_failed",
            "PROHIBITED_CONTENT",
            "1301",
        ),
    ),
    Sign(
        "content_filter",
        "OpenAI, Azure, Anthropic, OpenRouter, DeepSeek, xAI",
        statuses=(400, 403, 422, 451, 500),
        words=r"content management policy|(input|prompt) was flagged|content exists risk"
        r"|violat\w{1,8} (our |the )?(usage|content|safety) (guidelines|policy|policies)"
        r"|blocked by content filter|result of our safety system|inappropriate content",
    ),
    Sign(
        "context_length_exceeded",
        "OpenAI, Azure, Groq, Cerebras, llama.cpp, GitHub, Copilot, LiteLLM, Mistral, Zhipu",
        codes=(
            "context_length_exceeded",
            "context_window_exceeded",
            "ContextWindowExceededError",
            "exceed_context_size_error",
            "model_max_prompt_tokens_exceeded",
            "tokens_limit_reached",
            "prompt_too_long",
            "input_too_long",
            "3051",
            "1261",
        ),
    ),
    Sign(
        "context_length_exceeded",
        "vLLM, SGLang, TGI, Together, OpenRouter, DeepSeek, Fireworks, xAI",
        statuses=(400, 413, 422, 500),
        words=r"maximum context length|maximum (model|prompt) length|max_model_len"
        r"|context (length|window|size)\w{0,2} (is |was |has been )?exceeded"
        r"|exceed\w{0,3} .{0,60}context (length|window|size|limit)|exceed context limit"
        r"|longer than .{0,40}context (length|window|size)"
        r"|greater than the context length|context length of only"
        r"|reduce the length of (the|your) (messages|prompt|input)"
        r"|`inputs` (tokens \+ `max_new_tokens` must be|must have less than)",
    ),
    Sign(
        "context_length_exceeded",
        "Anthropic, Bedrock, Google, Cohere, Mistral, DashScope, Moonshot, Copilot",
        statuses=(400, 413, 422, 500),
        words=r"prompt is too long|input is too long|too large for model with \d"
        r"|input token count .{0,40}exceeds|exceeds the maximum number of tokens"
        r"|prompt token count of \d{1,12} exceeds|range of input length should be"
        r"|exceeded model token limit|tokens in the prompt cannot exceed|too many tokens:"
        r"|(input|prompt|context|messages?)\b.{0,60}\bexceed\w{0,3} .{0,60}"
        r"\b(tokens?|context|window)\b"
        r"|context window exceeds limit|(input|prompt)( \w{1,12}){0,3} (is |are )?too (long|large)"
        r"|input tokens exceed",
    ),
    Sign(
        "insufficient_quota",
        "OpenAI, Azure, Anthropic, Together, Moonshot, DashScope, Volcengine, Zhipu, LiteLLM",
        codes=(
            "insufficient_quota",
            "insufficient_user_quota",
            "insufficient_balance",
            "insufficient_credits",
            "billing_error",
            "billing_hard_limit_reached",
            "billing_not_active",
            "credit_limit",
            "exceeded_current_quota_error",
            "BudgetExceededError",
            "budget_exceeded",
            "Arrearage",
            "AccountOverdueError",
            "1113",
        ),
    ),
    Sign("insufficient_quota", "DeepSeek, OpenRouter, Together, Hugging Face", statuses=(402,)),
    Sign(
        "insufficient_quota",
        "Anthropic, xAI, Fireworks, Hugging Face",
        statuses=(400, 403, 412, 429),
        words=r"credit balance is too low|insufficient (balance|credits?|funds|quota)"
        r"|billing (hard )?limit|monthly (included credits|spending limit)|requires billing"
        r"|(used all available|enough|sufficient|out of|no) credits|specified api usage limits"
        r"|credits (have been |are )?(exhausted|depleted|used up)"
        r"|account .{0,60}(suspended|deactivated|overdue)",
    ),
    Sign(
        "rate_limit",
        "OpenAI, Anthropic, Google, Bedrock, Groq, Cerebras, Moonshot, DashScope, Zhipu",
        codes=(
            "rate_limit_exceeded",
            "rate_limit_error",
            "rate_limit_reached_error",
            "RateLimitError",
            "RESOURCE_EXHAUSTED",
            "ThrottlingException",
            "Throttling.RateQuota",
            "too_many_requests",
            "too_many_requests_error",
            "request_quota_exceeded",
            "1302",
        ),
    ),
    Sign(
        "overloaded",
        "Anthropic, OpenAI, Google, Mistral, Moonshot, Groq, TGI, llama.cpp, Bedrock, Zhipu",
        codes=(
            "overloaded",
            "overloaded_error",
            "engine_overloaded",
            "engine_overloaded_error",
            "server_overloaded",
            "model_overloaded",
            "service_unavailable",
            "ServiceUnavailableError",
            "ServiceUnavailableException",
            "ModelNotReadyException",
            "service_tier_capacity_exceeded",
            "capacity_exceeded",
            "queue_exceeded",
            "UNAVAILABLE",
            "unavailable_error",
            "3505",
            "1305",
        ),
    ),
    Sign(
        "unsupported",
        "OpenRouter",
        statuses=(404,),
        words=r"no endpoints found that (support|can handle)",
    ),
    Sign(
        "model_not_found",
        "OpenAI, Azure, Groq, Together, Hugging Face, Mistral, Perplexity, GitHub, Cerebras, "
        "Moonshot, Databricks, Volcengine, Zhipu",
        codes=(
            "model_not_found",
            "ModelNotFound",
            "model_decommissioned",
            "model_deprecated",
            "ModelDeprecated",
            "ServiceModelDeprecated",
            "DeploymentNotFound",
            "OperationNotSupported",
            "model_not_available",
            "model_not_supported",
            "invalid_model",
            "unknown_model",
            "unavailable_model",
            "resource_not_found_error",
            "ENDPOINT_NOT_FOUND",
            "model_permission_blocked_org",
            "model_permission_blocked_project",
            "model_terms_required",
            "ModelNotOpen",
            "InvalidEndpointOrModel.NotFound",
            "1500",
            "1211",
        ),
    ),
    Sign("model_not_found", "NVIDIA NIM", statuses=(410,)),
    Sign(
        "model_not_found",
        "OpenAI, vLLM (the field model is the gateway's)",
        statuses=_REFUSALS,
        params=("model",),
    ),
    Sign(
        "model_not_found",
        "Anthropic, Google, Bedrock, Fireworks, vLLM",
        codes=(
            "not_found_error",
            "NotFoundError",
            "NOT_FOUND",
            "ResourceNotFoundException",
            "RESOURCE_DOES_NOT_EXIST",
        ),
        words=r"\bmodels?\b",
    ),
    Sign(
        "model_not_found",
        "vLLM, Ollama, Google, DeepSeek, xAI, Cohere, OpenRouter, Bedrock, LiteLLM",
        statuses=_REFUSALS,
        # Not within quotes: a tool of the client can have any word as its name.
        words=r"^.{0,60}?(?P<said>(?<![`'\"\w])(model|deployment)s?\b.{0,240}?\b(not found"
        r"|not exist|doesn't exist|has been (decommissioned|deprecated|retired|removed|shut ?down)"
        r"|is deprecated|is not available|end of its life|identifier is invalid"
        r"|marked by provider as legacy|throughput isn.t supported"
        r"|[\w./:-]{1,100}[`'\"]? is not supported\.?$))"
        r"|^.{0,60}?(?P<told>not found the model|invalid model\b|is not a valid model"
        r"|unknown model\b|no such model|unable to access model|no models? (is |are )?loaded"
        r"|have access to the model|no endpoints found|not a chat model)",
    ),
    Sign(
        "model_not_found",
        "a server without this path: a wrong endpoint",
        statuses=(404,),
        words=r"^(404[: ]{0,3})?((page|resource|route) )?not found\.?$|^no route matched"
        r"|^(resource|url) not found|^invalid url",
    ),
    Sign(
        "key_error",
        "Google, xAI and others that answer 400",
        statuses=(400,),
        words=r"^(incorrect|invalid) api[ _-]?key|^api[ _-]?key (not valid|expired|is invalid)",
    ),
    Sign("key_error", "Google", codes=("API_KEY_INVALID", "API_KEY_EXPIRED")),
    Sign(
        "unsupported",
        "OpenAI, Azure, LiteLLM, llama.cpp",
        codes=(
            "unsupported_parameter",
            "unsupported_value",
            "UnsupportedParamsError",
            "not_supported_error",
        ),
    ),
    Sign(
        "unsupported",
        "Ollama, vLLM, OpenAI, Anthropic, Mistral",
        statuses=(400, 404, 422, 501),
        words=r"does not support .{0,60}(tool|function|image|vision|audio|document|pdf|json"
        r"|schema|response|stream|system|reason|think|parameter|logprob)"
        r"|not supported (with|by|for|on) (this|the) (model|deployment)"
        r"|not a multimodal model|tool choice requires --enable-auto-tool-choice"
        r"|image input is not (enabled|supported)|only supports? text",
    ),
    Sign(
        "unsupported",
        "OpenAI, Anthropic (longer answer than the model writes)",
        statuses=(400, 422),
        words=r"supports at most \d{1,12} completion tokens"
        r"|maximum allowed number of output tokens",
    ),
    Sign("invalid_generation", "Groq", codes=("tool_use_failed", "json_validate_failed")),
    Sign(
        "request_too_large",
        "Anthropic, OpenAI, proxies",
        codes=("request_too_large", "string_above_max_length"),
    ),
    Sign("request_too_large", "all", statuses=(413,)),
    Sign("key_error", "all", statuses=(401, 403)),
    Sign("rate_limit", "all", statuses=(429,)),
    Sign("overloaded", "all (498: Groq, 529: Anthropic)", statuses=(498, 503, 529)),
    Sign("client_error", "all", statuses=(400, 404, 422)),
)
"""Signs in the order in which they are looked for; an error without any is a ``server_error``."""

_NUMBER = r"(\d[\d,]{0,15})"

WINDOWS: tuple[str, ...] = (
    rf"maximum (?:context|model|prompt) length (?:is|of|:) ?{_NUMBER}",
    rf"maximum context length: {_NUMBER}",
    rf"{_NUMBER} maximum context length",
    rf"> {_NUMBER} maximum",
    rf"exceed context limit: \d{{1,12}} \+ \d{{1,12}} > {_NUMBER}",
    rf"maximum number of (?:input )?tokens (?:allowed|is|of)?:? ?\(?{_NUMBER}",
    rf"context (?:size|length|window) ?\({_NUMBER} tokens",
    rf"context (?:size|length|window) (?:of|is|limit of) (?:only )?{_NUMBER}",
    rf"exceeds? the (?:configured )?limit of {_NUMBER}",
    rf"while limit is {_NUMBER}",
    rf"must be <= {_NUMBER}",
    rf"must have less than {_NUMBER}",
    rf"token limit: ?{_NUMBER}",
    rf"length should be \[\d{{1,12}}, ?{_NUMBER}\]",
    rf"cannot exceed {_NUMBER}",
    rf"max size: {_NUMBER} tokens",
    rf"(?:maximum|max|limit)\b(?:(?!\bby\b)[^.\d]){{0,40}}\b{_NUMBER}",
)
"""Where messages have the size of the context window, in tokens."""

REQUESTED: tuple[str, ...] = (
    rf"requested (?:a total of |about )?{_NUMBER}",
    rf"resulted in {_NUMBER}",
    rf"prompt is too long: {_NUMBER}",
    rf"(?:request|input) \({_NUMBER} tokens",
    rf"(?:request|prompt) contains {_NUMBER}",
    rf"input token count \({_NUMBER}",
    rf"token count of {_NUMBER} exceeds",
    rf"current length is {_NUMBER}",
    rf"prompt \(length {_NUMBER}",
    rf"received {_NUMBER}",
)
"""Where messages have the size of the request as the provider counts it, in tokens."""
