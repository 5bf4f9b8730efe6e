"""Read the tokens of a call in every shape in which providers send them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from floorline.gateway.upstreams.usage import Usage

_MAX_TOKENS = 2**53
"""From this count on, floats cannot represent every whole number, so costs would be inexact."""
_WHOLE_NUMBER = re.compile(r"\s*(\d{1,16})(?:\.0*)?\s*", re.ASCII)

_Path = tuple[str, ...]
"""Names of the objects in which a count is, and its own name."""

_PROMPT: tuple[_Path, ...] = (
    ("prompt_tokens",),
    ("input_tokens",),
    ("promptTokens",),
    ("inputTokens",),
    ("prompt_token_count",),
    ("promptTokenCount",),
    ("input_token_count",),
    ("inputTokenCount",),
)
_OUTPUT: tuple[_Path, ...] = (
    ("completion_tokens",),
    ("output_tokens",),
    ("completionTokens",),
    ("outputTokens",),
    ("candidates_token_count",),
    ("candidatesTokenCount",),
    ("output_token_count",),
    ("outputTokenCount",),
    ("generated_tokens",),
)
_TOTAL: tuple[_Path, ...] = (
    ("total_tokens",),
    ("totalTokens",),
    ("total_token_count",),
    ("totalTokenCount",),
)
_REASONING: tuple[_Path, ...] = (
    ("completion_tokens_details", "reasoning_tokens"),
    ("output_tokens_details", "reasoning_tokens"),
    ("reasoning_tokens",),
    ("reasoningTokens",),
    ("thoughts_token_count",),
    ("thoughtsTokenCount",),
)
_CACHED: tuple[_Path, ...] = (
    ("prompt_tokens_details", "cached_tokens"),
    ("input_tokens_details", "cached_tokens"),
    ("input_token_details", "cache_read"),
    ("prompt_cache_hit_tokens",),
    ("cached_tokens",),
    ("num_cached_tokens",),
    ("cached_input_tokens",),
    ("cachedInputTokens",),
    ("cached_content_token_count",),
    ("cachedContentTokenCount",),
)
"""Tokens from the cache, where they are part of the prompt's count."""
_CACHE_READ: tuple[_Path, ...] = (
    ("cache_read_input_tokens",),
    ("cacheReadInputTokens",),
    ("cacheReadInputTokenCount",),
)
"""Tokens from the cache under the names of Anthropic and Bedrock, whose ``input_tokens`` are only
those that were not in the cache."""
_CACHE_WRITTEN: tuple[_Path, ...] = (
    ("cache_creation_input_tokens",),
    ("cacheCreationInputTokens",),
    ("cacheWriteInputTokens",),
    ("cacheWriteInputTokenCount",),
)
_WITHIN = ("billed_units", "tokens", "usage")
"""Objects within ``usage`` that hold the counts if it has none itself."""
_NAMES = frozenset(
    {
        path[0]
        for paths in (_PROMPT, _OUTPUT, _TOTAL, _REASONING, _CACHED, _CACHE_READ, _CACHE_WRITTEN)
        for path in paths
    }
).union(_WITHIN)
"""Fields of ``usage`` that are read."""
_INPUT_NAMES = frozenset({"input_tokens", "inputTokens", "inputTokenCount", "input_token_count"})


class _InvalidCount(ValueError):
    """A count that cannot be one; the whole usage is refused then."""


def read_usage(value: Any) -> Usage | None:
    """Read the ``usage`` object of a completion; None unless both counts are known and valid.

    Counts may be whole numbers, floats without a fraction or texts of digits. A count that is
    missing follows from the total.

    Examples
    --------
    >>> read_usage({"prompt_tokens": 9, "completion_tokens": 3,
    ...             "prompt_tokens_details": {"cached_tokens": 8}})
    Usage(prompt_tokens=9, completion_tokens=3, cached_tokens=8)
    >>> read_usage({"input_tokens": 9.0, "output_tokens": "3", "cache_read_input_tokens": 80})
    Usage(prompt_tokens=89, completion_tokens=3, cached_tokens=80)
    >>> read_usage({"prompt_tokens": -9, "completion_tokens": 3, "total_tokens": 12})
    """
    if not isinstance(value, dict) or not value:
        return None
    try:
        found = _read_openais(value) or _read(value)
    except _InvalidCount:
        return None
    if found is not None:
        return found
    for name in _WITHIN:
        if isinstance(value.get(name), dict):
            return read_usage(value[name])
    return None


