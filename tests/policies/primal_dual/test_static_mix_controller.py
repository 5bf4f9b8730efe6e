"""The static mix on what is known: whose turn it is, and that shortcuts change nothing of it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from floorline import Model, Zoo
from floorline.policies.primal_dual.quality_posterior import QualityPosterior
from floorline.policies.primal_dual.static_mix_controller import (
    _HEARD,
    _HOPELESS,
    StaticMixController,
    improvement,
)
from floorline.policies.primal_dual.surplus import _WORTH, SurplusEstimate, SurplusEstimator

RUNGS = StaticMixController(patience=3000.0, optimism=1.0, buffer=4.0, reach=1.0)
SHORT, PLENTY = SurplusEstimate(-5.0, 0.0), SurplusEstimate(1e6, 0.0)


def known(true, labels=400):
    zoo = Zoo([Model(f"m{m}", call_price=4.0**m) for m in range(len(true))])
    levels = QualityPosterior(zoo, 0.7)
    levels.restart(np.full(len(true), float(labels)), labels * np.array(true))
    return levels, 4.0 ** np.arange(len(true))


def serve(levels, cost, in_hand, *, floor=0.7, allowed=None):
    account = SurplusEstimator(levels.models_)
    mask = None if allowed is None else np.array(allowed)
    return RUNGS.serve(cost, mask, floor, levels, account, in_hand)


def test_a_shortfall_is_worked_off_by_the_cheapest_improvement_and_a_surplus_spent_below_it():
    levels, cost = known([0.6, 0.8, 0.85])
    assert serve(levels, cost, SHORT) == 1
    assert serve(levels, cost, PLENTY) == 0


def test_the_best_model_serves_where_none_reaches_the_floor():
    levels, cost = known([0.3, 0.5, 0.4], labels=100_000)
    assert serve(levels, cost, SHORT, floor=0.95) == 1


def test_doubt_about_worse_models_does_not_displace_the_best_where_the_floor_is_out_of_reach():
    levels, cost = known([0.6, 0.8, 0.9])
    labels = np.array([400.0, 20.0, 2000.0])
    levels.restart(labels, labels * [0.6, 0.8, 0.9])
    assert serve(levels, cost, SHORT, floor=0.97) == 2


def test_only_allowed_models_serve():
    levels, cost = known([0.6, 0.8, 0.85])
    assert serve(levels, cost, SHORT, allowed=[True, False, True]) == 2
    assert serve(levels, cost, PLENTY, allowed=[False, True, True]) == 1


@given(
    true=st.lists(st.floats(0.0, 1.0), min_size=1, max_size=12),
    labels=st.integers(0, 2000),
    floor=st.floats(0.05, 0.95),
)
def test_nobody_is_passed_over_unseen(true, labels, floor):
    levels, cost = known(true, labels)
    mean, doubt = levels.mean_.tolist(), levels.sd_.tolist()
    need, hope = floor + 5.0 / 3000.0, 1.0 / (1.0 + _HEARD)
    distances = [(m - need, hope * sd) for m, sd in zip(mean, doubt, strict=True)]
    gains = [improvement(d, sd) if d >= -_HOPELESS * sd else 0.0 for d, sd in distances]
    dear = [c / g if g > 0.0 else np.inf for c, g in zip(cost, gains, strict=True)]
    chosen = serve(levels, cost, SHORT, floor=floor)
    assert chosen == int(np.argmin(dear) if min(dear) < np.inf else np.argmax(mean))


def test_improvement_is_never_negative_and_grows_with_doubt():
    values = [improvement(-0.1, sd) for sd in (0.0, 0.05, 0.1, 0.3)]
    assert values == sorted(values)
    assert values[0] == 0.0


@given(st.integers(1, 12), st.integers(0, 2**32 - 1))
def test_the_surplus_counts_what_is_missing_at_the_mean_of_what_is_known(models, seed):
    rng = np.random.default_rng(seed)
    account, level = SurplusEstimator([f"m{m}" for m in range(models)]), rng.random(models)
    account.served_ = rng.integers(0, 50, models).astype(float)
    account.labels_ = rng.integers(0, 50, models).astype(float)
    account.sum_ = account.labels_ * rng.random(models)
    missing = np.maximum(account.served_ - account.labels_, 0.0)
    expected = (account.sum_ + _WORTH * level) / (account.labels_ + _WORTH)
    spread = 0.2 * (missing + missing**2 / (account.labels_ + _WORTH)).sum()
    surplus, error = account.surplus(level, 0.2)
    assert surplus == pytest.approx((account.sum_ + missing * expected).sum(), abs=1e-9)
    assert error == pytest.approx(spread**0.5)
