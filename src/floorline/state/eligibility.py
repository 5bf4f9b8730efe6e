"""Which models may serve a request: capabilities, SLAs, latency ceilings and budgets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from floorline.core.bounds import clean_text
from floorline.errors import Bar, NoModelCanServe
from floorline.policies.base import Request
from floorline.sla import SLA
from floorline.state.budget_left import budget_left, total_left
from floorline.state.explanation import REASONS
from floorline.state.fold import Fold
from floorline.zoo import CallLimits, Zoo

Mask = NDArray[np.bool_]

_MAX_REASON = 200
"""Characters of a caller's own reason to exclude a model; the gateway's have at most 120."""
_EXCLUDED = Bar("excluded", "it may not serve this request")


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
        Tokens of the prompt and of the longest answer that the request asks for.
    needs, exclude
        Capabilities that a model must have; names of models that must not serve.

    Raises
    ------
    NoModelCanServe
        If no model may serve; the text says of each one why.
    """
    zoo, needs, exclude = fold.zoo_, frozenset(needs), frozenset(exclude)
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
        slow = [fold.latency_.median(name) > sla.max_latency for name in zoo.names]
        # If no model meets the ceiling, all of them may serve: refusing would be worse.
        quick = fits & ~np.array(slow)
        fits = quick if quick.any() else fits
    if not fits.any():
        asked = {"sla": sla.name, "tokens": tokens, "needs": sorted(needs)}
        raise NoModelCanServe(asked, limits_of(fold, sla, tokens, needs, exclude))
    return fits


def eligible_models(fold: Fold, sla: SLA) -> tuple[str, ...]:
    """Names of the models that may serve an SLA's requests which need no capability."""
    try:
        mask = able(fold, sla, 0, (), ())
    except NoModelCanServe:
        return ()
    names = fold.zoo_.names
    return (
        names
        if mask is None
        else tuple(name for name, fits in zip(names, mask.tolist(), strict=True) if fits)
    )


def unable(
    zoo: Zoo, sla: SLA, tokens: int, needs: Iterable[str], exclude: Iterable[str]
) -> dict[str, Bar]:
    """Return what bars each model that cannot serve a request at any time, whatever the state.

    Parameters
    ----------
    zoo
        The models.
    sla, tokens, needs, exclude
        As for ``able``.
    """
    found = zoo.limits(tokens, needs, exclude)
    if sla.models is not None:
        for name in zoo.names:
            if name not in sla.models:
                found.setdefault(name, Bar("sla", f"SLA {sla.name!r} does not allow it"))
    return found


def limits_of(
    fold: Fold,
    sla: SLA,
    tokens: int,
    needs: Iterable[str],
    exclude: Iterable[str],
    request: Request | None = None,
) -> dict[str, Bar]:
    """Return what bars each model that may not serve a request.

    Parameters
    ----------
    fold, sla, tokens, needs, exclude
        As for ``able``.
    request
        The request, if models were also barred because its SLA's budget cannot pay for them.
    """
    zoo = fold.zoo_
    found = unable(zoo, sla, tokens, needs, exclude)
    if request is not None:
        expected = expected_costs(fold, request.input_tokens)
        needed = call_costs(zoo, expected, request.limits).needed.tolist()
        left = budget_left(fold, sla, request.at).tolist()
        for name, need, rest in zip(zoo.names, needed, left, strict=True):
            if need > rest:
                text = f"a call needs {need:.6g} of the budget, and {max(0.0, rest):.6g} is left"
                found.setdefault(name, Bar("budget", text))
    if sla.max_latency is not None:
        for name in zoo.names:
            median = fold.latency_.median(name)
            if median > sla.max_latency:
                text = f"its median latency of {median:.3g} s is above {sla.max_latency:g} s"
                found.setdefault(name, Bar("latency", text))
    return {name: found[name] for name in zoo.names if name in found}


def bars_of(
    fold: Fold,
    sla: SLA,
    tokens: int,
    needs: Iterable[str],
    exclude: Iterable[str],
    request: Request,
) -> dict[str, Bar] | None:
    """Return what bars each model that a request leaves out; None if it leaves none out.

    Parameters
    ----------
    fold, sla, tokens, needs, exclude
        As for ``able``; where ``exclude`` is a mapping, its values say why a model must not serve.
    request
        The request, with the mask of the models that may serve it.
    """
    allowed = request.allowed
    if allowed is None or allowed.all():
        return None
    paid = None if sla.budget is None else request
    found = limits_of(fold, sla, tokens, needs, exclude, paid)
    given = exclude if isinstance(exclude, Mapping) else {}
    bars = {}
    for name, fits in zip(fold.zoo_.names, allowed.tolist(), strict=True):
        if not fits:
            bar = given.get(name) or found.get(name, _EXCLUDED)
            known = isinstance(bar, Bar) and bar.code in REASONS
            bars[name] = bar if known else Bar("excluded", clean_text(str(bar), _MAX_REASON))
    return bars


