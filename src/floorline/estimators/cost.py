"""What a call will cost: list prices, corrected by what calls really cost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from floorline.core.snapshots import Stateful
from floorline.errors import check_number
from floorline.estimators.base import carry_over
from floorline.zoo import Zoo

_BUCKETS = 12
_PER_MILLION = 1e-6


def length_bucket(input_tokens: int) -> int:
    """Powers of two of the prompt's length: 0–15 tokens, 16–31, …, from 16,384 on."""
    return min(_BUCKETS - 1, max(0, int(input_tokens).bit_length() - 4))


class BucketMean(Stateful):
    """Running mean per model and prompt-length bucket, shrunk to the model's mean, then a prior.

    Parameters
    ----------
    models
        Names, M of them.
    prior
        (M,) means before any value was seen.
    strength
        Number of values the coarser mean is worth against the finer one.
    """

    def __init__(
        self, models: Sequence[str], prior: NDArray[np.float64], *, strength: float = 5.0
    ) -> None:
        self.strength = strength
        self.models_ = list(models)
        self.prior_ = np.asarray(prior, dtype=np.float64)
        self.sum_ = np.zeros((len(models), _BUCKETS))
        self.weight_ = np.zeros((len(models), _BUCKETS))
        # Column b holds the means for bucket b: a request reads one column.
        self.mean_ = np.tile(self.prior_[:, None], (1, _BUCKETS))

    def predict_one(self, bucket: int) -> NDArray[np.float64]:
        """(M,) means for prompts of this length."""
        return self.mean_[:, bucket]

    def learn_one(self, bucket: int, model: int, value: float, weight: float = 1.0) -> None:
        """Add one value of one model."""
        self.sum_[model, bucket] += weight * value
        self.weight_[model, bucket] += weight
        self._refresh(model)

    def learn_many(
        self,
        buckets: NDArray[np.int64],
        models: NDArray[np.int64],
        values: NDArray[np.float64],
        weights: NDArray[np.float64],
    ) -> None:
        """Add values (n,), each of one model and bucket; the same to the bit as one by one."""
        np.add.at(self.sum_, (models, buckets), weights * values)
        np.add.at(self.weight_, (models, buckets), weights)
        for model in range(len(self.models_)):
            self._refresh(model)

    def set_models(self, names: Sequence[str], prior: NDArray[np.float64]) -> None:
        """Keep known models' values; new ones start at the prior (M,)."""
        self.sum_ = carry_over(self.models_, names, self.sum_, 0.0)
        self.weight_ = carry_over(self.models_, names, self.weight_, 0.0)
        self.prior_ = np.asarray(prior, dtype=np.float64)
        self.mean_ = np.empty((len(names), _BUCKETS))
        self.models_ = list(names)
        for model in range(len(names)):
            self._refresh(model)

    def _refresh(self, model: int) -> None:
        sums, weights = self.sum_[model], self.weight_[model]
        coarse = (sums.sum() + self.prior_[model]) / (weights.sum() + 1.0)
        self.mean_[model] = (sums + self.strength * coarse) / (weights + self.strength)


class CostEstimator(Stateful):
    """Expected cost ĉ_m of a call, in the zoo's unit.

    List price times a learned correction: ``(input price · n + output price · ô_m(n)) + call
    price``, where ô_m(n) is the mean answer length seen for prompts of n tokens. Where answers'
    lengths are not known, as in routing tables, the correction (mean of real over listed cost)
    does the learning; a model listed as free is estimated by its mean real cost.

    Examples
    --------
    >>> from floorline.zoo import Model
    >>> estimator = CostEstimator(Zoo([Model("small", call_price=2.0), Model("large")]))
    >>> for _ in range(100):
    ...     estimator.learn_one(0, cost=3.0, input_tokens=50)
    ...     estimator.learn_one(1, cost=9.0, input_tokens=50)
    >>> estimator.predict_one(50).round(1).tolist()
    [3.0, 9.0]
    """

    def __init__(self, zoo: Zoo) -> None:
        lengths = np.array([m.typical_output_tokens for m in zoo.models])
        self.output_tokens_ = BucketMean(zoo.names, lengths)
        self._set_prices(zoo)
        self.correction_ = BucketMean(zoo.names, self._correction_prior())

    def predict_one(self, input_tokens: int) -> NDArray[np.float64]:
        """(M,) expected costs of a request with this many input tokens."""
        bucket = length_bucket(input_tokens)
        output = self.output_tokens_.predict_one(bucket)
        return self._listed(input_tokens, output) * self.correction_.predict_one(bucket)

    def learn_one(
        self,
        model: int,
        *,
        cost: float,
        input_tokens: int,
        output_tokens: int | None = None,
    ) -> None:
        """Learn what one call really cost and, if known, how long its answer was.

        Raises
        ------
        InvalidInput
            If the cost is negative, NaN or infinite.
        """
        check_number("cost", cost, low=0.0, fix="give the real cost, 0 or more")
        if output_tokens is not None:
            check_number("output_tokens", output_tokens, low=0.0, fix="give 0 or more, or None")
        bucket = length_bucket(input_tokens)
        if output_tokens is None:
            output: Any = self.output_tokens_.predict_one(bucket)
        else:
            output = float(output_tokens)
            self.output_tokens_.learn_one(bucket, model, output)
        listed = float(self._listed(input_tokens, output)[model])
        if listed > 0:
            # Weighting by the listed cost makes the correction a ratio of sums, which is
            # unbiased for the bill, instead of a mean of ratios, which is not.
            scale = float(self.scale_[model])
            self.correction_.learn_one(bucket, model, cost / listed, listed / scale)

    def learn_many(self, cost: NDArray[np.float64], input_tokens: NDArray[np.int64]) -> None:
        """Learn real costs (n, M) of prompts of (n,) tokens, NaN where unknown; all are ≥ 0."""
        if len(cost) == 0:
            return
        buckets = np.array([length_bucket(tokens) for tokens in input_tokens.tolist()])
        output = self.output_tokens_.mean_[:, buckets].T
        listed = self._listed(input_tokens[:, None], output)
        rows, models = np.nonzero(~np.isnan(cost) & (listed > 0))
        price = listed[rows, models]
        self.correction_.learn_many(
            buckets[rows], models, cost[rows, models] / price, price / self.scale_[models]
        )

    def set_zoo(self, zoo: Zoo) -> None:
        """Take new prices and models; what was learned of known models stays."""
        lengths = np.array([m.typical_output_tokens for m in zoo.models])
        self.output_tokens_.set_models(zoo.names, lengths)
        self._set_prices(zoo)
        self.correction_.set_models(zoo.names, self._correction_prior())

    def _set_prices(self, zoo: Zoo) -> None:
        self.input_price_ = np.array([m.input_price for m in zoo.models]) * _PER_MILLION
        self.output_price_ = np.array([m.output_price for m in zoo.models]) * _PER_MILLION
        free = np.array([m.input_price + m.output_price + m.call_price == 0 for m in zoo.models])
        # A model listed as free gets a unit list price, so that its correction is its mean cost.
        self.call_price_ = np.where(free, 1.0, [m.call_price for m in zoo.models])
        self.free_ = free
        self.scale_ = np.where(free, 1.0, zoo.typical_costs)

    def _correction_prior(self) -> NDArray[np.float64]:
        return np.where(self.free_, 0.0, 1.0)

    def _listed(self, input_tokens: Any, output_tokens: Any) -> NDArray[np.float64]:
        return np.asarray(
            self.call_price_ + self.input_price_ * input_tokens + self.output_price_ * output_tokens
        )
