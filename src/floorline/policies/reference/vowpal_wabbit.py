"""Vowpal Wabbit's contextual bandit with the floor as a Lagrangian."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from floorline._extras import needs
from floorline.core.features import Features, SparseFeatures
from floorline.core.snapshots import State
from floorline.errors import InvalidInput, check_number
from floorline.estimators import RunningMean
from floorline.events import Decision, Feedback
from floorline.policies.base import Choice, Request, mixed
from floorline.policies.estimating_policy import EstimatingPolicy
from floorline.sla import SLA
from floorline.zoo import Zoo


class VowpalWabbit(EstimatingPolicy):
    """``cb_explore_adf`` of Vowpal Wabbit [1]_ on the Lagrangian of cost and floor.

    The bandit minimises, for the served model m and its label s,

        ℓ = (c̃_m + λ·(1 − s)) / (1 + λ),      λ ← max(0, λ + η·(τ − s)),

    with c̃ the expected cost over that of the most expensive model. λ is the dual variable of the
    floor of each SLA [2]_; the division keeps ℓ in [0, 1] while λ grows. The action is the model's
    name, the shared namespace the features of the prompt; both are crossed. Labels are weighted by
    the inverse propensity (``--cb_type ips``), and exploration is ε-greedy.

    Vowpal Wabbit is called without adaptive, normalised and decaying step sizes, so that the
    weights are its whole state, which can be read and set; a snapshot then restores the very same
    bandit. It needs the extra ``vw``.

    Parameters
    ----------
    epsilon
        Share of requests on which all allowed models are equally likely.
    rate
        Step size of the weights.
    step
        Step η of the dual variable.
    bits
        Number of bits b: there are 2^b weights.

    Attributes
    ----------
    duals_
        Dual variable λ of each SLA.
    weights_
        (2^b,) float32 weights of the bandit.
    models_
        Names of the models.
    quality_, cost_
        Running means and ``CostEstimator``, for the estimates of decisions.

    Raises
    ------
    InvalidInput
        If a parameter is outside its range.
    MissingExtra
        If the package ``vowpalwabbit`` is not installed.

    References
    ----------
    .. [1] Bietti, Agarwal, Langford: A Contextual Bandit Bake-off. JMLR 22(133), 2021; options in
       vowpalwabbit.org/docs/vowpal_wabbit/python/latest.
    .. [2] Agrawal, Devanur: Bandits with Concave Rewards and Convex Knapsacks. EC 2014.
    """

    name = "vowpal_wabbit"

    def __init__(
        self, *, epsilon: float = 0.05, rate: float = 0.1, step: float = 0.05, bits: int = 14
    ) -> None:
        super().__init__(estimator=RunningMean)
        share, above = "give a share above 0, up to 1", "give a step size above 0, up to 10"
        where = f"{self.name}."
        self.epsilon = check_number(f"{where}epsilon", epsilon, low=1e-4, high=1.0, fix=share)
        self.rate = check_number(f"{where}rate", rate, low=1e-9, high=10.0, fix=above)
        self.step = check_number(f"{where}step", step, low=1e-9, high=10.0, fix=above)
        fix = "give a whole number from 8 to 22"
        self.bits = int(check_number(f"{where}bits", bits, low=8, high=22, fix=fix))
        self._workspace = self._make_workspace()

    def start(self, zoo: Zoo, slas: Mapping[str, SLA], dim: int) -> None:
        """Start with weights of 0 and duals of 1."""
        super().start(zoo, slas, dim)
        self.models_ = list(zoo.names)
        self.duals_ = dict.fromkeys(slas, 1.0)
        self.weights_ = np.zeros(1 << self.bits, dtype=np.float32)
        self._workspace = self._make_workspace()

    def decide(self, request: Request, rng: np.random.Generator) -> Choice:
        """Draw a model from the bandit's distribution."""
        quality = self.quality_.predict_one(request.features)
        cost = self.cost_.predict_one(request.input_tokens, request.cache)
        allowed = np.ones(len(cost), bool) if request.allowed is None else request.allowed
        positions = np.flatnonzero(allowed)
        names = [self.models_[m] for m in positions.tolist()]
        found = self._workspace.predict([_shared(request.features), *map(_action, names)])
        weights = np.zeros(len(cost))
        weights[positions] = found
        choice = mixed(weights / weights.sum(), quality, cost, rng, rule="bandit")
        return choice._replace(multipliers={"dual": self.duals_[request.sla]})

    def on_feedback(
        self, decision: Decision, model: int, feedback: Feedback, previous: float | None
    ) -> None:
        """Teach the bandit the Lagrangian of the served model's label; move the dual."""
        super().on_feedback(decision, model, feedback, previous)
        if feedback.model != decision.model or decision.sla not in self.duals_:
            return
        dual, score = self.duals_[decision.sla], float(feedback.score)
        if previous is None and decision.propensity > 0.0:
            prices = decision.cost_estimates
            highest = float(np.nanmax(prices))
            price = float(prices[decision.index]) / highest if highest > 0.0 else 0.0
            loss = (price + dual * (1.0 - score)) / (1.0 + dual)
            self._learn(decision, loss)
        expected = decision.floor if previous is None else previous
        moved = dual + self.step * feedback.weight * (expected - score)
        self.duals_[decision.sla] = max(0.0, moved)

    def on_zoo(self, zoo: Zoo) -> None:
        """Change the models; weights belong to names, so those that stay keep theirs."""
        super().on_zoo(zoo)
        self.models_ = list(zoo.names)

    def on_slas(self, slas: Mapping[str, SLA]) -> None:
        """Change the SLAs: new ones start with a dual of 1."""
        self.duals_ = {name: self.duals_.get(name, 1.0) for name in slas}

    def queue(self, sla: str) -> float:
        """Return λ/η of an SLA, which is its virtual queue."""
        return self.duals_[sla] / self.step

    def snapshot(self) -> State:
        """Copy the state, with the weights as they are now."""
        read = self._workspace.get_weight
        self.weights_[:] = [read(i, 0) for i in range(1 << self.bits)]
        return super().snapshot()

    def restore(self, state: State) -> None:
        """Take over a state, into a bandit with its weights."""
        super().restore(state)
        self._workspace = self._make_workspace()
        for position in np.flatnonzero(self.weights_).tolist():
            self._workspace.set_weight(position, 0, float(self.weights_[position]))

    def _learn(self, decision: Decision, loss: float) -> None:
        chance = decision.propensity
        lines = [_shared(decision.features)]
        for name, known in zip(decision.models, decision.propensities.tolist(), strict=True):
            if name == decision.model:
                lines.append(f"0:{loss:.9g}:{chance:.9g} {_action(name)}")
            elif known > 0.0:
                lines.append(_action(name))
        self._workspace.learn(lines)

    def _make_workspace(self) -> Any:
        with needs("vw", "the policy vowpal_wabbit"):
            from vowpalwabbit import Workspace

        options = (
            "--cb_explore_adf --cb_type ips --quiet -q sa --sgd --power_t 0 "
            f"--min_prediction 0 --max_prediction 1 --epsilon {self.epsilon!r} "
            f"--learning_rate {self.rate!r} --bit_precision {self.bits}"
        )
        try:
            return Workspace(options)
        except RuntimeError as error:
            fix = "write 'import vowpalwabbit' before what imports usearch: the two clash otherwise"
            raise InvalidInput("policy", self.name, fix) from error


def _shared(features: Features) -> str:
    """Return the line of the prompt's features; VW keeps numbers, so names are positions."""
    if isinstance(features, SparseFeatures):
        pairs = zip(features.indices.tolist(), features.values.tolist(), strict=True)
    else:
        pairs = enumerate(features.tolist())  # type: ignore[assignment]
    return "shared |s " + " ".join(f"{i}:{value:.6g}" for i, value in pairs if value)


def _action(model: str) -> str:
    """Return the line of an action. A name may hold what separates VW's fields, so it is hex."""
    return f"|a m{model.encode().hex()}"
