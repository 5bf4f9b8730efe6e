"""Off-policy estimates: values, bounds of choices without support, and the overlap."""

import msgspec
import numpy as np
import pytest

from floorline.guarantees.off_policy import (
    Estimate,
    LoggedValues,
    WeightedSample,
    bounds_of,
    estimates,
)
from floorline.guarantees.overlap import overlap_of
from floorline.guarantees.predictable import MeanLower, rates_for
from floorline.whatif.result import _disjoint


def sample(
    value, choice, logged, target, *, prediction=None, high=None, share=None, block_rows=10**6
):
    logged, target = (np.array(p, dtype=float) for p in (logged, target))
    given = np.full(target.shape, 0.5) if prediction is None else np.array(prediction, dtype=float)
    columns = (
        np.array(value, dtype=float),
        np.array(choice),
        logged,
        target,
        given,
        np.ones(len(value)) if share is None else np.array(share, dtype=float),
    )

    def read():
        for first in range(0, len(value), block_rows):
            yield LoggedValues(*(column[first : first + block_rows] for column in columns))

    largest = np.ones(target.shape[1]) if high is None else np.array(high, dtype=float)
    return WeightedSample(read, len(value), largest)


def only_block(found):
    (block,) = found.blocks()
    return block


def lower_bound(values, forecasts, slack, weights, alpha, prior):
    bound = MeanLower(alpha, prior)
    bound.add(values, forecasts, slack, weights)
    return bound.bound()


def test_estimators_on_a_sample_of_four():
    four = sample(
        [1, 0, 1, 1], [0, 1, 0, 0], [[0.5, 0.5]] * 3 + [[1, 0]], [[1, 0], [1, 0], [1, 0], [1, 0]]
    )
    assert only_block(four).weight.tolist() == [2, 0, 2, 1]
    # Σw·v is 5 and the mean 5/4, more than any share of satisfied requests.
    ips, snips, robust = estimates(four, 0.05)
    assert (ips.value, snips.value, robust.value) == (1.0, 1.0, 1.0)
    assert four.effective_size == pytest.approx(25 / 9)
    for each in (ips, snips, robust):
        assert 0.0 <= each.lower <= each.upper <= 1.0
    assert bounds_of(four, 0.05) == (robust.lower, robust.upper)


def test_values_of_the_estimators():
    n = 8
    found = sample(
        [1, 0, 1, 0, 0, 0, 1, 1],
        [0, 1] * 4,
        [[0.5, 0.5]] * n,
        [[0.75, 0.25]] * n,
        prediction=[[0.6, 0.4]] * n,
    )
    ips, snips, robust = estimates(found, 0.05)
    assert only_block(found).weight.tolist() == [1.5, 0.5] * 4
    assert ips.value == pytest.approx((3 * 1.5 + 0.5) / n)
    assert snips.value == pytest.approx((3 * 1.5 + 0.5) / (4 * 1.5 + 4 * 0.5))
    residual = 1.5 * (3 - 4 * 0.6) + 0.5 * (1 - 4 * 0.4)
    assert robust.value == pytest.approx(0.75 * 0.6 + 0.25 * 0.4 + residual / n)


def test_weights_above_the_square_root_of_n_are_unsupported():
    n = 100
    logged, target = [[0.11, 0.08, 0.81]] * n, [[1.0, 0, 0]] * 60 + [[0, 1.0, 0]] * 40
    found = sample(np.ones(n), [0, 1] * 50, logged, target)
    assert found.max_weight == 10.0
    assert only_block(found).unsupported.sum(0).tolist() == [0, 40, 0]
    assert only_block(found).weight[:60].tolist() == pytest.approx([1 / 0.11, 0.0] * 30)
    assert only_block(found).weight[60:].tolist() == [0.0] * 40


