"""Policies that learn from a labelled history once, and from no label afterwards."""

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
from floorline.policies.base import DECLINED, Choice, History, Request, certain
from floorline.policies.budgets.tracker import BudgetTracker
from floorline.policies.estimating_policy import EstimatingPolicy, MakeEstimator, check_history
from floorline.sla import SLA
from floorline.zoo import Zoo

Floats = NDArray[np.float64]


class HistoryPolicy(EstimatingPolicy):
    """Base of PORT and its baselines: d̂ and ĝ from a history, budgets per model, no feedback.

    Requests that are known at once are decided one after the other, each with the state in which
    the decision before would have left the policy, so that a batch gets what its requests would
    have got one at a time.

    Parameters
    ----------
    estimator
        Builds the estimator; k nearest neighbours if not given.
    k
        Number of neighbours.
    fallback
        Whether a request goes to the next best model when the budget of the best one is gone.
        False loses it, as the published runs do.
    """

    estimator: MakeEstimator
    quality_: QualityEstimator
    exact: ClassVar[bool] = False
    _folded: ClassVar[tuple[str, ...]] = ("trackers_",)

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
        """Begin with no history, list prices and full purses."""
        super().start(zoo, slas, dim)
        self.models_ = list(zoo.names)
        self.trackers_ = {name: BudgetTracker(sla, zoo.names) for name, sla in slas.items()}

    def warm_start(self, history: History) -> None:
        """Learn a history; all of it or, if bad, nothing."""
        check_history(history)
        self.quality_.learn_many(stacked(history.features), history.quality, history.cost)
        self.cost_.learn_many(history.cost, history.input_tokens)

    def trains_on(self, decision: Decision) -> bool:
        """No label of the stream trains."""
        return False

    def estimate(self, request: Request) -> tuple[Floats, Floats]:
        """(M,) d̂ and ĝ from one search; prices and real costs where the history has no cost."""
        quality, cost = self.quality_.estimate_one(request.features)
        unknown = np.isnan(cost)
        if unknown.any():
            cost = np.where(unknown, self.cost_.predict_one(request.input_tokens), cost)
        return quality, cost

    @abstractmethod
    def rank(self, request: Request, quality: Floats, cost: Floats) -> Floats:
        """(M,) scores; the highest serves."""

    def decide(self, request: Request, rng: np.random.Generator) -> Choice:
        """Serve the model with the highest score."""
        quality, cost = self.estimate(request)
        return self.serve(self.rank(request, quality, cost), request, quality, cost)

    def serve(
        self,
        scores: Floats,
        request: Request,
        quality: Floats,
        cost: Floats,
        *,
        least: float = -np.inf,
    ) -> Choice:
        """Serve the highest score that is at least ``least``, or nobody."""
        allowed = request.allowed
        if allowed is not None and self.fallback:
            scores = np.where(allowed, scores, -np.inf)
        best = int(scores.argmax())
        if not scores[best] >= least or not (allowed is None or allowed[best]):
            return nobody(quality, cost)
        return certain(best, quality, cost)

    def decide_batch(self, requests: Sequence[Request], rng: np.random.Generator) -> list[Choice]:
        """Decide as if the requests came one by one."""
        twin = copy.copy(self)
        for name in self._folded:
            setattr(twin, name, copy.deepcopy(getattr(self, name)))
        choices: list[Choice] = []
        for number, request in enumerate(requests):
            able = request if number == 0 else twin._affordable(request)
            if able.allowed is not None and not able.allowed.any():
                choices.append(nobody(*self.estimate(request)))
            else:
                choices.append(twin._held(request, twin.decide(able, rng)))
            twin.on_decision(self._as_decision(request, choices[-1]))
        return choices

    def on_decision(self, decision: Decision) -> None:
        """Charge what the decision is expected to cost."""
        self.trackers_[decision.sla].charge(decision)

    def on_outcome(self, decision: Decision, model: int, outcome: Outcome) -> None:
        """Learn and settle the real cost."""
        super().on_outcome(decision, model, outcome)
        if decision.sla in self.trackers_:
            self.trackers_[decision.sla].settle(decision, model, outcome)

    def on_zoo(self, zoo: Zoo) -> None:
        """Keep what is known of models that stay."""
        super().on_zoo(zoo)
        self.models_ = list(zoo.names)
        for tracker in self.trackers_.values():
            tracker.set_models(zoo.names)

    def on_slas(self, slas: Mapping[str, SLA]) -> None:
        """Open purses for new SLAs and put changed amounts into known ones."""
        known = {name: self.trackers_[name] for name in slas if name in self.trackers_}
        for name, tracker in known.items():
            tracker.set_sla(slas[name])
        self.trackers_ = {
            name: known[name] if name in known else BudgetTracker(sla, self.models_)
            for name, sla in slas.items()
        }

    def _held(self, request: Request, choice: Choice) -> Choice:
        """Turn away what the router would, because the estimate does not fit after all."""
        if choice.model != DECLINED:
            may = self.trackers_[request.sla].may_spend()[choice.model]
            if choice.cost[choice.model] > may:
                return nobody(choice.quality, choice.cost)
        return choice

    def _affordable(self, request: Request) -> Request:
        tracker = self.trackers_[request.sla]
        if not tracker.limited:
            return request
        may = tracker.may_spend()
        fits = self.cost_.predict_one(request.input_tokens) <= may
        return request._replace(allowed=fits if request.allowed is None else fits & request.allowed)

    def _as_decision(self, request: Request, choice: Choice) -> Decision:
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


def nobody(quality: Floats, cost: Floats) -> Choice:
    """Build the choice of serving nobody, with the estimates that led to it."""
    return Choice(DECLINED, (), np.zeros(len(quality)), False, quality, cost)
