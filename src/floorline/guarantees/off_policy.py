"""Off-policy estimates: what another policy would have got, from what the logging one did."""

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
    """An estimate and its interval; ``interval`` names how that was made."""

    kind: Kind
    value: float
    lower: float
    upper: float
    interval: str


class Sample(NamedTuple):
    """Logged values (n,) and what weighs them, in the order of the log.

    ``weight`` is π(a)/p(a), with a the logged choice, p its logged propensity and π the other
    policy's; ``guess`` an estimate of the value made before it was known, ``baseline`` the mean of
    such estimates over the other policy's choice.
    """

    value: NDArray[np.float64]
    weight: NDArray[np.float64]
    guess: NDArray[np.float64]
    baseline: NDArray[np.float64]

    @property
    def effective_size(self) -> float:
        """Kish's effective sample size, (Σw)²/Σw²; 0 if every weight is."""
        squares = float((self.weight**2).sum())
        return float(self.weight.sum()) ** 2 / squares if squares else 0.0


CENTRAL_LIMIT = "central limit theorem, one look"
ANYTIME = "empirical-Bernstein confidence sequence, any time"


def estimates(sample: Sample, delta: float, *, shares: bool) -> list[Estimate]:
    """Estimate the other policy's mean value by three estimators.

    - *IPS*: mean of w·v. Unbiased.
    - *SNIPS*: Σw·v / Σw (Swaminathan & Joachims 2015). Nearly unbiased, varies less.
    - *DR*: mean of baseline + w·(v − guess) (Dudík, Erhan, Langford & Li 2014). Unbiased, and the
      less variable the better the guesses.

    Intervals follow from the central limit theorem for martingales, but that of IPS for
    ``shares``, values in [0, 1], which is an empirical-Bernstein confidence sequence
    (``InversePropensity``).

    Parameters
    ----------
    sample
        Of at least 2 values, with a positive weight among them.
    delta
        Error probability of each interval.
    shares
        Whether values lie in [0, 1].
    """
    check_delta(delta)
    value, weight, guess, baseline = sample
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
    robust = baseline + weight * (value - guess)
    return [
        first,
        _central("SNIPS", snips, _error(residual), z),
        _central("DR", float(robust.mean()), _error(robust), z),
    ]


def _error(terms: NDArray[np.float64]) -> float:
    return float(terms.std(ddof=1)) / math.sqrt(len(terms))


def _central(kind: Kind, value: float, error: float, z: float) -> Estimate:
    return Estimate(kind, value, value - z * error, value + z * error, CENTRAL_LIMIT)