def read_timings(value: Any) -> Usage | None:
    """Read llama.cpp's ``timings``, which count the prompt's tokens without those of the cache.

    Examples
    --------
    >>> read_timings({"cache_n": 236, "prompt_n": 1, "predicted_n": 35, "predicted_ms": 661.0})
    Usage(prompt_tokens=237, completion_tokens=35, cached_tokens=236)
    """
    if not isinstance(value, dict):
        return None
    try:
        prompt, output = _count(value.get("prompt_n")), _count(value.get("predicted_n"))
        cached = _count(value.get("cache_n")) or 0
    except _InvalidCount:
        return None
    if prompt is None or output is None:
        return None
    return Usage(prompt + cached, output, cached)


def later_usage(
    before: Mapping[str, Any] | None, value: Mapping[str, Any]
) -> tuple[Usage | None, Mapping[str, Any]]:
    """Read the usage of a later chunk of a stream; it replaces what was known, count by count.

    Some servers send the usage so far with every chunk, some the counts of the prompt at the start
    and those of the answer at the end, and some end with zeros or nulls.

    Parameters
    ----------
    before
        The fields of the usage so far; None if there are none.
    value
        The usage of this chunk.

    Returns
    -------
    tuple
        The usage, None if it is not known yet; the fields so far.

    Examples
    --------
    >>> _, known = later_usage(None, {"input_tokens": 9, "output_tokens": None})
    >>> later_usage(known, {"input_tokens": 0, "output_tokens": 3})[0]
    Usage(prompt_tokens=9, completion_tokens=3)
    """
    usage = read_usage(value)
    if before is None or (usage is not None and usage.prompt_tokens and usage.completion_tokens):
        return usage, value
    known = {**before, **{name: one for name, one in value.items() if one and name in _NAMES}}
    return read_usage(known) or usage, known


def _read_openais(value: dict[str, Any]) -> Usage | None:
    """Read OpenAI's shape, in which almost all counts come, without a look at the others."""
    prompt, output = value.get("prompt_tokens"), value.get("completion_tokens")
    total, details = value.get("total_tokens"), value.get("prompt_tokens_details")
    if not (type(prompt) is type(output) is type(total) is int and prompt > 0 and output > 0):
        return None
    cached = 0
    if type(details) is dict:
        cached = details.get("cached_tokens") or 0
    elif len(value) > len(("prompt_tokens", "completion_tokens", "total_tokens")):
        return None
    if type(cached) is int and 0 <= cached <= prompt and prompt + output == total < _MAX_TOKENS:
        return Usage(prompt, output, cached)
    return None


def _read(value: dict[str, Any]) -> Usage | None:
    name, prompt = _first(value, _PROMPT)
    _, output = _first(value, _OUTPUT)
    total = _first(value, _TOTAL)[1] or None
    if prompt is None and output is not None and total is not None and total >= output:
        prompt, name = total - output, ""
    elif output is None and prompt is not None and total is not None and total >= prompt:
        output = total - prompt
    if prompt is None or output is None:
        return None
    cached, read, written = (
        _detail(value, paths) for paths in (_CACHED, _CACHE_READ, _CACHE_WRITTEN)
    )
    if name in _INPUT_NAMES and total is None and not cached:
        prompt += read + written
    elif total is not None and total > prompt + output:
        # The total tells which of the details the counts leave out.
        beyond, reasoning = total - prompt - output, _detail(value, _REASONING)
        apart = [part for part in (read + written, written, read) if part]
        if beyond == reasoning:
            output += beyond
        elif beyond in apart:
            prompt += beyond
        elif beyond - reasoning in apart:
            output += reasoning
            prompt += beyond - reasoning
    return Usage(prompt, output, min(cached or read, prompt))


def _first(value: dict[str, Any], paths: Iterable[_Path]) -> tuple[str, int | None]:
    """Return the first count that is not 0, and its name; else 0 or None."""
    zero: tuple[str, int | None] = ("", None)
    for (name,) in paths:
        count = _count(value.get(name))
        if count:
            return name, count
        if count == 0 and zero[1] is None:
            zero = (name, 0)
    return zero


def _detail(value: dict[str, Any], paths: Iterable[_Path]) -> int:
    """Return the first count that is valid and not 0; else 0: no money follows it."""
    for *within, name in paths:
        holder: Any = value
        for one in within:
            holder = holder.get(one)
            if not isinstance(holder, dict):
                break
        else:
            try:
                count = _count(holder.get(name))
            except _InvalidCount:
                continue
            if count:
                return count
    return 0


def _count(value: Any) -> int | None:
    """Return a count of tokens; None if it is absent."""
    if value is None:
        return None
    if isinstance(value, str):
        match = _WHOLE_NUMBER.fullmatch(value)
        value = int(match[1]) if match else -1
    elif type(value) is float:
        value = int(value) if value.is_integer() else -1
    if type(value) is not int or not 0 <= value < _MAX_TOKENS:
        raise _InvalidCount
    return value
