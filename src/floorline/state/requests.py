"""Requests as policies see them, checked and made from what the caller gave."""

from __future__ import annotations

from collections.abc import Iterable

from floorline.core.bounds import MAX_TOKENS
from floorline.core.features import Features, freeze, is_finite, length
from floorline.encoders.base import Encoder, Prompt
from floorline.encoders.prompt_size import approximate_tokens
from floorline.errors import InvalidInput, check_number
from floorline.events import NO_CONTEXT, RequestContext
from floorline.policies.base import Request
from floorline.sla import check_floor
from floorline.state.eligibility import able, affordable, bars_of
from floorline.state.fold import Fold
from floorline.state.latency_cost import latency_cost
from floorline.zoo import CallLimits


def features_of(encoder: Encoder, prompt: Prompt | None, features: Features | None) -> Features:
    """Features that a policy may keep: the given ones, or those of the prompt.

    Raises
    ------
    InvalidInput
        If there is neither, or features have another length than the encoder's or are not finite.
    """
    if features is None:
        if prompt is None:
            raise InvalidInput("prompt", None, "give a prompt or its features")
        return encoder.encode(prompt)
    features = freeze(features)
    if length(features) != encoder.dim:
        raise InvalidInput(
            "features", f"of length {length(features)}", f"give {encoder.dim} numbers"
        )
    if not is_finite(features):
        raise InvalidInput("features", "holding NaN or infinity", "give finite features")
    return features


def tokens_of(prompt: Prompt | None, input_tokens: int | None) -> int:
    """Number of tokens of a prompt: the given one, or an estimate from its length.

    Raises
    ------
    InvalidInput
        If the given number is negative or above ``bounds.MAX_TOKENS``.
    """
    if input_tokens is None:
        return 0 if prompt is None else approximate_tokens(prompt)
    if type(input_tokens) is int and 0 <= input_tokens <= MAX_TOKENS:
        return input_tokens
    fix = f"give a number of tokens from 0 to {MAX_TOKENS:,}"
    return int(check_number("input_tokens", input_tokens, low=0.0, high=MAX_TOKENS, fix=fix))


def make_request(
    fold: Fold,
    sla: str | None,
    features: Features,
    input_tokens: int,
    *,
    floor: float | None,
    needs: Iterable[str],
    exclude: Iterable[str],
    at: float,
    limits: CallLimits | None = None,
    context: RequestContext = NO_CONTEXT,
) -> Request:
    """Build a request of an SLA, with the mask of the models that may serve it at time ``at``.

    ``limits`` bounds the tokens of its call; without them its expected cost is reserved. A context
    window must hold the prompt and the longest answer. ``exclude`` may be a mapping whose values
    say why a model must not serve. ``context`` says which conversation the request continues, so
    that its cost is known where providers have cached that.

    Raises
    ------
    InvalidInput
        If there is no such SLA, the floor is not in [0, 1], or no model may serve the request
        (``NoModelCanServe``).
    """
    agreement = fold.sla(sla)
    held = agreement.floor if floor is None else check_floor("floor", floor)
    allowed = able(fold, agreement, needed_tokens(input_tokens, limits), needs, exclude)
    if agreement.budget is not None:
        allowed = affordable(fold, agreement, input_tokens, allowed, at, limits)
    added = latency_cost(fold, agreement.name, input_tokens)
    request = Request(
        features, agreement.name, held, input_tokens, allowed, at, limits, added_cost=added
    )
    if allowed is not None:
        needed = needed_tokens(input_tokens, limits)
        bars = bars_of(fold, agreement, needed, needs, exclude, request)
        request = request._replace(barred=bars)
    if not fold.zoo_.caches or not (context.prefixes or context.session):
        return request
    conversations = fold.conversations_
    follows = conversations.find(context)
    node = conversations.known(context.owner, follows)
    # A repeated prompt, as after a failed call, is the turn that it was.
    again = follows == context.prefixes[-1] if context.prefixes else bool(context.after)
    return request._replace(
        cache=conversations.expected(node, input_tokens, at),
        turn=conversations.turn(node, input_tokens, at, again=again),
    )


def needed_tokens(input_tokens: int, limits: CallLimits | None) -> int:
    """Tokens that a context window must hold: the prompt and the longest answer."""
    return input_tokens + (0 if limits is None else limits.output_tokens or 0)
