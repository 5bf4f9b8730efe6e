import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from floorline.core.snapshots import pack
from floorline.estimators import CostEstimator
from floorline.estimators.cost import BucketMean, CacheTokens
from floorline.zoo import Model, Zoo

TOKENS = Zoo(
    [
        Model("small", input_price=1.0, output_price=2.0, typical_output_tokens=100),
        Model("large", input_price=10.0, output_price=30.0, typical_output_tokens=100),
    ]
)


def test_estimate_before_any_call_is_the_listed_cost_of_a_typical_answer():
    estimate = CostEstimator(TOKENS).predict_one(1000)
    assert estimate == pytest.approx([(1000 + 200) / 1e6, (10_000 + 3000) / 1e6])


def test_longer_prompts_cost_more():
    estimator = CostEstimator(TOKENS)
    costs = [estimator.predict_one(n)[1] for n in (0, 10, 100, 1000, 100_000)]
    assert costs == sorted(costs)
    assert costs[-1] - costs[-2] == pytest.approx(99_000 * 10 / 1e6)


def test_answer_lengths_are_learned_per_model_and_length_of_prompt():
    estimator = CostEstimator(TOKENS)
    for _ in range(300):
        for tokens, answer in ((20, 50), (2000, 800)):
            cost = (10 * tokens + 30 * answer) / 1e6
            estimator.learn_one(1, cost=cost, input_tokens=tokens, output_tokens=answer)
    short, long = estimator.predict_one(20), estimator.predict_one(2000)
    assert short[1] == pytest.approx((200 + 1500) / 1e6, rel=0.15)
    assert long[1] == pytest.approx((20_000 + 24_000) / 1e6, rel=0.05)
    assert short[0] == CostEstimator(TOKENS).predict_one(20)[0]


def test_without_token_counts_the_mean_cost_is_learned():
    """Costs differ between calls; the sum of estimates must equal the sum of costs."""
    zoo = Zoo([Model("only", call_price=2.0)])
    estimator, rng = CostEstimator(zoo), np.random.default_rng(0)
    costs = rng.lognormal(1.0, 1.0, size=2000)
    for cost in costs:
        estimator.learn_one(0, cost=cost, input_tokens=100)
    assert estimator.predict_one(100)[0] == pytest.approx(costs.mean(), rel=0.02)


def test_costs_above_the_list_price_are_learned():
    estimator, rng = CostEstimator(TOKENS), np.random.default_rng(0)
    for _ in range(500):
        answer = int(rng.integers(10, 400))
        cost = 1.5 * (10 * 500 + 30 * answer) / 1e6
        estimator.learn_one(1, cost=cost, input_tokens=500, output_tokens=answer)
    mean = 1.5 * (5000 + 30 * 204.5) / 1e6
    assert estimator.predict_one(500)[1] == pytest.approx(mean, rel=0.05)


def test_a_model_listed_as_free_is_estimated_by_its_real_cost():
    estimator = CostEstimator(Zoo([Model("free"), Model("paid", call_price=1.0)]))
    assert estimator.predict_one(10).tolist() == [0.0, 1.0]
    for _ in range(200):
        estimator.learn_one(0, cost=5.0, input_tokens=10)
    assert estimator.predict_one(10)[0] == pytest.approx(5.0, rel=0.05)


def test_estimate_of_a_model_without_real_costs_stays_zero():
    estimator = CostEstimator(Zoo([Model("free")]))
    for _ in range(10):
        estimator.learn_one(0, cost=0.0, input_tokens=10, output_tokens=100)
    assert estimator.predict_one(10)[0] == 0.0


def test_new_prices_apply_at_once_and_learned_lengths_stay():
    estimator = CostEstimator(TOKENS)
    for _ in range(500):
        estimator.learn_one(0, cost=(100 + 1000) / 1e6, input_tokens=100, output_tokens=500)
    before = estimator.predict_one(100)[0]
    assert before == pytest.approx(1100 / 1e6, rel=0.05)
    estimator.set_zoo(
        TOKENS.with_model(Model("small", input_price=2.0, output_price=4.0)).with_model(
            Model("new", call_price=7.0)
        )
    )
    after = estimator.predict_one(100)
    assert after[0] == pytest.approx(2 * before, rel=0.01)
    assert after[2] == 7.0


