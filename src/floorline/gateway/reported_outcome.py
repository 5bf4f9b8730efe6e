"""What a client may report of a call that it made itself after ``/v1/route``."""

from __future__ import annotations

from floorline.errors import InvalidInput
from floorline.events import CLIENT, Decision
from floorline.gateway.call_recorder import expected_cost
from floorline.gateway.errors import ApiError
from floorline.gateway.upstreams.usage import Usage, cost_of
from floorline.zoo import CallLimits, Zoo

_LARGEST_CALL = CallLimits(input_tokens=2**20, output_tokens=2**17, images=1_000)
"""The largest call that is believed: the context window and the answer of the largest models in
use."""
_SMALLEST_SHARE = 0.05
"""Smallest share of the list price that is believed: cached prompts cost a tenth of it, and batches
half of that."""


def computed_cost(
    decision: Decision, usage: Usage | None, error: str | None, zoo: Zoo
) -> tuple[float, bool]:
    """Return the cost of a call whose client does not know it, and whether it is estimated.

    That of the tokens at the model's prices; without tokens the expected cost; nothing for a call
    that failed.

    Parameters
    ----------
    decision
        The decision that the client names.
    usage
        The reported tokens; None if those of the prompt or of the answer are missing.
    error
        The reported failure, None for none.
    zoo
        The models and their prices.
    """
    if error is not None:
        return 0.0, False
    if usage is None or decision.model not in zoo:
        return expected_cost(decision), True
    return cost_of(zoo.models[zoo.index(decision.model)], usage), False


def check_reported(decision: Decision, cost: float, error: str | None, zoo: Zoo) -> None:
    """Refuse an outcome that its client may not report, or that no call can have had.

    Parameters
    ----------
    decision
        The decision that the client names.
    cost, error
        The reported cost in the zoo's unit; the reported failure, None for none.
    zoo
        The models and their prices.

    Raises
    ------
    ApiError
        409 if the gateway made the call: it has measured the cost itself.
    InvalidInput
        If the cost is above that of the largest call, or below that of the smallest one although
        the call succeeded.
    """
    if decision.call_by != CLIENT:
        raise ApiError(
            409,
            f"the gateway measures the call of decision {decision.id} itself: report outcomes of "
            "decisions of /v1/route only",
            code="outcome_not_expected",
            param="id",
        )
    # The client's own provider may have other prices, but none above the dearest model's.
    most = float(zoo.largest_costs(_LARGEST_CALL).max())
    if cost > most > 0.0:
        fix = f"give the cost of one call in {zoo.cost_unit}, which is at most {most:g}"
        raise InvalidInput("cost", cost, fix)
    if error is None and decision.model in zoo:
        model = zoo.models[zoo.index(decision.model)]
        smallest = model.call_price + (model.input_price + model.output_price) / 1e6
        least = _SMALLEST_SHARE * smallest
        if cost < least:
            fix = f"give what the call cost, at least {least:g}; for a call that failed give error"
            raise InvalidInput("cost", cost, fix)


def check_parts(
    input_tokens: int | None,
    cached_tokens: int | None,
    cache_write_tokens: int | None,
    latency: float | None,
    first_token: float | None,
) -> None:
    """Refuse parts that are larger than the whole; arguments as for ``Outcome``.

    Raises
    ------
    InvalidInput
        If they are.
    """
    left = input_tokens
    for field, tokens in (
        ("cached_tokens", cached_tokens),
        ("cache_write_tokens", cache_write_tokens),
    ):
        if tokens and left is None:
            raise InvalidInput(field, tokens, "give input_tokens, too: they are part of them")
        if tokens and left is not None:
            if tokens > left:
                fix = f"give a part of the {input_tokens:,} input_tokens, apart from other parts"
                raise InvalidInput(field, tokens, fix)
            left -= tokens
    if first_token is not None and latency is not None and first_token > latency:
        fix = f"give seconds until the first content, at most the latency of {latency:g}"
        raise InvalidInput("first_token", first_token, fix)