def affordable(
    fold: Fold,
    sla: SLA,
    tokens: int,
    allowed: Mask | None,
    at: float,
    limits: CallLimits | None = None,
) -> Mask:
    """Return the mask (M,) of the allowed models whose call fits into the budget's rest.

    A call whose answer the request bounds must fit at its largest cost, others at their expected
    cost (see ``reservations``).

    Parameters
    ----------
    fold, sla, tokens
        As for ``able``.
    allowed
        Mask (M,) of the allowed models; None for all.
    at
        Time in seconds.
    limits
        Upper bounds of the call's tokens; None if there are none.
    """
    cost = call_costs(fold.zoo_, expected_costs(fold, tokens), limits).needed
    fits = np.asarray(cost <= budget_left(fold, sla, at))
    if fold.limit is not None and not fits.all():
        names = fold.zoo_.names
        fold.limit.lacks(sla, {names[i]: float(cost[i]) for i in np.flatnonzero(~fits)})
    return fits if allowed is None else fits & allowed


def expected_costs(fold: Fold, tokens: int) -> NDArray[np.float64]:
    """(M,) estimated cost of a call with a prompt of this many tokens; typical ones if unknown."""
    cost = fold.policy_.expected_cost(tokens)
    return fold.zoo_.typical_costs if cost is None else cost


class CallCosts(NamedTuple):
    """Costs (M,) of one call to each model: what a budget must have left, and what it reserves."""

    needed: NDArray[np.float64]
    largest: NDArray[np.float64]


def call_costs(zoo: Zoo, expected: NDArray[np.float64], limits: CallLimits | None) -> CallCosts:
    """Return the costs of a call that is expected to cost ``expected`` (M,).

    Parameters
    ----------
    zoo
        The models and their prices.
    expected
        Expected cost (M,), which is also all that is known of models without prices.
    limits
        Upper bounds of the call's tokens. If they bound the answer, its largest cost is needed;
        else the expected one, because the largest answer is an assumption. If the bound is not
        certain, the cost up to it is needed, and that of a call without a bound is reserved. None
        to need and to reserve the expected cost.
    """
    if limits is None:
        return CallCosts(expected, expected)
    largest = zoo.largest_costs(limits)
    if limits.output_tokens is None:
        return CallCosts(expected, np.maximum(expected, largest))
    if not limits.is_certain:
        asked = zoo.largest_costs(limits._replace(is_certain=True))
        needed = np.maximum(expected, asked)
        return CallCosts(needed, np.maximum(needed, largest))
    largest = np.where(largest > 0.0, largest, expected)
    return CallCosts(largest, largest)


class Reservation(NamedTuple):
    """Calls that a budget holds: their positions, the served one first, and what is reserved."""

    called: tuple[int, ...]
    costs: tuple[float, ...]


def within_budget(
    fold: Fold,
    called: tuple[int, ...],
    cost: NDArray[np.float64],
    sla: SLA,
    at: float,
    limits: CallLimits | None = None,
) -> Reservation:
    """Return the calls that fit into the rest of the budget together with those before them.

    Reserved is what a call can cost at most: all further calls then leave its money alone, and
    calls at the same time cannot exceed the budget. If the request does not bound its answer, the
    largest cost is an assumption that may be above the whole budget; such a call is made if its
    expected cost fits, and reserves all that is left if that is less. Without ``limits`` the
    expected cost is reserved.

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
    limits
        Upper bounds of the calls' tokens; None if there are none.

    Returns
    -------
    Reservation
        The calls that fit; none if the served model's call does not fit.
    """
    left, total = budget_left(fold, sla, at), total_left(fold, sla, at)
    needed, largest = call_costs(fold.zoo_, cost, limits)
    kept: list[int] = []
    reserved: list[float] = []
    bill = 0.0
    for model in called:
        if needed[model] <= left[model] and bill + needed[model] <= total:
            kept.append(model)
            rest = min(float(left[model]), total - bill)
            reserved.append(max(float(needed[model]), min(float(largest[model]), rest)))
            bill += reserved[-1]
        elif not kept:
            return Reservation((), ())
    return Reservation(tuple(kept), tuple(reserved))
