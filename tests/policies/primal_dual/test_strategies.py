"""Each way of deciding by itself, on one situation."""

import numpy as np
import pytest

from floorline import SLA, Budget, Model, Zoo
from floorline.policies.base import DECLINED, Request
from floorline.policies.budgets.pacing import Pacing
from floorline.policies.primal_dual.change_detector import ChangeDetector
from floorline.policies.primal_dual.config import PrimalDualConfig
from floorline.policies.primal_dual.price_curve import PriceCurve
from floorline.policies.primal_dual.quality_posterior import QualityPosterior
from floorline.policies.primal_dual.strategies import (
    BudgetStrategy,
    PromptStrategy,
    Situation,
    StaticMixStrategy,
    correction_horizon,
    price_of_surplus,
    surplus_drift_sd,
)
from floorline.policies.primal_dual.surplus import SurplusEstimate, SurplusEstimator

CONFIG = PrimalDualConfig()
ZOO = Zoo([Model("small", call_price=1.0), Model("large", call_price=10.0)])
COST = np.array([1.0, 10.0])


@pytest.fixture
def situation():
    """A zoo that is known well: .6 and .9 satisfied, for a floor of .75."""
    posterior = QualityPosterior(ZOO, 0.75, CONFIG)
    posterior.learn_many(np.tile([0.6, 0.9], (2000, 1)))
    return Situation(
        request=Request(np.zeros(1, np.float32), "gold", 0.75),
        quality=np.array([0.6, 0.9]),
        cost=COST,
        estimate=SurplusEstimate(0.0),
        account=SurplusEstimator(ZOO.names, CONFIG),
        posterior=posterior,
        detector=ChangeDetector(ZOO.names, CONFIG),
    )


def curve(quality):
    found = PriceCurve(10.0, CONFIG)
    found.see_many(quality, np.tile(COST, (len(quality), 1)))
    return found


def test_prompts_serve_the_cheap_model_where_it_is_as_good(situation):
    rng = np.random.default_rng(0)
    strategy = PromptStrategy(CONFIG, curve(0.9 - rng.uniform(0, 0.6, (1000, 1)) * [1.0, 0.0]))
    easy, hard = np.array([0.9, 0.9]), np.array([0.3, 0.9])
    assert strategy.serve(situation._replace(quality=easy)).model == 0
    assert strategy.serve(situation._replace(quality=hard)).model == 1


def test_a_shortfall_raises_the_price_and_a_surplus_lowers_it(situation):
    rng = np.random.default_rng(0)
    strategy = PromptStrategy(CONFIG, curve(0.9 - rng.uniform(0, 0.6, (1000, 1)) * [1.0, 0.0]))
    targets = [
        strategy.target(situation._replace(estimate=SurplusEstimate(surplus)))
        for surplus in (-1e6, -30.0, 0.0, 60.0, 1e6)
    ]
    assert targets == sorted(targets, reverse=True)
    horizon = correction_horizon(situation.account, CONFIG)
    drift = surplus_drift_sd(situation.posterior, horizon)
    assert targets[2] - 0.75 == pytest.approx(CONFIG.target_surplus_sds * drift / horizon)


def test_a_model_that_joined_is_estimated_optimistically(situation):
    rng = np.random.default_rng(0)
    strategy = PromptStrategy(CONFIG, curve(0.9 - rng.uniform(0, 0.6, (1000, 1)) * [1.0, 0.0]))
    situation.posterior.sd_ = np.array([0.5, 0.01])
    unsure = situation._replace(quality=np.array([0.4, 0.9]))
    situation.posterior.labels_ = np.array([10.0, 2000.0])
    assert strategy.serve(unsure).model == 1
    joined = ChangeDetector(["large"], CONFIG)
    joined.set_models(ZOO.names)
    assert strategy.serve(unsure._replace(detector=joined)).model == 0


