"""Tokens of a call, and their cost."""

from __future__ import annotations

from typing import Any

import msgspec

from floorline.zoo import Model

_MAX_TOKENS = 2**53
"""From this count on, floats cannot represent every whole number, so costs would be inexact."""


class Usage(msgspec.Struct, frozen=True):
    """Tokens of one call.

    Attributes
    ----------
    prompt_tokens, completion_tokens
        Tokens of the request and of the answer.
    cached_tokens
        Part of the prompt's tokens that the provider read from its cache.
    estimated
        Whether the counts are estimates from the lengths of texts.
    """

    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int = 0
    estimated: bool = False


def read_usage(value: Any) -> Usage | None:
    """Read the ``usage`` object of a completion; None unless both counts are valid.

    Examples
    --------
    >>> read_usage({"prompt_tokens": 9, "completion_tokens": 3,
    ...             "prompt_tokens_details": {"cached_tokens": 8}})
    Usage(prompt_tokens=9, completion_tokens=3, cached_tokens=8, estimated=False)
    >>> read_usage({"prompt_tokens": -9, "completion_tokens": 3})
    """
    if not isinstance(value, dict):
        return None
    prompt, completion = _count(value, "prompt_tokens"), _count(value, "completion_tokens")
    if prompt is None or completion is None:
        return None
    cached = _count(value.get("prompt_tokens_details"), "cached_tokens") or 0
    return Usage(prompt, completion, min(cached, prompt))


def _count(value: Any, field: str) -> int | None:
    count = value.get(field) if isinstance(value, dict) else None
    return count if type(count) is int and 0 <= count < _MAX_TOKENS else None


def estimate_usage(prompt_tokens: int, output_characters: int) -> Usage:
    """Estimate the usage that a provider did not send: four characters are about one token.

    Parameters
    ----------
    prompt_tokens
        As ``floorline.encoders.messages.approximate_tokens`` gives them.
    output_characters
        Number of characters of the answer that arrived.

    Examples
    --------
    >>> estimate_usage(12, 10)
    Usage(prompt_tokens=12, completion_tokens=3, cached_tokens=0, estimated=True)
    """
    return Usage(prompt_tokens, (output_characters + 3) // 4, estimated=True)


def cost_of(model: Model, usage: Usage) -> float:
    """Cost of a call in the zoo's unit, at the model's prices.

    Cached tokens cost as much as the other tokens of the prompt: a model has one input price.

    Examples
    --------
    >>> cost_of(Model("small", input_price=0.5, output_price=2.0), Usage(1_000_000, 500_000))
    1.5
    """
    tokens = usage.prompt_tokens * model.input_price + usage.completion_tokens * model.output_price
    return model.call_price + tokens / 1e6
