"""Tokens as Anthropic writes them."""

from __future__ import annotations

from typing import Any

from floorline.gateway.upstreams.usage import Usage


def usage_object(usage: Usage | None) -> dict[str, Any]:
    """Return Anthropic's ``usage``: its input tokens are those that no cache had or got.

    Examples
    --------
    >>> usage_object(Usage(100, 7, cached_tokens=80, cache_write_tokens=15))["input_tokens"]
    5
    """
    if usage is None:
        usage = Usage(0, 0)
    read = min(usage.cached_tokens, usage.prompt_tokens)
    written = min(usage.cache_write_tokens, usage.prompt_tokens - read)
    found: dict[str, Any] = {
        "input_tokens": usage.prompt_tokens - read - written,
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": read,
        "output_tokens": usage.completion_tokens,
    }
    if usage.cache_write_1h_tokens:
        hour = min(usage.cache_write_1h_tokens, written)
        found["cache_creation"] = {
            "ephemeral_5m_input_tokens": written - hour,
            "ephemeral_1h_input_tokens": hour,
        }
    if usage.reasoning_tokens:
        found["output_tokens_details"] = {"thinking_tokens": usage.reasoning_tokens}
    return found
