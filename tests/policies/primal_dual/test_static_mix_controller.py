"""The static mix on what is known: which model serves, and that shortcuts change no choice."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

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
    return StaticMixController(CONFIG).serve(cost, mask, floor, posterior, account, estimate)


def test_a_shortfall_is_worked_off_by_the_cheapest_improvement_and_a_surplus_spent_below_it():
    posterior, cost = known([0.6, 0.8, 0.85])
    assert serve(posterior, cost, SHORT) == 1
    assert serve(posterior, cost, PLENTY) == 0


def test_the_best_model_serves_where_none_reaches_the_floor():
    posterior, cost = known([0.3, 0.5, 0.4], labels=100_000)
    assert serve(posterior, cost, SHORT, floor=0.95) == 1


def test_uncertain_worse_models_do_not_displace_the_best_where_the_floor_is_out_of_reach():
    posterior, cost = known([0.6, 0.8, 0.9])
    labels = np.array([400.0, 20.0, 2000.0])
    posterior.restart(labels, labels * [0.6, 0.8, 0.9])
    assert serve(posterior, cost, SHORT, floor=0.97) == 2


def test_only_allowed_models_serve():
    posterior, cost = known([0.6, 0.8, 0.85])
    assert serve(posterior, cost, SHORT, allowed=[True, False, True]) == 2
    assert serve(posterior, cost, PLENTY, allowed=[False, True, True]) == 1


@given(
    true=st.lists(st.floats(0.0, 1.0), min_size=1, max_size=12),
    labels=st.integers(0, 2000),
    floor=st.floats(0.05, 0.95),
)
def test_the_shortcuts_change_no_choice(true, labels, floor):
    posterior, cost = known(true, labels)
    mean, sds = posterior.mean_.tolist(), posterior.sd_.tolist()
    need, share = floor + 5.0 / 3000.0, 3000.0 / (3000.0 + 30.0)
    distances = [(m - need, share * sd) for m, sd in zip(mean, sds, strict=True)]
    gains = [
        improvement(d, sd) if d >= -CONFIG.significance_sds * sd else 0.0 for d, sd in distances
    ]
    dear = [c / g if g > 0.0 else np.inf for c, g in zip(cost, gains, strict=True)]
    chosen = serve(posterior, cost, SHORT, floor=floor)
    assert chosen == int(np.argmin(dear) if min(dear) < np.inf else np.argmax(mean))


def test_improvement_is_never_negative_and_grows_with_uncertainty():
    values = [improvement(-0.1, sd) for sd in (0.0, 0.05, 0.1, 0.3)]
    assert values == sorted(values)
    assert values[0] == 0.0
