"""Boundaries compared with values of the papers' reference implementation (confseq)."""

import math

import pytest
from scipy.optimize import brentq
from scipy.special import gammainc, gammaln

from floorline.guarantees import betting_interval
from floorline.guarantees.bernstein import bernstein_lower
from floorline.guarantees.betting import total_needed

ALPHA = 0.05


def bernstein_boundary(squares, scale):
    return -float(bernstein_lower(1, 0.0, squares, scale, ALPHA))


def gamma_exponential_boundary(squares, scale, tuned_for):
    """Gamma-exponential mixture over the same supermartingale (Howard et al. 2021)."""
    level = 2 * math.log(1 / (2 * ALPHA))
    rho = tuned_for / (level + math.log(1 + level)) / scale**2
    shape = squares / scale**2 + rho

    def excess(s):
        x = (scale * s + squares) / scale**2
        constant = rho * math.log(rho) - gammaln(rho) - math.log(gammainc(rho, rho))
        above = gammaln(shape) + math.log(gammainc(shape, x + rho)) - shape * math.log(x + rho) + x
        return constant + above - math.log(1 / ALPHA)

    return brentq(excess, 0.0, 100 * math.sqrt(squares) + 100 * scale)


def test_the_gamma_exponential_boundary_equals_the_published_value():
    assert gamma_exponential_boundary(100, 2, tuned_for=100) == pytest.approx(33.02017, abs=1e-5)


@pytest.mark.parametrize("squares", [10, 100, 1000, 10_000])
@pytest.mark.parametrize("scale", [1, 2, 20])
def test_empirical_bernstein_is_close_to_the_mixture_tuned_for_the_same_time(squares, scale):
    best = gamma_exponential_boundary(squares, scale, tuned_for=squares)
    assert best < 1.001 * bernstein_boundary(squares, scale) < 1.25 * best


def test_empirical_bernstein_is_inside_the_stitched_boundary():
    # Published for v = 100, c = 3 and stitching from v = 10 on.
    assert bernstein_boundary(100, 3) < 0.75 * 64.48755


def test_betting_is_close_to_the_beta_binomial_mixture_tuned_for_the_same_time():
    # Published for v = 100, g = 0.2, h = 0.8: 625 values of mean 0.2.
    excess = total_needed(625, 0.2, ALPHA) - 625 * 0.2
    assert 28.41238 < excess < 1.1 * 28.41238


@pytest.mark.parametrize("n", [50, 500, 5000, 50_000])
def test_betting_is_inside_the_stitched_boundary_of_hoeffding(n):
    # Howard et al. 2021, equation (2), for values in [0, 1], delta for both sides together.
    iterated = math.log(math.log(2 * n)) + 0.72 * math.log(10.4 / 0.05)
    radius = 0.85 * math.sqrt(iterated / n)
    for share in (0.5, 0.9):
        lower, upper = betting_interval(n, n * share, 0.05)
        assert upper - lower < 1.02 * 2 * min(radius, 1.0)
    assert upper - lower < 0.75 * 2 * radius


@pytest.mark.parametrize("n", [50, 500, 5000])
def test_the_anytime_interval_is_about_twice_as_wide_as_that_for_one_look(n):
    naive = 1.96 * math.sqrt(0.9 * 0.1 / n)
    lower, _ = betting_interval(n, 0.9 * n, 0.05)
    assert naive < 0.9 - lower < 2.4 * naive
