"""Off-policy estimates of another policy's mean value from the log of the serving policy."""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from floorline.guarantees.betting import Interval
from floorline.guarantees.mixture import Prior, check_delta
from floorline.guarantees.predictable import Floats, mean_lower, rates_for

Kind = Literal["IPS", "SNIPS", "DR"]

_CLIP = 0.5
"""Largest product of weight and prediction, as a share of the square root of the expected sum of
squares. With it the best betting rate times the possible deviation is about 1."""
_MIN_PREDICTION = 0.05
"""Least prediction in the expected sum of squares, as a share of the largest possible value."""


class Estimate(NamedTuple):
    """An off-policy estimate.

    Parameters
    ----------
    kind
        Estimator: IPS, SNIPS or DR.
    value
        The estimate.
    lower, upper
        Ends of its interval.
    interval
        Method of the interval, in words.
    """

    kind: Kind
    value: float
    lower: float
    upper: float
    interval: str


METHOD = "empirical Bernstein, one look; any value for unsupported choices"


class WeightedSample:
    """Logged values with their importance weights, in the order of the log.

    A choice (request, model) is *unsupported* if the ratio of the target's and the logged
    probability is above ``max_weight``. Its weight is 0, and its share of the target's choices is
    accounted for by the worst case. With weights of up to √n, one value moves a mean of n values
    by at most 1/√n of the value [1]_.

    Parameters
    ----------
    value
        (n,) logged values, from 0 to ``high``, such as labels or costs.
    choice
        (n,) positions of the logged choices.
    logged, target
        (n, M) probability of every choice by the logging policy and by the target, the other
        policy. What the target's lack to 1 is the probability of no choice, which has the value 0.
    prediction
        (n, M) predictions of the value of every choice, made before it was known.
    high
        (M,) largest possible values.
    share
        (n,) weights of the values in the mean, from 0 to 1, known before them. Default: all 1.

    Attributes
    ----------
    max_weight : float
        The limit, √n.
    ratio
        (n, M) ratios of supported choices, 0 for the others.
    weight
        (n,) ratios of the logged choices.
    unsupported
        (n, M) target's probabilities of unsupported choices, 0 for the others.

    References
    ----------
    .. [1] Ionides: Truncated Importance Sampling. Journal of Computational and Graphical Statistics
       17 (2008).
    """

    def __init__(
        self,
        value: Floats,
        choice: NDArray[np.int64],
        logged: Floats,
        target: Floats,
        prediction: Floats,
        high: Floats,
        share: Floats | None = None,
    ) -> None:
        self.value = value
        self.choice = choice
        self.logged = logged
        self.target = target
        self.prediction = np.clip(prediction, 0.0, high)
        self.high = high
        self.share = np.ones(len(value)) if share is None else share
        self.max_weight = math.sqrt(len(value))
        supported = (target <= self.max_weight * logged) & (logged > 0.0)
        self.ratio = np.divide(target, logged, out=np.zeros(target.shape), where=supported)
        self.weight = self.chosen(self.ratio)
        self.unsupported = np.where(supported, 0.0, target)

    def chosen(self, by_model: Floats) -> Floats:
        """(n,) entries of the logged choices of (n, M) numbers."""
        return np.asarray(by_model[np.arange(len(self.choice)), self.choice])

    def mean(self, terms: Floats) -> float:
        """Mean of (n,) terms, weighted by ``share``."""
        return float(self.share @ terms) / float(self.share.sum())

    @property
    def supported(self) -> Floats:
        """(n, M) target's probabilities of supported choices, 0 for the others."""
        return self.target - self.unsupported

    @property
    def effective_size(self) -> float:
        """Kish's effective sample size, (Σw)²/Σw²; 0 if every weight is 0."""
        weight = self.share * self.weight
        squares = float((weight**2).sum())
        return float(weight.sum()) ** 2 / squares if squares else 0.0


