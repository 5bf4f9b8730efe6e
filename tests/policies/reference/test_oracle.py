import numpy as np
import pytest

from floorline.errors import InvalidInput
from floorline.policies import make_policy
from floorline.sla import SLA


def test_it_serves_the_cheapest_assignment_that_meets_the_floor(build_router, vector):
    quality = np.array([[1, 1, 1], [0, 1, 1], [0, 0, 1], [0, 0, 0]], float)
    cost = np.array([[1.0, 5.0, 20.0]] * 4)
    router = build_router(make_policy("oracle", quality=quality, cost=cost), [SLA("s", floor=0.75)])
    assert [router.route(features=vector(t)).model for t in range(4)] == [
        "small",
        "medium",
        "large",
        "small",
    ]
    with pytest.raises(InvalidInput, match="give the oracle as many labels as requests"):
        router.route(features=vector(5))


def test_models_without_a_label_do_not_serve(build_router, vector):
    quality = np.array([[np.nan, 1.0, 1.0], [1.0, np.nan, np.nan]])
    cost = np.array([[np.nan, 5.0, 20.0], [1.0, np.nan, np.nan]])
    router = build_router(make_policy("oracle", quality=quality, cost=cost), [SLA("s", floor=0.0)])
    assert [router.route(features=vector(t)).model for t in range(2)] == ["medium", "small"]


def test_a_changed_floor_is_solved_again(build_router, vector):
    quality = np.array([[0.0, 0.0, 1.0]] * 4)
    cost = np.array([[1.0, 5.0, 20.0]] * 4)
    router = build_router(make_policy("oracle", quality=quality, cost=cost), [SLA("s", floor=0.0)])
    assert router.route(features=vector(0)).model == "small"
    router.set_sla(SLA("s", floor=1.0))
    assert router.route(features=vector(1)).model == "large"


def test_several_slas_are_rejected(build_router):
    with pytest.raises(InvalidInput, match="give the oracle a stream under one SLA"):
        build_router("oracle", [SLA("a", floor=0.5), SLA("b", floor=0.5)])
