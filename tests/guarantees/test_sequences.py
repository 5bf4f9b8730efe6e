import numpy as np
import pytest

from floorline.errors import InvalidInput
from floorline.guarantees import hoeffding_radius

LENGTH = 3000
RADII = {
    delta: np.array([hoeffding_radius(n, delta) for n in range(1, LENGTH + 1)])
    for delta in (0.05, 0.3)
}


def share_ever_missed(radius, p, runs=500):
    rng = np.random.default_rng(7)
    values = rng.random((runs, LENGTH)) < p
    means = np.cumsum(values, axis=1) / np.arange(1, LENGTH + 1)
    return (np.abs(means - p) > radius).any(axis=1).mean()


@pytest.mark.parametrize("delta", [0.05, 0.3])
@pytest.mark.parametrize("p", [0.5, 0.9, 0.02])
def test_the_mean_is_inside_at_every_n_at_once_as_often_as_promised(delta, p):
    assert share_ever_missed(RADII[delta], p) <= delta


def test_intervals_of_the_central_limit_theorem_would_fail_that_test():
    naive = 1.96 * 0.5 / np.sqrt(np.arange(1, LENGTH + 1))
    assert share_ever_missed(naive, 0.5) > 0.3


def test_the_price_of_looking_at_any_time_is_bounded():
    naive = 1.96 * 0.5 / np.sqrt(LENGTH)
    assert naive < RADII[0.05][-1] < 2.5 * naive


def test_it_shrinks_with_n_and_grows_with_confidence():
    assert (np.diff(RADII[0.05]) <= 0).all()
    assert (RADII[0.05] >= RADII[0.3]).all()
    assert hoeffding_radius(0, 0.05) == hoeffding_radius(1, 0.05) == 1.0


@pytest.mark.parametrize(
    ("n", "delta", "field"), [(-1, 0.05, "n"), (5, 0, "delta"), (5, 1, "delta")]
)
def test_bad_arguments_are_refused(n, delta, field):
    with pytest.raises(InvalidInput, match=f"{field} is "):
        hoeffding_radius(n, delta)
