"""Prices read off the curve are those that solving for them would give."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from floorline.core.snapshots import pack, unpack
from floorline.optimization.floor_lp import floor_price
from floorline.policies.primal_dual.config import PrimalDualConfig
from floorline.policies.primal_dual.price_curve import PriceCurve

CONFIG = PrimalDualConfig()


def estimates(count, models=4, seed=0):
    rng = np.random.default_rng(seed)
    hard = rng.random((count, 1))
    quality = np.clip(1.1 - hard + np.linspace(-0.3, 0.3, models), 0, 1)
    quality = np.clip(quality + 0.05 * rng.normal(size=quality.shape), 0, 1)
    return quality, rng.lognormal(0, 0.3, (count, models)) * np.geomspace(1e-4, 1e-2, models)


def mean_at(price, quality, cost):
    served = (cost - price * quality).argmin(axis=1)
    return quality[np.arange(len(quality)), served].mean()


@pytest.mark.parametrize("floor", [0.45, 0.55, 0.65, 0.75])
def test_the_price_meets_the_floor_as_the_exact_one_does(floor):
    quality, cost = estimates(1500)
    curve = PriceCurve(1e-2, CONFIG)
    curve.see_many(quality, cost)
    assert mean_at(curve.price(floor), quality, cost) == pytest.approx(floor, abs=0.01)
    exact = floor_price(quality, cost, floor)
    assert curve.price(floor) == pytest.approx(exact, rel=0.3)


def test_beyond_what_models_reach_the_price_is_at_its_ends():
    quality, cost = estimates(300)
    curve = PriceCurve(1e-2, CONFIG)
    assert curve.price(0.0) == curve.price(1.0) == curve.prices_[-1]
    curve.see_many(quality, cost)
    assert curve.price(0.0) == curve.prices_[0]
    assert curve.price(1.0) == curve.prices_[-1]
    assert mean_at(curve.price(1.0), quality, cost) == pytest.approx(quality.max(axis=1).mean())


def test_it_follows_requests_that_change():
    curve = PriceCurve(5.0, PrimalDualConfig(price_horizon_requests=100))
    cost = np.array([1.0, 5.0])
    for _ in range(500):
        curve.see(np.array([0.8, 0.9]), cost)
    easy = curve.price(0.85)
    for _ in range(500):
        curve.see(np.array([0.3, 0.9]), cost)
    assert curve.price(0.85) < easy
    assert curve.price(0.35) > curve.price(0.25)


ROWS = st.lists(
    st.tuples(st.lists(st.floats(0, 1), min_size=3, max_size=3), st.integers(0, 2**20)),
    min_size=1,
    max_size=30,
)


@settings(max_examples=60, deadline=None)
@given(ROWS, st.floats(0, 1), st.floats(0, 1), st.floats(1e-6, 1e6))
def test_prices_rise_with_the_floor_and_the_state_continues_bit_for_bit(rows, one, other, unit):
    curve, twin = PriceCurve(unit, CONFIG), PriceCurve(unit, CONFIG)
    for quality, seed in rows:
        cost = unit * np.random.default_rng(seed).random(3)
        curve.see(np.array(quality), cost)
    assert (np.diff(curve.mean_) >= -1e-12).all()
    assert curve.price(min(one, other)) <= curve.price(max(one, other))
    twin.restore(unpack(pack(curve.snapshot())))
    for each in (curve, twin):
        each.see(np.array(rows[0][0]), unit * np.array([0.1, 0.5, 1.0]))
    assert pack(curve.snapshot()) == pack(twin.snapshot())


def test_a_restart_forgets_all_requests_and_takes_another_scale():
    curve = PriceCurve(1.0, CONFIG)
    curve.see(np.array([0.2, 0.9]), np.array([0.1, 1.0]))
    curve.restart(10.0)
    assert curve.seen_ == 0
    assert curve.prices_[-1] == pytest.approx(10.0 * PriceCurve(1.0, CONFIG).prices_[-1])
    assert PriceCurve(0.0, CONFIG).price(0.5) > 0.0
