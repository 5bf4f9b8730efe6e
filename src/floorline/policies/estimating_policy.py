"""What every estimating policy has: q̂ and ĉ, fed by the same events."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from floorline.errors import InvalidInput
from floorline.estimators import CostEstimator, QualityEstimator
from floorline.estimators.base import check_label
from floorline.events import CLIENT, Decision, Feedback, Outcome
from floorline.policies.base import History, Policy, Request, cache_tokens_of
from floorline.policies.conversation import future_costs
from floorline.sla import SLA
from floorline.zoo import Zoo

Floats = NDArray[np.float64]


class MakeEstimator(Protocol):
    """Builds a quality estimator for features of length ``dim`` and these models."""

    def __call__(self, dim: int, models: Sequence[str]) -> QualityEstimator:
        """Build it."""
        ...


class EstimatingPolicy(Policy):
    """Base of policies that estimate quality and cost.

    Parameters
    ----------
    estimator
        Builds the quality estimator.
    """

    quality_: QualityEstimator
    cost_: CostEstimator

    def __init__(self, *, estimator: MakeEstimator) -> None:
        if not callable(estimator):
            fix = "give a class or function that builds a quality estimator"
            raise InvalidInput("estimator", estimator, fix)
        self.estimator = estimator

    def start(self, zoo: Zoo, slas: Mapping[str, SLA], dim: int) -> None:
        """Begin with an untrained estimator and list prices."""
        self.quality_ = self.estimator(dim, zoo.names)
        self.cost_ = CostEstimator(zoo)

    def trains_on(self, decision: Decision) -> bool:
        """Whether labels of this decision train the estimator."""
        return True

    def on_outcome(self, decision: Decision, model: int, outcome: Outcome) -> None:
        """Learn the real cost of a call that did not fail."""
        if outcome.error is None:
            read, written = cache_tokens_of(decision, outcome)
            self.cost_.learn_one(
                model,
                cost=outcome.cost,
                input_tokens=decision.input_tokens,
                output_tokens=outcome.output_tokens,
                cached_tokens=read,
                cache_write_tokens=written,
                reported=decision.call_by == CLIENT,
            )

    def on_feedback(
        self, decision: Decision, model: int, feedback: Feedback, previous: float | None
    ) -> None:
        """Train the estimator on the label."""
        if self.trains_on(decision):
            self._train(decision, model, feedback, previous, feedback.influence)

    def on_zoo(self, zoo: Zoo) -> None:
        """Keep what was learned of models that stay."""
        self.quality_.set_models(zoo.names)
        self.cost_.set_zoo(zoo)

    def expected_cost(self, input_tokens: int) -> NDArray[np.float64]:
        """(M,) estimate ĉ for a prompt of this length."""
        return self.cost_.predict_one(input_tokens)

    def future_cost(
        self, request: Request, price: float, quality: Floats | None = None
    ) -> Floats | None:
        """(M,) cost that serving each model now adds to the later turns of the conversation.

        None if the request is in no conversation. A policy adds it to ĉ where it scores models.

        Parameters
        ----------
        request
            The request.
        price
            What the policy pays for a unit of satisfaction, in the cost unit.
        quality
            (M,) expected satisfaction of later turns; by default the mean over the latest turns.
        """
        turn = request.turn
        if turn is None or not price < math.inf:
            return None
        known = turn.quality if quality is None else quality
        costs = future_costs(self.cost_, turn, known)
        return costs.addend(price, request.allowed)

    def _train(
        self,
        decision: Decision,
        model: int,
        feedback: Feedback,
        previous: float | None,
        weight: float,
    ) -> None:
        """Train the estimator on a label; in the place of ``previous`` if it corrects that one."""
        x, score = decision.features, float(feedback.score)
        if previous is None:
            self.quality_.learn_one(x, model, score, weight)
        else:
            self.quality_.correct_one(x, model, previous, score, weight)

    def warm_start(self, history: History) -> None:
        """Learn every label and cost of a history, in its order; all of it or, if bad, nothing.

        Raises
        ------
        InvalidInput
            If a feature or label or cost breaks its rules; nothing was learned then.
        """
        check_history(history)
        self.quality_.learn_many(history.features, history.quality)
        self.cost_.learn_many(history.cost, history.input_tokens)


def check_history(history: History) -> None:
    """Raise InvalidInput if a feature, label or cost of a history breaks its rules."""
    for x in history.features:
        check_label(x, 0.0, 1.0)
    known = history.quality[~np.isnan(history.quality)]
    if not ((known >= 0.0) & (known <= 1.0)).all():
        raise InvalidInput("history.quality", "out of range", "give numbers from 0 to 1 or NaN")
    paid = history.cost[~np.isnan(history.cost)]
    if not ((paid >= 0.0) & np.isfinite(paid)).all():
        raise InvalidInput("history.cost", "out of range", "give finite costs of 0 or more or NaN")
