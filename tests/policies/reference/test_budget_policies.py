"""Tests of PORT's baselines and of the reference policies for budgets."""

import numpy as np
import pytest

from floorline.errors import InvalidInput
from floorline.policies import BUDGET_REFERENCE_POINTS, POLICIES, History, Request, make_policy
from floorline.policies.base import DECLINED
from floorline.sla import SLA, Budget

COSTS = np.array([1.0, 4.0, 20.0])
AMOUNTS = {"small": 20.0, "medium": 60.0, "large": 200.0}


@pytest.fixture
def gold():
    return SLA("gold", floor=0.0, budget=Budget(per_model=AMOUNTS))


def stream(count, seed):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(count, 6)).astype(np.float32)
    chance = np.clip(np.array([0.3, 0.5, 0.8]) + 0.4 * np.sign(x[:, :1]) * [1, 0, 0], 0, 1)
    quality = (rng.random((count, 3)) < chance).astype(float)
    return x, quality, COSTS * rng.lognormal(0, 0.3, (count, 3))


@pytest.fixture
def warm(build_router, gold):
    def build(policy, sla=gold, **parameters):
        router = build_router(make_policy(policy, **parameters), [sla])
        x, quality, cost = stream(300, 1)
        router.policy.warm_start(History(list(x), quality, cost, np.full(300, 10)))
        return router

    return build


def knowledge(policy, x, quality, cost):
    """Constructor arguments with what the policy knows of the stream."""
    parameters = {} if policy != "budget_fill" else {"horizon": len(x)}
    return parameters | {
        "features": {"features": x, "input_tokens": np.full(len(x), 10)},
        "means": {"mean_quality": quality.mean(axis=0), "mean_cost": cost.mean(axis=0)},
        "labels": {"quality": quality, "cost": cost},
    }.get(POLICIES[policy].knows, {})


def live(router, x, cost, batch=1):
    models, spent = [], np.zeros(3)
    for first in range(0, len(x), batch):
        rows = range(first, min(first + batch, len(x)))
        requests = [router.request(features=x[row], input_tokens=10) for row in rows]
        for row, decision in zip(rows, router.decide(requests), strict=True):
            models.append(decision.index)
            if not decision.declined:
                spent[decision.index] += cost[row, decision.index]
                router.outcome(decision.id, cost=cost[row, decision.index])
    return np.array(models), spent


@pytest.mark.parametrize("policy", BUDGET_REFERENCE_POINTS)
def test_budgets_hold_up_to_the_cost_of_one_request(policy, warm):
    x, quality, cost = stream(200, 2)
    router = warm(policy, **knowledge(policy, x, quality, cost))
    models, spent = live(router, x, cost)
    assert (spent <= list(AMOUNTS.values()) + cost.max(axis=0)).all()
    assert (models != DECLINED).sum() > 30


@pytest.mark.parametrize("policy", ["greedy_perf", "knn_perf", "classifier_perf"])
def test_perf_serves_the_highest_estimate_among_allowed_models(policy, warm):
    router = warm(policy)
    rng = np.random.default_rng(0)
    for x in stream(20, 3)[0]:
        quality, cost = router.policy.estimate(Request(x, "gold", 0.0, 10))
        choice = router.policy.decide(Request(x, "gold", 0.0, 10), rng)
        assert choice.model == quality.argmax()
        np.testing.assert_array_equal(choice.cost, cost)
        allowed = np.arange(3) != quality.argmax()
        choice = router.policy.decide(Request(x, "gold", 0.0, 10, allowed), rng)
        assert choice.model == np.where(allowed, quality, -1).argmax()


@pytest.mark.parametrize("policy", ["greedy_cost", "knn_cost", "classifier_cost"])
def test_cost_serves_the_model_with_the_most_budget_left_by_estimates(policy, warm):
    router = warm(policy)
    x, _, cost = stream(12, 4)
    left = np.array(list(AMOUNTS.values()))
    for row in range(12):
        decision = router.route(features=x[row], input_tokens=10)
        assert decision.index == left.argmax()
        left[decision.index] -= decision.expected_cost
        router.outcome(decision.id, cost=0.5 * cost[row, decision.index])


def test_greedy_uses_approximate_and_knn_exact_neighbours(warm):
    assert not warm("greedy_perf").policy.quality_.exact
    assert warm("knn_perf").policy.quality_.exact
    assert warm("knn_cost").policy.quality_.exact


@pytest.mark.parametrize("policy", ["greedy_perf", "greedy_cost", "batch_split"])
def test_without_fallback_at_least_as_many_requests_are_declined(policy, warm):
    x, _, cost = stream(150, 5)
    without = (live(warm(policy, fallback=False), x, cost)[0] == DECLINED).sum()
    fallback = (live(warm(policy), x, cost)[0] == DECLINED).sum()
    assert without >= fallback


