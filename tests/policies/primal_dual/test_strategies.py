"""Each way of deciding by itself, on one situation."""

import numpy as np
import pytest

from floorline import SLA, Budget, Model, Zoo
from floorline.policies.base import DECLINED, Request
from floorline.policies.budgets.pacing import Pacing
from floorline.policies.primal_dual.config import PrimalDualConfig
from floorline.policies.primal_dual.price_curve import PriceCurve
from floorline.policies.primal_dual.quality_posterior import QualityPosterior
from floorline.policies.primal_dual.strategies import (
    BudgetStrategy,
    PromptStrategy,
    Situation,
    StaticMixStrategy,
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
        uncertain=np.zeros(2),
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
        strategy._target(situation._replace(estimate=SurplusEstimate(surplus)))
        for surplus in (-1e6, -30.0, 0.0, 60.0, 1e6)
    ]
    assert targets == sorted(targets, reverse=True)
    drift = surplus_drift_sd(situation.posterior, CONFIG)
    assert targets[2] - 0.75 == pytest.approx(
        CONFIG.target_surplus_sds * drift / CONFIG.price_horizon_requests
    )


def test_a_model_that_joined_is_estimated_optimistically(situation):
    rng = np.random.default_rng(0)
    strategy = PromptStrategy(CONFIG, curve(0.9 - rng.uniform(0, 0.6, (1000, 1)) * [1.0, 0.0]))
    situation.posterior.sd_ = np.array([0.5, 0.01])
    unsure = situation._replace(quality=np.array([0.4, 0.9]))
    assert strategy.serve(unsure).model == 1
    assert strategy.serve(unsure._replace(uncertain=np.array([1.0, 0.0]))).model == 0


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
        served, able, _ = strategy.serve(short)
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
    assert surplus_drift_sd(posterior, CONFIG) == pytest.approx(
        (0.16 * CONFIG.price_horizon_requests / 2) ** 0.5
    )