@pytest.mark.parametrize("kind", [0, 1, 2])
@pytest.mark.parametrize("quality", [0.0, 1.0])
def test_unsupported_choices_count_as_anything(kind, quality):
    """Whatever the model would have given that the log never served, the interval holds it."""
    n, rng = 400, np.random.default_rng(1)
    choice = (rng.random(n) < 0.5).astype(int)
    value = (rng.random(n) < np.array([0.3, 0.8])[choice]).astype(float)
    found = sample(value, choice, [[0.5, 0.5, 0.0]] * n, [[0.4, 0.3, 0.3]] * n)
    each = estimates(found, 0.05)[kind]
    assert each.lower <= 0.4 * 0.3 + 0.3 * 0.8 + 0.3 * quality <= each.upper
    assert each.upper - each.lower >= 0.3


def test_costs_are_bounded_by_the_largest_cost_of_each_model():
    n, rng = 500, np.random.default_rng(2)
    choice = (rng.random(n) < 0.5).astype(int)
    cost = np.array([1.0, 50.0])[choice] * (0.5 + rng.random(n))
    found = sample(
        cost,
        choice,
        [[0.5, 0.5, 0.0]] * n,
        [[0.9, 0.0, 0.1]] * n,
        prediction=[[1.0, 50.0, 20.0]] * n,
        high=[1.5, 75.0, 200.0],
    )
    for each in estimates(found, 0.05):
        assert 0.0 <= each.lower <= 0.9 + 0.1 * 0.0
        assert 0.9 + 0.1 * 200.0 <= each.upper <= 0.9 * 1.5 + 0.1 * 200.0
    free = sample(np.zeros(n), choice, [[0.5, 0.5]] * n, [[1.0, 0.0]] * n, high=[0.0, 0.0])
    assert [(e.lower, e.upper) for e in estimates(free, 0.05)] == [(0.0, 0.0)] * 3


def test_a_share_of_zero_leaves_a_value_out():
    n, rng = 300, np.random.default_rng(3)
    choice = (rng.random(n) < 0.5).astype(int)
    value, share = (rng.random(n) < 0.6).astype(float), (np.arange(n) % 2).astype(float)
    both = [
        sample(np.where(share, value, junk), choice, [[0.5, 0.5]] * n, [[1, 0]] * n, share=share)
        for junk in (0.0, 1.0)
    ]
    ends = [[(e.lower, e.upper) for e in estimates(one, 0.05, squares=n / 2)] for one in both]
    for one, other in zip(*ends, strict=True):
        assert one == pytest.approx(other)
    assert estimates(both[0], 0.05)[1].value == pytest.approx(estimates(both[1], 0.05)[1].value)


def test_bounds_hold_while_the_probabilities_follow_the_values():
    """An adaptive logging policy: each success makes the same choice likelier. 2.5 % a side."""
    n, runs, rng = 200, 300, np.random.default_rng(4)
    quality, missed = np.array([0.35, 0.65]), np.zeros((3, 2))
    for _ in range(runs):
        score, rows = np.zeros(2), []
        for _ in range(n):
            p = np.clip(0.5 + 0.1 * (score[1] - score[0]), 0.08, 0.92)
            choice = int(rng.random() < p)
            value = float(rng.random() < quality[choice])
            rows.append((value, choice, [1 - p, p]))
            score[choice] = 0.9 * score[choice] + value
        value, choice, logged = zip(*rows, strict=True)
        found = estimates(sample(value, choice, logged, [[1.0, 0.0]] * n), 0.05, squares=n / 2)
        missed += [[e.lower > quality[0], e.upper < quality[0]] for e in found]
    assert (missed <= 0.025 * runs).all()


def test_the_bound_holds_for_rare_large_values():
    n, runs, rng = 300, 400, np.random.default_rng(5)
    chance = 0.1
    values = (rng.random((runs, n)) < chance) / chance
    ones = np.ones(n)
    prior = rates_for(n / chance, 0.05)
    lower = [lower_bound(y, ones, ones, ones, 0.05, prior) for y in values]
    assert np.mean(np.array(lower) > 1.0) <= 0.05
    assert np.median(lower) > 0.0
    assert lower_bound(ones, ones, np.full(n, 1e9), ones, 0.05, prior) == -np.inf


