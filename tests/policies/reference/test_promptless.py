import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from floorline.errors import InvalidInput
from floorline.policies import make_policy
from floorline.sla import SLA

MEANS = {"mean_quality": np.array([0.4, 0.7, 0.9]), "mean_cost": np.array([1.0, 5.0, 30.0])}


@pytest.mark.parametrize(
    ("floor", "exclude", "model"),
    [(0.0, [], "large"), (0.95, [], "large"), (0.5, ["large"], "medium")],
)
def test_best_fixed_serves_the_model_of_the_highest_mean_quality(
    floor, exclude, model, build_router, vector
):
    router = build_router(make_policy("best_fixed", **MEANS), [SLA("gold", floor=floor)])
    assert router.route(features=vector(1), exclude=exclude).model == model


def test_cheapest_learns_the_real_costs(build_router, vector):
    router = build_router("cheapest")
    costs = {"small": 50.0, "medium": 3.0, "large": 20.0}
    for t in range(200):
        decision = router.route(features=vector(t))
        router.outcome(decision.id, cost=costs[decision.model])
    assert router.route(features=vector(0)).model == "medium"


def test_random_serves_all_models_equally_often(build_router, vector):
    router = build_router("random")
    served = [router.route(features=vector(t)).index for t in range(3000)]
    np.testing.assert_allclose(np.bincount(served) / 3000, 1 / 3, atol=0.03)


@given(floor=st.floats(0.4, 0.9))
@settings(max_examples=20)
def test_the_static_mix_meets_the_floor_in_expectation_at_minimum_cost(floor, build_router, vector):
    router = build_router(make_policy("static_mix", **MEANS), [SLA("gold", floor=floor)])
    shares = router.route(features=vector(0)).propensities
    assert shares @ MEANS["mean_quality"] == pytest.approx(floor)
    if floor <= 0.7:
        assert shares @ MEANS["mean_cost"] == pytest.approx(1 + (floor - 0.4) / 0.3 * 4)


def test_means_of_different_lengths_are_rejected():
    with pytest.raises(InvalidInput, match=r"mean_cost\.shape is \(2,\): give one mean per model"):
        make_policy("static_mix", mean_quality=np.ones(3), mean_cost=np.ones(2))
