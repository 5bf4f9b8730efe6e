"""Estimator of the cost of a call: list prices times a correction learned from real costs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from floorline.core.snapshots import State, Stateful
from floorline.errors import check_number
from floorline.estimators.base import carry_over
from floorline.zoo import DEFAULT_MAX_OUTPUT_TOKENS, Model, Zoo

_BUCKETS = 12
"""Number of prompt-length buckets B."""
_REPORTED_FACTOR = 8.0
"""Largest factor between the list price and a reported cost that is learned. A client's discounts
and surcharges are within it, and its errors move the estimate for others by no more."""
_PER_MILLION = 1e-6
"""Prices are stated per million tokens."""


def length_bucket(input_tokens: int) -> int:
    """Return the bucket of a prompt's length: 0–15 tokens, 16–31, 32–63, …, 16,384 and more.

    Examples
    --------
    >>> length_bucket(15), length_bucket(16), length_bucket(1_000_000)
    (0, 1, 11)
    """
    return min(_BUCKETS - 1, max(0, int(input_tokens).bit_length() - 4))


class BucketMean(Stateful):
    """Running mean per model and prompt-length bucket, with shrinkage.

    The mean of a bucket is shrunk to the mean of its model over all buckets, which is shrunk to
    the prior.

    Parameters
    ----------
    models
        Names of the M models.
    prior
        (M,) means before the first value; each counts as one value.
    strength
        Number of values that the model's mean counts as in the mean of a bucket.

    Attributes
    ----------
    sum_
        (M, B) weighted sums of the values.
    weight_
        (M, B) sums of the weights.
    mean_
        (M, B) shrunk means.
    prior_
        (M,) prior means.
    models_
        Names of the models.
    """

    def __init__(
        self, models: Sequence[str], prior: NDArray[np.float64], *, strength: float = 5.0
    ) -> None:
        self.strength = strength
        self.models_ = list(models)
        self.prior_ = np.asarray(prior, dtype=np.float64)
        self.sum_ = np.zeros((len(models), _BUCKETS))
        self.weight_ = np.zeros((len(models), _BUCKETS))
        # Column b holds the means of bucket b, so a prediction reads one column.
        self.mean_ = np.tile(self.prior_[:, None], (1, _BUCKETS))
        self._stale: set[int] = set()

    def predict_one(self, bucket: int | NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the (M,) means of one bucket, or the (M, n) means of n buckets."""
        self._refresh()
        return self.mean_[:, bucket]

    def snapshot(self) -> State:
        """Copy the state, with means of all that was learned."""
        self._refresh()
        return super().snapshot()

    def restore(self, state: State) -> None:
        """Take over a state."""
        super().restore(state)
        self._stale.clear()

    def learn_one(self, bucket: int, model: int, value: float, weight: float = 1.0) -> None:
        """Add one value of one model to a bucket."""
        self.sum_[model, bucket] += weight * value
        self.weight_[model, bucket] += weight
        self._stale.add(model)

    def learn_many(
        self,
        buckets: NDArray[np.int64],
        models: NDArray[np.int64],
        values: NDArray[np.float64],
        weights: NDArray[np.float64],
    ) -> None:
        """Add (n,) values, each of one model and bucket.

        The result equals that of n calls of ``learn_one`` exactly.
        """
        np.add.at(self.sum_, (models, buckets), weights * values)
        np.add.at(self.weight_, (models, buckets), weights)
        self._stale.update(range(len(self.models_)))

    def set_models(self, names: Sequence[str], prior: NDArray[np.float64]) -> None:
        """Change the list of models: known models keep their values, new ones start at the prior.

        Parameters
        ----------
        names
            Names of the M models from now on.
        prior
            (M,) prior means from now on.
        """
        self.sum_ = carry_over(self.models_, names, self.sum_, 0.0)
        self.weight_ = carry_over(self.models_, names, self.weight_, 0.0)
        self.prior_ = np.asarray(prior, dtype=np.float64)
        self.mean_ = np.empty((len(names), _BUCKETS))
        self.models_ = list(names)
        self._stale = set(range(len(names)))

    def _refresh(self) -> None:
        """Bring the means of models up to date that learned since; a fold rarely asks for them."""
        for model in self._stale:
            sums, weights = self.sum_[model], self.weight_[model]
            coarse = (sums.sum() + self.prior_[model]) / (weights.sum() + 1.0)
            self.mean_[model] = (sums + self.strength * coarse) / (weights + self.strength)
        self._stale.clear()


