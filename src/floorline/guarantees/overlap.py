"""Overlap of two policies: how well the log of one supports statements about the other."""

from __future__ import annotations

import math

import msgspec
import numpy as np

from floorline.guarantees.off_policy import WeightedSample

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
    logged, target, count = sample.logged, sample.target, len(sample.value)
    ever = logged > 0.0
    ratio = np.divide(target, logged, out=np.zeros(target.shape), where=ever)
    possible = np.where(ever, target, 0.0)
    variance = (ratio * possible).sum(1) - possible.sum(1) ** 2
    weight = sample.chosen(ratio)
    by_model = sample.unsupported.mean(0)
    top = np.sort(weight)[-max(1, math.ceil(_TOP * count)) :]
    return Overlap(
        requests=count,
        max_weight=sample.max_weight,
        unsupported=float(by_model.sum()),
        unsupported_by_model={
            name: float(part) for name, part in zip(names, by_model, strict=True) if part > 0.0
        },
        mean_weight=float(weight.mean()),
        expected_weight=float(possible.sum() / count),
        weight_error=math.sqrt(max(0.0, float(variance.sum()))) / count,
        p_value=_p_value(sample),
        effective_requests=sample.effective_size,
        largest_weight=float(weight.max()),
        top_share=float(top.sum() / weight.sum()) if weight.any() else 0.0,
    )


def _p_value(sample: WeightedSample) -> float:
    """Freedman's inequality for the sum of w − E[w], whose conditional variances are known.

    References
    ----------
    Freedman: On Tail Probabilities for Martingales. Annals of Probability 3 (1975).
    """
    expected = sample.supported.sum(1)
    variance = float(((sample.ratio * sample.supported).sum(1) - expected**2).sum())
    deviation = abs(float((sample.weight - expected).sum()))
    largest = float(sample.ratio.max(initial=0.0))
    scale = 2.0 * (max(variance, 0.0) + largest * deviation / 3.0)
    # Sums of equal weights differ from their expectation by rounding only.
    if deviation <= 1e-9 * len(expected):
        return 1.0
    return min(1.0, 2.0 * math.exp(-(deviation**2) / scale)) if scale else 0.0
