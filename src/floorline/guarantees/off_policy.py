"""Off-policy estimates of another policy's mean value from the log of the serving policy."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from floorline.guarantees.mixture import check_delta
from floorline.guarantees.sparse import InversePropensity

Kind = Literal["IPS", "SNIPS", "DR"]


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


class WeightedSample(NamedTuple):
    """Logged values with their importance weights, in the order of the log.

    Parameters
    ----------
    value
        (n,) logged values, such as labels or costs.
    weight
        (n,) importance weights π(a)/p(a): a is the logged choice, p(a) its logged propensity and
        π(a) its propensity under the other policy.
    prediction
        (n,) predictions of the value, made before it was known.
    baseline
        (n,) means of such predictions over the other policy's choice.
    """

    value: NDArray[np.float64]
    weight: NDArray[np.float64]
    prediction: NDArray[np.float64]
    baseline: NDArray[np.float64]

    @property
    def effective_size(self) -> float:
        """Kish's effective sample size, (Σw)²/Σw²; 0 if every weight is 0."""
        squares = float((self.weight**2).sum())
        return float(self.weight.sum()) ** 2 / squares if squares else 0.0


CENTRAL_LIMIT = "central limit theorem, one look"
ANYTIME = "empirical-Bernstein confidence sequence, any time"


def estimates(sample: WeightedSample, delta: float, *, shares: bool) -> list[Estimate]:
    """Estimate the other policy's mean value by three estimators.

    - *IPS* (inverse propensity score): mean of w·v. Unbiased.
    - *SNIPS* (self-normalised IPS [1]_): Σw·v / Σw. Small bias, smaller variance.
    - *DR* (doubly robust [2]_): mean of baseline + w·(v − prediction). Unbiased; the variance is
      smaller for better predictions.

    The interval of IPS for ``shares`` is an empirical-Bernstein confidence sequence
    (``InversePropensity``). All other intervals follow from the central limit theorem for
    martingales.

    Parameters
    ----------
    sample
        At least 2 values, of which one or more have a positive weight.
    delta
        Error probability of each interval.
    shares
        Whether the values lie in [0, 1].

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
    """
    check_delta(delta)
    value, weight, prediction, baseline = sample
    z = NormalDist().inv_cdf(1.0 - delta / 2.0)
    weighted = weight * value
    ips = float(weighted.mean())
    if shares:
        sequence = InversePropensity()
        for w, v in zip(weight.tolist(), value.tolist(), strict=True):
            sequence.weigh(w, v)
        bounds = sequence.interval(delta)
        first = Estimate("IPS", ips, bounds.lower, bounds.upper, ANYTIME)
    else:
        first = _central("IPS", ips, _error(weighted), z)
    snips = float(weighted.sum() / weight.sum())
    residual = weight * (value - snips) / weight.mean()
    robust = baseline + weight * (value - prediction)
    return [
        first,
        _central("SNIPS", snips, _error(residual), z),
        _central("DR", float(robust.mean()), _error(robust), z),
    ]


def _error(terms: NDArray[np.float64]) -> float:
    """Return the standard error of the mean of (n,) terms."""
    return float(terms.std(ddof=1)) / math.sqrt(len(terms))


def _central(kind: Kind, value: float, error: float, z: float) -> Estimate:
    return Estimate(kind, value, value - z * error, value + z * error, CENTRAL_LIMIT)
