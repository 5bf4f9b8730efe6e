"""Break-even costs and qualities agree with the cheapest mix itself."""

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from floorline.optimization.break_even import break_even
from floorline.optimization.floor_lp import cheapest_mix

SHARES = st.floats(0.02, 0.98).map(lambda share: round(share, 3))
COSTS = st.floats(0.1, 20.0).map(lambda cost: round(cost, 2))


@st.composite
def zoos(draw):
    count = draw(st.integers(2, 5))
    quality = draw(st.lists(SHARES, min_size=count, max_size=count, unique=True))
    cost = draw(st.lists(COSTS, min_size=count, max_size=count, unique=True))
    return np.array(quality), np.array(cost), draw(SHARES), draw(st.integers(0, count - 1))


def used(quality, cost, floor, model):
    return cheapest_mix(quality, cost, floor)[model] > 0.0


def changed(values, model, value):
    values = values.copy()
    values[model] = value
    return values


@given(zoo=zoos())
def test_a_model_is_used_below_its_break_even_cost_and_not_above_it(zoo):
    quality, cost, floor, model = zoo
    assume(floor not in quality)
    found = break_even(quality, cost, floor, model).cost
    if found is None:
        assert not used(quality, changed(cost, model, 1e-9), floor, model)
    elif found == math.inf:
        assert used(quality, changed(cost, model, 1e9), floor, model)
    else:
        assert used(quality, changed(cost, model, found * (1.0 - 1e-6)), floor, model)
        assert not used(quality, changed(cost, model, found * (1.0 + 1e-6)), floor, model)


@given(zoo=zoos())
def test_a_model_is_used_above_its_break_even_quality_and_not_below_it(zoo):
    quality, cost, floor, model = zoo
    assume(floor not in quality)
    found = break_even(quality, cost, floor, model).quality
    if found is None:
        assert not used(changed(quality, model, 1.0), cost, floor, model)
        return
    if found < 1.0 - 1e-6:
        assert used(changed(quality, model, found + 1e-6), cost, floor, model)
    if found > 1e-6:
        assert not used(changed(quality, model, found - 1e-6), cost, floor, model)


def test_the_only_model_is_used_at_any_cost():
    assert break_even(np.array([0.5]), np.array([1.0]), 0.9, 0) == (math.inf, 0.0)


def test_models_that_may_not_serve_play_no_part():
    quality, cost = np.array([0.6, 0.95, 0.9]), np.array([1.0, 2.0, 9.0])
    allowed = np.array([True, False, True])
    assert break_even(quality, cost, 0.8, 2, allowed).cost == math.inf
    # The others cost (4·2 + 3·1)/7; two thirds of its requests and a third at 1 must cost less.
    assert break_even(quality, cost, 0.8, 2).cost == pytest.approx((11 / 7 - 1 / 3) * 1.5)
