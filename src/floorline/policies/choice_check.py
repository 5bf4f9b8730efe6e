"""Check of what a policy returns, before it becomes a decision in the log."""

from __future__ import annotations

from typing import NoReturn

import numpy as np

from floorline.core.bounds import MAX_NAME
from floorline.errors import InvalidChoice, abbreviated
from floorline.policies.base import DECLINED, Choice, Request

_TOLERANCE = 1e-6
"""Most that the sum of propensities may differ from 1. Solutions of linear programs differ by up to
1e-9. A difference of 1e-6 changes an off-policy estimate by a millionth."""

_INFINITY = float("inf")


def check_choice(policy: str, choice: Choice, request: Request, models: int, budget: bool) -> None:
    """Refuse a choice that would make a wrong decision or a wrong log.

    Parameters
    ----------
    policy
        Name of the policy, for the message.
    choice, request
        What the policy returned, and the request it was returned for.
    models
        Number of models M in the zoo.
    budget
        Whether the SLA has a budget, so that the policy may decline with some probability.

    Raises
    ------
    InvalidChoice
        If an array has another shape than (M,); a propensity is negative, NaN or infinite, they do
        not sum to 1 (with a budget: to 1 or less), or that of the served model is 0; the served
        model is not the first of the called ones; a called model is not in the zoo or not allowed
        for the request, or has estimates that are no finite numbers or a negative cost; or a
        declined request has calls; or what explains the choice is no array of that shape, or no
        text.
    """
    model, called, propensities, _, quality, cost, _, _, rule, scores, _ = choice
    for field, array in (("propensities", propensities), ("quality", quality), ("cost", cost)):
        if type(array) is not np.ndarray or array.shape != (models,):
            shape = getattr(array, "shape", None)
            fix = f"give an array of shape ({models},)"
            _refuse(policy, field, f"has shape {shape}", fix)
    if scores is not None and (type(scores) is not np.ndarray or scores.shape != (models,)):
        shape = getattr(scores, "shape", None)
        _refuse(policy, "scores", f"has shape {shape}", f"give an array of shape ({models},)")
    if type(rule) is not str or len(rule) > MAX_NAME:
        _refuse(policy, "rule", f"is {abbreviated(rule)}", f"give at most {MAX_NAME} characters")
    chances = propensities.tolist()
    # A sum is NaN or infinite if a term is, and then no comparison below is true.
    total = sum(chances)
    if not total <= 1.0 + _TOLERANCE or min(chances) < 0.0:
        fix = "give finite probabilities of 0 or more that sum to 1"
        _refuse(policy, "propensities", f"are {chances}", fix)
    if model == DECLINED:
        if called:
            _refuse(policy, "called", f"is {called} for a declined request", "call no model")
        return
    if total < 1.0 - _TOLERANCE and not budget:
        _refuse(policy, "propensities", f"sum to {total:g}", "let them sum to 1")
    if not called or called[0] != model:
        _refuse(policy, "called", f"is {called}", f"put the served model {model} first")
    allowed = request.allowed
    for one in called:
        if not 0 <= one < models:
            fix = f"give positions from 0 to {models - 1}"
            _refuse(policy, "called", f"names model {one}", fix)
        if allowed is not None and not allowed[one]:
            _refuse(policy, "called", f"names model {one}", "call models that request.allowed has")
        expected, price = quality.item(one), cost.item(one)
        if not -_INFINITY < expected < _INFINITY:
            _refuse(policy, "quality", f"of model {one} is {expected}", "give a finite estimate")
        if not 0.0 <= price < _INFINITY:
            fix = "give a finite estimate of 0 or more"
            _refuse(policy, "cost", f"of model {one} is {price}", fix)
    if not chances[model] > 0.0:
        fix = "give the probability with which it is served"
        _refuse(policy, "propensities", f"of the served model {model} is 0", fix)


def _refuse(policy: str, field: str, problem: str, fix: str) -> NoReturn:
    raise InvalidChoice(policy, field, problem, fix)
