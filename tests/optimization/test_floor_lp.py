import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog
from scipy.sparse import block_diag, csr_matrix

from floorline.optimization.floor_lp import cheapest_assignment, cheapest_mix, floor_price

MIXES = st.integers(1, 6).flatmap(
    lambda m: st.tuples(
        st.lists(st.integers(0, 20).map(lambda v: v / 20), min_size=m, max_size=m),
        st.lists(st.integers(0, 50).map(float), min_size=m, max_size=m),
        st.integers(0, 20).map(lambda v: v / 20),
        st.lists(st.booleans(), min_size=m, max_size=m).filter(any),
    )
)


def mix_by_linear_program(quality, cost, floor):
    found = linprog(cost, A_ub=[-quality], b_ub=[-floor], A_eq=[np.ones(len(cost))], b_eq=[1.0])
    return found.fun if found.success else None


@given(MIXES)
def test_the_cheapest_mix_is_the_optimum_of_the_linear_program(problem):
    quality, cost, floor, allowed = (np.array(part) for part in problem)
    weights = cheapest_mix(quality, cost, float(floor), allowed)
    best = mix_by_linear_program(quality[allowed], cost[allowed], float(floor))
    assert weights.sum() == pytest.approx(1.0)
    assert (weights >= 0).all()
    assert (weights > 0).sum() <= 2
    assert not weights[~allowed].any()
    if best is None:
        assert weights @ quality == pytest.approx(quality[allowed].max())
    else:
        assert weights @ quality >= floor - 1e-9
        assert weights @ cost == pytest.approx(best, abs=1e-6)


def test_an_infeasible_floor_gives_the_cheapest_of_the_best_models():
    weights = cheapest_mix(np.array([0.7, 0.7, 0.2]), np.array([5.0, 3.0, 1.0]), 0.9)
    assert weights.tolist() == [0.0, 1.0, 0.0]


def problem(n, models, seed, gaps=0.0, binary=True):
    rng = np.random.default_rng(seed)
    quality = rng.random((n, models))
    if binary:
        quality = (quality < np.linspace(0.3, 0.9, models)).astype(float)
    cost = rng.lognormal(0, 1, (n, models)) * 3.0 ** np.arange(models)
    missing = rng.random((n, models)) < gaps
    missing[np.arange(n), rng.integers(0, models, n)] = False
    return np.where(missing, 0.0, quality), np.where(missing, np.inf, cost)


def assignment_by_linear_program(quality, cost, floor):
    n, models = cost.shape
    usable = np.isfinite(cost).ravel()
    found = linprog(
        np.where(usable, cost.ravel(), 0.0),
        A_ub=csr_matrix(-quality.ravel()[None, :] / n),
        b_ub=[-floor],
        A_eq=block_diag([np.ones((1, models))] * n),
        b_eq=np.ones(n),
        bounds=[(0, 1 if ok else 0) for ok in usable],
        method="highs",
    )
    return found.fun if found.success else None


CASES = list(itertools.product([30, 80], [2, 5], [0.0, 0.3], [True, False], [0.3, 0.6, 0.8]))


@pytest.mark.parametrize(("n", "models", "gaps", "binary", "floor"), CASES)
def test_the_cheapest_assignment_is_within_one_request_of_the_linear_program(
    n, models, gaps, binary, floor
):
    quality, cost = problem(n, models, seed=n + models, gaps=gaps, binary=binary)
    best = assignment_by_linear_program(quality, cost, floor)
    chosen = cheapest_assignment(quality, cost, floor)
    rows = np.arange(n)
    total, mean = cost[rows, chosen].sum(), quality[rows, chosen].mean()
    if best is None:
        assert mean == pytest.approx(np.where(np.isfinite(cost), quality, -1).max(axis=1).mean())
        return
    assert mean >= floor - 1e-9
    assert total >= best - 1e-6
    # The LP splits one request between two models; an assignment pays at most that one in full.
    spread = np.where(np.isfinite(cost), cost, -np.inf).max(axis=1) - cost.min(axis=1)
    assert total <= best + spread.max() + 1e-6


@given(
    seed=st.integers(0, 10_000),
    n=st.integers(1, 5),
    models=st.integers(1, 3),
    floor=st.integers(0, 10).map(lambda v: v / 10),
)
@settings(max_examples=60)
def test_the_cheapest_assignment_against_all_assignments(seed, n, models, floor):
    quality, cost = problem(n, models, seed, gaps=0.2)
    rows = np.arange(n)
    assignments = [np.array(a) for a in itertools.product(range(models), repeat=n)]
    assignments = [a for a in assignments if np.isfinite(cost[rows, a]).all()]
    feasible = [a for a in assignments if quality[rows, a].mean() >= floor - 1e-9]
    chosen = cheapest_assignment(quality, cost, floor)
    assert np.isfinite(cost[rows, chosen]).all()
    if not feasible:
        best = max(quality[rows, a].mean() for a in assignments)
        assert quality[rows, chosen].mean() == pytest.approx(best)
        return
    assert quality[rows, chosen].mean() >= floor - 1e-9
    best = min(cost[rows, a].sum() for a in feasible)
    highest_cost = np.where(np.isfinite(cost), cost, 0).max()
    assert best - 1e-9 <= cost[rows, chosen].sum() <= best + highest_cost


def test_a_feasible_floor_of_one_is_met():
    quality = np.array([[0.0, 1.0], [1.0, 1.0]])
    cost = np.array([[1.0, 10.0], [1.0, 10.0]])
    assert cheapest_assignment(quality, cost, 1.0).tolist() == [1, 0]


@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e12])
def test_prices_scale_with_the_unit_of_cost(scale):
    quality, cost = problem(200, 4, seed=5, binary=False)
    price = floor_price(quality, cost, 0.7)
    assert floor_price(quality, cost * scale, 0.7) == pytest.approx(price * scale, rel=1e-6)


@given(seed=st.integers(0, 10_000), floor=st.floats(0.0, 1.0))
@settings(max_examples=60)
def test_the_price_is_the_lowest_at_which_the_floor_is_met(seed, floor):
    quality, cost = problem(40, 3, seed, gaps=0.2, binary=False)
    price = floor_price(quality, cost, floor)

    def met(price):
        served = (cost - price * quality).argmin(axis=1)
        return quality[np.arange(40), served].mean() >= floor

    if np.isinf(price):
        assert np.where(np.isfinite(cost), quality, -1).max(axis=1).mean() < floor + 1e-9
    else:
        assert met(price)
        assert price == 0.0 or not met(price * (1 - 1e-6))
