"""The cost estimator with cached tokens: discounts are no part of what it learns."""

import numpy as np
import pytest

from floorline import Model, Zoo
from floorline.estimators.cost import CacheTokens, CostEstimator

ZOO = Zoo(
    [
        Model("plain", input_price=1.0, output_price=5.0),
        Model("half", input_price=2.0, output_price=8.0, cached_input_price=1.0),
        Model(
            "tenth",
            input_price=3.0,
            output_price=15.0,
            cached_input_price=0.3,
            cache_write_price=3.75,
        ),
    ]
)


def bill(model, tokens, read, written, output):
    price = ZOO.models[model]
    cached = price.input_price if price.cached_input_price is None else price.cached_input_price
    write = price.input_price if price.cache_write_price is None else price.cache_write_price
    rest = tokens - read - written
    parts = (price.input_price * rest, cached * read, write * written, price.output_price * output)
    return sum(parts) / 1e6


def test_what_caches_change_of_the_list_price():
    estimator = CostEstimator(ZOO)
    cache = CacheTokens(np.full(3, 3000.0), np.full(3, 500.0))
    found = estimator.predict_one(4000, cache)
    assert found == pytest.approx([bill(m, 4000, 3000, 500, 256) for m in range(3)])
    assert estimator.predict_one(4000) == pytest.approx(
        [bill(m, 4000, 0, 0, 256) for m in range(3)]
    )


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_estimates_are_unbiased_with_and_without_cached_tokens(share):
    """The share of cached calls in what is learned moves neither estimate."""
    estimator, rng = CostEstimator(ZOO), np.random.default_rng(7)
    factor = 1.3  # the provider counts 1.3 tokens where Floorline estimates 1
    for _ in range(3000):
        tokens, output = int(rng.integers(2000, 4000)), int(rng.integers(50, 150))
        read = round(0.9 * tokens) if rng.random() < share else 0
        written = tokens - read
        for m in range(3):
            cost = factor * bill(m, tokens, read, written, output)
            estimator.learn_one(
                m,
                cost=cost,
                input_tokens=tokens,
                output_tokens=output,
                cached_tokens=read,
                cache_write_tokens=written,
            )
    for read in (0.0, 2700.0):
        cache = CacheTokens(np.full(3, read), np.full(3, 3000.0 - read))
        real = [factor * bill(m, 3000, read, 3000 - read, 99.5) for m in range(3)]
        assert estimator.predict_one(3000, cache) == pytest.approx(real, rel=0.03)


def test_more_cached_tokens_than_the_prompt_has_are_not_believed():
    estimator = CostEstimator(ZOO)
    estimator.learn_one(2, cost=0.001, input_tokens=100, cached_tokens=10**9, cache_write_tokens=9)
    assert np.isfinite(estimator.predict_one(100)).all()
    assert (estimator.predict_one(100) > 0).all()


def test_a_changed_price_of_cached_tokens_holds_at_once():
    estimator = CostEstimator(ZOO)
    cache = CacheTokens(np.full(3, 1000.0), np.zeros(3))
    before = estimator.predict_one(1000, cache)[0]
    estimator.set_zoo(ZOO.with_model(Model("plain", 1.0, 5.0, cached_input_price=0.1)))
    assert before - estimator.predict_one(1000, cache)[0] == pytest.approx(0.9e-3)
