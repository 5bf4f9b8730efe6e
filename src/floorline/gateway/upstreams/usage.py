"""Tokens of a call, and their cost."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from floorline.core.bounds import MAX_COST
from floorline.zoo import Model

_CHARACTERS_PER_TOKEN = 16
"""Most characters of a text per token that are believed. Prose has four to five; only runs of
spaces or of one repeated sign have more, and hardly a whole text of them."""
_DENSE_CHARACTERS = 8
"""Characters per token of the densest text of some length; an answer with more characters than
that for each token of its limit shows that the provider ignored the limit."""
_ADDED_PROMPT_TOKENS = 1024
"""Tokens that a provider may add to a prompt: chat templates and system prompts of its own."""
_MEDIA_TOKENS = 2**20
"""Most tokens of an image, a recording or a file that are believed: the largest context window."""
_HIDDEN_TOKENS = 2**17
"""Most tokens of hidden reasoning that are believed of an answer without a limit: the largest
answer that models in use can give."""
_COUNTED_ENDS = 16
"""Tokens above the limit of an answer that are no wrong count: providers count its end as well."""


class Usage(msgspec.Struct, frozen=True, repr_omit_defaults=True):
    """Tokens of one call.

    Attributes
    ----------
    prompt_tokens, completion_tokens
        Tokens of the request and of the answer.
    cached_tokens, cache_write_tokens
        Parts of the prompt's tokens that the provider read from its cache, and that it wrote to it.
    estimated
        Whether the counts are estimates from the lengths of texts.
    """

    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    estimated: bool = False


def estimate_usage(prompt_tokens: int, output_characters: int) -> Usage:
    """Estimate the usage that a provider did not send: four characters are about one token.

    Parameters
    ----------
    prompt_tokens
        As ``floorline.encoders.prompt_size.approximate_tokens`` gives them.
    output_characters
        Number of characters of the answer that arrived.

    Examples
    --------
    >>> estimate_usage(12, 10)
    Usage(prompt_tokens=12, completion_tokens=3, estimated=True)
    """
    return Usage(prompt_tokens, (output_characters + 3) // 4, estimated=True)


class UsageBounds(NamedTuple):
    """What the gateway knows of the lengths of a call's texts, to check a provider's count by.

    Attributes
    ----------
    prompt_tokens : int
        Estimate of the prompt's tokens from its characters.
    largest_prompt : int
        Number of bytes of the request, without images and files: its largest number of tokens.
    media : int
        Number of images, recordings, videos and files in the prompt.
    output_characters : int
        Number of characters that arrived, over all answers.
    answers : int
        Number of answers that the request asks for.
    output_tokens : int, optional
        Largest number of tokens of each answer, as the request or the model says; None if unknown.
    certain_prompt : int, optional
        Part of ``prompt_tokens`` that every provider counts, without tools and images; None for
        all of them.
    """

    prompt_tokens: int
    largest_prompt: int
    media: int
    output_characters: int
    answers: int = 1
    output_tokens: int | None = None
    certain_prompt: int | None = None


class Checked(NamedTuple):
    """A usage that is plausible, and whether the provider's count was not."""

    usage: Usage
    corrected: bool


def check_usage(given: Usage | None, bounds: UsageBounds) -> Checked:
    """Check a provider's count by the lengths of the texts, before money or learning follows it.

    A count that cannot be true says nothing, so the estimate from the texts replaces it; a count
    above the limit of the answers is lowered to the limit. Counts that can be true are kept:
    answers may have hidden reasoning up to their limit, and images may take any number of tokens.

    Examples
    --------
    >>> bounds = UsageBounds(12, 150, 0, output_characters=400, output_tokens=300)
    >>> check_usage(Usage(15, 290), bounds).corrected  # 100 tokens of text, the rest is hidden
    False
    >>> check_usage(Usage(15, 2**52), bounds).usage
    Usage(prompt_tokens=15, completion_tokens=300, estimated=True)
    >>> check_usage(Usage(0, 0), bounds).usage
    Usage(prompt_tokens=12, completion_tokens=100, estimated=True)
    """
    prompt_estimate, largest, media, characters, answers, limit, certain = bounds
    if limit is not None:
        limit *= answers
    if given is None:
        return Checked(
            _within(estimate_usage(prompt_estimate, characters), limit, characters), False
        )
    prompt, output = given.prompt_tokens, given.completion_tokens
    output_estimate = (characters + 3) // 4
    # The estimate is a quarter of the characters.
    wrong_prompt = (
        4 * prompt < (prompt_estimate if certain is None else certain)
        or prompt > largest + _ADDED_PROMPT_TOKENS + media * _MEDIA_TOKENS
    )
    wrong_output = _CHARACTERS_PER_TOKEN * output < characters
    if wrong_output:
        output = output_estimate
    elif limit is not None:
        # A text that is as long as the count shows that the provider ignored the limit.
        most = max(limit, output_estimate)
        wrong_output = output > most + _COUNTED_ENDS * answers
        output = min(output, most)
    elif output > 4 * characters + _HIDDEN_TOKENS * answers:
        wrong_output, output = True, output_estimate
    if wrong_prompt:
        prompt = prompt_estimate
    elif not wrong_output and output == given.completion_tokens:
        return Checked(given, False)
    corrected = wrong_prompt or wrong_output
    cached = min(given.cached_tokens, prompt)
    return Checked(Usage(prompt, output, cached, estimated=corrected), corrected)


def _within(estimate: Usage, limit: int | None, characters: int) -> Usage:
    """Lower an estimate to the limit of the answers, unless the text is certainly longer."""
    if limit is None or estimate.completion_tokens <= limit:
        return estimate
    proven = (characters + _DENSE_CHARACTERS - 1) // _DENSE_CHARACTERS
    return Usage(estimate.prompt_tokens, max(limit, proven), estimated=True)


def cost_of(model: Model, usage: Usage) -> float:
    """Cost of a call in the zoo's unit, at the model's prices.

    Cached tokens cost as much as the other tokens of the prompt: a model has one input price. A
    cost above ``bounds.MAX_COST``, which no event can hold, is cut to it.

    Examples
    --------
    >>> cost_of(Model("small", input_price=0.5, output_price=2.0), Usage(1_000_000, 500_000))
    1.5
    """
    tokens = usage.prompt_tokens * model.input_price + usage.completion_tokens * model.output_price
    return min(model.call_price + tokens / 1e6, MAX_COST)
