"""Whether any model, or any mix that a budget pays for, can reach an SLA's floor."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import msgspec
import numpy as np

from floorline.core.display import show_number
from floorline.guarantees.betting import betting_lower
from floorline.optimization.best_mix import best_mix_quality
from floorline.sla import SLA, Budget

Finding = Literal["open", "out of reach", "unaffordable"]

ALONE = (
    "A bound of a model is about its mean satisfaction on the requests of this SLA that it served. "
    "That the floor stays out of reach assumes that models, prompts and users remain as they were. "
    "Choosing models by prompt can be better than every single model."
)
PAID = (
    "The cost of a call is the mean of its estimates, and a request that no model serves counts as "
    "not satisfied."
)

_NO_LABELS = (0.0, 0.0, 0.0)


class ModelBound(msgspec.Struct, frozen=True):
    """What the labels of one model say of it under an SLA.

    Attributes
    ----------
    model
        Name of the model.
    labels
        Number of labels of its responses.
    mean, upper
        Weighted mean of these labels, None without any, and upper bound of its mean satisfaction.
    cost
        Mean estimated cost of a call, in the zoo's cost unit; None before the first request.
    """

    model: str
    labels: int
    mean: float | None
    upper: float
    cost: float | None


class Reachability(msgspec.Struct, frozen=True):
    """Whether the models can reach an SLA's floor, with the evidence.

    Attributes
    ----------
    finding
        ``"out of reach"`` if the upper bound of every model is below the floor, ``"unaffordable"``
        if only a mix within the budget cannot reach it, else ``"open"``.
    reason
        The finding in words.
    floor
        The SLA's own floor as it is now.
    confidence
        Probability with which neither finding is ever made wrongly.
    upper
        Highest upper bound of a model's mean satisfaction; 1 without models.
    affordable
        Upper bound of the mean satisfaction of a mix within the budget; None without a budget.
    budget_per_request
        Money that the budget has given so far, by the number of requests so far; None without a
        total budget.
    models
        Bounds of the models that may serve, highest first.
    assumptions
        What must be assumed beside what the certificate assumes.
    """

    finding: Finding
    reason: str
    floor: float
    confidence: float
    upper: float
    affordable: float | None
    budget_per_request: float | None
    models: tuple[ModelBound, ...]
    assumptions: tuple[str, ...]


class Evidence(NamedTuple):
    """What an SLA's ledger, or its log, says of the models.

    Attributes
    ----------
    models
        Names of the models that may serve.
    labels
        By model name: number of labels, and the sums of their weights and weighted scores.
    cost
        By model name: mean estimated cost of a call.
    requests
        Number of requests so far.
    budgets
        How often the budget has been given: number of its periods with a request.
    """

    models: Sequence[str]
    labels: Mapping[str, Sequence[float]]
    cost: Mapping[str, float]
    requests: int
    budgets: int


def reachability_of(sla: SLA, evidence: Evidence, *, representative: bool = True) -> Reachability:
    """Bound every model's mean satisfaction, and what mixes of the models can reach.

    Let the floor be within reach of a mix of models with constant means. The bounds of all models
    are below it only if the bound of the best of these models is wrong, so no error is to be split
    over all models. A budget's mix has two models, beside those whose own budget is used up, and is
    found unaffordable only if the bound of one of them is wrong. So the error of a bound is half of
    the SLA's, by the number of models that the cheapest mix can need.

    Parameters
    ----------
    sla
        The SLA.
    evidence
        Labels and costs of its models.
    representative
        Whether the labels may stand for the responses without one; False where they are complaints
        only. Nothing is found then.
    """
    half = (1.0 - sla.confidence) / 2.0
    names, budget = evidence.models, sla.budget
    given = [evidence.labels.get(name, _NO_LABELS) for name in names]
    count, weight, total = np.array(given, dtype=np.float64).reshape(-1, 3).T
    # Sums of floats may exceed the range by rounding.
    missed = np.clip(weight - total, 0.0, weight)
    upper = 1.0 - betting_lower(weight, missed, half / _mixed(budget, len(names)))
    bounds = [
        ModelBound(name, int(n), 1.0 - m / w if w else None, u, evidence.cost.get(name))
        for name, n, w, m, u in zip(
            names, *(part.tolist() for part in (count, weight, missed, upper)), strict=True
        )
    ]
    bounds.sort(key=lambda bound: -bound.upper)
    highest = bounds[0].upper if bounds else 1.0
    affordable = None if budget is None else _affordable(budget, evidence, upper)
    per_request = None
    if budget is not None and budget.total is not None and evidence.requests:
        per_request = budget.total * evidence.budgets / evidence.requests
    finding, reason = _find(sla.floor, bounds, affordable, per_request, representative)
    return Reachability(
        finding=finding,
        reason=reason,
        floor=sla.floor,
        confidence=1.0 - half,
        upper=highest,
        affordable=affordable,
        budget_per_request=per_request,
        models=tuple(bounds),
        assumptions=(ALONE,) if budget is None else (ALONE, PAID),
    )


def _mixed(budget: Budget | None, models: int) -> int:
    """Most models of a cheapest mix that reaches a floor."""
    parts = 1 if budget is None else 2 + len(budget.per_model)
    return max(1, min(parts, models))


def _affordable(budget: Budget, evidence: Evidence, upper: np.ndarray) -> float | None:
    """Upper bound of the satisfaction of a mix that the budget pays for; None if costs are unknown.

    The highest mean satisfaction is concave in the money per request. So the mean money per request
    so far bounds it, however the requests are spread over the budget's periods.
    """
    if not evidence.requests or any(name not in evidence.cost for name in evidence.models):
        return None
    cost = np.array([evidence.cost[name] for name in evidence.models])
    per_request = evidence.budgets / evidence.requests
    own = np.array([budget.per_model.get(name, math.inf) for name in evidence.models])
    shares = np.ones(len(cost))
    bounded = np.isfinite(own) & (cost > 0.0)
    shares[bounded] = np.minimum(own[bounded] * per_request / cost[bounded], 1.0)
    total = math.inf if budget.total is None else budget.total * per_request
    return best_mix_quality(upper, cost, total, shares)


def _find(
    floor: float,
    bounds: Sequence[ModelBound],
    affordable: float | None,
    per_request: float | None,
    representative: bool,
) -> tuple[Finding, str]:
    if not bounds:
        return "open", "no model may serve"
    highest = bounds[0]
    if not representative:
        return "open", "the labels may be complaints only, which say nothing of the models"
    if highest.upper < floor:
        return "out of reach", (
            f"no model reaches the floor {floor:g} on its own: the highest upper bound is "
            f"{highest.upper:.4f}"
        )
    if affordable is not None and affordable < floor:
        money = "the models' budgets pay for"
        if per_request is not None:
            money = f"the budget of {show_number(per_request)} per request pays for"
        return "unaffordable", (
            f"no mix of models that {money} reaches the floor {floor:g}: the upper bound is "
            f"{affordable:.4f}"
        )
    return "open", f"a model's upper bound {highest.upper:.4f} reaches the floor {floor:g}"
