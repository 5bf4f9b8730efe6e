import inspect

import msgspec
import numpy as np
import pytest

from floorline.datasets import simulate
from floorline.encoders import HashedNgrams
from floorline.errors import InvalidInput
from floorline.policies import POLICIES
from floorline.policies.base import DECLINED
from floorline.policies.query_all_policy import QueryAllPolicy
from floorline.policies.reference.fixed_sample import ClopperPearsonGate, ConformalArbitrage
from floorline.replay.compare import compare
from floorline.replay.data import prepare
from floorline.replay.run import build_policy, replay, stream_means, stream_rows
from floorline.replay.spec import Spec
from floorline.replay.tables import records, save

FEEDBACKS = ["full", "served", "sparse:0.3+delayed:5", "served+noisy:0.2"]
OFTEN = {"c": 0.5, "sample_requests": 40}
EXPLORE = {
    name: {one: OFTEN[one] for one in inspect.signature(policy).parameters if one in OFTEN}
    for name, policy in POLICIES.items()
}
QUERY_ALL = (QueryAllPolicy, ClopperPearsonGate, ConformalArbitrage)
MEASURED = {"spec", "seconds", "learn_seconds"}


def decided(run):
    """Everything of a run but the times it took."""
    return {k: v for k, v in run._asdict().items() if k not in MEASURED}


def spec_of(policy, **kwargs):
    if policy == "vowpal_wabbit":
        pytest.importorskip("vowpalwabbit")
    return Spec(policy, 0.75, parameters=EXPLORE.get(policy, {}), **kwargs)


@pytest.mark.parametrize("policy", sorted(POLICIES))
def test_the_same_seed_gives_the_same_run_and_another_seed_another(policy, simulated):
    spec = spec_of(policy, feedback="served+sparse:0.5+delayed:3", seed=4)
    a, b = replay(simulated, spec), replay(simulated, spec)
    other = replay(simulated, msgspec.structs.replace(spec, seed=5))
    for field, values in decided(a).items():
        np.testing.assert_array_equal(values, decided(b)[field], err_msg=field)
    assert not np.array_equal(a.row, other.row)


@pytest.mark.slow
def test_results_are_byte_identical_between_repetitions_and_numbers_of_jobs(simulated, tmp_path):
    specs = [
        spec_of(policy, seed=seed, feedback="sparse:0.5")
        for policy in ("mess_plus", "static_mix", "oracle")
        for seed in range(2)
    ]
    found = [compare(simulated, specs, jobs=jobs) for jobs in (1, 1, 2)]
    assert records(found[0]) == records(found[1]) == records(found[2])
    for number, results in enumerate(found):
        save(results, tmp_path / str(number), about={"data": "simulated"})
    for name in ("results.parquet", "results.json"):
        first, *others = ((tmp_path / str(n) / name).read_bytes() for n in range(3))
        assert others == [first, first]


def test_progress_counts_up_to_the_number_of_specs(simulated):
    told = []
    compare(simulated, [spec_of("random", seed=s) for s in range(3)], jobs=1, progress=told.append)
    assert told == [1, 2, 3]


def test_results_come_in_the_order_of_the_specs(simulated):
    specs = [spec_of(policy) for policy in ("oracle", "mess_plus", "random", "cheapest")]
    assert [result.spec for result in compare(simulated, specs, jobs=2)] == specs


@pytest.mark.parametrize(
    "change",
    [
        {"policy": "nothing"},
        {"feedback": "sometimes"},
        {"parameters": {"nothing": 1}},
        {"floor": 1.5},
        {"floor": float("nan")},
        {"history": 1.0},
        {"horizon": 0},
    ],
)
def test_a_spec_that_breaks_a_rule_is_refused(change, simulated):
    spec = msgspec.structs.replace(Spec("mess_plus", 0.8), **change)
    told = []
    with pytest.raises(InvalidInput):
        compare(simulated, [Spec("random", 0.8), spec], jobs=1, progress=told.append)
    assert told == []


def test_history_and_stream_share_no_row_and_cover_the_table(simulated):
    past, stream = stream_rows(simulated, Spec("random", 0.8, history=0.25, seed=3))
    assert len(past) == 30
    assert sorted([*past, *stream]) == list(range(120))


def test_the_horizon_cuts_the_stream(simulated):
    full, cut = (stream_rows(simulated, Spec("random", 0.8, horizon=h))[1] for h in (None, 50))
    assert cut.tolist() == full[:50].tolist()


@pytest.mark.parametrize("policy", sorted(POLICIES))
def test_bills_and_labels_are_those_of_the_table(policy, simulated):
    run = replay(simulated, spec_of(policy))
    served = run.model != DECLINED
    at = (run.row, run.model)
    np.testing.assert_array_equal(run.satisfied, np.where(served, simulated.quality[at], 0.0))
    np.testing.assert_array_equal(run.served_cost, np.where(served, simulated.cost[at], 0.0))
    queried = run.explored & issubclass(POLICIES[policy], QUERY_ALL)
    if policy == "frugal_cascade":
        assert (run.cost[~queried] >= run.served_cost[~queried]).all()
    else:
        np.testing.assert_array_equal(run.cost[~queried], run.served_cost[~queried])
    everything = simulated.cost[run.row].sum(axis=1)
    np.testing.assert_allclose(run.cost[queried], everything[queried])


