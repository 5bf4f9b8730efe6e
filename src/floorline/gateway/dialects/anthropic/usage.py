"""Tokens as Anthropic writes them."""

from __future__ import annotations

from floorline.gateway.upstreams.usage import Usage


def usage_object(usage: Usage | None) -> dict[str, int]:
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
    return {
        "input_tokens": usage.prompt_tokens - read - written,
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": read,
        "output_tokens": usage.completion_tokens,
    }