class CacheTokens(NamedTuple):
    """Input tokens of one request that each provider reads from its cache and writes to it.

    Attributes
    ----------
    read, written
        (M,) numbers of tokens, in the same measure as the request's input tokens; together at most
        as many as these.
    """

    read: NDArray[np.float64]
    written: NDArray[np.float64]


class CostEstimator(Stateful):
    """Expected cost ĉ_m of a call, in the zoo's cost unit.

    The estimate is a learned correction times the listed cost ``call price + input price ·
    (n − read − written) + cached price · read + write price · written + output price · ô_m(n)``.
    Here n is the number of input tokens, ô_m(n) the mean length of the answers to prompts of about
    n tokens, and ``read`` and ``written`` are what the provider reads from its cache and writes to
    it. The correction is the mean of real over listed cost; the listed cost of a call has the
    tokens that its provider really read and wrote, so that the correction learns nothing of caches.
    If the lengths of answers are unknown, as in routing tables, only the correction learns. The
    estimate of a model listed as free is its mean real cost.

    Parameters
    ----------
    zoo
        The M models and their list prices.

    Attributes
    ----------
    output_tokens_
        ``BucketMean`` of the lengths of answers, in tokens.
    correction_
        ``BucketMean`` of real over listed cost; of the real cost for models listed as free.
    input_price_, output_price_
        (M,) prices per token.
    long_, long_input_, long_output_
        (M,) lengths of prompts above which tokens cost more, and the factors of their prices.
    shortest_long_
        Shortest of these lengths.
    read_change_, write_change_
        (M,) what a token costs more, or less where negative, than another input token if the
        provider reads it from its cache, or writes it to it.
    call_price_
        (M,) prices per call; 1 for models listed as free.
    free_
        (M,) whether the model is listed as free.
    longest_
        (M,) largest length of an answer in tokens that is learned from a client's report.
    scale_
        (M,) listed costs of a typical call; they make the weights of the correction unit-free.

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

    def predict_one(
        self, input_tokens: int, cache: CacheTokens | None = None
    ) -> NDArray[np.float64]:
        """Return the (M,) expected costs of a request with this many input tokens.

        ``cache`` has those of them that the providers are expected to have in their caches; None if
        caches play no part.
        """
        bucket = length_bucket(input_tokens)
        listed = self._listed(input_tokens, self.output_tokens_.predict_one(bucket))
        if cache is not None:
            change = self.cache_change(cache)
            if input_tokens > self.shortest_long_:
                change = change * np.where(input_tokens > self.long_, self.long_input_, 1.0)
            listed = listed + change
        return listed * self.correction_.predict_one(bucket)

    def cache_change(self, cache: CacheTokens) -> NDArray[np.float64]:
        """Return what caches change of the (M,) list prices; negative where they save money."""
        return np.asarray(self.read_change_ * cache.read + self.write_change_ * cache.written)

    def learn_one(
        self,
        model: int,
        *,
        cost: float,
        input_tokens: int,
        output_tokens: int | None = None,
        cached_tokens: float = 0.0,
        cache_write_tokens: float = 0.0,
        reported: bool = False,
    ) -> None:
        """Learn the real cost of one call and, if known, the length of its answer.

        ``cached_tokens`` and ``cache_write_tokens`` are those of the input tokens that the provider
        read from its cache and wrote to it.

        Of a cost that a client ``reported``, and no gateway measured, no more is believed than a
        factor of 8 from the list price, and an answer of the model's usual largest length.

        Raises
        ------
        InvalidInput
            If the cost or the number of output tokens is negative, NaN or infinite.
        """
        check_number("cost", cost, low=0.0, fix="give the real cost, 0 or more")
        if output_tokens is not None:
            check_number("output_tokens", output_tokens, low=0.0, fix="give 0 or more, or None")
        bucket = length_bucket(input_tokens)
        if output_tokens is None:
            output = float(self.output_tokens_.predict_one(bucket)[model])
        else:
            output = float(output_tokens)
            if reported:
                output = min(output, float(self.longest_[model]))
            self.output_tokens_.learn_one(bucket, model, output)
        # As ``_listed``, of one model.
        given = float(self.input_price_[model]) * input_tokens
        answered = float(self.output_price_[model]) * output
        if cached_tokens or cache_write_tokens:
            read = min(cached_tokens, float(input_tokens))
            written = min(cache_write_tokens, input_tokens - read)
            given += float(self.read_change_[model] * read + self.write_change_[model] * written)
        if input_tokens > self.long_[model]:
            given *= float(self.long_input_[model])
            answered *= float(self.long_output_[model])
        listed = float(self.call_price_[model]) + given + answered
        if listed > 0:
            # Weighted by the listed cost, the correction is a ratio of sums, which is unbiased for
            # the total cost. A mean of ratios is biased.
            scale = float(self.scale_[model])
            if reported and not self.free_[model]:
                cost = min(max(cost, listed / _REPORTED_FACTOR), listed * _REPORTED_FACTOR)
            self.correction_.learn_one(bucket, model, cost / listed, listed / scale)

    def learn_many(self, cost: NDArray[np.float64], input_tokens: NDArray[np.int64]) -> None:
        """Learn a history of real costs.

        Parameters
        ----------
        cost
            (n, M) real costs of 0 or more, NaN if unknown.
        input_tokens
            (n,) lengths of the prompts.
        """
        if len(cost) == 0:
            return
        buckets = np.array([length_bucket(tokens) for tokens in input_tokens.tolist()])
        output = self.output_tokens_.predict_one(buckets).T
        listed = self._listed(input_tokens[:, None], output)
        rows, models = np.nonzero(~np.isnan(cost) & (listed > 0))
        price = listed[rows, models]
        self.correction_.learn_many(
            buckets[rows], models, cost[rows, models] / price, price / self.scale_[models]
        )

    def set_zoo(self, zoo: Zoo) -> None:
        """Change models and list prices; known models keep what was learned."""
        lengths = np.array([m.typical_output_tokens for m in zoo.models])
        self.output_tokens_.set_models(zoo.names, lengths)
        self._set_prices(zoo)
        self.correction_.set_models(zoo.names, self._correction_prior())

    def _set_prices(self, zoo: Zoo) -> None:
        self.input_price_ = np.array([m.input_price for m in zoo.models]) * _PER_MILLION
        self.output_price_ = np.array([m.output_price for m in zoo.models]) * _PER_MILLION
        self.long_ = np.array([float(m.long_prompt_tokens or np.inf) for m in zoo.models])
        self.shortest_long_ = float(self.long_.min())
        self.long_input_ = np.array([m.long_prompt_input_factor for m in zoo.models])
        self.long_output_ = np.array([m.long_prompt_output_factor for m in zoo.models])
        self.read_change_ = np.array([_change(m, m.cached_input_price) for m in zoo.models])
        self.write_change_ = np.array([_change(m, m.cache_write_price) for m in zoo.models])
        free = np.array([m.input_price + m.output_price + m.call_price == 0 for m in zoo.models])
        # A model listed as free gets the list price 1, so that its correction is its mean cost.
        self.longest_ = np.array(
            [float(m.max_output_tokens or DEFAULT_MAX_OUTPUT_TOKENS) for m in zoo.models]
        )
        self.call_price_ = np.where(free, 1.0, [m.call_price for m in zoo.models])
        self.free_ = free
        self.scale_ = np.where(free, 1.0, zoo.typical_costs)

    def _correction_prior(self) -> NDArray[np.float64]:
        return np.where(self.free_, 0.0, 1.0)

    def _listed(self, input_tokens: Any, output_tokens: Any) -> NDArray[np.float64]:
        given, answered = self.input_price_, self.output_price_
        longest = input_tokens if isinstance(input_tokens, int) else np.max(input_tokens)
        if longest > self.shortest_long_:
            is_long = input_tokens > self.long_
            given = given * np.where(is_long, self.long_input_, 1.0)
            answered = answered * np.where(is_long, self.long_output_, 1.0)
        return np.asarray(self.call_price_ + given * input_tokens + answered * output_tokens)


def _change(model: Model, price: float | None) -> float:
    """What an input token of this price per million costs more than the others, in cost units."""
    return 0.0 if price is None else (price - model.input_price) * _PER_MILLION
