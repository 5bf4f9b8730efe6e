import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import beta, binom

from floorline.errors import InvalidInput
from floorline.policies import History, make_policy
from floorline.policies.reference.fixed_sample import binomial_tail
from floorline.sla import SLA

GATES = ["clopper_pearson_gate", "conformal_arbitrage"]
PRICES = {"small": 1.0, "medium": 4.0, "large": 20.0}


def live_through(router, count, labels, vector, known=lambda name: True):
    """Route requests and report labels; return the calls of each."""
    called = []
    for t in range(count):
        decision = router.route(features=vector(t))
        called.append(decision.called)
        for name in decision.called:
            router.outcome(decision.id, model=name, cost=PRICES[name])
            if known(name):
                router.feedback(decision.id, model=name, score=labels(t, name))
    return called


@pytest.mark.parametrize("name", GATES)
def test_the_sample_is_queried_in_full_and_nothing_after_it(name, build_router, vector):
    router = build_router(make_policy(name, sample_requests=30))
    called = live_through(router, 50, lambda t, model: 1.0, vector)
    assert [len(names) for names in called] == [3] * 30 + [1] * 20
    assert {names[0] for names in called[:30]} == {"large"}


@pytest.mark.parametrize("name", GATES)
def test_a_cheap_model_that_always_satisfies_serves_after_the_sample(name, build_router, vector):
    router = build_router(make_policy(name, sample_requests=80), [SLA("gold", floor=0.8)])
    called = live_through(router, 100, lambda t, model: 1.0 if model != "medium" else 0.0, vector)
    assert set(called[80:]) == {("small",)}


@pytest.mark.parametrize("name", GATES)
def test_the_best_model_serves_while_the_sample_proves_nothing(name, build_router, vector):
    for known in ((), ("large",), ("small", "medium", "large")):
        router = build_router(make_policy(name, sample_requests=12), [SLA("gold", floor=0.95)])
        called = live_through(router, 20, lambda t, m: 1.0, vector, known.__contains__)
        # Six labels cannot prove that one answer in twenty or fewer does not satisfy.
        assert set(called[12:]) == {("large",)}


@pytest.mark.parametrize("name", GATES)
def test_labels_after_the_sample_teach_nothing(name, build_router, vector):
    routers = [build_router(make_policy(name, sample_requests=30)) for _ in range(2)]
    for score, router in enumerate(routers):
        live_through(router, 30, lambda t, m: float((t * 7 + len(m)) % 3 > 0), vector)
        live_through(router, 60, lambda t, m, score=score: float(score), vector)
    request = [router.route(features=vector(5)) for router in routers]
    assert request[0].model == request[1].model
    np.testing.assert_array_equal(request[0].quality_estimates, request[1].quality_estimates)


@pytest.mark.parametrize("name", GATES)
def test_late_labels_of_the_second_half_calibrate_and_those_of_the_first_do_not_train(
    name, build_router, vector
):
    router = build_router(make_policy(name, sample_requests=40), [SLA("gold", floor=0.5)])
    made = [router.route(features=vector(t)) for t in range(40)]
    before = router.policy.quality_.snapshot()
    assert router.route(features=vector(50)).model == "large"
    for decision in made:
        for model in decision.called:
            router.feedback(decision.id, model=model, score=1.0)
    after = router.policy.quality_.snapshot()
    np.testing.assert_array_equal(after["weights_"], before["weights_"])
    assert router.route(features=vector(50)).model == "small"


@pytest.mark.parametrize("name", GATES)
def test_a_history_is_the_sample(name, build_router, vector):
    router = build_router(make_policy(name), [SLA("gold", floor=0.8)])
    rows = 120
    router.warm_start(
        History(
            features=[vector(t) for t in range(rows)],
            quality=np.tile([1.0, 0.0, 1.0], (rows, 1)),
            cost=np.tile(list(PRICES.values()), (rows, 1)),
            input_tokens=np.full(rows, 10),
        )
    )
    assert router.route(features=vector(0)).called == ("small",)


@pytest.mark.parametrize("name", GATES)
def test_the_floor_holds_for_new_requests_as_often_as_promised(name):
    """Samples of 300 from a known law: the cheap model is right with probability q(x)."""
    policy = make_policy(name)
    policy.models_ = ["cheap", "dear"]
    rng = np.random.default_rng(1)
    floor, means = 0.8, []
    for _ in range(300):
        q, big = rng.random(300), (rng.random(300) < 0.9).astype(float)
        small = (rng.random(300) < q).astype(float)
        limit = policy.threshold(q, small, big, floor)
        # Expected satisfaction of the pair: E[q; q ≥ θ] + .9·P(q < θ) for uniform q.
        theta = min(limit, 1.0)
        passed = (1.0 - theta**2) / 2.0 / (1.0 - theta) if theta < 1.0 else 1.0
        whole = (1.0 - theta**2) / 2.0 + 0.9 * theta
        means.append(passed if name == "clopper_pearson_gate" else whole)
    if name == "clopper_pearson_gate":
        assert np.mean(np.array(means) < floor) <= 0.1
    else:
        assert np.mean(means) >= floor
    assert np.mean(np.array(means) < 0.95) > 0.3  # the cheap model does serve


def test_an_excluded_guardian_or_partner_leaves_the_others(build_router, vector):
    router = build_router(make_policy("conformal_arbitrage", sample_requests=80))
    live_through(router, 80, lambda t, model: 1.0, vector)
    assert router.route(features=vector(1), exclude=["small"]).model == "large"
    assert router.route(features=vector(1), exclude=["small", "large"]).model == "medium"


@given(n=st.integers(1, 300), p=st.floats(0.001, 0.999), share=st.floats(0, 1))
@settings(max_examples=60)
def test_the_binomial_tail_is_scipys_and_that_of_clopper_and_pearson(n, p, share):
    most = int(share * n)
    assert binomial_tail(n, p, most) == pytest.approx(binom.cdf(most, n, p), abs=1e-9)
    if most < n:
        upper = beta.ppf(0.95, most + 1, n - most)
        if abs(upper - p) > 1e-6:
            assert (binomial_tail(n, p, most) <= 0.05) == (upper <= p)


@pytest.mark.parametrize("given_value", [1, 1e6, math.nan])
def test_a_sample_out_of_range_is_refused(given_value):
    with pytest.raises(InvalidInput, match="sample_requests"):
        make_policy("conformal_arbitrage", sample_requests=given_value)
