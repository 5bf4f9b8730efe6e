"""Routers with a guarantee from a fixed sample: Clopper–Pearson gate and Conformal Arbitrage."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from floorline.core.snapshots import State
from floorline.errors import check_number
from floorline.estimators import OnlineLogistic
from floorline.events import Decision, Feedback
from floorline.policies.base import Choice, History, Request, certain
from floorline.policies.estimating_policy import EstimatingPolicy, MakeEstimator, check_history
from floorline.sla import SLA
from floorline.zoo import Zoo

Floats = NDArray[np.float64]
_LEVELS = 10
"""Number of thresholds that a gate tests, at the deciles of its scores."""


class _FixedSample(EstimatingPolicy):
    """Base of policies that query all models on a fixed sample and learn nothing afterwards.

    The first half of the sample trains a predictor q̂ of every model; the second half calibrates.
    Then one pair of models serves: the guardian, which has the highest mean on the second half, and
    the cheaper model with which the pair costs least there. The cheaper model m serves where
    q̂_m(x) reaches its threshold. During the sample all models are called and the one with the
    highest list price serves. A labelled history takes the place of the sample.

    Parameters
    ----------
    sample_requests
        Number of requests n of the sample.
    estimator
        Constructor of the predictor.

    Attributes
    ----------
    t_
        Number of requests since the sample began.
    scores_, labels_
        (k, M) scores q̂ and labels of the second half, NaN where there is no label.
    rows_
        Row in ``scores_`` by decision id.
    price_
        (M,) list prices.
    models_
        Names of the models.

    Raises
    ------
    InvalidInput
        If a parameter is outside its range.
    """

    def __init__(
        self, *, sample_requests: int = 200, estimator: MakeEstimator = OnlineLogistic
    ) -> None:
        super().__init__(estimator=estimator)
        fix = "give a number of requests from 2 to 100,000"
        self.sample_requests = int(
            check_number(f"{self.name}.sample_requests", sample_requests, low=2, high=1e5, fix=fix)
        )
        self.t_ = 0

    def start(self, zoo: Zoo, slas: Mapping[str, SLA], dim: int) -> None:
        """Start before the sample."""
        super().start(zoo, slas, dim)
        self._begin_sample(zoo)

    @abstractmethod
    def threshold(self, scores: Floats, labels: Floats, guardian: Floats, floor: float) -> float:
        """Return the lowest score at which a model may serve; ∞ if none keeps the floor.

        Parameters
        ----------
        scores, labels
            (k,) scores and labels of the model on the second half.
        guardian
            (k,) labels of the guardian on the same requests.
        floor
            Floor τ.
        """

    def decide(self, request: Request, rng: np.random.Generator) -> Choice:
        """Query all models during the sample; then serve one of the pair."""
        quality = self.quality_.predict_one(request.features)
        cost = self.cost_.predict_one(request.input_tokens, request.cache)
        allowed = np.ones(len(cost), bool) if request.allowed is None else request.allowed
        if self.t_ < self.sample_requests:
            best = int(np.where(allowed, self.price_, -1.0).argmax())
            others = tuple(m for m in np.flatnonzero(allowed).tolist() if m != best)
            first = certain(best, quality, cost, explored=True, rule="sample")
            return first._replace(called=(best, *others))
        guardian, cheap, limit = self._pair(request.floor)
        if allowed[cheap] and quality[cheap] >= limit:
            served = cheap
        elif allowed[guardian]:
            served = guardian
        else:
            served = int(np.where(allowed, quality, -1.0).argmax())
        known = {"threshold": float(limit)}
        return certain(served, quality, cost, rule="threshold", multipliers=known)

    def on_decision(self, decision: Decision) -> None:
        """Count the request; keep the scores of one of the second half."""
        if self.sample_requests // 2 <= self.t_ < self.sample_requests and decision.explored:
            self.rows_[decision.id] = len(self.scores_)
            self._keep(decision.quality_estimates, np.full(len(self.models_), np.nan))
        self.t_ += 1

    def trains_on(self, decision: Decision) -> bool:
        """Return whether the label is one of the first half, and came before the second began.

        Later ones would change the predictor that the scores of the second half come from.
        """
        in_time = self.t_ <= self.sample_requests // 2
        return in_time and decision.explored and decision.id not in self.rows_

    def on_feedback(
        self, decision: Decision, model: int, feedback: Feedback, previous: float | None
    ) -> None:
        """Train on a label of the first half, keep one of the second."""
        super().on_feedback(decision, model, feedback, previous)
        row = self.rows_.get(decision.id)
        if row is not None:
            self.labels_[row, model] = float(feedback.score)
            self._pairs.clear()

    def on_zoo(self, zoo: Zoo) -> None:
        """Change the models. Another list of models needs another sample."""
        super().on_zoo(zoo)
        if list(zoo.names) != self.models_:
            self._begin_sample(zoo)
        self.price_ = zoo.typical_costs.copy()
        self._pairs.clear()

    def warm_start(self, history: History) -> None:
        """Take a history as the sample: train on its first half, calibrate on the second.

        Raises
        ------
        InvalidInput
            If a feature, label or cost is out of range. Then nothing is learned.
        """
        check_history(history)
        half = len(history.features) // 2
        self.quality_.learn_many(history.features[:half], history.quality[:half])
        self.cost_.learn_many(history.cost, history.input_tokens)
        self._forget()
        for x, labels in zip(history.features[half:], history.quality[half:], strict=True):
            self._keep(self.quality_.predict_one(x), labels)
        self.t_ = max(self.t_, self.sample_requests)

    def restore(self, state: State) -> None:
        """Take over a state."""
        super().restore(state)
        self._pairs.clear()

    def _begin_sample(self, zoo: Zoo) -> None:
        self.t_ = 0
        self.models_ = list(zoo.names)
        self.price_ = zoo.typical_costs.copy()
        self._forget()

    def _forget(self) -> None:
        self.scores_ = np.empty((0, len(self.models_)))
        self.labels_ = np.empty((0, len(self.models_)))
        self.rows_: dict[str, int] = {}
        self._pairs: dict[float, tuple[int, int, float]] = {}

    def _keep(self, scores: Floats, labels: Floats) -> None:
        self.scores_ = np.vstack([self.scores_, scores])
        self.labels_ = np.vstack([self.labels_, labels])

    def _pair(self, floor: float) -> tuple[int, int, float]:
        """Return guardian, cheaper model and its threshold for a floor; once per floor."""
        if floor not in self._pairs:
            if len(self._pairs) >= 100:
                self._pairs.clear()
            self._pairs[floor] = self._choose_pair(floor)
        return self._pairs[floor]

    def _choose_pair(self, floor: float) -> tuple[int, int, float]:
        known = ~np.isnan(self.labels_)
        mean = np.where(known, self.labels_, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
        # Without any label the means are equal, and the highest price decides.
        guardian = int(np.lexsort((self.price_, mean))[-1])
        lowest, best = self.price_[guardian], (guardian, guardian, math.inf)
        for m in np.flatnonzero(self.price_ < lowest).tolist():
            both = known[:, m] & known[:, guardian]
            scores, labels = self.scores_[both, m], self.labels_[both, m]
            limit = self.threshold(scores, labels, self.labels_[both, guardian], floor)
            share = float((scores >= limit).mean()) if len(scores) else 0.0
            price = share * self.price_[m] + (1.0 - share) * self.price_[guardian]
            if price < lowest:
                lowest, best = price, (guardian, m, limit)
        return best


class ClopperPearsonGate(_FixedSample):
    """A gate before a cheaper model whose error rate is bounded by Clopper and Pearson [1]_.

    Of the requests that pass the gate, at most a share 1 − τ is not satisfied, with probability
    1 − δ over the sample. A threshold is taken if the upper bound of its share of unsatisfied
    requests,

        B⁻¹(1 − δ′; v + 1, n − v) ≤ 1 − τ,  which is  P[Binomial(n, 1 − τ) ≤ v] ≤ δ′,

    for v violations among its n requests of the calibration half. Ten thresholds of each of M − 1
    models are tested, so δ′ = δ/(10·(M − 1)). The paper compares with a reference model and has
    one cheaper model; a floor is absolute, so a violation is an answer that does not satisfy.
    Fractional labels add up to v, rounded up.

    Parameters
    ----------
    delta
        Probability δ with which the guarantee may fail.
    sample_requests, estimator
        As in ``_FixedSample``: number of requests on which all models are queried, and the
        constructor of the predictor.

    Attributes
    ----------
    t_
        Number of requests since the sample began.
    scores_, labels_, rows_
        Calibration half: scores, labels and row by decision id.

    Raises
    ------
    InvalidInput
        If a parameter is outside its range.

    References
    ----------
    .. [1] Uddin, Khider, Bauer: Proactive Routing to Interpretable Surrogates with
       Distribution-Free Safety Guarantees. arXiv:2603.14623; applied to models of RouterBench in a
       later paper of the first author.
    """

    name = "clopper_pearson_gate"

    def __init__(
        self,
        *,
        sample_requests: int = 200,
        delta: float = 0.1,
        estimator: MakeEstimator = OnlineLogistic,
    ) -> None:
        super().__init__(sample_requests=sample_requests, estimator=estimator)
        fix = "give a probability above 0 and below 1"
        self.delta = check_number(f"{self.name}.delta", delta, low=1e-9, high=1.0 - 1e-9, fix=fix)

    def threshold(self, scores: Floats, labels: Floats, guardian: Floats, floor: float) -> float:
        """Return the lowest decile of the scores whose violations are few enough."""
        if len(scores) == 0:
            return math.inf
        delta = self.delta / (_LEVELS * max(1, len(self.models_) - 1))
        for level in range(_LEVELS):
            # The first level lets every request pass.
            limit = float(np.quantile(scores, level / _LEVELS, method="lower")) if level else 0.0
            passed = scores >= limit
            violations = math.ceil(float((1.0 - labels[passed]).sum()) - 1e-9)
            if binomial_tail(int(passed.sum()), 1.0 - floor, violations) <= delta:
                return limit
        return math.inf


class ConformalArbitrage(_FixedSample):
    """Conformal Arbitrage [1]_: defer to a guardian by conformal risk control [2]_.

    The threshold θ̂ is the lowest one at which, on n requests of the calibration half,

        (Σ_i L_i(θ) + 1)/(n + 1) ≤ 1 − τ,
        L_i(θ) = 1 − s_{g,i} + max(0, s_{g,i} − s_{m,i})·1[q̂_m(x_i) ≥ θ].

    L is at least the dissatisfaction with the served answer and does not grow with θ, so a new
    request of the same kind is satisfied with probability τ or more in expectation over the sample.
    That holds for one cheaper model; here it is also chosen on the sample, from M − 1 ones.

    The paper takes the loss against the guardian only, and the primary model's own scores of the
    possible answers. A router has a predicted satisfaction instead, and a floor is absolute, so the
    guardian's own dissatisfaction counts.

    Parameters
    ----------
    sample_requests, estimator
        As in ``_FixedSample``: number of requests on which all models are queried, and the
        constructor of the predictor.

    Attributes
    ----------
    t_
        Number of requests since the sample began.
    scores_, labels_, rows_
        Calibration half: scores, labels and row by decision id.

    Raises
    ------
    InvalidInput
        If a parameter is outside its range.

    References
    ----------
    .. [1] Overman, Bayati: Conformal Arbitrage: Risk-Controlled Balancing of Competing Objectives
       in Language Models. NeurIPS 2025, arXiv:2506.00911.
    .. [2] Angelopoulos, Bates, Fisch, Lei, Schuster: Conformal Risk Control. ICLR 2024.
    """

    name = "conformal_arbitrage"

    def threshold(self, scores: Floats, labels: Floats, guardian: Floats, floor: float) -> float:
        """Return the lowest score at which the corrected mean loss is 1 − τ or less."""
        order = np.argsort(-scores, kind="stable")
        loss = (1.0 - guardian).sum() + np.maximum(0.0, guardian - labels)[order].cumsum()
        ranked = scores[order]
        # Equal scores pass together, so only the last of them is a threshold.
        last = np.append(ranked[1:] < ranked[:-1], True) if len(ranked) else np.zeros(0, bool)
        kept = last & ((loss + 1.0) / (len(scores) + 1.0) <= 1.0 - floor + 1e-12)
        if not kept.any():
            return math.inf
        # If every request of the sample passes, every other one does.
        return 0.0 if kept[-1] else float(ranked[kept].min())


def binomial_tail(n: int, p: float, most: int) -> float:
    """Compute P[Binomial(n, p) ≤ most], without SciPy.

    Examples
    --------
    >>> round(binomial_tail(2, 0.5, 1), 6)
    0.75
    """
    if most >= n or p <= 0.0:
        return 1.0
    if p >= 1.0 or most < 0:
        return 0.0
    up, down = math.log(p), math.log1p(-p)
    whole = math.lgamma(n + 1)
    logs = (
        whole - math.lgamma(k + 1) - math.lgamma(n - k + 1) + k * up + (n - k) * down
        for k in range(most + 1)
    )
    return min(1.0, math.fsum(math.exp(log) for log in logs))
