"""Replay of simulated conversations, and the caches of their providers."""

import numpy as np
import pytest

from floorline import Model
from floorline.datasets.simulated_conversations import simulate_conversations
from floorline.replay.conversations import (
    WAYS,
    ProviderCaches,
    call_cost,
    fixed_costs,
    oracle_cost,
    replay_conversations,
)

STREAM = simulate_conversations(600, seed=3)
SHORT = simulate_conversations(120, seed=3)


def test_a_stream_repeats_and_its_turns_are_in_order():
    again = simulate_conversations(600, seed=3)
    for one, other in zip(STREAM[1:-1], again[1:-1], strict=True):
        assert np.array_equal(one, other)
    assert (np.diff(STREAM.at) >= 0.0).all()
    first = STREAM.turn == 1
    assert (STREAM.prefix_tokens[first] == 0).all()
    assert (STREAM.prefix_tokens[~first] > 0).all()
    assert (STREAM.prefix_tokens < STREAM.input_tokens).all()


def test_the_price_of_a_call_has_its_cached_and_written_tokens():
    model = Model("m", 3.0, 15.0, cached_input_price=0.3, cache_write_price=3.75)
    assert call_cost(model, 1000, 600, 300, 10) * 1e6 == 300 + 180 + 1125 + 150
    assert call_cost(Model("m", 3.0, 15.0), 1000, 600, 300, 10) * 1e6 == 3150


def test_a_provider_reads_the_last_prompt_and_forgets_it_in_time():
    caches = ProviderCaches(STREAM, np.ones(len(STREAM.zoo)), seed=0)
    followed = np.flatnonzero((STREAM.turn == 2) & (STREAM.prefix_tokens > 2000))
    found = {True: 0, False: 0}
    for row in range(STREAM.size):
        read, written, cost = caches.call(row, 0)
        assert 0 <= read + written <= STREAM.input_tokens[row]
        assert cost > 0.0
        if row in followed:
            before = np.flatnonzero(
                (STREAM.conversation == STREAM.conversation[row]) & (STREAM.turn == 1)
            )[0]
            warm = STREAM.at[row] - STREAM.at[before] <= 300.0
            found[bool(warm)] += 1
            assert (read == STREAM.prefix_tokens[row]) or not warm
    assert min(found.values()) > 0


@pytest.mark.parametrize("way", WAYS)
def test_every_way_serves_every_turn(way):
    run = replay_conversations(SHORT, "primal_dual", 0.8, way, seed=1)
    assert (run.cost > 0.0).all()
    assert 0.7 < run.satisfied.mean() <= 1.0
    assert (run.switches(SHORT) == 0.0) == (way == "never switch")


def test_a_replay_repeats():
    runs = [replay_conversations(SHORT, "primal_dual", 0.8, "planned", seed=1) for _ in range(2)]
    assert np.array_equal(runs[0].model, runs[1].model)


@pytest.mark.parametrize("policy", ["sla_router", "carrot", "mess_plus", "cheapest", "omnirouter"])
def test_every_policy_serves_conversations(policy):
    run = replay_conversations(SHORT, policy, 0.8, "planned", seed=1)
    assert (run.cost > 0.0).all()


def test_the_oracle_meets_the_floor_at_less_than_one_model_does():
    means, fixed = STREAM.quality.mean(axis=0), fixed_costs(STREAM).mean(axis=0)
    floor = float(means[5])
    cost, satisfaction = oracle_cost(STREAM, floor)
    assert satisfaction >= floor
    assert cost < fixed[5]
