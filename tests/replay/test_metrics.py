import math

import numpy as np
import pytest

from floorline.replay.data import ReplayData
from floorline.replay.metrics import (
    References,
    mean_and_interval,
    references,
    running_mean,
    score,
)
from floorline.replay.spec import Run, Spec
from floorline.zoo import Model, Zoo


def run_of(satisfied, cost, *, floor=0.5, served_cost=None, explored=None, labels=None):
    n = len(satisfied)
    return Run(
        spec=Spec("random", floor),
        row=np.arange(n),
        model=np.zeros(n, dtype=np.int64),
        explored=np.zeros(n, bool) if explored is None else np.array(explored),
        satisfied=np.array(satisfied, float),
        cost=np.array(cost, float),
        served_cost=np.array(cost if served_cost is None else served_cost, float),
        labels=np.ones(n, np.int64) if labels is None else np.array(labels),
        seconds=np.zeros(n),
        learn_seconds=np.zeros(n),
    )


def data_of(quality, cost):
    quality, cost = np.array(quality, float), np.array(cost, float)
    n, m = quality.shape
    return ReplayData(
        name="tiny",
        zoo=Zoo([Model(f"m{k}", call_price=1.0) for k in range(m)]),
        features=np.zeros((n, 2), np.float32),
        quality=quality,
        cost=cost,
        input_tokens=np.ones(n, np.int64),
        output_tokens=None,
        latency=None,
        encoder="none",
        simulated=False,
    )


AGAINST = References(static_mix=2.0, best_fixed=10.0, oracle=1.0)


def test_scores_of_a_run_of_four_requests():
    found = score(
        run_of(
            [1, 0, 0, 1],
            [1, 2, 9, 4],
            served_cost=[1, 2, 5, 4],
            explored=[False, False, True, False],
            labels=[1, 0, 3, 0],
        ),
        AGAINST,
    )
    # Means so far: 1, 1/2, 1/3, 1/2. All four count, because a tenth of four rounds down to 0.
    assert found.satisfaction == 0.5
    assert found.floor_met == 1.0
    assert found.violation == 0.25
    assert (found.cost, found.served_cost) == (4.0, 3.0)
    assert (found.cost_per_static_mix, found.cost_per_oracle) == (2.0, 4.0)
    assert found.savings == pytest.approx(0.6)
    assert (found.explored, found.labels) == (0.25, 1.0)


def test_violations_before_the_burn_in_do_not_count():
    early = [0, 0] + [1] * 18
    assert score(run_of(early, [1] * 20, floor=0.3), AGAINST).violation == 0.0
    late = [1] * 18 + [0, 0]
    assert score(run_of(late, [1] * 20, floor=0.99), AGAINST).violation == pytest.approx(2 / 18)


def test_a_floor_missed_by_a_rounding_error_counts_as_met():
    found = score(run_of([0.1] * 3, [1] * 3, floor=0.1 + 1e-12), AGAINST)
    assert (found.floor_met, found.violation) == (1.0, 0.0)


def test_ratios_to_a_free_reference_are_one_or_infinite():
    free = References(static_mix=0.0, best_fixed=0.0, oracle=0.0)
    assert score(run_of([1], [0.0]), free).cost_per_oracle == 1.0
    assert score(run_of([1], [2.0]), free).cost_per_static_mix == math.inf
    assert score(run_of([1], [0.0]), free).savings == 0.0


def test_references_of_a_stream_of_four_requests():
    data = data_of([[0, 1], [1, 1], [0, 1], [1, 1]], [[1, 4], [1, 4], [1, 4], [1, 4]])
    found = references(data, run_of([1] * 4, [1] * 4, floor=0.75))
    assert found.static_mix == pytest.approx(0.5 * 1 + 0.5 * 4)
    assert found.best_fixed == 4.0
    # Only one of the two requests that the cheap model fails needs the expensive one.
    assert found.oracle == pytest.approx((3 * 1 + 4) / 4)


def test_references_skip_missing_labels():
    data = data_of([[np.nan, 1], [1, 1], [1, 1]], [[np.nan, 4], [1, 6], [1, 6]])
    found = references(data, run_of([1] * 3, [1] * 3, floor=1.0))
    assert found.oracle == pytest.approx((4 + 1 + 1) / 3)
    assert found.static_mix == 1.0


def test_running_means():
    assert running_mean(np.array([1.0, 0.0, 0.5])).tolist() == [1.0, 0.5, 0.5]


def test_intervals_over_seeds_have_their_nominal_coverage():
    values = np.random.default_rng(0).normal(3.0, 2.0, size=(2000, 5))
    found = [mean_and_interval(row.tolist()) for row in values]
    covered = np.mean([abs(mean - 3.0) <= half for mean, half in found])
    assert covered == pytest.approx(0.95, abs=0.015)


def test_one_seed_has_no_interval():
    mean, half = mean_and_interval([0.7])
    assert mean == 0.7
    assert math.isnan(half)