def test_a_model_that_leaves_and_returns_starts_untrained():
    estimator = CostEstimator(TOKENS)
    for _ in range(50):
        estimator.learn_one(1, cost=1.0, input_tokens=100)
    estimator.set_zoo(TOKENS.without("large"))
    estimator.set_zoo(TOKENS)
    assert estimator.predict_one(100).tolist() == CostEstimator(TOKENS).predict_one(100).tolist()


CALLS = st.tuples(
    st.integers(0, 1), st.floats(0, 1), st.integers(0, 100_000), st.none() | st.integers(0, 5000)
)


@given(st.lists(CALLS, max_size=20))
def test_estimates_are_finite_and_a_restored_copy_learns_the_same(calls):
    estimator, twin = CostEstimator(TOKENS), CostEstimator(TOKENS)
    for model, cost, tokens, answer in calls:
        estimator.learn_one(model, cost=cost, input_tokens=tokens, output_tokens=answer)
    twin.restore(estimator.snapshot())
    for each in (estimator, twin):
        each.learn_one(0, cost=0.1, input_tokens=3)
        assert np.isfinite(each.predict_one(50)).all()
        assert (each.predict_one(50) >= 0).all()
    assert pack(twin.snapshot()) == pack(estimator.snapshot())


@given(rows=st.integers(0, 60), seed=st.integers(0, 1000))
def test_learn_many_equals_repeated_learn_one_exactly(rows, seed):
    rng = np.random.default_rng(seed)
    costs = np.where(rng.random((rows, 2)) < 0.2, np.nan, rng.lognormal(-8, 2, (rows, 2)))
    tokens = rng.integers(0, 50_000, rows)
    one, many = CostEstimator(TOKENS), CostEstimator(TOKENS)
    for estimator in (one, many):
        estimator.learn_one(1, cost=0.5, input_tokens=700, output_tokens=90)
    for row, model in np.argwhere(~np.isnan(costs)).tolist():
        one.learn_one(model, cost=costs[row, model], input_tokens=int(tokens[row]))
    many.learn_many(costs, tokens)
    assert pack(many.snapshot()) == pack(one.snapshot())


def test_a_snapshot_has_the_means_of_all_that_was_learned():
    learned = BucketMean(["small"], np.array([1.0]))
    learned.learn_one(3, 0, 9.0)
    state = learned.snapshot()
    other = BucketMean(["small"], np.array([1.0]))
    other.learn_one(5, 0, 100.0)
    other.restore(state)
    assert other.predict_one(3) == learned.predict_one(3) == state["mean_"][0, 3]
    assert other.predict_one(5) == learned.predict_one(5)


def test_of_a_reported_cost_a_factor_of_eight_of_the_list_price_is_learned():
    model = Model("small", output_price=1e6, typical_output_tokens=10.0, max_output_tokens=100)
    for reported, most in ((1e9, 8.0), (1e-9, 1 / 8)):
        estimator = CostEstimator(Zoo([model]))
        for _ in range(10_000):
            estimator.learn_one(0, cost=reported, input_tokens=5, output_tokens=10, reported=True)
        assert float(estimator.predict_one(5)[0]) == pytest.approx(10.0 * most, rel=0.01)
    longer = CostEstimator(Zoo([model]))
    for _ in range(10_000):
        longer.learn_one(0, cost=1e6, input_tokens=5, output_tokens=2**40, reported=True)
    assert float(longer.predict_one(5)[0]) <= 100.0 * 8.01


def test_long_prompts_cost_what_their_tier_says():
    model = Model(
        "m",
        input_price=1e6,
        output_price=2e6,
        cached_input_price=1e5,
        typical_output_tokens=10,
        long_prompt_tokens=100,
        long_prompt_input_factor=2.0,
        long_prompt_output_factor=1.5,
    )
    estimator = CostEstimator(Zoo([model, Model("flat", input_price=1e6)]))
    assert estimator.predict_one(100) == pytest.approx([100 + 20, 100])
    assert estimator.predict_one(101) == pytest.approx([2 * 101 + 1.5 * 20, 101])
    cache = CacheTokens(np.array([50.0, 0.0]), np.zeros(2))
    assert estimator.predict_one(101, cache)[0] == pytest.approx(2 * (51 + 5) + 30)
    before = estimator.snapshot()
    # The real cost of a long prompt is no correction of the list price.
    estimator.learn_one(
        0, cost=2 * (51 + 5) + 30, input_tokens=101, output_tokens=10, cached_tokens=50
    )
    assert estimator.correction_.predict_one(3)[0] == pytest.approx(1.0)
    estimator.restore(before)
    assert estimator.predict_one(101)[0] == pytest.approx(2 * 101 + 30)
