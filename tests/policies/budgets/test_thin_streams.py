"""Few requests under a renewed budget: each period's budget is there for whoever comes."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.conftest import Vectors

from floorline import SLA, Budget, Model, Router, Zoo
from floorline.errors import BudgetExhausted, InvalidInput

PERIOD = 60.0
CALL = 0.002


def build(budget, policy="primal_dual", models=("only",), **changed):
    zoo = Zoo([Model(name, call_price=CALL * 4**n) for n, name in enumerate(models)])
    sla = SLA("gold", floor=0.5, budget=budget)
    return Router(zoo, policy, [sla], encoder=Vectors(), **changed)


def send(router, at):
    """Whether a request is served at this time; it costs what was expected."""
    try:
        decision = router.route(features=np.ones(6), at=float(at))
    except BudgetExhausted:
        return False
    router.outcome(decision.id, cost=CALL * 4**decision.index, at=float(at))
    router.feedback(decision.id, satisfied=True, at=float(at))
    return True


BUDGETS = {
    "total": Budget(total=0.01, period=PERIOD),
    "model": Budget(per_model={"only": 0.01}, period=PERIOD),
    "both": Budget(total=0.01, per_model={"only": 0.01}, period=PERIOD),
}


@pytest.mark.parametrize("budget", list(BUDGETS))
def test_a_burst_and_then_a_request_a_minute_are_served(budget):
    router = build(BUDGETS[budget])
    burst = [send(router, 1e6 * PERIOD + t) for t in range(8)]
    # Half of a burst is left for the many that were expected.
    assert 3 <= sum(burst) <= 5
    assert all(send(router, (1e6 + n) * PERIOD) for n in range(1, 200))


@pytest.mark.parametrize("budget", list(BUDGETS))
def test_the_first_request_after_an_exhausted_period_is_served(budget):
    router = build(BUDGETS[budget])
    for n in range(1, 6):
        period = [send(router, (1e6 + n) * PERIOD + t / 2) for t in range(60)]
        assert period[0]
        assert sum(period) == 5


@pytest.mark.parametrize("policy", ["primal_dual", "cheapest", "random", "sla_router"])
def test_every_policy_serves_the_first_request_of_a_renewed_budget(policy):
    router = build(BUDGETS["total"], policy)
    for n in range(1, 4):
        served = [send(router, (1e6 + n) * PERIOD + t) for t in range(50)]
        assert served[0] or not any(served)
        assert sum(served) == 5


def test_changed_slas_and_models_do_not_starve_it():
    router = build(BUDGETS["both"])
    for t in range(30):
        send(router, 1e6 * PERIOD + t)
    router.set_sla(SLA("gold", floor=0.5, budget=Budget(total=0.02, period=PERIOD)))
    assert all(send(router, (1e6 + n) * PERIOD) for n in range(1, 5))
    router.add_model(Model("new", call_price=4 * CALL))
    assert all(send(router, (1e6 + n) * PERIOD) for n in range(5, 10))
    router.set_sla(SLA("gold", floor=0.5, budget=Budget(total=0.02, period=PERIOD / 2)))
    router.remove_model("only")
    assert all(send(router, (1e6 + n) * PERIOD) for n in range(10, 20))


def test_periods_in_which_nothing_could_be_served_leave_no_trace():
    router = build(BUDGETS["total"])
    for t in range(8):
        send(router, 1e6 * PERIOD + t)
    for n in range(1, 6):
        for t in range(20):
            with pytest.raises((BudgetExhausted, InvalidInput)):
                router.route(
                    features=np.ones(6), exclude=["only"], at=(1e6 + n) * PERIOD + float(t)
                )
    assert all(send(router, (1e6 + n) * PERIOD) for n in range(6, 20))


@settings(max_examples=25)
@given(
    st.lists(st.lists(st.floats(0.0, 0.999), max_size=12), min_size=5, max_size=40),
    st.sampled_from(list(BUDGETS)),
    st.integers(1, 3),
    st.integers(0, 2**20),
)
@example([[0.01 * t for t in range(12)], *[[0.5]] * 30], "both", 1, 0)
def test_a_budget_that_affords_all_requests_of_its_periods_serves_them(
    periods, budget, models, seed
):
    """The first request of a period is always served, and soon all that the budget affords."""
    names = ("only", "middle", "dear")[:models]
    router = build(BUDGETS[budget], models=names, seed=seed)
    thin = 0
    for number, phases in enumerate(periods):
        served = [send(router, (1e6 + number + phase) * PERIOD) for phase in sorted(phases)]
        assert not served or served[0]
        # Five calls of the cheapest model fit into the budget, and three of them at any pace.
        thin = thin + 1 if 0 < len(phases) <= 3 else 0
        if thin > 4 and models == 1:
            assert all(served)
