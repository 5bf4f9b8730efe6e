import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from floorline.optimization import budget_lp
from floorline.optimization.budget_lp import budget_dual, capped_prices, served, solve_budgets


def problem(rows, models, seed, scale=1.0, share=0.4, labels=False):
    rng = np.random.default_rng(seed)
    quality = rng.random((rows, models))
    if labels:
        quality = (quality < 0.6).astype(float)
    cost = scale * rng.lognormal(0, 0.5, (rows, models)) * np.geomspace(1e-3, 1.0, models)
    return quality, cost, share * cost.sum(axis=0) / models


def linear_program(quality, cost, budgets, total=np.inf):
    """Optimal value of the program, by dense matrices."""
    rows, models = quality.shape
    once = np.kron(np.eye(rows), np.ones(models))
    per_model = np.zeros((models, rows * models))
    for m in range(models):
        per_model[m, m::models] = cost[:, m]
    matrix, bounds = [once], [np.ones(rows)]
    finite = np.isfinite(budgets)
    matrix.append(per_model[finite])
    bounds.append(budgets[finite])
    if np.isfinite(total):
        matrix.append(cost.ravel()[None, :])
        bounds.append([total])
    found = linprog(-quality.ravel(), A_ub=np.vstack(matrix), b_ub=np.concatenate(bounds))
    return -found.fun


@given(
    rows=st.integers(1, 25),
    models=st.integers(1, 4),
    seed=st.integers(0, 10_000),
    share=st.sampled_from([0.0, 0.1, 0.5, 3.0]),
    labels=st.booleans(),
    total=st.sampled_from([None, 0.3]),
)
@settings(max_examples=60)
def test_small_cases_equal_the_dense_linear_program(rows, models, seed, share, labels, total):
    quality, cost, budgets = problem(rows, models, seed, share=share, labels=labels)
    total_budget = np.inf if total is None else total * cost.mean() * rows
    solution = solve_budgets(quality, cost, budgets, total_budget)
    value = linear_program(quality, cost, budgets, total_budget)
    assert solution.value == pytest.approx(value, abs=1e-7)
    usable = np.ones(quality.shape, dtype=bool)
    dual = budget_dual(quality, cost, budgets, total_budget, solution, usable)
    assert dual == pytest.approx(value, abs=1e-6)
    assert (solution.own >= 0).all()
    assert solution.shared >= 0


@pytest.mark.parametrize("labels", [False, True])
@pytest.mark.parametrize("total", [np.inf, 20.0])
def test_sifting_finds_the_optimum_of_large_cases(labels, total):
    quality, cost, budgets = problem(900, 4, seed=1, labels=labels)
    budgets[2] = np.inf
    usable = np.ones(quality.shape, dtype=bool)
    direct = budget_lp._solve_lp(quality, cost, budgets, total, usable)
    for start in (None, direct.prices, np.zeros(4), 10 * direct.prices):
        found = solve_budgets(quality, cost, budgets, total, start=start)
        assert found.value == pytest.approx(direct.value, rel=1e-8)
        assert ((found.share * cost).sum(axis=0) <= budgets * (1 + 1e-7) + 1e-9).all()


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_the_solution_scales_with_the_unit_of_cost(scale):
    quality, cost, budgets = problem(60, 4, seed=2)
    base = solve_budgets(quality, cost, budgets)
    other = solve_budgets(quality, scale * cost, scale * budgets)
    assert other.value == pytest.approx(base.value)
    np.testing.assert_allclose(other.prices * scale, base.prices, rtol=1e-6)


@given(seed=st.integers(0, 1000), total=st.sampled_from([np.inf, 5.0]))
@settings(max_examples=30)
def test_the_rounded_solution_keeps_every_budget_and_is_close_to_the_optimum(seed, total):
    quality, cost, budgets = problem(80, 3, seed)
    solution = solve_budgets(quality, cost, budgets, total)
    chosen = served(solution, cost, budgets, total)
    rows = np.flatnonzero(chosen >= 0)
    paid = np.bincount(chosen[rows], cost[rows, chosen[rows]], minlength=3)
    assert (paid <= budgets * (1 + 1e-7)).all()
    assert paid.sum() <= total * (1 + 1e-7)
    # A vertex splits at most one request per budget.
    assert quality[rows, chosen[rows]].sum() >= solution.value - 4 - 1e-7


def test_models_that_may_not_serve_a_request_do_not():
    quality, cost, budgets = problem(700, 3, seed=3, share=5.0)
    quality[:, 1] = np.nan
    cost[::2, 2] = np.inf
    chosen = served(solve_budgets(quality, cost, budgets), cost, budgets)
    assert not (chosen == 1).any()
    assert not (chosen[::2] == 2).any()


def test_without_budgets_the_best_models_serve_at_price_zero():
    quality, cost, _ = problem(50, 3, seed=4)
    solution = solve_budgets(quality, cost, np.full(3, np.inf))
    assert solution.prices.tolist() == [0.0, 0.0, 0.0]
    assert solution.value == pytest.approx(quality.max(axis=1).sum())


def test_no_requests_free_models_and_empty_budgets_are_solved():
    no_requests = solve_budgets(np.zeros((0, 2)), np.zeros((0, 2)), np.array([1.0, 2.0]))
    assert (no_requests.value, no_requests.prices.tolist()) == (0.0, [0.0, 0.0])
    free = solve_budgets(np.ones((3, 1)), np.zeros((3, 1)), np.array([0.0]))
    assert free.value == pytest.approx(3.0)
    no_budget = solve_budgets(np.ones((3, 1)), np.ones((3, 1)), np.array([0.0]))
    assert no_budget.value == pytest.approx(0.0)


@given(seed=st.integers(0, 500), cap=st.sampled_from([0.05, 1.0, 100.0]))
@settings(max_examples=30)
def test_capped_prices_minimise_the_dual_without_its_positive_part(seed, cap):
    quality, cost, budgets = problem(12, 3, seed)

    def dual(prices):
        return prices @ budgets + (quality - prices * cost).max(axis=1).sum()

    prices = capped_prices(quality, cost, budgets, cap)
    assert (prices >= 0).all()
    assert (prices <= cap * (1 + 1e-9)).all()
    rng = np.random.default_rng(seed)
    for _ in range(100):
        near = np.clip(prices + rng.normal(0, 0.1 * cap, 3), 0, cap)
        assert dual(prices) <= dual(near) + 1e-7
        assert dual(prices) <= dual(cap * rng.random(3)) + 1e-7
