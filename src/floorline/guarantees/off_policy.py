"""Off-policy estimates of another policy's mean value from the log of the serving policy."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from floorline.guarantees.betting import Interval
from floorline.guarantees.mixture import check_delta
from floorline.guarantees.predictable import Floats, MeanLower, rates_for

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


class LoggedValues(NamedTuple):
    """Consecutive logged values, in the order of the log.

    Attributes
    ----------
    value
        (n,) logged values, from 0 to the largest possible one, such as labels or costs.
    choice
        (n,) positions of the logged choices.
    logged, target
        (n, M) probability of every choice by the logging policy and by the target, the other
        policy. What the target's lack to 1 is the probability of no choice, which has the value 0.
    prediction
        (n, M) predictions of the value of every choice, made before it was known.
    share
        (n,) weights of the values in the mean, from 0 to 1, known before them.
    """

    value: Floats
    choice: NDArray[np.int64]
    logged: Floats
    target: Floats
    prediction: Floats
    share: Floats


class WeightedBlock:
    """Consecutive values of a sample with their importance weights.

    Parameters
    ----------
    values
        The values.
    high
        (M,) largest possible values.
    max_weight
        Ratio above which a choice is unsupported.

    Attributes
    ----------
    ratio
        (n, M) ratios of supported choices, 0 for the others.
    weight
        (n,) ratios of the logged choices.
    unsupported
        (n, M) target's probabilities of unsupported choices, 0 for the others.
    """

    def __init__(self, values: LoggedValues, high: Floats, max_weight: float) -> None:
        self.value, self.choice, self.logged, self.target, prediction, self.share = values
        self.prediction = np.clip(prediction, 0.0, high)
        supported = (self.target <= max_weight * self.logged) & (self.logged > 0.0)
        zeros = np.zeros(self.target.shape)
        self.ratio = np.divide(self.target, self.logged, out=zeros, where=supported)
        self.weight = self.chosen(self.ratio)
        self.unsupported = np.where(supported, 0.0, self.target)

    def chosen(self, by_model: Floats) -> Floats:
        """(n,) entries of the logged choices of (n, M) numbers."""
        return np.asarray(by_model[np.arange(len(self.choice)), self.choice])

    @property
    def supported(self) -> Floats:
        """(n, M) target's probabilities of supported choices, 0 for the others."""
        return self.target - self.unsupported


class _Sums(NamedTuple):
    """Sums over a sample; all but the last two are weighted by ``share``.

    Attributes
    ----------
    share
        Sum of the shares.
    value
        The values.
    target, supported
        The target's probabilities of all choices, and of the supported ones.
    top
        Largest possible values, with the target's probabilities.
    weight, weighted
        The weights, and weights times values.
    robust
        The terms of DR.
    squares
        Squares of share times weight.
    deviations
        Squared deviations if every value deviated by 70 % of its prediction.
    """

    share: float
    value: float
    target: float
    supported: float
    top: float
    weight: float
    weighted: float
    robust: float
    squares: float
    deviations: float


class WeightedSample:
    """Logged values with their importance weights, in the order of the log.

    A choice (request, model) is *unsupported* if the ratio of the target's and the logged
    probability is above ``max_weight``. Its weight is 0, and its share of the target's choices is
    accounted for by the worst case. With weights of up to √n, one value moves a mean of n values
    by at most 1/√n of the value [1]_.

    The values are read in blocks, several times, so that a sample may be larger than the memory.

    Parameters
    ----------
    read
        Returns the blocks of the values in their order, each time that it is called.
    count
        Number n of all values.
    high
        (M,) largest possible values.

    Attributes
    ----------
    max_weight : float
        The limit, √n.

    References
    ----------
    .. [1] Ionides: Truncated Importance Sampling. Journal of Computational and Graphical Statistics
       17 (2008).
    """

    def __init__(
        self, read: Callable[[], Iterable[LoggedValues]], count: int, high: Floats
    ) -> None:
        self._read = read
        self.count = count
        self.high = high
        self.max_weight = math.sqrt(count)

    def blocks(self) -> Iterator[WeightedBlock]:
        """Read the sample from its beginning."""
        for values in self._read():
            yield WeightedBlock(values, self.high, self.max_weight)

    @cached_property
    def sums(self) -> _Sums:
        """Sums over all values."""
        total = np.zeros(len(_Sums._fields))
        for block in self.blocks():
            share, supported, weight = block.share, block.supported, block.weight
            predicted = (block.target * block.prediction).sum(1)
            size = np.maximum(block.prediction, _MIN_PREDICTION * self.high)
            residual = weight * (block.value - block.chosen(block.prediction))
            terms = {
                "share": share.sum(),
                "value": share @ block.value,
                "target": share @ block.target.sum(1),
                "supported": share @ supported.sum(1),
                "top": share @ (block.target @ self.high),
                "weight": share @ weight,
                "weighted": share @ (weight * block.value),
                "robust": share @ (predicted + residual),
                "squares": ((share * weight) ** 2).sum(),
                "deviations": share**2 @ (block.ratio * supported * size**2).sum(1),
            }
            total += [terms[name] for name in _Sums._fields]
        return _Sums(*total.tolist())

    @property
    def mean_value(self) -> float:
        """Mean of the logged values, weighted by ``share``."""
        return self.sums.value / self.sums.share

    @property
    def effective_size(self) -> float:
        """Kish's effective sample size, (Σw)²/Σw²; 0 if every weight is 0."""
        return self.sums.weight**2 / self.sums.squares if self.sums.squares else 0.0


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
    sums = sample.sums
    bounds = _Bounds(sample, delta / 2.0, squares)
    total, support, mass = (s / sums.share for s in (sums.target, sums.supported, sums.weight))
    weighted = sums.weighted / sums.share
    values: dict[Kind, float] = {
        "IPS": weighted * total / support if support else 0.0,
        "SNIPS": weighted / mass * total if mass else 0.0,
        "DR": sums.robust / sums.share,
    }
    found = []
    for kind, value in values.items():
        lower, upper = bounds.of(kind)
        found.append(Estimate(kind, min(max(value, lower), upper), lower, upper, METHOD))
    return found


