import numpy as np
import pytest

from floorline.datasets import simulate
from floorline.encoders import HashedNgrams
from floorline.errors import InvalidInput
from floorline.policies import BUDGET_REFERENCE_POINTS
from floorline.replay import Spec, prepare, replay
from floorline.replay.budgets import (
    SPLITS,
    budget_scores,
    budgets_for,
    cheapest_bill,
    spent,
    split_budget,
)

QUALITY = np.array([0.4, 0.5, 0.6, 0.7, 0.8, 0.9])
COST = np.array([1.0, 2.0, 3.0, 20.0, 50.0, 100.0])


@pytest.fixture(scope="module")
def data():
    return prepare(simulate(900, seed=4), HashedNgrams(96))


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("seed", range(5))
def test_splits_sum_to_the_total_and_give_every_model_a_budget(split, seed):
    amounts = split_budget(split, 12.5, QUALITY, COST, seed=seed)
    assert amounts.sum() == pytest.approx(12.5)
    assert (amounts > 0).all()
    np.testing.assert_array_equal(amounts, split_budget(split, 12.5, QUALITY, COST, seed=seed))


def test_splits_follow_the_formulas_of_the_paper():
    def shares(split, **more):
        return split_budget(split, 1.0, QUALITY, COST, **more)

    np.testing.assert_allclose(shares("uniform"), 1 / 6)
    np.testing.assert_allclose(shares("perf"), QUALITY / QUALITY.sum())
    np.testing.assert_allclose(shares("cost"), COST**-0.5 / (COST**-0.5).sum())
    ratio = np.sqrt(QUALITY / COST)
    np.testing.assert_allclose(shares("weighted"), ratio / ratio.sum())
    extreme = shares("extreme", favoured=2)
    np.testing.assert_allclose(extreme, [0.05, 0.05, 0.05, 0.05, 0.4, 0.4])
    drawn = np.array([shares("random", seed=seed) for seed in range(50)])
    assert (drawn.max(axis=1) / drawn.min(axis=1)).max() <= 6.0
    assert len(np.unique(drawn.round(9), axis=0)) == 50
    drawn = np.array([shares("extreme", seed=seed) for seed in range(40)])
    possible = np.array([shares("extreme", favoured=few) for few in (1, 2, 3, 4, 5)])
    np.testing.assert_array_equal(np.unique(drawn, axis=0), np.unique(possible, axis=0))


def test_one_or_two_models_can_be_split():
    for split in SPLITS:
        assert split_budget(split, 2.0, QUALITY[:1], COST[:1]).tolist() == [2.0]
        assert split_budget(split, 2.0, QUALITY[:2], COST[:2]).sum() == pytest.approx(2.0)


def test_bad_splits_are_rejected():
    with pytest.raises(InvalidInput, match="choose one of cost, extreme"):
        split_budget("half", 1.0, QUALITY, COST)
    with pytest.raises(InvalidInput, match="total"):
        split_budget("perf", -1.0, QUALITY, COST)
    with pytest.raises(InvalidInput, match="free models"):
        split_budget("cost", 1.0, QUALITY, 0 * COST)


def test_budgets_are_multiples_of_the_cost_of_the_cheapest_model(data):
    spec = Spec("random", 0.0, history=0.5, horizon=200)
    unit = cheapest_bill(data, spec)
    run = replay(data, Spec("cheapest", 0.0, history=0.5, horizon=200))
    assert unit == pytest.approx(run.cost.sum(), rel=0.05)
    budgets = budgets_for(data, spec, "weighted", 4)
    assert sum(budgets.values()) == pytest.approx(4 * unit)
    assert list(budgets) == list(data.zoo.names)


@pytest.fixture(scope="module")
def runs(data):
    spec = {"floor": 0.0, "history": 0.5, "horizon": 250, "seed": 1}
    budgets = budgets_for(data, Spec("random", **spec), "weighted", 4)
    names = ("port", *BUDGET_REFERENCE_POINTS)
    runs = {name: replay(data, Spec(name, budgets=budgets, **spec)) for name in names}
    again = Spec("port", budgets=budgets, parameters={"resolve_every": 25}, **spec)
    return runs | {"again": replay(data, again)}


@pytest.mark.slow
def test_real_costs_never_exceed_a_budget(runs, data):
    for name, run in runs.items():
        budgets = np.array([run.spec.budgets[model] for model in data.zoo.names])
        assert (spent(data, run) <= budgets * (1 + 1e-9)).all(), name
        assert spent(data, run).sum() == pytest.approx(run.cost.sum()), name


def test_metrics_follow_the_definitions_of_the_paper(runs):
    scores = budget_scores(runs)
    for name, run in runs.items():
        score = scores[name]
        assert score.performance == run.satisfied.sum()
        assert score.throughput == (run.model >= 0).sum()
        assert score.efficiency == pytest.approx(score.performance / score.cost)
        assert score.to_optimum <= 1.0, name
    assert scores["lp_on_estimates"].to_estimates == 1.0
    assert scores["budget_oracle"].to_optimum == 1.0
    assert scores["again"].to_estimates > 0.95


def test_ratios_without_their_reference_are_nan(runs):
    score = budget_scores({"port": runs["port"]})["port"]
    assert np.isnan([score.to_estimates, score.to_optimum]).all()


def test_runs_on_different_streams_or_budgets_are_rejected(runs, data):
    other = replay(data, Spec("random", 0.0, history=0.5, horizon=250, seed=2))
    with pytest.raises(InvalidInput, match="same stream"):
        budget_scores({"port": runs["port"], "other": other})
    same = replay(data, Spec("random", 0.0, history=0.5, horizon=250, seed=1))
    with pytest.raises(InvalidInput, match="same budgets"):
        budget_scores({"port": runs["port"], "other": same})
