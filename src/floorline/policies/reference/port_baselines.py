"""The baselines of PORT's paper (arXiv 2509.02718, section 5), except ``random``.

A "perf" policy serves the model with the highest estimate of quality. A "cost" policy serves the
model with the most budget left, counted in its own estimates of cost. "greedy" estimates by the
same approximate neighbours as PORT, "knn" by exact neighbours, "classifier" by a model trained on
the history. The paper fine-tunes RoBERTa as classifier; here it is a linear model on the router's
features.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from floorline.estimators.linear import TrainedLinear
from floorline.events import Decision, Outcome
from floorline.optimization.budget_lp import Floats, served, solve_budgets
from floorline.policies.base import Choice, Need, Request, certain
from floorline.policies.estimating_policy import EstimatingPolicy, MakeEstimator
from floorline.policies.offline_policy import HistoryPolicy, decline


class GreedyPerf(HistoryPolicy):
    """Serve the model with the highest d̂, estimated by approximate neighbours."""

    name: ClassVar[str] = "greedy_perf"

    def rank(self, request: Request, quality: Floats, cost: Floats) -> Floats:
        """Return the (M,) estimates d̂."""
        return quality


class GreedyCost(HistoryPolicy):
    """Serve the model with the most budget left, counted in ĝ by approximate neighbours.

    As in the published code, a served request counts with its estimated cost even after its real
    cost is known. If no model has a budget of its own, the cheapest model serves.
    """

    name: ClassVar[str] = "greedy_cost"
    needs: ClassVar[tuple[Need, ...]] = ("history", "budget")
    rule: ClassVar[str] = "budget left"

    def rank(self, request: Request, quality: Floats, cost: Floats) -> Floats:
        """Return the (M,) rests of the budgets, or −ĝ if there are none."""
        left = self.trackers_[request.sla].left()
        return left if np.isfinite(left).any() else -cost

    def on_outcome(self, decision: Decision, model: int, outcome: Outcome) -> None:
        """Learn the real cost in the cost estimator; the tracker keeps the estimated one."""
        EstimatingPolicy.on_outcome(self, decision, model, outcome)


class KnnPerf(GreedyPerf):
    """Serve the model with the highest d̂, estimated by exact neighbours."""

    name = "knn_perf"
    exact = True


class KnnCost(GreedyCost):
    """Serve the model with the most budget left, counted in ĝ by exact neighbours."""

    name = "knn_cost"
    exact = True


class ClassifierPerf(GreedyPerf):
    """Serve the model with the highest d̂, estimated by a trained classifier.

    Parameters
    ----------
    estimator
        Constructor of the estimator.
    fallback
        As in ``HistoryPolicy``.
    """

    name = "classifier_perf"

    def __init__(self, *, estimator: MakeEstimator = TrainedLinear, fallback: bool = True) -> None:
        super().__init__(estimator=estimator, fallback=fallback)


class ClassifierCost(GreedyCost):
    """Serve the model with the most budget left, counted in ĝ by a trained regression.

    Parameters
    ----------
    estimator
        Constructor of the estimator.
    fallback
        As in ``HistoryPolicy``.
    """

    name = "classifier_cost"

    def __init__(self, *, estimator: MakeEstimator = TrainedLinear, fallback: bool = True) -> None:
        super().__init__(estimator=estimator, fallback=fallback)


class BatchSplit(HistoryPolicy):
    """Serve the optimal assignment of each batch, for its estimates and the rest of the budgets.

    The published code solves a binary program per batch. Here it is the linear relaxation, which
    splits at most one request per budget; split requests are rounded.
    """

    name = "batch_split"
    batch: ClassVar[int] = 256
    needs: ClassVar[tuple[Need, ...]] = ("history", "budget")

    def rank(self, request: Request, quality: Floats, cost: Floats) -> Floats:
        """Return (M,) d̂, −∞ if the cost exceeds the budget: the optimum of a single request."""
        return np.where(
            cost <= self.trackers_[request.sla].renewed(request.at).may_spend(), quality, -np.inf
        )

    def decide(self, request: Request, rng: np.random.Generator) -> Choice:
        """Assign a batch of one request."""
        return self.decide_batch([request], rng)[0]

    def decide_batch(self, requests: Sequence[Request], rng: np.random.Generator) -> list[Choice]:
        """Assign the requests of each SLA together."""
        choices: dict[int, Choice] = {}
        for sla in dict.fromkeys(request.sla for request in requests):
            numbers = [number for number, request in enumerate(requests) if request.sla == sla]
            quality, cost = (
                np.array(part)
                for part in zip(*(self.estimate(requests[n]) for n in numbers), strict=True)
            )
            masks = [requests[n].allowed for n in numbers]
            usable = np.array(
                [
                    np.ones(len(q), bool) if mask is None else mask
                    for q, mask in zip(quality, masks, strict=True)
                ]
            )
            allowed_cost = np.where(usable, cost, np.inf)
            tracker = self.trackers_[sla]
            left, total = tracker.left(), tracker.total_left()
            solution = solve_budgets(quality, allowed_cost, left, total)
            models = served(solution, allowed_cost, left, total).tolist()
            for n, model, q, c in zip(numbers, models, quality, cost, strict=True):
                made = decline(q, c) if model < 0 else certain(model, q, c)
                choices[n] = made._replace(rule="batch")
        return [choices[n] for n in range(len(requests))]
