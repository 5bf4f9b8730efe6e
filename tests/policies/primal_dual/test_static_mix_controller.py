"""The static mix on what is known: which model serves, and when it may explore."""

import numpy as np

from floorline import Model, Zoo
from floorline.policies.primal_dual.config import PrimalDualConfig
from floorline.policies.primal_dual.quality_posterior import QualityPosterior
from floorline.policies.primal_dual.static_mix_controller import StaticMixController, improvement
from floorline.policies.primal_dual.surplus import SurplusEstimate, SurplusEstimator

CONFIG = PrimalDualConfig(optimism_sds=1.0)
SHORT, PLENTY = SurplusEstimate(-5.0), SurplusEstimate(1e6)


def known(true, labels=400):
    zoo = Zoo([Model(f"m{m}", call_price=4.0**m) for m in range(len(true))])
    posterior = QualityPosterior(zoo, 0.7, CONFIG)
    posterior.restart(np.full(len(true), float(labels)), labels * np.array(true))
    return posterior, 4.0 ** np.arange(len(true))


def serve(posterior, cost, estimate, *, floor=0.7, allowed=None):
    account = SurplusEstimator(posterior.models_, CONFIG)
    mask = None if allowed is None else np.array(allowed)
    choice = StaticMixController(CONFIG).serve(cost, mask, floor, posterior, account, estimate)
    return choice.model


def test_a_shortfall_is_worked_off_by_the_cheapest_improvement_and_a_surplus_spent_below_it():
    posterior, cost = known([0.6, 0.8, 0.85])
    assert serve(posterior, cost, SHORT) == 1
    assert serve(posterior, cost, PLENTY) == 0


def test_the_best_model_serves_where_none_reaches_the_floor():
    posterior, cost = known([0.3, 0.5, 0.4], labels=100_000)
    assert serve(posterior, cost, SHORT, floor=0.95) == 1


def test_the_highest_bound_is_tried_where_the_floor_is_out_of_reach():
    posterior, cost = known([0.6, 0.8, 0.9])

    def tried(labels, estimate=SHORT):
        counts = np.array(labels)
        posterior.restart(counts, counts * [0.6, 0.8, 0.9])
        return serve(posterior, cost, estimate, floor=0.97)

    # Labels of a model that looks worse must show that it is.
    assert tried([400.0, 20.0, 2000.0]) == 1
    assert tried([400.0, 400.0, 2000.0]) == 2
    assert tried([0.0, 400.0, 2000.0]) == 0
    # Nothing is tried while there is a surplus.
    assert tried([400.0, 20.0, 2000.0], PLENTY) == 2


def test_only_allowed_models_serve():
    posterior, cost = known([0.6, 0.8, 0.85])
    assert serve(posterior, cost, SHORT, allowed=[True, False, True]) == 2
    assert serve(posterior, cost, PLENTY, allowed=[False, True, True]) == 1


def test_a_trial_is_charged_with_the_satisfaction_that_it_risks():
    # Both may reach the floor as cheaply, but the first one probably loses satisfaction.
    posterior, _ = known([0.5, 0.85])
    labels = np.array([12.0, 400.0])
    posterior.restart(labels, labels * [0.55, 0.85])
    needed, spread = 0.7 + 5.0 / 3000.0, posterior.sd_ / (1.0 + 30.0 / 3000.0)
    gains = [improvement(m - needed, sd) for m, sd in zip(posterior.mean_, spread, strict=True)]
    cost = np.array([0.99 * gains[0] / gains[1], 1.0])
    free = StaticMixController(CONFIG.changed(risk_charge=0.0))
    account = SurplusEstimator(posterior.models_, CONFIG)
    assert free.serve(cost, None, 0.7, posterior, account, SHORT).model == 0
    assert serve(posterior, cost, SHORT) == 1


def test_a_cheaper_partner_is_tried_while_it_may_be_good_enough():
    # Both partners cost the same; the second one looks worse, by few labels.
    posterior, _ = known([0.6, 0.6, 0.9])
    labels = np.array([2000.0, 40.0, 2000.0])
    posterior.restart(labels, labels * [0.6, 0.52, 0.9])
    assert posterior.mean_[1] < posterior.mean_[0]
    assert serve(posterior, np.array([1.0, 1.0, 8.0]), PLENTY) == 1


def test_the_buffer_is_in_hand_only_with_a_surplus():
    posterior, cost = known([0.6, 0.8, 0.85])
    account = SurplusEstimator(posterior.models_, CONFIG)
    controller = StaticMixController(CONFIG)
    found = [
        controller.serve(cost, None, 0.7, posterior, account, estimate).buffered
        for estimate in (SHORT, PLENTY)
    ]
    assert found == [False, True]


def test_improvement_is_never_negative_and_grows_with_uncertainty():
    values = [improvement(-0.1, sd) for sd in (0.0, 0.05, 0.1, 0.3)]
    assert values == sorted(values)
    assert values[0] == 0.0
