"""Tokens of a call, and their cost."""

from __future__ import annotations

from typing import Literal, NamedTuple

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


Tier = Literal["", "batch", "priority"]
"""Service tier of an answer: the usual one, batches and what is as cheap (``flex``), or the fast
one."""
_TIERS: dict[str, Tier] = {"batch": "batch", "flex": "batch", "priority": "priority"}

_LEAST_BILL = 0.05
"""Smallest share of the cost at list prices that a provider's own bill is believed to be. Cached
prompts cost a tenth of the list price, and batches half of that."""
_MOST_BILL = 8.0
"""Largest multiple of it. Routers of providers bill what their dearest provider of a model takes,
some three times the cheapest one's price; fees of tools come on top."""
_DEAREST_TOKEN = 1e-3
"""USD that a token of a model without prices is believed to cost at most: the dearest model in use
costs 600 USD per million tokens."""
_DEAREST_CALL = 1.0
"""USD that such a call is believed to cost at most beside its tokens: images and tools."""


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
    cache_write_1h_tokens
        Part of the written tokens that is kept for an hour instead of five minutes.
    reasoning_tokens
        Part of the answer's tokens that is hidden reasoning.
    audio_input_tokens, audio_output_tokens
        Parts of the prompt's and of the answer's tokens that are recordings.
    images
        Number of images of the prompt; from the request, not from the provider.
    tier
        Service tier in which the provider answered.
    bill
        What the provider says it bills for the call in USD; None if it does not say.
    """

    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    estimated: bool = False
    cache_write_1h_tokens: int = 0
    reasoning_tokens: int = 0
    audio_input_tokens: int = 0
    audio_output_tokens: int = 0
    images: int = 0
    tier: Tier = ""
    bill: float | None = None


def tier_of(name: object) -> Tier:
    """Return the tier that a provider's ``service_tier`` names; "" for the usual one.

    Examples
    --------
    >>> tier_of("flex"), tier_of("default"), tier_of(None)
    ('batch', '', '')
    """
    return _TIERS.get(name, "") if isinstance(name, str) else ""


def with_tier(usage: Usage, name: object) -> Usage:
    """Return a usage in the tier that an answer's ``service_tier`` names.

    Examples
    --------
    >>> with_tier(Usage(9, 3), "flex").tier, with_tier(Usage(9, 3, tier="batch"), "default").tier
    ('batch', 'batch')
    """
    tier = tier_of(name)
    return msgspec.structs.replace(usage, tier=tier) if tier and not usage.tier else usage


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
    images : int
        Number of images in the prompt.
    has_audio : bool
        Whether recordings may be part of the prompt or of the answers.
    """

    prompt_tokens: int
    largest_prompt: int
    media: int
    output_characters: int
    answers: int = 1
    output_tokens: int | None = None
    certain_prompt: int | None = None
    images: int = 0
    has_audio: bool = False


class Checked(NamedTuple):
    """A usage that is plausible, and whether the provider's count was not."""

    usage: Usage
    corrected: bool


