"""Tests of properties that all built-in policies share."""

import inspect

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from floorline.core.snapshots import pack
from floorline.errors import InvalidInput
from floorline.policies import POLICIES, Policy, Request, make_policy, policy_class
from floorline.sla import SLA

ALL = sorted(POLICIES)
LEARNING = sorted(name for name in POLICIES if POLICIES[name].knows in ("feedback", "means"))


@pytest.fixture(scope="session")
def trained(build_router, live, random_steps):
    """Return a policy after 300 random events; all three models stay."""
    made = {}

    def get(name):
        if name not in made:
            router = build_router(name, [SLA("gold", floor=0.7)])
            kinds = ("route", "outcome", "feedback")
            live(router, [s for s in random_steps(300, 11, "labels") if s[0] in kinds])
            made[name] = router
        return made[name].policy

    return get


@pytest.mark.parametrize("name", ALL)
@given(number=st.integers(0, 99), floor=st.floats(0, 1), tokens=st.integers(0, 10_000))
@settings(max_examples=25)
def test_choices_are_well_formed(name, number, floor, tokens, trained, vector):
    request = Request(vector(number), "gold", floor, tokens)
    choice = trained(name).decide(request, np.random.default_rng(number))
    assert choice.called[0] == choice.model
    assert len(set(choice.called)) == len(choice.called)
    assert choice.propensities.shape == choice.quality.shape == choice.cost.shape == (3,)
    assert choice.propensities.sum() == pytest.approx(1.0)
    assert (choice.propensities >= 0).all()
    assert choice.propensities[choice.model] > 0
    assert ((choice.quality >= 0) & (choice.quality <= 1)).all()
    assert (choice.cost >= 0).all()


@pytest.mark.parametrize("name", LEARNING)
@given(
    mask=st.lists(st.booleans(), min_size=3, max_size=3).filter(any),
    number=st.integers(0, 99),
    floor=st.floats(0, 1),
)
@settings(max_examples=40)
def test_only_allowed_models_are_called(name, mask, number, floor, trained, vector):
    allowed = np.array(mask)
    request = Request(vector(number), "gold", floor, 50, allowed)
    choice = trained(name).decide(request, np.random.default_rng(number))
    assert allowed[list(choice.called)].all()
    assert choice.propensities[~allowed].sum() == 0
    assert choice.propensities.sum() == pytest.approx(1.0)


@pytest.mark.slow
@pytest.mark.parametrize("name", ALL)
def test_propensities_are_the_frequencies_with_which_models_are_served(name, trained, vector):
    rng = np.random.default_rng(3)
    request = Request(vector(1), "gold", 0.7, 50)
    choices = [trained(name).decide(request, rng) for _ in range(600)]
    served = np.bincount([choice.model for choice in choices], minlength=3) / 600
    np.testing.assert_allclose(served, choices[0].propensities, atol=0.07)


@pytest.mark.parametrize("name", ALL)
def test_deciding_changes_no_state_and_depends_on_the_generator_only(name, trained, vector):
    policy, request = trained(name), Request(vector(3), "gold", 0.7, 50)
    before = pack(policy.snapshot())
    first, second = (policy.decide(request, np.random.default_rng(1)) for _ in range(2))
    assert pack(policy.snapshot()) == before
    assert (first.model, first.called, first.explored) == (
        second.model,
        second.called,
        second.explored,
    )
    np.testing.assert_array_equal(first.propensities, second.propensities)


@pytest.mark.parametrize("name", ALL)
def test_every_policy_has_a_name_a_docstring_and_states_what_it_knows(name):
    policy = POLICIES[name]
    assert policy.name == name
    assert policy.knows in ("feedback", "features", "means", "labels")
    assert inspect.getdoc(policy)


@pytest.mark.parametrize(
    "name", ["nothing", "floorline.nothing:X", "floorline.zoo:Nothing", "floorline.zoo:Zoo"]
)
def test_unknown_policies_are_rejected_with_the_known_ones(name):
    with pytest.raises(InvalidInput, match=r"policy is .*(choose one of mess|give a subclass)"):
        policy_class(name)


def test_unknown_parameters_are_rejected_with_the_known_ones():
    with pytest.raises(
        InvalidInput, match=r"mess_plus is 'v': did you mean 'V'\? choose one of: reading, V"
    ):
        make_policy("mess_plus", v=1)


class Own(Policy):
    name = "own"

    def decide(self, request, rng):
        raise NotImplementedError


def test_a_policy_of_your_own_is_found_by_its_path():
    assert policy_class(f"{__name__}:Own") is Own
