import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from floorline.sla import SLA, Budget
from floorline.state.ledger import Ledger

CALLS = st.lists(
    st.tuples(st.sampled_from("ab"), st.floats(0, 1e6), st.none() | st.floats(0, 1e6)), max_size=30
)


@given(CALLS)
def test_what_is_left_is_the_budget_less_real_costs_and_open_estimates(calls):
    ledger = Ledger()
    for model, expected, _ in calls:
        ledger.reserve(model, expected)
    for model, expected, real in calls:
        if real is not None:
            ledger.settle(model, reserved=expected, real=real)
    charged = sum(expected if real is None else real for _, expected, real in calls)
    assert sum(ledger.spending_.by_model_.values()) + sum(
        ledger.reserved_.values()
    ) == pytest.approx(charged, abs=1e-3)
    assert ledger.lifetime_spend_ == pytest.approx(sum(r for *_, r in calls if r is not None))


@given(CALLS)
def test_when_no_call_is_open_exactly_nothing_is_reserved(calls):
    ledger = Ledger()
    for model, expected, _ in calls:
        ledger.reserve(model, expected)
    for model, expected, _ in reversed(calls):
        ledger.settle(model, reserved=expected, real=1.0)
    assert ledger.reserved_ == ledger.open_calls_ == {}


def test_a_model_may_spend_the_smaller_of_its_own_and_the_total_budget(zoo):
    sla = SLA("s", floor=0.5, budget=Budget(total=10.0, per_model={"small": 4.0, "large": 50.0}))
    ledger = Ledger()
    assert ledger.left(sla, zoo, 0.0).tolist() == [4.0, 10.0, 10.0]
    ledger.reserve("small", 3.0)
    assert ledger.left(sla, zoo, 0.0).tolist() == [1.0, 7.0, 7.0]
    ledger.settle("small", reserved=3.0, real=8.0)
    assert ledger.left(sla, zoo, 0.0).tolist() == [-4.0, 2.0, 2.0]


def test_without_a_budget_there_is_no_bound(zoo):
    ledger = Ledger()
    ledger.reserve("small", 1e9)
    assert np.isinf(ledger.left(SLA("s", floor=0.5), zoo, 0.0)).all()


def test_a_new_period_renews_what_was_spent_and_keeps_what_is_open(zoo):
    sla = SLA("s", floor=0.5, budget=Budget(total=10.0, period=60.0))
    ledger = Ledger()
    ledger.reserve("small", 4.0)
    ledger.settle("small", reserved=4.0, real=4.0)
    ledger.reserve("large", 3.0)
    assert ledger.left(sla, zoo, 59.0)[0] == 3.0
    assert ledger.left(sla, zoo, 60.0)[0] == 7.0
    ledger.renew(sla, 60.0)
    assert ledger.left(sla, zoo, 60.0)[0] == 7.0
    # A clock that runs back does not give the old period's money out again.
    ledger.renew(sla, 10.0)
    ledger.settle("large", reserved=3.0, real=9.0)
    assert ledger.left(sla, zoo, 10.0)[0] == 1.0


@given(
    scores=st.lists(st.tuples(st.integers(0, 5), st.floats(0, 1)), max_size=30),
    window=st.none() | st.integers(1, 4),
)
def test_means_are_those_of_the_last_score_of_each_decision(scores, window):
    ledger, last = Ledger(), {}
    for number, score in scores:
        ledger.label(str(number), score, last.get(number), floor=number / 10, window=window)
        last[number] = score
    assert ledger.labels_ == len(last)
    assert ledger.satisfied_ == pytest.approx(sum(last.values()), abs=1e-9)
    assert ledger.positive_labels_ == sum(score >= 0.5 for score in last.values())
    assert ledger.floor_sum_ == pytest.approx(sum(last) / 10)
    expected = [] if window is None else list(last.values())[-window:]
    assert [score for score, _, _ in ledger.recent_.values()] == expected
