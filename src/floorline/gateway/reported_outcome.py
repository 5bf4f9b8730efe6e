"""What a client may report of a call that it made itself after ``/v1/route``."""

from __future__ import annotations

from floorline.errors import InvalidInput
from floorline.events import CLIENT, Decision
from floorline.gateway.errors import ApiError
from floorline.zoo import CallLimits, Zoo

_LARGEST_CALL = CallLimits(input_tokens=2**20, output_tokens=2**17)
"""Tokens of the largest call that is believed: the context window and the answer of the largest
models in use."""
_SMALLEST_CALL = CallLimits(input_tokens=1, output_tokens=1)
_SMALLEST_SHARE = 0.05
"""Smallest share of the list price that is believed: cached prompts cost a tenth of it, and batches
half of that."""


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
        smallest = zoo.largest_costs(_SMALLEST_CALL)[zoo.index(decision.model)]
        least = _SMALLEST_SHARE * float(smallest)
        if cost < least:
            fix = f"give what the call cost, at least {least:g}; for a call that failed give error"
            raise InvalidInput("cost", cost, fix)