def bounds_of(sample: WeightedSample, delta: float, squares: float | None = None) -> Interval:
    """Return the interval of DR in ``estimates``, which no lack of support makes invalid."""
    check_delta(delta)
    return _Bounds(sample, delta / 2.0, squares).of("DR")


class _Bounds:
    """Both bounds of the mean, with one prior over betting rates."""

    def __init__(self, sample: WeightedSample, alpha: float, squares: float | None) -> None:
        self.sample = sample
        self.alpha = alpha
        # By default as if every value deviated by 70 % of its prediction.
        self.squares = 0.5 * sample.sums.deviations if squares is None else squares

    def of(self, kind: Kind) -> Interval:
        """Interval with the predictions of an estimator."""
        sample = self.sample
        top = sample.sums.top / sample.sums.share
        if not self.squares > 0.0:
            # Every value is 0, or no choice is supported.
            return Interval(0.0, top)
        prior = rates_for(self.squares, self.alpha)
        clip = _CLIP * math.sqrt(self.squares)
        low, missed = (_Lower(kind, clip, MeanLower(self.alpha, prior)) for _ in range(2))
        before = _MeanBefore()
        for block in sample.blocks():
            mirrored = sample.high[block.choice] - block.value
            prediction = block.prediction
            if kind == "SNIPS":
                guess = (block.target * prediction).sum(1)
                mean = before.of(block.value, block.share * block.weight, guess)
                prediction = np.minimum(mean[:, None], sample.high)
            low.add(block, block.value, prediction, sample.high)
            missed.add(block, mirrored, sample.high - prediction, sample.high)
        return Interval(min(low.bound(), top), max(top - missed.bound(), 0.0))


class _Lower:
    """Lower bound of the mean over supported choices of values of 0 or more."""

    def __init__(self, kind: Kind, clip: float, bound: MeanLower) -> None:
        self._kind = kind
        self._clip = clip
        self._bound = bound
        self._before = _MeanBefore()

    def add(self, block: WeightedBlock, value: Floats, prediction: Floats, high: Floats) -> None:
        ratio, supported = block.ratio, block.supported
        if self._kind == "IPS":
            # Without predictions, the running mean is the forecast of the weighted value.
            base = slack = np.zeros(len(value))
            terms = block.weight * value
            guess = (supported * prediction).sum(1)
            forecast = np.minimum(self._before.of(terms, block.share, guess), high.max())
        else:
            # A smaller prediction for large weights limits how far the term can fall.
            infinite = np.full(ratio.shape, np.inf)
            most = np.divide(self._clip, ratio, out=infinite, where=ratio > 0.0)
            prediction = np.minimum(prediction, most)
            base = (supported * prediction).sum(1)
            slack = (ratio * prediction).max(1)
            terms = base + block.weight * (value - block.chosen(prediction))
            forecast = base
        self._bound.add(terms, forecast, slack + (forecast - base), block.share)

    def bound(self) -> float:
        return max(self._bound.bound(), 0.0)


class _MeanBefore:
    """Weighted means of the values before each one, from block to block."""

    def __init__(self) -> None:
        self._count = self._total = 0.0

    def of(self, values: Floats, weights: Floats, first: Floats) -> Floats:
        """(n,) weighted means of the values before each one, and of one guess."""
        count = self._count + np.concatenate([[0.0], weights.cumsum()])
        total = self._total + np.concatenate([[0.0], (weights * values).cumsum()])
        self._count, self._total = float(count[-1]), float(total[-1])
        return np.asarray((total[:-1] + first) / (count[:-1] + 1.0))
