"""What a choice costs the later turns of a conversation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from floorline.policies.conversation import FutureCosts

costs = arrays(np.float64, 4, elements=st.floats(0.0, 10.0))
shares = arrays(np.float64, 4, elements=st.floats(0.0, 1.0))


@given(costs, costs, st.floats(0.0, 50.0), shares, st.floats(0.0, 100.0))
def test_the_addend_is_what_the_best_plan_of_one_later_model_costs(
    later, lost, remaining, quality, price
):
    addend = FutureCosts(later, lost, remaining, quality).addend(price)
    worth = remaining * (later - price * quality)
    for m in range(4):
        plans = [worth[j] + (0.0 if j == m else lost[j]) for j in range(4)]
        others = min(
            min(worth[j] + (0.0 if j == n else lost[j]) for j in range(4)) for n in range(4)
        )
        assert addend[m] == pytest.approx(min(plans) - others, abs=1e-6)
    assert addend.min() == 0.0
    # Never more than moving back costs.
    assert (addend <= lost.max() + 1e-9).all()


@given(costs, costs, shares)
def test_without_later_turns_nothing_is_added(later, lost, quality):
    assert FutureCosts(later, np.zeros(4), 0.0, quality).addend(3.0).tolist() == [0.0] * 4


def test_a_model_that_may_not_serve_is_no_plan():
    costs = FutureCosts(np.array([0.1, 1.0]), np.zeros(2), 10.0, np.zeros(2))
    assert costs.addend(0.0).tolist() == [0.0, 0.0]
    assert costs.addend(0.0, np.array([False, True])).tolist() == [0.0, 9.0]


@pytest.mark.parametrize("models", [1, 3])
def test_an_infinite_price_of_satisfaction_leaves_no_weight_to_money(models):
    ones = np.ones(models)
    future = FutureCosts(ones, ones, 5.0, ones / 2)
    assert future.addend(np.inf).tolist() == [0.0] * models
    assert np.isfinite(future.addend(3.0)).all()