def test_only_allowed_models_serve_in_every_strategy(situation):
    allowed = np.array([True, False])
    barred = situation._replace(request=situation.request._replace(allowed=allowed))
    pacing = Pacing(SLA("gold", floor=0.75, budget=Budget(total=1e6)), ZOO.names, CONFIG)
    short = barred._replace(estimate=SurplusEstimate(-50.0))
    for strategy in (
        PromptStrategy(CONFIG, curve(np.tile([0.1, 0.9], (100, 1)))),
        StaticMixStrategy(CONFIG),
        BudgetStrategy(CONFIG, pacing),
    ):
        served, able, *_ = strategy.serve(short)
        assert served == 0
        assert not able[1]


def test_under_a_budget_the_best_affordable_model_serves_and_else_none(situation):
    pacing = Pacing(SLA("gold", floor=0.75, budget=Budget(total=1e6)), ZOO.names, CONFIG)
    assert BudgetStrategy(CONFIG, pacing).serve(situation).model == 1
    pacing.shared_ = 0.1
    assert BudgetStrategy(CONFIG, pacing).serve(situation).model == 0
    pacing.shared_ = 5.0
    assert BudgetStrategy(CONFIG, pacing).serve(situation).model == DECLINED


def test_a_shortfall_makes_satisfaction_worth_more_than_the_budget_alone_would(situation):
    pacing = Pacing(SLA("gold", floor=0.75, budget=Budget(total=1e6)), ZOO.names, CONFIG)
    pacing.shared_ = 0.04
    strategy = BudgetStrategy(CONFIG, pacing)
    assert strategy.serve(situation).model == 0
    short = situation._replace(estimate=SurplusEstimate(-200.0))
    assert strategy.serve(short).model == 1


def test_the_static_mix_serves_by_the_surplus(situation):
    strategy = StaticMixStrategy(CONFIG)
    assert strategy.serve(situation._replace(estimate=SurplusEstimate(-5.0))).model == 1
    assert strategy.serve(situation._replace(estimate=SurplusEstimate(1e6))).model == 0


def test_the_surplus_drifts_with_the_square_root_of_the_horizon():
    posterior = QualityPosterior(ZOO, 0.8, CONFIG)
    assert surplus_drift_sd(posterior, 500.0) == pytest.approx((0.16 * 500.0 / 2) ** 0.5)


def served(requests, label_every=1):
    account = SurplusEstimator(ZOO.names, CONFIG)
    for number in range(requests):
        account.serve(1, 0.75)
        if number % label_every == 0:
            account.label(1, 1.0)
    return account


def test_prompts_correct_a_young_stream_within_it():
    horizons = [correction_horizon(served(requests), CONFIG) for requests in (0, 64, 1000, 8000)]
    assert horizons == pytest.approx([1.0, 16.0, 100.0, 400.0])
    assert correction_horizon(served(40_000), CONFIG) == CONFIG.price_horizon_requests
    # With few labels the estimate is noisier, as that of more requests.
    assert 350.0 < correction_horizon(served(1000, label_every=8), CONFIG) < 400.0


def test_prompts_pay_no_more_for_a_shortfall_than_the_static_mix(situation):
    # Prompts tell nothing, so that no price makes more of them satisfied than the large model does.
    strategy = PromptStrategy(CONFIG, curve(np.tile([0.6, 0.9], (1000, 1))))
    short = situation._replace(estimate=SurplusEstimate(-1e6))
    assert strategy.price(short) == pytest.approx(10.0 / 0.15, rel=0.01)
    # Two models that differ by .01 only: the dear one is not worth 100 times as much.
    dear = PromptStrategy(CONFIG, curve(np.tile([0.89, 0.9], (1000, 1))))
    close = short._replace(quality=np.array([0.89, 0.9]))
    close.posterior.learn_many(np.tile([0.9, 0.9], (200_000, 1)))
    assert dear.serve(close).model == 0


def test_no_model_above_the_floor_sets_no_price():
    mean, cost = np.array([0.5, 0.6]), np.array([1.0, 2.0])
    assert price_of_surplus(mean, cost, 0.7, None) == np.inf
    assert price_of_surplus(mean, cost, 0.55, np.array([True, False])) == np.inf
