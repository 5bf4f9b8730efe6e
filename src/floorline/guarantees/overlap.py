"""Overlap of two policies: how well the log of one supports statements about the other."""

from __future__ import annotations

import math

import msgspec
import numpy as np

from floorline.guarantees.off_policy import WeightedSample
from floorline.guarantees.predictable import Floats

_TOP = 0.01
"""Share of the largest weights that ``Overlap.top_share`` is about."""


class Overlap(msgspec.Struct, frozen=True):
    """Overlap of the logging policy and another one.

    The weight w of a request is the ratio of the other policy's and the logged probability of the
    logged choice. All probabilities are known, so the expectation and the variance of the weights
    are known too.

    Attributes
    ----------
    requests : int
        Number n of requests.
    max_weight : float
        Weight above which a choice is unsupported, √n.
    unsupported : float
        Share of the other policy's choices that are unsupported.
    unsupported_by_model : dict of str to float
        The same, by model; models without any are left out.
    mean_weight : float
        Σw/n over all choices; its expectation is ``expected_weight``.
    expected_weight : float
        1, less the other policy's choices that the logging policy never makes.
    weight_error : float
        Standard error of ``mean_weight``.
    p_value : float
        Upper bound of the probability that the mean weight of the supported choices deviates so
        far from its expectation, if the choices were drawn with the logged probabilities.
    effective_requests : float
        (Σw)²/Σw² over supported choices.
    largest_weight : float
        Largest weight.
    top_share : float
        Share of the sum of the weights that the largest 1 % of them have.
    """

    requests: int
    max_weight: float
    unsupported: float
    unsupported_by_model: dict[str, float]
    mean_weight: float
    expected_weight: float
    weight_error: float
    p_value: float
    effective_requests: float
    largest_weight: float
    top_share: float


def overlap_of(sample: WeightedSample, names: tuple[str, ...]) -> Overlap:
    """Measure the overlap on a sample of choices between models with these names."""
    count = sample.count
    unsupported = np.zeros(len(names))
    total = expected = variance = 0.0
    largest = _Largest(max(1, math.ceil(_TOP * count)))
    deviation = _Deviation()
    for block in sample.blocks():
        ever = block.logged > 0.0
        zeros = np.zeros(block.target.shape)
        ratio = np.divide(block.target, block.logged, out=zeros, where=ever)
        possible = np.where(ever, block.target, 0.0)
        weight = block.chosen(ratio)
        unsupported += block.unsupported.sum(0)
        total += float(weight.sum())
        expected += float(possible.sum())
        variance += float(((ratio * possible).sum(1) - possible.sum(1) ** 2).sum())
        largest.add(weight)
        deviation.add(block.ratio, block.supported, block.weight)
    by_model = unsupported / count
    return Overlap(
        requests=count,
        max_weight=sample.max_weight,
        unsupported=float(by_model.sum()),
        unsupported_by_model={
            name: float(part) for name, part in zip(names, by_model, strict=True) if part > 0.0
        },
        mean_weight=total / count,
        expected_weight=expected / count,
        weight_error=math.sqrt(max(0.0, variance)) / count,
        p_value=deviation.p_value(count),
        effective_requests=sample.effective_size,
        largest_weight=float(largest.values.max()),
        top_share=float(largest.values.sum()) / total if total else 0.0,
    )


class _Largest:
    """The largest of numbers that come in parts, in memory for twice as many."""

    def __init__(self, count: int) -> None:
        self._count = count
        self.values = np.zeros(0)

    def add(self, values: Floats) -> None:
        together = np.concatenate([self.values, values])
        if len(together) > self._count:
            together = np.partition(together, -self._count)[-self._count :]
        self.values = together


class _Deviation:
    """Freedman's inequality for the sum of w − E[w], whose conditional variances are known.

    References
    ----------
    Freedman: On Tail Probabilities for Martingales. Annals of Probability 3 (1975).
    """

    def __init__(self) -> None:
        self._variance = self._deviation = self._largest = 0.0

    def add(self, ratio: Floats, supported: Floats, weight: Floats) -> None:
        expected = supported.sum(1)
        self._variance += float(((ratio * supported).sum(1) - expected**2).sum())
        self._deviation += float((weight - expected).sum())
        self._largest = max(self._largest, float(ratio.max(initial=0.0)))

    def p_value(self, count: int) -> float:
        deviation = abs(self._deviation)
        scale = 2.0 * (max(self._variance, 0.0) + self._largest * deviation / 3.0)
        # Sums of equal weights differ from their expectation by rounding only.
        if deviation <= 1e-9 * count:
            return 1.0
        return min(1.0, 2.0 * math.exp(-(deviation**2) / scale)) if scale else 0.0
