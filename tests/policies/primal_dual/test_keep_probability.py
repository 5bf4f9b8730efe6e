"""Told the means, the static mix keeps floors as often as the stated probability, for no more."""

import numpy as np

from floorline import Model, Zoo
from floorline.policies.primal_dual.config import PrimalDualConfig
from floorline.policies.primal_dual.quality_posterior import QualityPosterior
from floorline.policies.primal_dual.static_mix_controller import StaticMixController
from floorline.policies.primal_dual.surplus import SurplusEstimate, SurplusEstimator

FLOOR, TRUE, COST = 0.75, np.array([0.65, 0.9]), np.array([1.0, 10.0])
STREAMS, REQUESTS, SHARE = 60, 400, 0.2


def streams(probability):
    """Share of streams that keep the floor, and mean satisfaction; a fifth of labels is seen."""
    config = PrimalDualConfig(keep_probability=probability)
    zoo = Zoo([Model(f"m{m}", call_price=float(c)) for m, c in enumerate(COST)])
    posterior = QualityPosterior(zoo, FLOOR, config)
    posterior.restart(np.full(2, 1e5), 1e5 * TRUE)
    controller, known = StaticMixController(config), (posterior.mean_, posterior.sd_)
    rng, means = np.random.default_rng(3), []
    for _ in range(STREAMS):
        account = SurplusEstimator(zoo.names, config)
        satisfied = (rng.random((REQUESTS, 2)) < TRUE).astype(float)
        seen, total = rng.random(REQUESTS) < SHARE, 0.0
        for y, label in zip(satisfied, seen, strict=True):
            estimate = SurplusEstimate(*account.surplus(*known, posterior.variance), probability)
            model = controller.serve(COST, None, FLOOR, posterior, account, estimate).model
            account.serve(model, FLOOR)
            total += y[model]
            if label:
                account.label(model, float(y[model]))
        means.append(total / REQUESTS)
    return float(np.mean(np.array(means) >= FLOOR)), float(np.mean(means))


def test_the_floor_is_kept_as_often_as_stated_at_the_least_surplus():
    kept, mean = streams(0.9)
    even, least = streams(0.5)
    # Two and three standard deviations of 60 streams.
    assert kept >= 0.9 - 2.0 * (0.09 / STREAMS) ** 0.5
    assert abs(even - 0.5) <= 3.0 * (0.25 / STREAMS) ** 0.5
    # Only the unseen part of the variance has to be in hand, and what is corrected late.
    unseen = 1.28 * ((1.0 - SHARE) * 0.2 / REQUESTS) ** 0.5
    assert least < mean < FLOOR + 1.3 * unseen
