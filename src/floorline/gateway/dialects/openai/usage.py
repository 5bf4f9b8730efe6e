"""Tokens as OpenAI's chat completions write them."""

from __future__ import annotations

from typing import Any

from floorline.gateway.upstreams.usage import Usage


def usage_object(usage: Usage) -> dict[str, Any]:
    """Return OpenAI's ``usage``: its prompt's tokens are all of them, from wherever they came.

    Examples
    --------
    >>> usage_object(Usage(100, 7, cached_tokens=80))["prompt_tokens_details"]
    {'cached_tokens': 80}
    """
    details = {"cached_tokens": min(usage.cached_tokens, usage.prompt_tokens)}
    if usage.cache_write_tokens:
        details["cache_write_tokens"] = usage.cache_write_tokens
    found: dict[str, Any] = {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
        "prompt_tokens_details": details,
    }
    if usage.reasoning_tokens:
        found["completion_tokens_details"] = {"reasoning_tokens": usage.reasoning_tokens}
    return found
