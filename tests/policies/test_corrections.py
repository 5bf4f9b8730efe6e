"""A corrected label counts once in what policies learn, as the corrected score."""

import numpy as np
import pytest

from floorline.core.snapshots import pack
from floorline.estimators import NearestNeighbours, RunningMean
from floorline.policies.published.sla_router import SlaRouter
from floorline.zoo import Model, Zoo

ONE = Zoo([Model("only", call_price=1.0)])


@pytest.mark.parametrize("estimator", [NearestNeighbours, RunningMean])
@pytest.mark.parametrize("others_between", [False, True])
def test_sla_router_learns_a_corrected_label_once(build_router, vector, estimator, others_between):
    def learned(first, last):
        router = build_router(SlaRouter(estimator=estimator), zoo=ONE)
        corrected = router.route(features=vector(1))
        router.feedback(corrected.id, score=first)
        if others_between:
            equal = router.route(features=vector(1))
            router.feedback(equal.id, score=0.75)
        if last is not None:
            router.feedback(corrected.id, score=last)
        return router.policy.quality_

    once, twice = learned(0.25, None), learned(1.0, 0.25)
    np.testing.assert_allclose(twice.predict_one(vector(1)), once.predict_one(vector(1)))
    if estimator is NearestNeighbours:
        assert pack(twice.snapshot()) == pack(once.snapshot())
