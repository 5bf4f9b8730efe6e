import sys

import numpy as np
import pytest

from floorline.errors import MissingExtra
from floorline.policies import make_policy
from floorline.sla import SLA


def live(router, count, satisfied, vector, costs):
    served = []
    for t in range(count):
        decision = router.route(features=vector(t % 40))
        served.append(decision.model)
        router.outcome(decision.id, cost=costs[decision.model])
        router.feedback(decision.id, score=satisfied(decision.model, t))
    return served


COSTS = {"small": 1.0, "medium": 4.0, "large": 20.0}


def test_without_the_package_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "vowpalwabbit", None)
    with pytest.raises(MissingExtra, match=r"vowpal_wabbit needs the extra 'vw': pip install"):
        make_policy("vowpal_wabbit")


def test_the_bandit_learns_which_model_keeps_the_floor(build_router, vector):
    router = build_router("vowpal_wabbit", [SLA("gold", floor=0.9)])
    served = live(router, 1500, lambda m, t: float(m != "small"), vector, COSTS)
    shares = {name: served[-400:].count(name) / 400 for name in COSTS}
    assert max(shares, key=shares.get) == "medium"


def test_the_dual_follows_the_shortfall_and_is_never_negative(build_router, build_policy, vector):
    router = build_router(build_policy("vowpal_wabbit", step=0.5), [SLA("gold", floor=0.6)])
    dual = 1.0
    for t, score in enumerate([0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 0.5]):
        assert router.policy.duals_["gold"] == pytest.approx(dual)
        router.feedback(router.route(features=vector(t)).id, score=score)
        dual = max(0.0, dual + 0.5 * (0.6 - score))
    assert router.policy.queue("gold") == pytest.approx(dual / 0.5)


def test_any_name_of_a_model_is_an_action(build_router, vector):
    router = build_router("vowpal_wabbit")
    from floorline.zoo import Model

    router.add_model(Model("a|b: c/ä", call_price=0.1))
    names = {router.route(features=vector(t)).model for t in range(300)}
    assert "a|b: c/ä" in names


def test_snapshots_hold_every_weight(build_router, vector):
    router = build_router("vowpal_wabbit")
    live(router, 50, lambda m, t: float(t % 2), vector, COSTS)
    saved = router.policy.snapshot()["weights_"]
    assert np.count_nonzero(saved) > 10
    twin = build_router("vowpal_wabbit")
    twin.restore(router.snapshot())
    for t in range(20):
        a, b = (r.route(features=vector(t)) for r in (router, twin))
        np.testing.assert_array_equal(a.propensities, b.propensities)
