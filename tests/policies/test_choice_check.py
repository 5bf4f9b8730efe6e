import pickle

import numpy as np
import pytest

from floorline.errors import FloorlineError, InvalidChoice
from floorline.policies.base import DECLINED, Choice, Policy, Request, declined
from floorline.policies.choice_check import check_choice
from floorline.sla import SLA, Budget

REQUEST = Request(np.zeros(6, np.float32), "gold", 0.8, allowed=np.array([True, True, False]))


def choice(**changes):
    fields = {
        "model": 1,
        "called": (1, 0),
        "propensities": np.array([0.25, 0.75, 0.0]),
        "explored": False,
        "quality": np.array([0.5, 0.7, 0.9]),
        "cost": np.array([1.0, 4.0, 20.0]),
    }
    return Choice(**fields | changes)


def check(made, *, budget=False):
    check_choice("mine", made, REQUEST, 3, budget)


def unit(model):
    return np.eye(3)[model]


def test_a_sound_choice_passes():
    check(choice())
    check(declined(3))


def test_with_a_budget_the_rest_of_the_probability_is_that_of_declining():
    part = choice(propensities=np.array([0.0, 0.75, 0.0]))
    check(part, budget=True)
    with pytest.raises(InvalidChoice, match=r"propensities sum to 0\.75: let them sum to 1"):
        check(part)
    check(declined(3)._replace(propensities=np.array([0.5, 0.0, 0.0])))


def test_rounding_errors_of_a_linear_program_pass():
    check(choice(propensities=np.array([0.25 - 1e-9, 0.75, 0.0])))
    check(choice(propensities=np.array([0.25 + 1e-9, 0.75, 0.0])))


BAD = {
    "NaN": ({"propensities": np.array([0.25, np.nan, 0.0])}, "propensities are "),
    "infinity": ({"propensities": np.array([0.25, np.inf, 0.0])}, "propensities are "),
    "negative": ({"propensities": np.array([-0.25, 1.25, 0.0])}, "propensities are "),
    "sum above 1": ({"propensities": np.array([0.5, 0.75, 0.0])}, "propensities are "),
    "sum below 1": ({"propensities": np.array([0.0, 0.75, 0.0])}, r"propensities sum to 0\.75"),
    "served with 0": ({"propensities": unit(0)}, "propensities of the served model 1 is 0"),
    "shape": ({"propensities": np.array([0.0, 1.0])}, r"propensities has shape \(2,\)"),
    "list": ({"propensities": [0.0, 1.0, 0.0]}, "propensities has shape None"),
    "quality's shape": ({"quality": np.ones((3, 1))}, r"quality has shape \(3, 1\): give an array"),
    "scores' shape": ({"scores": np.ones(2)}, r"scores has shape \(2,\): give an array"),
    "scores as list": ({"scores": [1.0, 2.0, 3.0]}, "scores has shape None"),
    "long rule": ({"rule": "r" * 300}, "rule is 'r+\\.\\.\\.'?: give at most 256 characters"),
    "rule of no text": ({"rule": None}, "rule is None"),
    "cost's shape": ({"cost": np.ones(4)}, r"cost has shape \(4,\): give an array of shape \(3,\)"),
    "no quality": ({"quality": np.full(3, np.nan)}, "quality of model 1 is nan"),
    "no cost": ({"cost": np.array([1.0, np.nan, 1.0])}, "cost of model 1 is nan"),
    "negative cost": ({"cost": np.array([1.0, -2.0, 1.0])}, r"cost of model 1 is -2\.0"),
    "not called": ({"called": (0,)}, r"called is \(0,\): put the served model 1 first"),
    "not called first": ({"called": (0, 1)}, r"called is .*: put the served model 1 first"),
    "nothing called": ({"called": ()}, r"called is \(\): put the served model 1 first"),
    "calls the excluded": ({"called": (1, 2)}, "called names model 2: call models that request"),
    "serves the excluded": (
        {"model": 2, "called": (2,), "propensities": unit(2)},
        "called names model 2: call models that request",
    ),
    "beyond the zoo": (
        {"model": 3, "called": (3,)},
        "called names model 3: give positions from 0 to 2",
    ),
    "before the zoo": ({"model": -2, "called": (-2,)}, "called names model -2: give positions"),
    "declined with calls": ({"model": DECLINED}, r"called is \(1, 0\) for a declined request"),
}


@pytest.mark.parametrize(("changes", "message"), BAD.values(), ids=BAD)
def test_a_choice_that_breaks_a_rule_is_refused_with_the_policys_name(changes, message):
    with pytest.raises(InvalidChoice, match=f"^policy 'mine': Choice.{message}") as caught:
        check(choice(**changes))
    assert isinstance(caught.value, FloorlineError)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


class Fixed(Policy):
    """Returns one choice."""

    name = "fixed"

    def __init__(self, made):
        self.made = made

    def decide(self, request, rng):
        return self.made


@pytest.mark.parametrize(("changes", "message"), BAD.values(), ids=BAD)
def test_the_router_logs_no_choice_that_breaks_a_rule(changes, message, build_router, vector):
    router = build_router(Fixed(choice(**changes)), [SLA("gold", floor=0.5)])
    with pytest.raises(InvalidChoice, match=f"policy 'fixed': Choice.{message}"):
        router.route(features=vector(0), exclude=["large"])
    assert (len(router.log), router.status().requests) == (0, 0)


def test_the_router_lets_policies_under_a_budget_decline_with_some_probability(
    build_router, vector
):
    made = choice(propensities=np.array([0.0, 0.5, 0.0]), called=(1,))
    router = build_router(Fixed(made), [SLA("gold", floor=0.5, budget=Budget(total=100.0))])
    decision = router.route(features=vector(0))
    assert (decision.model, decision.propensity) == ("medium", 0.5)
