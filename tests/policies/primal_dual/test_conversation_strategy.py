"""The flagship within a conversation: one price of satisfaction, and what a switch throws away."""

import numpy as np
import pytest
from tests.policies.primal_dual.test_strategies import CONFIG, ZOO, curve

from floorline import Model
from floorline.estimators.cost import CacheTokens
from floorline.policies.base import Request
from floorline.policies.conversation import FutureCosts, Turn
from floorline.policies.primal_dual.change_detector import ChangeDetector
from floorline.policies.primal_dual.quality_posterior import QualityPosterior
from floorline.policies.primal_dual.strategies import ConversationStrategy, Situation
from floorline.policies.primal_dual.surplus import SurplusEstimate, SurplusEstimator

NONE = np.zeros(2)
MEANS = np.array([0.6, 0.9])
RICH = SurplusEstimate(1e6)
"""So much surplus that the price of satisfaction is the lowest one of the curve."""


def turn(length=1.0):
    cache = CacheTokens(NONE, NONE)
    return Turn(0.5, 1.0, length, 1000, cache, NONE, NONE, MEANS)


@pytest.fixture
def situation():
    posterior = QualityPosterior(ZOO, 0.75, CONFIG)
    posterior.learn_many(np.tile(MEANS, (2000, 1)))
    account = SurplusEstimator(ZOO.names, CONFIG)
    for _ in range(8000):
        account.serve(1, 0.75)
        account.label(1, 1.0)
    return Situation(
        request=Request(np.zeros(1, np.float32), "gold", 0.75, turn=turn()),
        quality=MEANS,
        cost=np.array([1.0, 10.0]),
        estimate=SurplusEstimate(0.0),
        account=account,
        posterior=posterior,
        detector=ChangeDetector(ZOO.names, CONFIG),
        future=FutureCosts(NONE, NONE, 0.0, MEANS),
    )


@pytest.fixture
def strategy():
    """Half of the requests have calls of the large model that cost 10, half of them 100."""
    prices = curve(np.tile(MEANS, (1, 1)))
    costs = np.array([[1.0, 10.0], [10.0, 100.0]])
    prices.see_many(np.tile(MEANS, (2000, 1)), np.tile(costs, (1000, 1)))
    return ConversationStrategy(CONFIG, prices)


def test_satisfaction_is_bought_where_it_is_cheap(strategy, situation):
    long = situation._replace(cost=np.array([10.0, 100.0]))
    assert strategy.serve(situation).model == 1
    assert strategy.serve(long).model == 0


def test_a_cached_prompt_keeps_its_model_where_both_are_worth_the_same(strategy, situation):
    # The price that the strategy aims at now.
    price = strategy.price_curve.price(strategy.target(situation))
    cost = np.array([1.0, 1.0 + 0.3 * price])
    for cold, kept in ((0, 1), (1, 0)):
        paid = cost.copy()
        paid[cold] += 0.5 * price
        assert strategy.serve(situation._replace(cost=paid)).model == kept


def test_a_switch_pays_early_and_not_late(strategy, situation):
    """The small model has nothing cached; its later turns cost a tenth."""
    rich = situation._replace(cost=np.array([15.0, 10.0]), estimate=RICH)
    later = np.array([1.0, 100.0])
    served = [
        strategy.serve(
            rich._replace(future=FutureCosts(later, np.array([9.0, 0.0]), remaining, MEANS))
        ).model
        for remaining in (0.0, 20.0)
    ]
    assert served == [1, 0]


def test_what_is_added_is_logged_and_never_negative(strategy, situation):
    future = FutureCosts(np.array([1.0, 9.0]), np.array([0.5, 3.0]), 8.0, MEANS)
    added = strategy.serve(situation._replace(future=future)).future_cost
    assert added.min() == 0.0
    assert added.max() > 0.0


def test_a_shortfall_is_worked_off_by_the_model_of_the_static_mix(situation):
    """A third model is a little better at a hundred times the price."""
    zoo = ZOO.with_model(Model("huge", call_price=1000.0))
    means, costs = np.array([0.6, 0.9, 0.92]), np.array([1.0, 10.0, 1000.0])
    posterior = QualityPosterior(zoo, 0.75, CONFIG)
    posterior.learn_many(np.tile(means, (5000, 1)))
    prices = curve(np.tile(MEANS, (1, 1)))
    prices.see_many(np.tile(means, (3000, 1)), np.tile(costs, (3000, 1)))
    short = situation._replace(
        quality=means,
        cost=costs,
        posterior=posterior,
        account=SurplusEstimator(zoo.names, CONFIG),
        detector=ChangeDetector(zoo.names, CONFIG),
        estimate=SurplusEstimate(-20.0),
        future=FutureCosts(costs, np.zeros(3), 1.0, means),
    )
    assert ConversationStrategy(CONFIG, prices).serve(short).model == 1


def test_labels_of_long_conversations_count_as_fewer(situation):
    assert situation.design_effect == 1.0
    long = situation._replace(request=situation.request._replace(turn=turn(length=21.0)))
    assert long.design_effect == pytest.approx(3.0)
    single = situation._replace(request=situation.request._replace(turn=None))
    assert single.design_effect == 1.0


def test_a_model_that_seems_below_the_floor_is_tried_again(strategy, situation):
    """The large model was unlucky; by the means no price keeps the floor."""
    posterior = QualityPosterior(ZOO, 0.75, CONFIG)
    for number in range(2000):
        posterior.learn(0, float(number % 10 < 7))
    for number in range(20):
        posterior.learn(1, float(number % 2))
    assert posterior.mean_[1] < posterior.mean_[0] < 0.75
    short = situation._replace(posterior=posterior, estimate=SurplusEstimate(-30.0))
    assert strategy.serve(short).model == 1


def test_a_shortfall_is_worked_off_where_the_price_curve_is_out_of_date(strategy, situation):
    """The curve has the large model at .9, and its labels since say .78."""
    posterior = QualityPosterior(ZOO, 0.75, CONFIG)
    posterior.learn_many(np.tile([0.6, 0.78], (2000, 1)))
    long = situation._replace(posterior=posterior, cost=np.array([10.0, 100.0]))
    assert strategy.serve(long._replace(estimate=SurplusEstimate(-30.0))).model == 1
    assert strategy.serve(long._replace(estimate=RICH)).model == 0
