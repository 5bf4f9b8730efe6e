"""How much a model thinks: OpenAI says it as an effort, Anthropic's older models as tokens."""

from __future__ import annotations

from collections.abc import Mapping

MIN_THINKING_TOKENS = 1_024
"""Fewest tokens of thinking that Anthropic takes."""

THINKING_TOKENS: Mapping[str, int] = {
    "minimal": MIN_THINKING_TOKENS,
    "low": 4_096,
    "medium": 10_240,
    "high": 20_480,
    "xhigh": 32_768,
    "max": 49_152,
}
"""Tokens of thinking for each effort. "minimal" is the least that there is. Above 32,768 tokens
Anthropic's documentation sees little gain, so "xhigh" ends there, and "max" half again above it.
The steps between are those of the agents that offer both, about a doubling for each."""


def effort_of(tokens: int) -> str:
    """Return the effort with the nearest number of tokens below or at the given one.

    Examples
    --------
    >>> [effort_of(tokens) for tokens in (1024, 8_000, 16_000, 31_999, 60_000)]
    ['minimal', 'low', 'medium', 'high', 'max']
    """
    found = "minimal"
    for effort, least in THINKING_TOKENS.items():
        if tokens >= least:
            found = effort
    return found