def test_exploration_of_all_models_is_billed_and_reveals_all_labels(simulated):
    run = replay(simulated, spec_of("mess_plus"))
    assert 5 < run.explored.sum() < 100
    assert set(run.labels[run.explored]) == {8}
    assert set(run.labels[~run.explored]) == {1}


@pytest.mark.parametrize("policy", sorted(POLICIES))
def test_models_without_a_label_are_never_called(policy, gappy):
    run = replay(gappy, spec_of(policy))
    assert not np.isnan(run.satisfied).any()
    assert not np.isnan(run.cost).any()


def test_warm_start_learns_from_history_only(simulated):
    """Labels of the stream itself must not be in what a policy knows before it starts."""
    spec = spec_of("carrot", history=0.5)
    before = replay(simulated, spec)
    past, stream = stream_rows(simulated, spec)
    flipped = simulated.quality.copy()
    flipped[stream[60:]] = 1 - flipped[stream[60:]]
    after = replay(simulated._replace(quality=flipped), spec)
    np.testing.assert_array_equal(after.model[:60], before.model[:60])
    flipped = simulated.quality.copy()
    flipped[past] = 1 - flipped[past]
    assert not np.array_equal(replay(simulated._replace(quality=flipped), spec).model, before.model)


# No label leaks.


@pytest.mark.parametrize("feedback", FEEDBACKS)
@pytest.mark.parametrize("policy", sorted(p for p in POLICIES if POLICIES[p].knows == "feedback"))
def test_labels_and_costs_that_nobody_revealed_change_no_decision(policy, feedback, simulated):
    spec = spec_of(policy, feedback=feedback)
    run = replay(simulated, spec)
    called = np.zeros_like(simulated.quality, dtype=bool)
    called[run.row, run.model] = True
    called[run.row[run.cost > run.served_cost]] = True
    if feedback.startswith("served"):
        heard = np.zeros_like(called)
        heard[run.row, run.model] = True
    else:
        heard = called.copy()
    heard[run.row[run.labels == 0]] = False
    rng = np.random.default_rng(8)
    hidden = simulated._replace(
        quality=np.where(heard, simulated.quality, rng.random(heard.shape)),
        cost=np.where(called, simulated.cost, 1e3 * rng.random(called.shape)),
    )
    again = replay(hidden, spec)
    for field in ("model", "explored", "labels", "cost"):
        np.testing.assert_array_equal(getattr(again, field), getattr(run, field), err_msg=field)
    assert not np.array_equal(hidden.quality, simulated.quality)


def test_labels_that_were_revealed_do_change_decisions(simulated):
    """The test above could not fail if policies did not learn at all."""
    spec = spec_of("mess_plus")
    run = replay(simulated, spec)
    other = replay(simulated._replace(quality=1 - simulated.quality), spec)
    assert not np.array_equal(other.model, run.model)


@pytest.mark.parametrize("policy", sorted(POLICIES))
def test_policies_are_told_what_they_declare_and_no_more(policy, simulated):
    spec = spec_of(policy, history=0.25, seed=2)
    _, stream = stream_rows(simulated, spec)
    told = {
        name: value
        for name, value in vars(build_policy(simulated, spec)).items()
        if isinstance(value, np.ndarray)
    }
    quality, cost = stream_means(simulated, stream)
    expected = {
        "feedback": {},
        "features": {
            "features": simulated.features[stream],
            "input_tokens": simulated.input_tokens[stream],
        },
        "means": {"mean_quality": quality, "mean_cost": cost},
        "labels": {"quality": simulated.quality[stream], "cost": simulated.cost[stream]},
    }[POLICIES[policy].knows]
    assert told.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(told[name], value)


# Orderings that must hold whatever the estimates.


def test_the_oracle_meets_the_floor_at_the_lowest_cost_of_all(simulated):
    policies = set(POLICIES) - {"vowpal_wabbit"}
    runs = {policy: replay(simulated, spec_of(policy)) for policy in sorted(policies)}
    oracle = runs["oracle"]
    assert oracle.satisfied.mean() >= 0.75 - 1e-9
    for policy, run in runs.items():
        if run.satisfied.mean() >= 0.75:
            assert oracle.cost.mean() <= run.cost.mean() + 1e-12, policy


@pytest.mark.slow
def test_the_static_mix_meets_the_floor_in_expectation():
    data = prepare(simulate(400, seed=3), HashedNgrams(96))
    runs = [replay(data, Spec("static_mix", 0.8, seed=seed)) for seed in range(10)]
    mean = np.mean([run.satisfied.mean() for run in runs])
    assert mean == pytest.approx(0.8, abs=0.02)


@pytest.mark.slow
def test_mess_plus_reaches_the_floor_on_a_longer_stream():
    data = prepare(simulate(2500, seed=1), HashedNgrams(256))
    run = replay(data, Spec("mess_plus", 0.8))
    assert run.satisfied.mean() >= 0.8 - 0.02
    best = replay(data, Spec("best_fixed", 0.8))
    assert run.cost.mean() < best.cost.mean()