def check_usage(given: Usage | None, bounds: UsageBounds) -> Checked:
    """Check a provider's count by the lengths of the texts, before money or learning follows it.

    A count that cannot be true says nothing, so the estimate from the texts replaces it; a count
    above the limit of the answers is lowered to the limit. Counts that can be true are kept:
    answers may have hidden reasoning up to their limit, and images may take any number of tokens.
    Parts are never more than the whole, and parts of a count that was replaced count as none.

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
    prompt_estimate, largest, media, characters, answers, limit, certain, images, _ = bounds
    if limit is not None:
        limit *= answers
    if given is None:
        estimate = _within(estimate_usage(prompt_estimate, characters), limit, characters)
        return Checked(
            msgspec.structs.replace(estimate, images=images) if images else estimate, False
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
    return Checked(
        _with_parts(given, prompt, output, wrong_prompt, wrong_output, bounds),
        wrong_prompt or wrong_output,
    )


def _with_parts(
    given: Usage,
    prompt: int,
    output: int,
    wrong_prompt: bool,
    wrong_output: bool,
    bounds: UsageBounds,
) -> Usage:
    """Return a usage of these counts whose parts are those that are given, as far as they fit."""
    cached = written = written_1h = audio_input = reasoning = audio_output = 0
    if not wrong_prompt:
        cached = min(given.cached_tokens, prompt)
        written = min(given.cache_write_tokens, prompt - cached)
        written_1h = min(given.cache_write_1h_tokens, written)
        if bounds.has_audio:
            audio_input = min(given.audio_input_tokens, prompt - cached - written)
    if not wrong_output:
        reasoning = min(given.reasoning_tokens, output)
        if bounds.has_audio:
            audio_output = min(given.audio_output_tokens, output - reasoning)
    wrong = wrong_prompt or wrong_output
    return Usage(
        prompt,
        output,
        cached,
        written,
        wrong or given.estimated,
        written_1h,
        reasoning,
        audio_input,
        audio_output,
        bounds.images,
        given.tier,
        # A provider that counts wrongly bills wrongly.
        None if wrong else given.bill,
    )


def _within(estimate: Usage, limit: int | None, characters: int) -> Usage:
    """Lower an estimate to the limit of the answers, unless the text is certainly longer."""
    if limit is None or estimate.completion_tokens <= limit:
        return estimate
    proven = (characters + _DENSE_CHARACTERS - 1) // _DENSE_CHARACTERS
    return Usage(estimate.prompt_tokens, max(limit, proven), estimated=True)


def cost_of(model: Model, usage: Usage) -> float:
    """Cost of a call in the zoo's unit, at the model's prices.

    A cost above ``bounds.MAX_COST``, which no event can hold, is cut to it.

    Examples
    --------
    >>> cost_of(Model("small", input_price=0.5, output_price=2.0), Usage(1_000_000, 500_000))
    1.5
    >>> model = Model("small", input_price=0.5, output_price=2.0, cached_input_price=0.05)
    >>> cost_of(model, Usage(1_000_000, 500_000, cached_tokens=1_000_000))
    1.05
    """
    plain_input, plain_output = model.input_price, model.output_price
    given, answered = usage.prompt_tokens * plain_input, usage.completion_tokens * plain_output
    # Parts of the tokens cost more or less than the others; most usages have none of them.
    price = model.cached_input_price
    if usage.cached_tokens and price is not None:
        given += usage.cached_tokens * (price - plain_input)
    if usage.cache_write_tokens:
        written = plain_input if model.cache_write_price is None else model.cache_write_price
        given += usage.cache_write_tokens * (written - plain_input)
        price = model.cache_write_1h_price
        if price is not None:
            given += usage.cache_write_1h_tokens * (price - written)
    price = model.audio_input_price
    if usage.audio_input_tokens and price is not None:
        given += usage.audio_input_tokens * (price - plain_input)
    price = model.reasoning_price
    if usage.reasoning_tokens and price is not None:
        answered += usage.reasoning_tokens * (price - plain_output)
    price = model.audio_output_price
    if usage.audio_output_tokens and price is not None:
        answered += usage.audio_output_tokens * (price - plain_output)
    longest = model.long_prompt_tokens
    if longest is not None and usage.prompt_tokens > longest:
        given *= model.long_prompt_input_factor
        answered *= model.long_prompt_output_factor
    tokens = given + answered
    if usage.tier:
        tokens *= model.batch_factor if usage.tier == "batch" else model.priority_factor
    cost = model.call_price + tokens / 1e6
    if usage.images:
        cost += usage.images * model.image_price
    # Differences of prices may leave a rounding error below 0.
    return min(max(cost, 0.0), MAX_COST)


class Bill(NamedTuple):
    """Cost of a call, and where it comes from.

    Attributes
    ----------
    cost : float
        Cost in the zoo's unit.
    is_providers : bool
        Whether it is what the provider said it bills, instead of tokens times list prices.
    is_doubtful : bool
        Whether the provider named a bill that is not believed.
    """

    cost: float
    is_providers: bool = False
    is_doubtful: bool = False


def bill_of(model: Model, usage: Usage, cost_unit: str) -> Bill:
    """Return the cost of a call: the provider's own bill if it can be true, else list prices.

    A bill is in USD, so that zoos in joules do not take it. It is believed from a twentieth to
    eight times the cost at list prices. If the model has no prices, it is all that is known, and
    it is believed up to 1,000 USD per million tokens.

    Examples
    --------
    >>> model = Model("small", input_price=0.5, output_price=2.0)
    >>> bill_of(model, Usage(1_000_000, 500_000, bill=1.2), "USD")
    Bill(cost=1.2, is_providers=True, is_doubtful=False)
    >>> bill_of(model, Usage(1_000_000, 500_000, bill=100.0), "USD")
    Bill(cost=1.5, is_providers=False, is_doubtful=True)
    """
    listed = cost_of(model, usage)
    if usage.bill is None or cost_unit != "USD":
        return Bill(listed)
    if model.has_price or model.free:
        is_sound = _LEAST_BILL * listed <= usage.bill <= _MOST_BILL * listed
    else:
        tokens = usage.prompt_tokens + usage.completion_tokens
        is_sound = 0.0 <= usage.bill <= _DEAREST_CALL + _DEAREST_TOKEN * tokens
    return Bill(usage.bill, True) if is_sound else Bill(listed, is_doubtful=True)
