"""What a call took in tokens, and what that costs."""

from __future__ import annotations

from typing import Any

import msgspec

from floorline.zoo import Model

_MOST_TOKENS = 2**53
"""Beyond it floats, and so costs, no longer tell counts apart."""


class Usage(msgspec.Struct, frozen=True):
    """Tokens of one call.

    ``cached_tokens`` are those of the prompt that the provider had in its cache; ``estimated``
    marks counts worked out from the lengths of texts.
    """

    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int = 0
    estimated: bool = False


def read_usage(value: Any) -> Usage | None:
    """Read the ``usage`` object of a completion; None unless both counts are there and sound.

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
    return count if type(count) is int and 0 <= count < _MOST_TOKENS else None


def estimate_usage(prompt_tokens: int, output_characters: int) -> Usage:
    """Usage where the provider told none: four characters are about one token.

    Parameters
    ----------
    prompt_tokens
        As ``floorline.encoders.messages.approximate_tokens`` gives them.
    output_characters
        Of the answer, as far as it came.

    Examples
    --------
    >>> estimate_usage(12, 10)
    Usage(prompt_tokens=12, completion_tokens=3, cached_tokens=0, estimated=True)
    """
    return Usage(prompt_tokens, (output_characters + 3) // 4, estimated=True)


def cost_of(model: Model, usage: Usage) -> float:
    """What a call costs in the zoo's unit, at the model's prices.

    Cached tokens are charged like all others of the prompt: a model has one input price.

    Examples
    --------
    >>> cost_of(Model("small", input_price=0.5, output_price=2.0), Usage(1_000_000, 500_000))
    1.5
    """
    tokens = usage.prompt_tokens * model.input_price + usage.completion_tokens * model.output_price
    return model.call_price + tokens / 1e6
