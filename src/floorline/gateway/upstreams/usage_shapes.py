"""Read the tokens of a call in every shape in which providers send them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from floorline.core.bounds import MAX_COST
from floorline.gateway.upstreams.usage import Usage, tier_of

_MAX_TOKENS = 2**53
"""From this count on, floats cannot represent every whole number, so costs would be inexact."""
_MAX_AMOUNT_TEXT = 64
"""Characters of an amount of money that is a text."""
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
    ("output_tokens_details", "thinking_tokens"),
    ("output_token_details", "reasoning"),
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
_WRITTEN: tuple[_Path, ...] = (
    ("prompt_tokens_details", "cache_write_tokens"),
    ("prompt_tokens_details", "cache_creation_tokens"),
    ("input_tokens_details", "cache_write_tokens"),
    ("input_tokens_details", "cache_creation_tokens"),
    ("input_token_details", "cache_creation"),
    ("cache_write_tokens",),
)
"""Tokens written to the cache, where they are part of the prompt's count."""
_FOR_MINUTES, _FOR_AN_HOUR = "ephemeral_5m_input_tokens", "ephemeral_1h_input_tokens"
_WRITTEN_PARTS: tuple[_Path, ...] = (
    ("cache_creation",),
    ("cacheCreation",),
    ("prompt_tokens_details", "cache_creation_token_details"),
)
"""Where Anthropic's counts are of what was written for five minutes and for an hour."""
_TOOL_PROMPT: tuple[_Path, ...] = (
    ("tool_use_prompt_token_count",),
    ("toolUsePromptTokenCount",),
)
"""Tokens of Gemini's own tools, which are billed as input and are no part of the prompt's count."""
_AUDIO_INPUT: tuple[_Path, ...] = (
    ("prompt_tokens_details", "audio_tokens"),
    ("input_tokens_details", "audio_tokens"),
    ("input_token_details", "audio"),
)
_AUDIO_OUTPUT: tuple[_Path, ...] = (
    ("completion_tokens_details", "audio_tokens"),
    ("output_tokens_details", "audio_tokens"),
    ("output_token_details", "audio"),
)
_MODALITIES = {
    "input": ("promptTokensDetails", "prompt_tokens_details"),
    "output": ("candidatesTokensDetails", "candidates_tokens_details"),
}
"""Gemini's lists of the tokens of each modality."""
_APART = frozenset({"candidates_token_count", "candidatesTokenCount"})
"""Counts of answers that leave out reasoning."""
_OWN_BILLS = ("cost", "estimated_cost")
"""What the provider bills in USD: OpenRouter, LiteLLM and Perplexity; DeepInfra."""
_USD_PER_TICK = 1e-10
"""xAI bills in ticks."""
_KEPT = ("cache_creation", "service_tier")
"""What Anthropic sends at the start of a stream only, beside counts that it repeats at the end."""
_WITHIN = ("billed_units", "tokens", "usage")
"""Objects within ``usage`` that hold the counts if it has none itself."""
_COUNTS = (_PROMPT, _OUTPUT, _TOTAL, _REASONING, _CACHED, _CACHE_READ, _CACHE_WRITTEN, _WRITTEN)
_PARTS = (_WRITTEN_PARTS, _TOOL_PROMPT, _AUDIO_INPUT, _AUDIO_OUTPUT)
_NAMES = frozenset({path[0] for paths in _COUNTS + _PARTS for path in paths}).union(
    _WITHIN,
    _OWN_BILLS,
    *_MODALITIES.values(),
    ("cost_details", "is_byok", "cost_in_usd_ticks", "service_tier"),
)
"""Fields of ``usage`` that are read."""
_OPENAIS = frozenset(
    {
        "prompt_tokens",
        "completion_tokens",
        "total_tokens",
        "prompt_tokens_details",
        "completion_tokens_details",
    }
)
"""Fields of OpenAI's shape."""
_INPUT_NAMES = frozenset({"input_tokens", "inputTokens", "inputTokenCount", "input_token_count"})


class _InvalidCount(ValueError):
    """A count that cannot be one; the whole usage is refused then."""


def read_usage(value: Any) -> Usage | None:
    """Read the ``usage`` object of a completion; None unless both counts are known and valid.

    Counts may be whole numbers, floats without a fraction or texts of digits. A count that is
    missing follows from the total, and what a total has beyond both counts is reasoning unless
    other counts explain it.

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
    if before is None:
        return usage, value
    if usage is not None and usage.prompt_tokens and usage.completion_tokens:
        kept = {name: before[name] for name in _KEPT if name in before and name not in value}
        return (read_usage({**kept, **value}), {**kept, **value}) if kept else (usage, value)
    known = {**before, **{name: one for name, one in value.items() if one and name in _NAMES}}
    return read_usage(known) or usage, known


def _read_openais(value: dict[str, Any]) -> Usage | None:
    """Read OpenAI's shape, in which almost all counts come, without a look at the others."""
    prompt, output = value.get("prompt_tokens"), value.get("completion_tokens")
    total, of_prompt = value.get("total_tokens"), value.get("prompt_tokens_details")
    if not (type(prompt) is type(output) is type(total) is int and prompt > 0 and output > 0):
        return None
    if prompt + output != total or total >= _MAX_TOKENS:
        return None
    if len(value) == len(("prompt_tokens", "completion_tokens", "total_tokens")):
        return Usage(prompt, output)
    of_output = value.get("completion_tokens_details")
    if type(of_prompt) is not dict or type(of_output) is not dict or value.keys() != _OPENAIS:
        return None
    cached, reasoning = of_prompt.get("cached_tokens") or 0, of_output.get("reasoning_tokens") or 0
    written = of_prompt.get("cache_write_tokens") or 0
    heard, spoken = of_prompt.get("audio_tokens") or 0, of_output.get("audio_tokens") or 0
    if (
        type(cached) is type(reasoning) is type(written) is type(heard) is type(spoken) is int
        and min(cached, reasoning, written, heard, spoken) >= 0
        and cached + written + heard <= prompt
        and reasoning + spoken <= output
        and "cache_creation_token_details" not in of_prompt
        and "cache_creation_tokens" not in of_prompt
    ):
        return Usage(
            prompt,
            output,
            cached,
            written,
            reasoning_tokens=reasoning,
            audio_input_tokens=heard,
            audio_output_tokens=spoken,
        )
    return None


