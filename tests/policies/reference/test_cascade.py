import numpy as np
import pytest

from floorline.errors import InvalidInput
from floorline.policies import make_policy
from floorline.policies.base import Request
from floorline.sla import SLA
from floorline.zoo import Model, Zoo

ZOO = Zoo([Model("a", call_price=1.0), Model("b", call_price=3.0), Model("c", call_price=9.0)])


def table(rows=4000, seed=0, means=(0.5, 0.7, 0.9)):
    rng = np.random.default_rng(seed)
    quality = (rng.random((rows, 3)) < means).astype(float)
    return quality, np.tile([1.0, 3.0, 9.0], (rows, 1))


def run(policy, floor, rows, allowed=None):
    policy.start(ZOO, {"gold": SLA("gold", floor=floor)}, 1)
    rng = np.random.default_rng(7)
    choices = []
    for t in range(rows):
        policy.t_ = t
        choices.append(policy.decide(Request(np.zeros(1), "gold", floor, 5, allowed), rng))
    return choices


def outcome(choices, quality, cost):
    satisfied = np.mean([quality[t, c.model] for t, c in enumerate(choices)])
    return satisfied, np.mean([cost[t, list(c.called)].sum() for t, c in enumerate(choices)])


@pytest.mark.parametrize("accuracy", [0.5, 0.8, 1.0])
def test_the_floor_is_met_and_a_better_scorer_is_cheaper(accuracy):
    quality, cost = table()
    policy = make_policy("frugal_cascade", quality=quality, cost=cost, accuracy=accuracy)
    choices = run(policy, 0.8, len(quality))
    satisfied, price = outcome(choices, quality, cost)
    assert satisfied == pytest.approx(0.8, abs=0.02)
    # By hand: b and c, half each; (a, b) and (a, b, c), half each; a and (a, b), one to six.
    assert price == pytest.approx({0.5: 6.0, 0.8: 3.35, 1.0: 2.29}[accuracy], abs=0.2)


def test_all_calls_are_paid_and_the_served_answer_is_the_last_one_called():
    quality, cost = table(300)
    choices = run(make_policy("frugal_cascade", quality=quality, cost=cost), 0.88, 300)
    assert {len(choice.called) for choice in choices} >= {1, 2}
    for choice in choices:
        assert choice.model == choice.called[0] == max(choice.called)


def test_a_scorer_that_knows_the_label_accepts_the_first_right_answer():
    quality, cost = table(500)
    policy = make_policy("frugal_cascade", quality=quality, cost=cost, accuracy=1.0)
    for t, choice in enumerate(run(policy, 0.99, 500)):
        assert not quality[t, list(choice.called[1:])].any()
        assert quality[t, choice.model] or choice.model == 2 or len(choice.called) == 1


def test_a_list_without_a_model_that_may_serve_is_replaced_by_the_dearest_that_may():
    quality, cost = table(50)
    policy = make_policy("frugal_cascade", quality=quality, cost=cost, length=1)
    choices = run(policy, 0.9, 50, allowed=np.array([True, False, False]))
    assert {choice.called for choice in choices} == {(0,)}


def test_too_many_lists_are_refused():
    quality, cost = np.ones((2, 30)), np.ones((2, 30))
    zoo = Zoo([Model(f"m{n}", call_price=1.0) for n in range(30)])
    policy = make_policy("frugal_cascade", quality=quality, cost=cost, length=5)
    with pytest.raises(InvalidInput, match=r"frugal_cascade\.length is 5: give a length"):
        policy.start(zoo, {"gold": SLA("gold", floor=0.5)}, 1)
