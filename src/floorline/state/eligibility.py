"""Which models may serve a request: capabilities, SLAs, latency ceilings and budgets."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from floorline.errors import InvalidInput
from floorline.sla import SLA
from floorline.state.fold import Fold

Mask = NDArray[np.bool_]


def able(
    fold: Fold, sla: SLA, tokens: int, needs: Iterable[str], exclude: Iterable[str]
) -> Mask | None:
    """Return the mask (M,) of the models that can serve and that the SLA allows; None if all are.

    Parameters
    ----------
    fold
        State of the router.
    sla
        SLA of the request.
    tokens
        Number of tokens of the request.
    needs, exclude
        Capabilities that a model must have; names of models that must not serve.

    Raises
    ------
    InvalidInput
        If no model may serve.
    """
    zoo = fold.zoo_
    bounded = sla.models is not None or sla.max_latency is not None
    if not zoo.limited and not needs and not exclude and not bounded:
        return None
    mask = zoo.able(tokens=tokens, needs=needs, exclude=exclude)
    if not bounded:
        return mask
    fits = np.ones(len(zoo), dtype=bool) if mask is None else mask
    if sla.models is not None:
        fits = fits & np.array([name in sla.models for name in zoo.names])
    if sla.max_latency is not None:
        slow = [fold.mean_latency(name) > sla.max_latency for name in zoo.names]
        # If no model meets the ceiling, all of them may serve: refusing would be worse.
        quick = fits & ~np.array(slow)
        fits = quick if quick.any() else fits
    if not fits.any():
        raise InvalidInput("request", sla.name, "no model its SLA allows can serve it")
    return fits


def affordable(fold: Fold, sla: SLA, tokens: int, allowed: Mask | None, at: float) -> Mask:
    """Return the mask (M,) of the allowed models whose estimated cost fits into the budget's rest.

    Parameters
    ----------
    fold, sla, tokens
        As for ``able``.
    allowed
        Mask (M,) of the allowed models; None for all.
    at
        Time in seconds.
    """
    cost = fold.policy_.expected_cost(tokens)
    if cost is None:
        cost = fold.zoo_.typical_costs
    fits = np.asarray(cost <= fold.ledgers_[sla.name].left(sla, fold.zoo_, at))
    return fits if allowed is None else fits & allowed


def within_budget(
    fold: Fold, called: tuple[int, ...], cost: NDArray[np.float64], sla: SLA, at: float
) -> tuple[int, ...]:
    """Return the calls that fit into the rest of the budget together with those before them.

    Parameters
    ----------
    fold, sla
        As for ``able``.
    called
        Positions of the models to call, the served one first.
    cost
        Estimated cost (M,) of one call to each model.
    at
        Time in seconds.

    Returns
    -------
    tuple of int
        The calls that fit; none if the served model's call does not fit.
    """
    ledger = fold.ledgers_[sla.name]
    left, total = ledger.left(sla, fold.zoo_, at), ledger.total_left(sla, at)
    kept: list[int] = []
    bill = 0.0
    for model in called:
        if cost[model] <= left[model] and bill + cost[model] <= total:
            kept.append(model)
            bill += float(cost[model])
        elif not kept:
            return ()
    return tuple(kept)
