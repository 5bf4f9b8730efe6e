import numpy as np
import pytest

from floorline.errors import InvalidInput
from floorline.estimators.proteus_checkpoint import save_network
from floorline.replay import Spec, replay
from floorline.replay.proteus.moving_floors import (
    SCENARIOS,
    _kept_and_error,
    track,
    tracking_table,
)
from floorline.replay.proteus.protocol import (
    default_range,
    level_table,
    measure,
    records,
    summary_table,
)
from floorline.replay.run import stream_means


@pytest.fixture(scope="module")
def network(random_network, simulated):
    names, dim = simulated.zoo.names, simulated.features.shape[1]
    return random_network(names, dim, simulated.encoder)


def test_accuracy_of_the_static_mix_follows_the_floor(simulated):
    found = measure(simulated, "static_mix", levels=5)
    quality, cost = stream_means(simulated, np.arange(simulated.rows))
    assert (found.levels[0].floor, found.levels[-1].floor) == default_range(simulated)
    assert found.levels[0].accuracy == pytest.approx(quality[cost.argmin()])
    assert found.levels[-1].cost == pytest.approx(cost[quality.argmax()])
    assert found.pearson > 0.9
    assert found.pearson_mu is None
    assert found.gap == pytest.approx(simulated.quality.max(axis=1).mean() - quality.max())


def test_the_oracle_meets_every_floor(simulated):
    found = measure(simulated, "oracle", levels=4)
    assert found.compliance == 1.0
    assert found.within_5 == 1.0
    assert all(level.cost_per_mix < 1.0 for level in found.levels)
    assert found.spearman == pytest.approx(1.0)


def test_a_policy_that_ignores_the_floor_has_no_correlation(simulated):
    found = measure(simulated, "best_fixed", levels=3)
    assert (found.pearson, found.spearman) == (None, None)
    assert found.cost_range == 1.0
    assert found.compliance == 1.0
    assert [level.savings for level in found.levels] == pytest.approx([0.0, 0.0, 0.0])


@pytest.mark.parametrize("policy", ["mess_plus", "carrot"])
def test_learning_policies_are_measured_by_the_same_protocol(policy, simulated, gappy):
    found = measure(simulated, policy, levels=2, history=simulated, targets=(0.6, 0.8))
    assert [level.floor for level in found.levels] == [0.6, 0.8]
    assert all(0.3 < level.accuracy < 1.0 for level in found.levels)


def test_a_network_gives_its_preference_in_memory_and_from_disk(network, simulated, tmp_path):
    save_network(network, tmp_path, settings={}, data={}, metrics={})
    found = [
        measure(simulated, "proteus", levels=3, parameters=parameters)
        for parameters in ({"network": network}, {"checkpoint": str(tmp_path)})
    ]
    for a, b in zip(found[0].levels, found[1].levels, strict=True):
        assert 0.0 < a.mu < 1.0
        assert (a.accuracy, a.cost, a.mu) == (b.accuracy, b.cost, b.mu)


def test_a_network_of_another_encoder_is_rejected(random_network, simulated, tmp_path):
    save_network(random_network(), tmp_path, settings={}, data={}, metrics={})
    spec = Spec("proteus", 0.8, parameters={"checkpoint": str(tmp_path)})
    message = r"encoder is .*: use the encoder of the training, vectors"
    with pytest.raises(InvalidInput, match=message):
        replay(simulated, spec)


def test_tables_and_records_contain_every_floor(simulated):
    found = measure(simulated, "static_mix", levels=3)
    rows = records([found])
    assert [row["floor"] for row in rows] == [level.floor for level in found.levels]
    assert {row["compliance"] for row in rows} == {found.compliance}
    assert level_table(found, cost_unit="USD").row_count == 3
    assert summary_table([found]).row_count == 1


@pytest.mark.parametrize("scenario", sorted(SCENARIOS))
def test_floors_of_a_scenario_are_in_their_range_with_their_mean(scenario):
    floors = SCENARIOS[scenario](0.5, 0.8, 1000, np.random.default_rng(0))
    assert floors.shape == (1000,)
    assert (floors.min(), floors.max()) == (0.5, 0.8)
    expected = {"step": 0.65, "ramp": 0.65, "tiers": 0.575, "bursts": 0.575}
    assert floors.mean() == pytest.approx(expected[scenario], abs=0.02)


def test_every_request_has_its_own_floor(simulated):
    floors = (0.0,) * 60 + (1.0,) * 60
    run = replay(simulated, Spec("static_mix", 0.5, floors=floors))
    cost = run.cost
    assert cost[:60].mean() < 0.5 * cost[60:].mean()
    with pytest.raises(InvalidInput, match="floors is 2: give one for each of 120 rows"):
        replay(simulated, Spec("static_mix", 0.5, floors=(0.5, 0.6)))


def test_tracking_compares_windows_or_floors():
    floors = np.repeat([0.5, 1.0], 100)
    satisfied = np.repeat([1.0, 0.8], 100)
    assert _kept_and_error("step", floors, satisfied) == (0.5, pytest.approx(0.35))
    alternating = np.tile([0.5, 1.0], 100)
    assert _kept_and_error("tiers", alternating, np.ones(200)) == (1.0, pytest.approx(0.25))


def test_scenarios_are_replayed_per_seed_and_are_reproducible(simulated):
    found = track(simulated, "static_mix", requests=200, seeds=2, scenarios=("step", "tiers"))
    assert [(t.scenario, t.seed) for t in found] == [
        ("step", 0),
        ("step", 1),
        ("tiers", 0),
        ("tiers", 1),
    ]
    again = track(simulated, "static_mix", requests=200, seeds=2, scenarios=("step", "tiers"))
    assert again == found
    assert all(0.7 < t.cost_per_mix < 1.4 for t in found)
    assert tracking_table(found, cost_unit="USD").row_count == 2