def _read(value: dict[str, Any]) -> Usage | None:
    name, prompt = _first(value, _PROMPT)
    output_name, output = _first(value, _OUTPUT)
    total = _first(value, _TOTAL)[1] or None
    if prompt is None and output is not None and total is not None and total >= output:
        prompt, name = total - output, ""
    elif output is None and prompt is not None and total is not None and total >= prompt:
        output, output_name = total - prompt, ""
    if prompt is None or output is None:
        return None
    cached, read, reasoning = (_detail(value, one) for one in (_CACHED, _CACHE_READ, _REASONING))
    written = _detail(value, _CACHE_WRITTEN)
    for_minutes, for_an_hour = _written_parts(value)
    # Bedrock and Anthropic tell the parts beside their sum, and some proxies the parts alone.
    written = written or for_minutes + for_an_hour
    tools = _detail(value, _TOOL_PROMPT)
    if total is None:
        if (name in _INPUT_NAMES and not cached) or read + written > prompt:
            prompt += read + written
        prompt += tools
        if output_name in _APART:
            output += reasoning
    elif total > prompt + output:
        # The total tells which of the details the counts leave out.
        beyond = total - prompt - output
        apart = {part for part in (read + written, written, read, tools) if part}
        if beyond in apart:
            prompt += beyond
        elif beyond - reasoning in apart:
            output += reasoning
            prompt += beyond - reasoning
        else:
            # Hidden reasoning, whether it is told or not: Gemini behind several proxies.
            output += beyond
            reasoning = max(reasoning, beyond)
    cached = min(cached or read, prompt)
    written = min(written or _detail(value, _WRITTEN), prompt - cached)
    return Usage(
        prompt,
        output,
        cached,
        written,
        cache_write_1h_tokens=min(for_an_hour, written),
        reasoning_tokens=min(reasoning, output),
        audio_input_tokens=min(_audio(value, "input", _AUDIO_INPUT), prompt - cached - written),
        audio_output_tokens=min(_audio(value, "output", _AUDIO_OUTPUT), max(0, output - reasoning)),
        tier=tier_of(value.get("service_tier")),
        bill=_own_bill(value),
    )


def _written_parts(value: dict[str, Any]) -> tuple[int, int]:
    """Tokens that were written to the cache for five minutes and for an hour."""
    for path in _WRITTEN_PARTS:
        if path[0] not in value:
            continue
        minutes = _detail(value, [(*path, _FOR_MINUTES)])
        hour = _detail(value, [(*path, _FOR_AN_HOUR)])
        if minutes or hour:
            return minutes, hour
    return 0, 0


def _audio(value: dict[str, Any], side: str, paths: Iterable[_Path]) -> int:
    """Tokens of recordings, as a count or in Gemini's list of modalities."""
    for name in _MODALITIES[side]:
        listed = value.get(name)
        if isinstance(listed, list):
            for one in listed:
                if isinstance(one, dict) and str(one.get("modality")).upper() == "AUDIO":
                    return _detail(one, [("tokenCount",), ("token_count",)])
            return 0
    return _detail(value, paths)


def _own_bill(value: dict[str, Any]) -> float | None:
    """What the provider says it bills in USD; None if it does not say so in a number.

    OpenRouter's ``cost`` leaves out what a provider bills directly, whose key its user has.
    """
    ticks = _amount(value.get("cost_in_usd_ticks"))
    if ticks:
        return ticks * _USD_PER_TICK
    for name in _OWN_BILLS:
        bill = value.get(name)
        bill = _amount(bill.get("total_cost") if isinstance(bill, dict) else bill)
        if bill is None:
            continue
        details = value.get("cost_details")
        if isinstance(details, dict) and value.get("is_byok") is not False:
            bill += _amount(details.get("upstream_inference_cost")) or 0.0
        # Proxies that do not know a price bill nothing.
        return bill or None
    return None


def _amount(value: Any) -> float | None:
    """Return an amount of money; None if it is none."""
    if isinstance(value, str):
        try:
            value = float(value) if len(value) <= _MAX_AMOUNT_TEXT else None
        except ValueError:
            return None
    if type(value) not in (int, float) or not 0.0 <= value <= MAX_COST:
        return None
    return float(value)


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
    """Return the first count that is valid and not 0; else 0: the whole costs its full price."""
    for path in paths:
        held = value.get(path[0])
        if held is None:
            continue
        for name in path[1:]:
            held = held.get(name) if isinstance(held, dict) else None
        try:
            count = _count(held)
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