def estimates(sample: WeightedSample, delta: float, squares: float | None = None) -> list[Estimate]:
    """Estimate the other policy's mean value by three estimators.

    - *IPS* (inverse propensity score): mean of w·v. Unbiased.
    - *SNIPS* (self-normalised IPS [1]_): Σw·v / Σw. Small bias, smaller variance.
    - *DR* (doubly robust [2]_): mean of Σₘ πₘ·predictionₘ + w·(v − prediction). Unbiased; the
      variance is smaller for better predictions.

    IPS and SNIPS take the mean of the unsupported choices to be that of the supported ones; DR
    takes the predictions. A value outside its interval, such as a share above 1, is moved to the
    nearest end.

    The interval of each holds its estimand with probability 1 − delta, for each sample size, while
    the logging policy adapts to earlier values: an empirical-Bernstein bound [3]_ on each side, of
    the weighted values with no prediction (IPS), with the mean so far (SNIPS), or with each model's
    prediction (DR). Unsupported choices count as 0 in the lower bound and as the largest possible
    value in the upper one.

    Parameters
    ----------
    sample
        At least one value with a ``share`` above 0.
    delta
        Error probability of each interval.
    squares
        Expected sum of the squared deviations (``rates_for``). Default: by the probabilities and
        predictions of the sample. If the logging policy adapts, these depend on earlier values;
        then only a number that is fixed beforehand makes the intervals exact.

    Raises
    ------
    InvalidInput
        If delta is not between 0 and 1.

    References
    ----------
    .. [1] Swaminathan, Joachims: The Self-Normalized Estimator for Counterfactual Learning. NIPS
       2015.
    .. [2] Dudík, Erhan, Langford, Li: Doubly Robust Policy Evaluation and Optimization.
       Statistical Science 29 (2014).
    .. [3] Waudby-Smith, Wu, Ramdas, Karampatziakis, Mineiro: Anytime-valid off-policy inference for
       contextual bandits. ACM/IMS Journal of Data Science (2024).
    """
    check_delta(delta)
    expected = _expected_squares(sample) if squares is None else squares
    bounds = _Bounds(sample, delta / 2.0, expected)
    weighted = sample.weight * sample.value
    total, support = sample.mean(sample.target.sum(1)), sample.mean(sample.supported.sum(1))
    mass = sample.mean(sample.weight)
    predicted = (sample.target * sample.prediction).sum(1)
    residual = sample.weight * (sample.value - sample.chosen(sample.prediction))
    values: dict[Kind, float] = {
        "IPS": sample.mean(weighted) * total / support if support else 0.0,
        "SNIPS": sample.mean(weighted) / mass * total if mass else 0.0,
        "DR": sample.mean(predicted + residual),
    }
    found = []
    for kind, value in values.items():
        lower, upper = bounds.of(kind)
        found.append(Estimate(kind, min(max(value, lower), upper), lower, upper, METHOD))
    return found


def bounds_of(sample: WeightedSample, delta: float, squares: float | None = None) -> Interval:
    """Return the interval of DR in ``estimates``, which no lack of support makes invalid."""
    check_delta(delta)
    expected = _expected_squares(sample) if squares is None else squares
    return _Bounds(sample, delta / 2.0, expected).of("DR")


def _expected_squares(sample: WeightedSample) -> float:
    """Sum of squared deviations if every value deviated by 70 % of its prediction."""
    size = np.maximum(sample.prediction, _MIN_PREDICTION * sample.high)
    deviations = (sample.ratio * sample.supported * size**2).sum(1)
    return 0.5 * float(sample.share**2 @ deviations)


class _Bounds:
    """Both bounds of the mean, with one prior over betting rates."""

    def __init__(self, sample: WeightedSample, alpha: float, squares: float) -> None:
        self.sample = sample
        self.alpha = alpha
        self.squares = squares

    def of(self, kind: Kind) -> Interval:
        """Interval with the predictions of an estimator."""
        sample = self.sample
        mirrored = sample.high[sample.choice] - sample.value
        top = sample.mean(sample.target @ sample.high)
        if not self.squares > 0.0:
            # Every value is 0, or no choice is supported.
            return Interval(0.0, top)
        prior = rates_for(self.squares, self.alpha)
        prediction = sample.prediction
        if kind == "SNIPS":
            guess = (sample.target * prediction).sum(1)
            before = _mean_before(sample.value, sample.share * sample.weight, guess)
            prediction = np.minimum(before[:, None], sample.high)
        low = self._lower(kind, sample.value, prediction, prior)
        missed = self._lower(kind, mirrored, sample.high - prediction, prior)
        return Interval(min(low, top), max(top - missed, 0.0))

    def _lower(self, kind: Kind, value: Floats, prediction: Floats, prior: Prior) -> float:
        """Lower bound of the mean over supported choices of values of 0 or more."""
        sample = self.sample
        ratio, supported = sample.ratio, sample.supported
        if kind == "IPS":
            # Without predictions, the running mean is the forecast of the weighted value.
            base = slack = np.zeros(len(value))
            terms = sample.weight * value
            guess = (supported * prediction).sum(1)
            forecast = np.minimum(_mean_before(terms, sample.share, guess), sample.high.max())
        else:
            # A smaller prediction for large weights limits how far the term can fall.
            clip = _CLIP * math.sqrt(self.squares)
            most = np.divide(clip, ratio, out=np.full(ratio.shape, np.inf), where=ratio > 0.0)
            prediction = np.minimum(prediction, most)
            base = (supported * prediction).sum(1)
            slack = (ratio * prediction).max(1)
            terms = base + sample.weight * (value - sample.chosen(prediction))
            forecast = base
        slack = slack + (forecast - base)
        return max(mean_lower(terms, forecast, slack, sample.share, self.alpha, prior), 0.0)


def _mean_before(values: Floats, weights: Floats, first: Floats) -> Floats:
    """(n,) weighted means of the values before each one, and of one guess."""
    count = np.concatenate([[0.0], weights.cumsum()[:-1]])
    total = np.concatenate([[0.0], (weights * values).cumsum()[:-1]])
    return np.asarray((total + first) / (count + 1.0))
