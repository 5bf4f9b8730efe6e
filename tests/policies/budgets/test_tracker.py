import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from floorline.core.snapshots import pack, unpack
from floorline.events import Outcome
from floorline.policies.budgets.tracker import BudgetTracker
from floorline.sla import SLA, Budget
from floorline.state.ledger import Ledger
from floorline.zoo import Model, Zoo


def sla(**budget):
    return SLA("gold", floor=0.0, budget=Budget(**budget))


@pytest.fixture
def made(build_router, vector):
    """Make a decision for the cheapest model, whose estimated cost is 2."""

    def make(at=0.0, cost=2.0):
        made = build_router("cheapest").route(features=vector(0), at=at)
        return msgspec.structs.replace(made, cost_estimates=np.full(3, cost))

    return make


def test_without_a_budget_nothing_is_limited():
    tracker = BudgetTracker(SLA("gold", floor=0.5), ["small", "large"])
    assert not tracker.limited
    assert np.isinf(tracker.may_spend()).all()
    assert tracker.total_left() == np.inf


def test_a_call_may_cost_the_smaller_of_its_own_and_the_total_rest():
    tracker = BudgetTracker(sla(total=10.0, per_model={"small": 4.0}), ["small", "large"])
    assert tracker.limited
    tracker.spending_.add("large", 7.0)
    assert tracker.left().tolist() == [4.0, np.inf]
    assert tracker.may_spend().tolist() == [3.0, 3.0]
    tracker.spending_.add("small", 9.0)
    assert tracker.may_spend().tolist() == [0.0, 0.0]


def test_a_decision_is_charged_at_its_estimate_until_its_real_cost_is_known(made):
    tracker = BudgetTracker(sla(total=100.0), ["small", "medium", "large"])
    decision = made()
    tracker.charge(decision)
    assert tracker.total_left() == 98.0
    tracker.settle(decision, 0, Outcome(decision=decision.id, model="small", cost=7.0))
    assert (tracker.total_left(), tracker.spent.tolist()) == (93.0, [7.0, 0.0, 0.0])


def test_calls_beside_the_served_one_are_charged_at_their_real_cost(made):
    tracker = BudgetTracker(sla(total=100.0), ["small", "medium", "large"])
    decision = made()
    tracker.charge(decision)
    tracker.settle(decision, 2, Outcome(decision=decision.id, model="large", cost=20.0))
    assert tracker.spent.tolist() == [2.0, 0.0, 20.0]


def test_declined_requests_cost_nothing_but_begin_a_period(made):
    tracker = BudgetTracker(sla(total=100.0, period=60.0), ["small", "medium", "large"])
    tracker.charge(made())
    declined = msgspec.structs.replace(made(at=61.0), model="", called=(), index=-1)
    tracker.charge(declined)
    assert (tracker.total_left(), tracker.period_start) == (100.0, 60.0)


def test_a_new_period_renews_all_budgets(made):
    budget = sla(total=100.0, per_model={"small": 10.0}, period=60.0)
    tracker = BudgetTracker(budget, ["small", "medium", "large"])
    for at, left in ((1.0, 98.0), (59.0, 96.0), (60.0, 98.0), (30.0, 96.0), (200.0, 98.0)):
        tracker.charge(made(at=at))
        assert tracker.total_left() == left
    assert tracker.period_start == 180.0


def test_what_models_spent_that_left_counts_in_the_total():
    tracker = BudgetTracker(sla(total=10.0, period=60.0), ["a", "b"])
    tracker.spending_.add("a", 3.0)
    tracker.spending_.add("b", 4.0)
    tracker.set_models(["b", "c"])
    assert (tracker.total_left(), tracker.spent.tolist()) == (3.0, [4.0, 0.0])
    assert tracker.departed_ == 3.0


def test_other_amounts_leave_what_was_spent():
    tracker = BudgetTracker(sla(total=10.0, per_model={"a": 5.0}), ["a", "b"])
    tracker.spending_.add("a", 3.0)
    tracker.set_sla(sla(per_model={"b": 9.0}))
    assert (tracker.total_, tracker.budgets.tolist()) == (np.inf, [np.inf, 9.0])
    assert tracker.spent.tolist() == [3.0, 0.0]


def test_a_snapshot_holds_everything(made):
    budget = sla(total=100.0, per_model={"small": 10.0}, period=60.0)
    models = ["small", "medium", "large"]
    tracker, other = BudgetTracker(budget, models), BudgetTracker(budget, models)
    tracker.charge(made(at=61.0))
    tracker.set_models(["small", "large"])
    other.restore(unpack(pack(tracker.snapshot())))
    for one in (tracker, other):
        one.charge(made(at=70.0))
    assert pack(other.snapshot()) == pack(tracker.snapshot())
    assert other.total_left() == 96.0


def test_the_policies_plan_with_what_the_router_enforces(build_router, vector):
    budget = Budget(total=100.0, per_model={"small": 10.0}, period=60.0)
    router = build_router("greedy_perf", [SLA("gold", floor=0.0, budget=budget)])
    tracker = router.policy.trackers_["gold"]
    decision = router.route(features=vector(0), at=1.0)
    assert tracker.total_left() == pytest.approx(100.0 - decision.expected_cost)
    router.outcome(decision.id, cost=7.0)
    assert (tracker.total_left(), tracker.spent[decision.index]) == (93.0, 7.0)
    np.testing.assert_allclose(tracker.may_spend(), router.budget_left("gold", at=2.0))
    router.route(features=vector(1), at=61.0)
    assert tracker.spent.sum() < 7.0


@given(st.lists(st.tuples(st.sampled_from("ab"), st.floats(0, 50), st.floats(0, 300)), max_size=20))
def test_tracker_and_ledger_agree_at_every_time(calls):
    zoo, promise = (
        Zoo([Model("a"), Model("b")]),
        sla(total=60.0, per_model={"a": 30.0}, period=90.0),
    )
    ledger, tracker = Ledger(), BudgetTracker(promise, zoo.names)
    for model, cost, at in calls:
        ledger.renew(promise, at)
        tracker.spending_.renew(90.0, at)
        ledger.reserve(model, cost)
        ledger.settle(model, reserved=cost, real=cost)
        tracker.spending_.add(model, cost)
        left = ledger.left(promise, zoo, tracker.period_start)
        np.testing.assert_allclose(tracker.may_spend(), np.maximum(left, 0.0), atol=1e-9)
