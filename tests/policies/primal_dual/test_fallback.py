"""With prompts that tell nothing, or lie, the flagship is its own static mix, or nearly."""

import functools

import numpy as np
import pytest

from floorline.datasets import simulate
from floorline.encoders import make_encoder
from floorline.replay import prepare
from floorline.replay.scenarios.streams import (
    misleading_prompts,
    replay_scenario,
    steady,
    useless_prompts,
)

FLOOR = 0.8
REQUESTS = 2000


@pytest.fixture(scope="module")
def data():
    return prepare(simulate(4000, seed=3), make_encoder("hashed"))


def both(scene, seed, past):
    """One stream served with and without prompts; from when on they were first proven to tell."""
    proven = []

    def watch(step, router):
        if not proven and router.policy.gate_.is_significant:
            proven.append(step)

    past = scene.history(past) if past else None
    prompts = replay_scenario(scene, "primal_dual", seed=seed, past=past, watch=watch)
    without = replay_scenario(scene, "primal_dual", seed=seed, past=past, prompts=False)
    return prompts, without, proven[0] if proven else REQUESTS


@pytest.fixture(scope="module")
def useless(data):
    """Both streams with useless prompts, by seed and length of the past; replayed once."""

    @functools.cache
    def replayed(seed, past):
        scene = useless_prompts(steady(data, floor=FLOOR, requests=REQUESTS, seed=seed), seed=seed)
        return both(scene, seed, past)

    return replayed


@pytest.mark.slow
@pytest.mark.parametrize("past", [0, 1000])
def test_until_prompts_have_proved_to_tell_every_decision_is_the_static_mixs(useless, past):
    for seed in range(3):
        prompts, without, proven = useless(seed, past)
        assert (prompts.model[:proven] == without.model[:proven]).all()
        assert (prompts.explored[:proven] == without.explored[:proven]).all()


@pytest.mark.slow
def test_useless_prompts_cost_little_and_no_floor(useless):
    ratios, above = [], []
    for seed in range(6):
        prompts, without, _ = useless(seed, 0)
        ratios.append(prompts.cost.sum() / without.cost.sum())
        above.append(prompts.satisfied.mean() - FLOOR)
    assert np.mean(ratios) < 1.05
    assert max(ratios) < 1.3
    assert np.mean(above) > -0.003


@pytest.mark.slow
def test_prompts_that_turn_round_are_left_again(data):
    for seed in range(2):
        still = steady(data, floor=FLOOR, requests=REQUESTS, seed=seed)
        prompts, without, proven = both(misleading_prompts(still, REQUESTS // 2), seed, 1000)
        assert proven < REQUESTS // 2
        last = slice(3 * REQUESTS // 4, REQUESTS)
        assert prompts.satisfied.mean() > FLOOR - 0.02
        assert prompts.cost[last].sum() < 1.5 * without.cost[last].sum()
