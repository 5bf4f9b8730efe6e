"""Decisions: what a policy chose for a request, within the conversation and the budget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from floorline.core.features import Features
from floorline.errors import Bar, InvalidInput
from floorline.events import DIRECT, NO_CONTEXT, Decision, RequestContext
from floorline.policies.base import DECLINED, Choice, Request, declined
from floorline.policies.choice_check import check_choice
from floorline.state.eligibility import expected_costs, within_budget
from floorline.state.fold import Fold
from floorline.state.sessions import Session

_NO_BARS: dict[str, tuple[str, str]] = {}
_NOTHING: tuple[float, ...] = ()
"""Reservation of a decision whose calls reserve their expected costs."""


def choose(fold: Fold, requests: Sequence[Request], rng: np.random.Generator) -> list[Choice]:
    """Let the policy choose for requests that are known at once, and check its choices.

    A request that no model may serve is declined and never reaches the policy.

    Raises
    ------
    InvalidInput
        If a request was made for another number of models.
    InvalidChoice
        If a choice breaks the rules of its fields.
    """
    policy, models = fold.policy_, len(fold.zoo_)
    served = [request for request in requests if _servable(request, models)]
    if len(served) == 1:
        choices = [policy.decide(served[0], rng)]
    else:
        choices = policy.decide_batch(served, rng) if served else []
    for request, choice in zip(served, choices, strict=True):
        budget = fold.slas_[request.sla].budget is not None
        check_choice(policy.name, choice, request, models, budget)
    if len(served) == len(requests):
        return choices
    answers, none = iter(choices), declined(models)
    return [next(answers) if _servable(request, models) else none for request in requests]


def decision_of(
    fold: Fold,
    request: Request,
    choice: Choice,
    id: str,
    *,
    at: float,
    context: RequestContext = NO_CONTEXT,
) -> Decision:
    """Build the decision that a choice becomes: its conversation's model, within the budget."""
    agreement = fold.slas_[request.sla]
    if context.session and not fold.zoo_.caches:
        ledger = fold.ledgers_[request.sla]
        session = Session(context.owner, context.session)
        choice = fold.sessions_.stay(session, choice, request, fold.zoo_, ledger, at)
    called, reserved = choice.called, _NOTHING
    if agreement.budget is not None:
        limits, cost = request.limits, choice.cost
        if request.cache is not None:
            # Nothing is certain to be cached, so a budget reserves the cost without.
            cost = np.maximum(cost, expected_costs(fold, request.input_tokens))
        called, costs = within_budget(fold, called, cost, agreement, at, limits)
        reserved = () if limits is None and request.cache is None else costs
    names = fold.zoo_.names
    return Decision(
        id=id,
        seq=fold.decisions_ + 1,
        sla=request.sla,
        floor=request.floor,
        model=names[choice.model] if called else "",
        called=tuple([names[m] for m in called]),
        models=names,
        propensities=choice.propensities,
        explored=choice.explored,
        quality_estimates=choice.quality,
        cost_estimates=choice.cost,
        index=choice.model if called else DECLINED,
        features=request.features,
        input_tokens=request.input_tokens,
        policy=fold.policy_.name,
        prediction=choice.prediction,
        reserved=reserved,
        at=at,
        added_cost=_sum(request.added_cost, choice.future_cost),
        rule=choice.rule,
        scores=choice.scores,
        multipliers=choice.multipliers,
        barred=_NO_BARS if request.barred is None else _barred(request.barred),
        **_origin(fold, context),
    )


def direct_decision(
    fold: Fold,
    model: str,
    features: Features,
    input_tokens: int,
    id: str,
    *,
    at: float,
    context: RequestContext = NO_CONTEXT,
) -> Decision:
    """Build the decision of a request whose caller named the model.

    Raises
    ------
    InvalidInput
        If the zoo has no such model.
    """
    zoo = fold.zoo_
    index = zoo.index(model)
    propensities = np.zeros(len(zoo))
    propensities[index] = 1.0
    return Decision(
        id=id,
        seq=fold.decisions_ + 1,
        sla="",
        floor=0.0,
        model=model,
        called=(model,),
        models=zoo.names,
        propensities=propensities,
        explored=False,
        quality_estimates=np.full(len(zoo), np.nan),
        cost_estimates=expected_costs(fold, input_tokens),
        index=index,
        features=features,
        input_tokens=input_tokens,
        policy=DIRECT,
        at=at,
        rule=DIRECT,
        **_origin(fold, context),
    )


def called_model(fold: Fold, decision: str, model: str | None) -> str:
    """Name of a model that a remembered decision called; the served one for None.

    Raises
    ------
    UnknownDecision
        If the decision is not, or no longer, remembered.
    InvalidInput
        If no model served it, or it did not call this one.
    """
    made = fold.record(decision).decision
    if made.declined:
        raise InvalidInput("decision", decision, "name one that a model served")
    if model is None:
        return made.model
    if model not in made.called:
        fix = "name a model that this decision called: " + ", ".join(made.called)
        raise InvalidInput("model", model, fix)
    return model


def _barred(bars: Mapping[str, Bar]) -> dict[str, tuple[str, str]]:
    return {name: (bar.code, str(bar)) for name, bar in bars.items()}


def _sum(
    one: NDArray[np.float64] | None, other: NDArray[np.float64] | None
) -> NDArray[np.float64] | None:
    if one is None or other is None:
        return other if one is None else one
    return one + other


def _origin(fold: Fold, context: RequestContext) -> dict[str, Any]:
    """Fields of a decision that say where its request comes from, and what it continues."""
    fields: dict[str, Any] = {
        "tenant": context.tenant,
        "key": context.key,
        "session": context.session,
        "after": context.after,
        "call_by": context.call_by,
    }
    if fold.zoo_.caches and (context.prefixes or context.session):
        conversations = fold.conversations_
        fields["follows"] = follows = conversations.find(context)
        fields["session"] = conversations.session(context, follows)
        fields["conversation_turns"] = float(conversations.turns_.length_)
        if context.prefixes:
            fields["prefix"] = context.prefixes[-1]
            if context.head_tokens:
                fields["head"] = context.prefixes[0]
                fields["head_tokens"] = context.head_tokens
    return fields


def _servable(request: Request, models: int) -> bool:
    allowed = request.allowed
    if allowed is None:
        return True
    if len(allowed) != models:
        fix = f"make it again: the zoo has {models} models now"
        raise InvalidInput("request.allowed", f"of length {len(allowed)}", fix)
    return bool(allowed.any())
