"""Reference policies under budgets that plan the whole stream, from estimates or from labels."""

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
from floorline.policies.base import Choice, History, Knows, Need, Request, certain
from floorline.policies.budgets.tracker import BudgetTracker
from floorline.policies.estimating_policy import MakeEstimator
from floorline.policies.offline_policy import HistoryPolicy, decline
from floorline.policies.reference.oracle import Hindsight
from floorline.sla import SLA
from floorline.zoo import Zoo


class _Plan:
    """The optimal assignment of a whole stream under the budgets of each SLA.

    The stream does not change it, so it is not part of the state. It is computed at the first
    request, and again after a change of models, SLAs or estimates.

    Parameters
    ----------
    names
        Names of the M models.
    slas
        The SLAs, whose budgets the plan keeps.
    """

    def __init__(self, names: Sequence[str], slas: Mapping[str, SLA]) -> None:
        self.trackers = {name: BudgetTracker(sla, names) for name, sla in slas.items()}
        self.models: dict[str, NDArray[np.int64]] = {}

    def set_models(self, names: Sequence[str]) -> None:
        """Delete the plans, which belong to other models."""
        self.models.clear()
        for tracker in self.trackers.values():
            tracker.set_models(names)

    def model(self, t: int, request: Request, load: Callable[[], tuple[Floats, Floats]]) -> int:
        """Return the position of the model that serves request t (from 0); −1 declines it.

        Parameters
        ----------
        t
            Number of the request.
        request
            The request.
        load
            Returns the (T, M) quality and cost of the stream, NaN if a model may not serve. It is
            called only if the plan must be computed.

        Raises
        ------
        InvalidInput
            If the stream is longer than the plan.
        """
        if request.sla not in self.models:
            quality, cost = load()
            tracker = self.trackers[request.sla]
            solution = solve_budgets(quality, cost, tracker.budgets, tracker.total_)
            self.models[request.sla] = served(solution, cost, tracker.budgets, tracker.total_)
        plan = self.models[request.sla]
        if t >= len(plan):
            fix = f"give at most {len(plan)} requests, the number that the plan was made for"
            raise InvalidInput("number of the request", t + 1, fix)
        model = int(plan[t])
        excluded = model >= 0 and request.allowed is not None and not request.allowed[model]
        return -1 if excluded else model


class LpOnEstimates(HistoryPolicy):
    """The linear program over estimates of the whole stream, solved before it starts.

    It is the result that PORT [1]_ could reach if it knew all prompts in advance. Estimates have
    errors, so a budget can be used up before the end of the plan; later requests of this budget are
    declined.

    Parameters
    ----------
    features
        (T, d) features of the stream, in its order.
    input_tokens
        (T,) lengths of the prompts.
    k, estimator
        As in ``HistoryPolicy``.

    Attributes
    ----------
    t_
        Number of requests so far.

    Raises
    ------
    InvalidInput
        If the lengths of ``features`` and ``input_tokens`` differ.

    References
    ----------
    .. [1] PORT: arXiv:2509.02718.
    """

    name = "lp_on_estimates"
    rule = "plan"
    knows: ClassVar[Knows] = "features"
    needs: ClassVar[tuple[Need, ...]] = ("history", "budget")

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
            fix = f"give one number per row of features, {len(self.features)}"
            raise InvalidInput("length of input_tokens", len(self.input_tokens), fix)
        self.t_ = 0

    def start(self, zoo: Zoo, slas: Mapping[str, SLA], dim: int) -> None:
        """Start without history."""
        super().start(zoo, slas, dim)
        self._plan = _Plan(zoo.names, slas)

    def rank(self, request: Request, quality: Floats, cost: Floats) -> Floats:
        """Return (M,) scores: 1 for the planned model, 0 for the others."""
        planned = self._plan.model(self.t_, request, self._estimate_stream)
        return np.asarray(np.arange(len(cost)) == planned, dtype=np.float64)

    def decide(self, request: Request, rng: np.random.Generator) -> Choice:
        """Serve the planned model."""
        quality, cost = self.estimate(request)
        scores = self.rank(request, quality, cost)
        return self.serve(scores, request, quality, cost, min_score=1.0)

    def warm_start(self, history: History) -> None:
        """Learn a history and delete the plan.

        Raises
        ------
        InvalidInput
            If a feature, label or cost is out of range. Then nothing is learned.
        """
        super().warm_start(history)
        self._plan.models.clear()

    def on_decision(self, decision: Decision) -> None:
        """Reserve the expected cost and go to the next request."""
        super().on_decision(decision)
        self.t_ += 1

    def on_outcome(self, decision: Decision, model: int, outcome: Outcome) -> None:
        """Replace the reserved cost by the real one.

        The cost estimator does not learn it, because the plan must depend only on what was known
        before the stream.
        """
        if decision.sla in self.trackers_:
            self.trackers_[decision.sla].settle(decision, model, outcome)

    def on_zoo(self, zoo: Zoo) -> None:
        """Change the models and delete the plan."""
        super().on_zoo(zoo)
        self._plan.set_models(zoo.names)

    def on_slas(self, slas: Mapping[str, SLA]) -> None:
        """Change the SLAs and delete the plan."""
        super().on_slas(slas)
        self._plan = _Plan(self.models_, slas)

    def restore(self, state: State) -> None:
        """Replace the state by a snapshot and delete the plan, which belongs to another state."""
        super().restore(state)
        self._plan.models.clear()

    def _estimate_stream(self) -> tuple[Floats, Floats]:
        """Return the (T, M) estimates d̂ and ĝ of the whole stream."""
        rows = [
            self.estimate(Request(x, "", 0.0, int(tokens)))
            for x, tokens in zip(self.features, self.input_tokens, strict=True)
        ]
        quality, cost = zip(*rows, strict=True)
        return np.array(quality), np.array(cost)


class BudgetOracle(Hindsight):
    """The linear program over all labels and costs of the stream: the upper bound of all policies.

    The bound is exact up to the few requests that the solution splits between models.

    Parameters
    ----------
    quality, cost
        (T, M) labels and costs in the order of the stream; NaN if a model has no label.

    Attributes
    ----------
    t_
        Number of requests so far.
    """

    name = "budget_oracle"
    needs: ClassVar[tuple[Need, ...]] = ("budget",)

    def start(self, zoo: Zoo, slas: Mapping[str, SLA], dim: int) -> None:
        """Start at the first request."""
        self._names = zoo.names
        self._plan = _Plan(zoo.names, slas)

    def on_slas(self, slas: Mapping[str, SLA]) -> None:
        """Change the SLAs and delete the plan."""
        self._plan = _Plan(self._names, slas)

    def decide(self, request: Request, rng: np.random.Generator) -> Choice:
        """Serve the planned model, or decline.

        Raises
        ------
        InvalidInput
            If the stream is longer than the labels.
        """
        model = self._plan.model(self.t_, request, lambda: (self.quality, self.cost))
        quality, cost = self.quality[self.t_], self.cost[self.t_]
        made = decline(quality, cost) if model < 0 else certain(model, quality, cost)
        return made._replace(rule="hindsight")
