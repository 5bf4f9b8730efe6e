"""The baselines that PORT was published with (arXiv 2509.02718, section 5), ``random`` aside.

"perf" serves the model with the highest estimate of quality; "cost" the one with most budget left
by its own estimates of what calls cost. Greedy estimates by the same approximate neighbours as
PORT, kNN by exact ones, the classifier by a model trained on the history: the paper fine-tunes
RoBERTa, here it is a linear model on the router's features.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from floorline.estimators.linear import TrainedLinear
from floorline.events import Decision, Outcome
from floorline.optimization.budget_lp import Floats, served, solve_budgets
from floorline.policies.base import Choice, Request, certain
from floorline.policies.estimating_policy import EstimatingPolicy, MakeEstimator
from floorline.policies.offline_policy import HistoryPolicy, nobody


class GreedyPerf(HistoryPolicy):
    """The model with the highest d̂, by approximate neighbours."""

    name: ClassVar[str] = "greedy_perf"

    def rank(self, request: Request, quality: Floats, cost: Floats) -> Floats:
        """d̂."""
        return quality


class GreedyCost(HistoryPolicy):
    """The model with most budget left, counted in ĝ by approximate neighbours.

    As in the published code, what was served counts at its estimate even after its real cost is
    known; where models have no budget of their own, the cheapest serves.
    """

    name: ClassVar[str] = "greedy_cost"

    def rank(self, request: Request, quality: Floats, cost: Floats) -> Floats:
        """What is left of each model's budget."""
        left = self.trackers_[request.sla].left()
        return left if np.isfinite(left).any() else -cost

    def on_outcome(self, decision: Decision, model: int, outcome: Outcome) -> None:
        """Learn the real cost for what requests can afford; leave the estimate in the tracker."""
        EstimatingPolicy.on_outcome(self, decision, model, outcome)


class KnnPerf(GreedyPerf):
    """The model with the highest d̂, by exact neighbours."""

    name = "knn_perf"
    exact = True


class KnnCost(GreedyCost):
    """The model with most budget left, counted in ĝ by exact neighbours."""

    name = "knn_cost"
    exact = True


class ClassifierPerf(GreedyPerf):
    """The model with the highest d̂, by a trained classifier."""

    name = "classifier_perf"

    def __init__(self, *, estimator: MakeEstimator = TrainedLinear, fallback: bool = True) -> None:
        super().__init__(estimator=estimator, fallback=fallback)


class ClassifierCost(GreedyCost):
    """The model with most budget left, counted in ĝ by a trained regression."""

    name = "classifier_cost"

    def __init__(self, *, estimator: MakeEstimator = TrainedLinear, fallback: bool = True) -> None:
        super().__init__(estimator=estimator, fallback=fallback)


class BatchSplit(HistoryPolicy):
    """The best assignment of one batch at a time, by its estimates and all that is left.

    The published code solves a binary program per batch; here it is its relaxation, which splits
    at most one request per budget, and those are rounded.
    """

    name = "batch_split"
    batch: ClassVar[int] = 256

    def rank(self, request: Request, quality: Floats, cost: Floats) -> Floats:
        """d̂ where it fits: the best assignment of a single request."""
        return np.where(cost <= self.trackers_[request.sla].may_spend(), quality, -np.inf)

    def decide(self, request: Request, rng: np.random.Generator) -> Choice:
        """Assign a batch of one."""
        return self.decide_batch([request], rng)[0]

    def decide_batch(self, requests: Sequence[Request], rng: np.random.Generator) -> list[Choice]:
        """Assign the requests of each SLA together."""
        choices: dict[int, Choice] = {}
        for sla in dict.fromkeys(request.sla for request in requests):
            mine = [number for number, request in enumerate(requests) if request.sla == sla]
            quality, cost = (
                np.array(part)
                for part in zip(*(self.estimate(requests[n]) for n in mine), strict=True)
            )
            barred = [requests[n].allowed for n in mine]
            usable = np.array(
                [
                    np.ones(len(q), bool) if a is None else a
                    for q, a in zip(quality, barred, strict=True)
                ]
            )
            bill = np.where(usable, cost, np.inf)
            tracker = self.trackers_[sla]
            left, total = tracker.left(), tracker.total_left()
            solution = solve_budgets(quality, bill, left, total)
            for n, model, q, c in zip(
                mine, served(solution, bill, left, total).tolist(), quality, cost, strict=True
            ):
                choices[n] = nobody(q, c) if model < 0 else certain(model, q, c)
        return [choices[n] for n in range(len(requests))]