def test_overlap_reports_weights_and_their_known_mean():
    n, rng = 1000, np.random.default_rng(6)
    logged, target = [[0.25, 0.749, 0.001]] * n, [[0.5, 0.3, 0.2]] * n
    choice = np.searchsorted([0.25, 0.999], rng.random(n), side="right")
    found = overlap_of(sample(np.ones(n), choice, logged, target), ("a", "b", "c"))
    assert found.unsupported_by_model == pytest.approx({"c": 0.2})
    assert found.max_weight == pytest.approx(31.6, abs=0.1)
    assert found.expected_weight == pytest.approx(1.0)
    variance = 0.25 / 0.25 + 0.09 / 0.749 + 0.04 / 0.001 - 1.0
    assert found.weight_error == pytest.approx((variance / n) ** 0.5)
    assert abs(found.mean_weight - 1.0) < 4 * found.weight_error
    assert found.p_value > 0.01
    assert 0.01 <= found.top_share < 1.0


def test_the_mean_weight_tests_the_propensities():
    n, runs, rng = 400, 300, np.random.default_rng(7)
    logged, target = [[0.2, 0.8]] * n, [[1.0, 0.0]] * n
    right = [
        overlap_of(sample(np.ones(n), (rng.random(n) > 0.2) * 1, logged, target), ("a", "b"))
        for _ in range(runs)
    ]
    assert np.mean([each.p_value < 0.05 for each in right]) <= 0.05
    wrong = sample(np.ones(n), (rng.random(n) > 0.35) * 1, logged, target)
    assert overlap_of(wrong, ("a", "b")).p_value < 1e-4
    same = overlap_of(sample(np.ones(n), [0] * n, [[0.3, 0.7]] * n, [[0.3, 0.7]] * n), ("a", "b"))
    assert (same.p_value, same.mean_weight, same.largest_weight) == (1.0, 1.0, 1.0)


@pytest.mark.parametrize("block_rows", [1, 7, 100])
def test_estimates_do_not_depend_on_the_blocks(block_rows):
    n, rng = 250, np.random.default_rng(8)
    logged = rng.dirichlet([2.0, 1.0, 0.3], n)
    target = rng.dirichlet([1.0, 2.0, 0.5], n)
    choice = [rng.choice(3, p=p) for p in logged]
    given = {
        "prediction": rng.random((n, 3)), "high": [1.0, 2.0, 3.0], "share": rng.random(n),
    }  # fmt: skip
    value = rng.random(n)
    whole, parts = (
        sample(value, choice, logged, target, **given, block_rows=rows) for rows in (n, block_rows)
    )
    for squares in (None, n / 2):
        for one, other in zip(*(estimates(s, 0.05, squares) for s in (whole, parts)), strict=True):
            assert other[1:4] == pytest.approx(one[1:4], rel=1e-9)
        assert bounds_of(parts, 0.05, squares) == pytest.approx(bounds_of(whole, 0.05, squares))
    one, other = (msgspec.structs.asdict(overlap_of(s, ("a", "b", "c"))) for s in (whole, parts))
    by_model = one.pop("unsupported_by_model"), other.pop("unsupported_by_model")
    assert by_model[1] == pytest.approx(by_model[0])
    assert by_model[0]
    assert other == pytest.approx(one)


def test_disjoint_intervals_are_named():
    low, high = Estimate("IPS", 0.3, 0.2, 0.4, "x"), Estimate("DR", 0.6, 0.5, 0.7, "x")
    middle = Estimate("SNIPS", 0.45, 0.35, 0.55, "x")
    (told,) = _disjoint("cost", (low, middle, high))
    assert "cost by IPS and DR are disjoint" in told
    assert _disjoint("cost", (low, middle)) == []
