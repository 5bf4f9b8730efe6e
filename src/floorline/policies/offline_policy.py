"""Base class of policies that learn from a labelled history only, not from the stream."""

from __future__ import annotations

import copy
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from functools import partial
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from floorline.core.features import stacked
from floorline.estimators import NearestNeighbours, QualityEstimator
from floorline.events import Decision, Outcome
from floorline.policies.base import DECLINED, Choice, History, Need, Request, certain
from floorline.policies.budgets.tracker import BudgetTracker
from floorline.policies.estimating_policy import EstimatingPolicy, MakeEstimator, check_history
from floorline.sla import SLA
from floorline.zoo import Zoo

Floats = NDArray[np.float64]


class HistoryPolicy(EstimatingPolicy):
    """Base of PORT and its baselines: d̂ and ĝ from a history, budgets per model, no feedback.

    A batch is decided one request after the other, each with the state after the decision before.
    So a batch gets the same decisions as its requests one at a time.

    Parameters
    ----------
    estimator
        Constructor of the estimator. Default: k nearest neighbours.
    k
        Number of neighbours.
    fallback
        Whether a request goes to the next best model if the budget of the best one is used up.
        False declines it, as the published runs do.

    Attributes
    ----------
    quality_
        The estimator of quality and cost.
    cost_
        ``CostEstimator`` for models whose history has no cost.
    trackers_
        ``BudgetTracker`` of every SLA.
    models_
        Names of the models.
    """

    estimator: MakeEstimator
    quality_: QualityEstimator
    needs: ClassVar[tuple[Need, ...]] = ("history",)
    rule: ClassVar[str] = "estimates"
    """Name of the rule of ``rank``, for explanations."""
    exact: ClassVar[bool] = False
    """Whether the default estimator compares with the whole history instead of an index."""
    _decision_state: ClassVar[tuple[str, ...]] = ("trackers_",)
    """Attributes that ``on_decision`` changes; ``decide_batch`` works on copies of them."""

    def __init__(
        self,
        *,
        estimator: MakeEstimator | None = None,
        k: int = 5,
        fallback: bool = True,
    ) -> None:
        if estimator is None:
            estimator = partial(NearestNeighbours, k=k, shrink=0.0, exact=self.exact)
        super().__init__(estimator=estimator)
        self.fallback = fallback

    def start(self, zoo: Zoo, slas: Mapping[str, SLA], dim: int) -> None:
        """Start without history, with list prices and unspent budgets."""
        super().start(zoo, slas, dim)
        self.models_ = list(zoo.names)
        self.trackers_ = {name: BudgetTracker(sla, zoo.names) for name, sla in slas.items()}

    def warm_start(self, history: History) -> None:
        """Learn a history.

        Raises
        ------
        InvalidInput
            If a feature, label or cost is out of range. Then nothing is learned.
        """
        check_history(history)
        self.quality_.learn_many(stacked(history.features), history.quality, history.cost)
        self.cost_.learn_many(history.cost, history.input_tokens)

    def trains_on(self, decision: Decision) -> bool:
        """Return False: no label of the stream trains the estimator."""
        return False

    def estimate(self, request: Request) -> tuple[Floats, Floats]:
        """Return the (M,) estimates d̂ and ĝ of a request.

        Where the history has no cost of a model, ĝ comes from list prices and real costs. The costs
        of a history know nothing of caches: what these change of the list price is added.
        """
        quality, cost = self.quality_.estimate_one(request.features)
        unknown, cache = np.isnan(cost), request.cache
        if cache is not None:
            cost = np.maximum(cost + self.cost_.cache_change(cache), 0.0)
        if unknown.any():
            cost = np.where(unknown, self.cost_.predict_one(request.input_tokens, cache), cost)
        return quality, cost

    @abstractmethod
    def rank(self, request: Request, quality: Floats, cost: Floats) -> Floats:
        """Return the (M,) scores of a request; the model with the highest score serves."""

    def decide(self, request: Request, rng: np.random.Generator) -> Choice:
        """Serve the model with the highest score."""
        quality, cost = self.estimate(request)
        scores = self.rank(request, quality, request.scored(cost))
        return self.serve(scores, request, quality, cost)

    def serve(
        self,
        scores: Floats,
        request: Request,
        quality: Floats,
        cost: Floats,
        *,
        min_score: float = -np.inf,
    ) -> Choice:
        """Serve the model with the highest score, or decline if it is below ``min_score``."""
        allowed = request.allowed
        if allowed is not None and self.fallback:
            scores = np.where(allowed, scores, -np.inf)
        best = int(scores.argmax())
        if not scores[best] >= min_score or not (allowed is None or allowed[best]):
            return decline(quality, cost)._replace(rule=self.rule, scores=-scores)
        return certain(best, quality, cost, rule=self.rule, scores=-scores)

    def decide_batch(self, requests: Sequence[Request], rng: np.random.Generator) -> list[Choice]:
        """Decide each request with the state after the decision before, on a copy of the state."""
        simulated = copy.copy(self)
        for name in self._decision_state:
            setattr(simulated, name, copy.deepcopy(getattr(self, name)))
        choices: list[Choice] = []
        for number, request in enumerate(requests):
            affordable = request if number == 0 else simulated._affordable(request)
            if affordable.allowed is not None and not affordable.allowed.any():
                choices.append(decline(*self.estimate(request)))
            else:
                choice = simulated.decide(affordable, rng)
                choices.append(simulated._within_budget(request, choice))
            simulated.on_decision(self._as_decision(request, choices[-1]))
        return choices

    def on_decision(self, decision: Decision) -> None:
        """Reserve the expected cost of the decision."""
        self.trackers_[decision.sla].charge(decision)

    def on_outcome(self, decision: Decision, model: int, outcome: Outcome) -> None:
        """Learn the real cost and replace the reserved one by it."""
        super().on_outcome(decision, model, outcome)
        if decision.sla in self.trackers_:
            self.trackers_[decision.sla].settle(decision, model, outcome)

    def on_zoo(self, zoo: Zoo) -> None:
        """Change the models: those that stay keep what was learned."""
        super().on_zoo(zoo)
        self.models_ = list(zoo.names)
        for tracker in self.trackers_.values():
            tracker.set_models(zoo.names)

    def on_slas(self, slas: Mapping[str, SLA]) -> None:
        """Create trackers for new SLAs and change the amounts of known ones."""
        known = {name: self.trackers_[name] for name in slas if name in self.trackers_}
        for name, tracker in known.items():
            tracker.set_sla(slas[name])
        self.trackers_ = {
            name: known[name] if name in known else BudgetTracker(sla, self.models_)
            for name, sla in slas.items()
        }

    def _within_budget(self, request: Request, choice: Choice) -> Choice:
        """Decline a choice whose estimated cost exceeds the budget, as the router does."""
        if choice.model != DECLINED:
            limit = self.trackers_[request.sla].renewed(request.at).may_spend()[choice.model]
            if choice.cost[choice.model] > limit:
                return decline(choice.quality, choice.cost)
        return choice

    def _affordable(self, request: Request) -> Request:
        """Exclude models whose expected cost exceeds the budget, as the router does."""
        tracker = self.trackers_[request.sla].renewed(request.at)
        if not tracker.limited:
            return request
        limit = tracker.may_spend()
        fits = self.cost_.predict_one(request.input_tokens, request.cache) <= limit
        return request._replace(allowed=fits if request.allowed is None else fits & request.allowed)

    def _as_decision(self, request: Request, choice: Choice) -> Decision:
        """Return the event that the router would make of a choice."""
        served = choice.model != DECLINED
        name = self.models_[choice.model] if served else ""
        return Decision(
            id="",
            seq=0,
            sla=request.sla,
            floor=request.floor,
            model=name,
            called=(name,) if served else (),
            models=tuple(self.models_),
            propensities=choice.propensities,
            explored=choice.explored,
            quality_estimates=choice.quality,
            cost_estimates=choice.cost,
            index=choice.model,
            features=request.features,
            input_tokens=request.input_tokens,
            policy=self.name,
        )


def decline(quality: Floats, cost: Floats) -> Choice:
    """Return the choice that declines a request, with the (M,) estimates that led to it."""
    return Choice(DECLINED, (), np.zeros(len(quality)), False, quality, cost)