def test_batch_split_keeps_the_budgets_and_beats_greedy(warm):
    router = warm("batch_split")
    x, _, _ = stream(64, 6)
    requests = [router.request(features=v, input_tokens=10) for v in x]
    choices = router.policy.decide_batch(requests, np.random.default_rng(0))
    paid, value = np.zeros(3), 0.0
    for choice in choices:
        if choice.model != DECLINED:
            paid[choice.model] += choice.cost[choice.model]
            value += choice.quality[choice.model]
    assert (paid <= np.array(list(AMOUNTS.values())) * (1 + 1e-9)).all()
    greedy = warm("greedy_perf").decide(requests)
    assert value > sum(decision.expected_quality for decision in greedy)


def test_requests_of_several_slas_in_a_batch_are_planned_separately(build_router, gold):
    poor = SLA("poor", floor=0.0, budget=Budget(per_model=dict.fromkeys(AMOUNTS, 0.0)))
    router = build_router(make_policy("batch_split"), [gold, poor])
    x, _, _ = stream(10, 7)
    names = ["gold", "poor"] * 5
    pairs = zip(x, names, strict=True)
    requests = [Request(v, sla, 0.0, 10) for v, sla in pairs]
    choices = router.policy.decide_batch(requests, np.random.default_rng(0))
    assert [choice.model == DECLINED for choice in choices] == [sla == "poor" for sla in names]


def test_budget_fill_serves_with_probability_budget_over_cost(build_router, vector):
    budget = Budget(per_model={"small": 100.0, "medium": 100.0, "large": 0.0})
    policy = make_policy(
        "budget_fill", mean_quality=np.array([0.4, 0.6, 0.9]), mean_cost=COSTS, horizon=1000
    )
    build_router(policy, [SLA("gold", floor=0.0, budget=budget)])
    rng, request = np.random.default_rng(0), Request(vector(0), "gold", 0.0, 10)
    choices = [policy.decide(request, rng) for _ in range(4000)]
    shares = np.bincount([choice.model + 1 for choice in choices], minlength=4) / 4000
    np.testing.assert_allclose(shares, [0.875, 0.1, 0.025, 0.0], atol=0.02)
    np.testing.assert_allclose(choices[0].propensities, [0.1, 0.025, 0.0], atol=1e-9)
    allowed = np.array([False, True, True])
    np.testing.assert_allclose(
        policy.decide(request._replace(allowed=allowed), rng).propensities, [0, 0.125, 0]
    )


def test_budget_fill_prefers_better_models_under_large_budgets(build_router):
    budget = Budget(per_model={"small": 1e6, "medium": 1e6, "large": 6000.0})
    policy = make_policy(
        "budget_fill", mean_quality=np.array([0.4, 0.6, 0.9]), mean_cost=COSTS, horizon=1000
    )
    build_router(policy, [SLA("gold", floor=0.0, budget=budget)])
    np.testing.assert_allclose(policy.weights_["gold"], [0.0, 0.7, 0.3], atol=1e-9)


def test_no_policy_exceeds_the_optimum_over_labels(warm):
    x, quality, cost = stream(150, 8)

    def performance(policy):
        router = warm(policy, **knowledge(policy, x, quality, cost))
        models, _ = live(router, x, cost, POLICIES[policy].batch)
        rows = np.flatnonzero(models != DECLINED)
        return quality[rows, models[rows]].sum()

    best = performance("budget_oracle")
    for policy in BUDGET_REFERENCE_POINTS:
        assert performance(policy) <= best, policy


@pytest.mark.parametrize("policy", ["lp_on_estimates", "budget_oracle"])
def test_a_plan_is_followed_restored_and_ends_with_the_stream(policy, warm):
    x, quality, cost = stream(60, 9)
    router = warm(policy, **knowledge(policy, x, quality, cost))
    live(router, x[:30], cost[:30])
    twin = warm(policy, **knowledge(policy, x, quality, cost))
    live(twin, x[:5], cost[:5])
    twin.restore(router.snapshot())
    for one, other in zip(live(router, x[30:], cost), live(twin, x[30:], cost), strict=True):
        np.testing.assert_array_equal(one, other)
    with pytest.raises(InvalidInput, match="give at most 60 requests"):
        router.policy.decide(Request(x[0], "gold", 0.0, 10), np.random.default_rng(0))


def test_features_and_tokens_of_different_lengths_are_rejected():
    with pytest.raises(InvalidInput, match="input_tokens"):
        make_policy("lp_on_estimates", features=np.zeros((3, 2)), input_tokens=np.zeros(2))


def test_a_changed_sla_changes_the_budgets(build_router, gold):
    router = build_router("greedy_cost", [gold])
    router.policy.trackers_["gold"].spending_.add("small", 5.0)
    router.set_sla(SLA("gold", floor=0.0, budget=Budget(per_model={"small": 50.0})))
    assert router.policy.trackers_["gold"].left().tolist() == [45.0, np.inf, np.inf]
    router.set_sla(SLA("other", floor=0.0))
    assert not router.policy.trackers_["other"].limited
