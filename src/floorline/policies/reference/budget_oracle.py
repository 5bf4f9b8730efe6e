"""Optima under budgets, planned before the stream starts: over estimates and over labels."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from floorline.core.features import Features
from floorline.core.snapshots import State
from floorline.errors import InvalidInput
from floorline.events import Decision, Outcome
from floorline.optimization.budget_lp import Floats, served, solve_budgets
from floorline.policies.base import Choice, History, Knows, Request, certain
from floorline.policies.budgets.tracker import BudgetTracker
from floorline.policies.estimating_policy import MakeEstimator
from floorline.policies.offline_policy import HistoryPolicy, nobody
from floorline.policies.reference.oracle import Hindsight
from floorline.sla import SLA
from floorline.zoo import Zoo


class _Plan:
    """The best assignment of a whole stream, for every SLA's budgets.

    It follows from what the stream does not change, so it is no state: it is made when it is first
    asked for, and forgotten when models, promises or estimates change.
    """

    def __init__(self, names: Sequence[str], slas: Mapping[str, SLA]) -> None:
        self.purses = {name: BudgetTracker(sla, names) for name, sla in slas.items()}
        self.models: dict[str, NDArray[np.int64]] = {}

    def set_models(self, names: Sequence[str]) -> None:
        """Forget the plans, which were made for other models."""
        self.models.clear()
        for tracker in self.purses.values():
            tracker.set_models(names)

    def model(self, t: int, request: Request, see: Callable[[], tuple[Floats, Floats]]) -> int:
        """Position of the model that serves request t (from 0), −1 for none.

        ``see`` gives (T, M) quality and cost of the stream, NaN where a model may not serve.

        Raises
        ------
        InvalidInput
            If the stream is over.
        """
        if request.sla not in self.models:
            quality, cost = see()
            tracker = self.purses[request.sla]
            solution = solve_budgets(quality, cost, tracker.budgets, tracker.total_)
            self.models[request.sla] = served(solution, cost, tracker.budgets, tracker.total_)
        plan = self.models[request.sla]
        if t >= len(plan):
            raise InvalidInput("t", t + 1, "give as many requests as the policy was told of")
        model = int(plan[t])
        barred = model >= 0 and request.allowed is not None and not request.allowed[model]
        return -1 if barred else model


class LpOnEstimates(HistoryPolicy):
    """The linear program over estimates of the whole stream, solved before it starts.

    What PORT would reach if it knew all prompts in advance. Estimates err, so a budget can be gone
    before the plan is done; what it assigned to it then is lost.

    Parameters
    ----------
    features, input_tokens
        (T, d) and (T,) of the stream, in its order.
    k, estimator
        See ``HistoryPolicy``.
    """

    name = "lp_on_estimates"
    knows: ClassVar[Knows] = "features"

    def __init__(
        self,
        *,
        features: Sequence[Features] | NDArray[np.float32],
        input_tokens: NDArray[np.int64],
        k: int = 5,
        estimator: MakeEstimator | None = None,
    ) -> None:
        super().__init__(estimator=estimator, k=k)
        self.features = features
        self.input_tokens = np.asarray(input_tokens)
        if len(self.features) != len(self.input_tokens):
            fix = f"give as many as features, {len(self.features)}"
            raise InvalidInput("input_tokens", len(self.input_tokens), fix)
        self.t_ = 0

    def start(self, zoo: Zoo, slas: Mapping[str, SLA], dim: int) -> None:
        """Begin with no history."""
        super().start(zoo, slas, dim)
        self._plan = _Plan(zoo.names, slas)

    def rank(self, request: Request, quality: Floats, cost: Floats) -> Floats:
        """1 for the model that the plan says, 0 for others."""
        planned = self._plan.model(self.t_, request, self._see)
        return np.asarray(np.arange(len(cost)) == planned, dtype=np.float64)

    def decide(self, request: Request, rng: np.random.Generator) -> Choice:
        """Serve what the plan says."""
        quality, cost = self.estimate(request)
        scores = self.rank(request, quality, cost)
        return self.serve(scores, request, quality, cost, least=1.0)

    def warm_start(self, history: History) -> None:
        """Learn a history."""
        super().warm_start(history)
        self._plan.models.clear()

    def on_decision(self, decision: Decision) -> None:
        """Step to the next request."""
        super().on_decision(decision)
        self.t_ += 1

    def on_outcome(self, decision: Decision, model: int, outcome: Outcome) -> None:
        """Settle the cost, and learn nothing: the plan must follow from what was known before."""
        if decision.sla in self.trackers_:
            self.trackers_[decision.sla].settle(decision, model, outcome)

    def on_zoo(self, zoo: Zoo) -> None:
        """Plan anew for the models that serve now."""
        super().on_zoo(zoo)
        self._plan.set_models(zoo.names)

    def on_slas(self, slas: Mapping[str, SLA]) -> None:
        """Plan anew for what is promised now."""
        super().on_slas(slas)
        self._plan = _Plan(self.models_, slas)

    def restore(self, state: State) -> None:
        """Take over a state and forget the plan that was made for another one."""
        super().restore(state)
        self._plan.models.clear()

    def _see(self) -> tuple[Floats, Floats]:
        rows = [
            self.estimate(Request(x, "", 0.0, int(tokens)))
            for x, tokens in zip(self.features, self.input_tokens, strict=True)
        ]
        quality, cost = zip(*rows, strict=True)
        return np.array(quality), np.array(cost)


class BudgetOracle(Hindsight):
    """The linear program over every label and cost of the stream: what no router can beat.

    Up to the few requests that its solution splits between models.
    """

    name = "budget_oracle"

    def start(self, zoo: Zoo, slas: Mapping[str, SLA], dim: int) -> None:
        """Begin at the first request."""
        self._names = zoo.names
        self._plan = _Plan(zoo.names, slas)

    def on_slas(self, slas: Mapping[str, SLA]) -> None:
        """Plan anew for what is promised now."""
        self._plan = _Plan(self._names, slas)

    def decide(self, request: Request, rng: np.random.Generator) -> Choice:
        """Serve what the plan says."""
        model = self._plan.model(self.t_, request, lambda: (self.quality, self.cost))
        quality, cost = self.quality[self.t_], self.cost[self.t_]
        return nobody(quality, cost) if model < 0 else certain(model, quality, cost)
