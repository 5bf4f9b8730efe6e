import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from floorline.optimization.best_mix import best_mix_quality

SHARE = st.integers(0, 100).map(lambda percent: percent / 100)
COST = st.integers(0, 2000).map(lambda cents: cents / 100)
MODELS = st.lists(
    st.tuples(SHARE, COST, st.sampled_from([1.0, 0.5, 0.1, 0.0])), min_size=1, max_size=6
)


@settings(max_examples=60)
@given(MODELS, COST)
def test_the_optimum_is_that_of_a_solver(models, budget):
    linprog = pytest.importorskip("scipy.optimize").linprog
    quality, cost, shares = np.array(models).T
    solved = linprog(
        -quality,
        A_ub=np.array([cost, np.ones(len(cost))]),
        b_ub=[budget, 1.0],
        bounds=[(0.0, share) for share in shares],
    )
    assert best_mix_quality(quality, cost, budget, shares) == pytest.approx(-solved.fun, abs=1e-6)


def test_without_a_budget_only_the_shares_bind():
    quality, cost = np.array([0.4, 0.9]), np.array([1.0, 5.0])
    assert best_mix_quality(quality, cost, np.inf, np.array([1.0, 0.2])) == pytest.approx(0.5)
