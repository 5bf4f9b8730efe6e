import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from floorline.core.snapshots import pack, unpack
from floorline.errors import InvalidInput
from floorline.guarantees import (
    BettingMixture,
    DoublyRobust,
    EmpiricalBernstein,
    HedgedCapital,
    InversePropensity,
)
from floorline.guarantees.bernstein import bernstein_lower, bernstein_wealth
from floorline.guarantees.betting import betting_interval, betting_wealth

DELTA = 0.05
THRESHOLD = np.log(2 / DELTA)
"""Log-wealth at which one side of an interval excludes a mean."""
SCORES = st.lists(st.floats(0, 1), min_size=1, max_size=60)


class Hedged(HedgedCapital):
    """Hedged capital with the signature of the other classes."""

    def __init__(self, low=0.0, high=1.0):
        super().__init__(DELTA, low, high)

    def interval(self, delta):
        return super().interval()


FORMS = [BettingMixture, EmpiricalBernstein, Hedged]


def fill(form, values):
    for value in values:
        form.add(value)
    return form


@pytest.mark.parametrize("form", FORMS)
class TestFullLabels:
    @given(scores=SCORES)
    def test_the_interval_lies_in_the_range_around_the_mean(self, form, scores):
        filled = fill(form(), scores)
        lower, upper = filled.interval(DELTA)
        assert 0.0 <= lower <= upper <= 1.0
        if form is not Hedged:  # it never includes a mean again that it excluded
            assert lower - 1e-9 <= filled.mean <= upper + 1e-9
        assert filled.mean == pytest.approx(np.mean(scores))

    @given(scores=SCORES)
    def test_the_interval_of_mirrored_labels_is_mirrored(self, form, scores):
        lower, upper = fill(form(), scores).interval(DELTA)
        mirrored = fill(form(), [1.0 - s for s in scores]).interval(DELTA)
        assert mirrored == pytest.approx((1.0 - upper, 1.0 - lower), abs=1e-7)

    @given(scores=SCORES, low=st.floats(-50, 50), width=st.floats(0.1, 100))
    def test_the_interval_scales_with_the_range(self, form, scores, low, width):
        scores = [round(s, 6) for s in scores]
        lower, upper = fill(form(), scores).interval(DELTA)
        scaled = fill(form(low, low + width), [low + width * s for s in scores])
        bounds = scaled.interval(DELTA)
        # Hedged capital rounds to its grid, and rounding errors can move it to the next point.
        slack = width * (1 / 400 + 1e-9) if form is Hedged else 1e-6 * (1 + abs(low) + width)
        assert bounds.lower == pytest.approx(low + width * lower, abs=slack)
        assert bounds.upper == pytest.approx(low + width * upper, abs=slack)

    def test_the_interval_shrinks_with_the_number_of_labels(self, form):
        filled, widths = form(), []
        for _ in range(4):
            fill(filled, [1.0, 0.0, 1.0, 1.0] * 50)
            lower, upper = filled.interval(DELTA)
            widths.append(upper - lower)
        assert widths == sorted(widths, reverse=True)
        assert widths[-1] < 0.6 * widths[0]

    def test_the_interval_before_the_first_label_is_the_range(self, form):
        assert form().interval(DELTA) == (0.0, 1.0)
        assert form().mean is None

    def test_a_restored_copy_continues_equally(self, form):
        rng = np.random.default_rng(3)
        scores = rng.random(80).tolist()
        whole = fill(form(), scores)
        half = form()
        half.restore(unpack(pack(fill(form(), scores[:40]).snapshot())))
        fill(half, scores[40:])
        assert pack(half.snapshot()) == pack(whole.snapshot())
        assert half.interval(DELTA) == whole.interval(DELTA)

    @pytest.mark.parametrize("value", [-0.1, 1.1, float("nan")])
    def test_values_outside_the_range_are_rejected(self, form, value):
        with pytest.raises(InvalidInput, match="value is "):
            form().add(value)

    def test_a_range_must_have_a_width(self, form):
        with pytest.raises(InvalidInput, match="low below high"):
            form(1.0, 1.0)


@given(scores=SCORES)
def test_intervals_of_hedged_capital_nest(scores):
    form, last = HedgedCapital(DELTA), (0.0, 1.0)
    for score in scores:
        form.add(score)
        lower, upper = form.interval()
        assert last[0] <= lower
        assert upper <= last[1]
        last = (lower, upper)


@given(scores=st.lists(st.floats(0, 1), min_size=2, max_size=40), data=st.data())
def test_betting_intervals_do_not_depend_on_corrections_and_order(scores, data):
    wrong = data.draw(st.integers(0, len(scores) - 1))
    once = fill(BettingMixture(), scores)
    corrected = fill(BettingMixture(), [*scores[:wrong], 0.5, *scores[:wrong:-1]])
    corrected.replace(0.5, scores[wrong])
    assert corrected.n_ == once.n_
    assert corrected.interval(DELTA) == pytest.approx(once.interval(DELTA), abs=1e-9)


@given(n=st.integers(1, 10**7), share=st.floats(0, 1))
def test_the_betting_interval_ends_where_the_wealth_reaches_the_threshold(n, share):
    total = n * share
    lower, upper = betting_interval(n, total, DELTA)
    for bound, outside, successes in ((lower, -1, total), (1 - upper, -1, n - total)):
        if bound > 0:
            assert betting_wealth(n, successes, bound) == pytest.approx(THRESHOLD, abs=1e-6)
        beyond = bound + outside * 1e-6
        if beyond > 0:
            assert betting_wealth(n, successes, beyond) > THRESHOLD


@given(n=st.integers(1, 10**6), mean=st.floats(0, 1), spread=st.floats(0.001, 0.5))
def test_the_bernstein_bound_is_where_the_wealth_reaches_the_threshold(n, mean, spread):
    squares = n * spread**2
    bound = float(bernstein_lower(n, n * mean, squares, 1.0, DELTA / 2))
    assert bernstein_wealth(n * (mean - bound), squares, 1.0) == pytest.approx(THRESHOLD, abs=1e-6)
    assert bound < mean


def crossings(excluded, runs=2000, length=400, p=0.9, seed=11):
    """Share of runs in which the true mean is ever excluded, on either side."""
    rng = np.random.default_rng(seed)
    missed = np.zeros(runs, dtype=bool)
    sums = np.zeros((2, runs))
    for t in range(1, length + 1):
        x = rng.random(runs) < p
        sums += np.array([x, ~x])
        missed |= excluded(t, sums, p)
    return missed.mean()


@pytest.mark.parametrize("p", [0.5, 0.9, 0.99])
def test_the_betting_interval_misses_the_mean_with_probability_at_most_delta(p):
    def excluded(t, sums, p):
        return (betting_wealth(t, sums, np.array([[p], [1 - p]])) >= THRESHOLD).any(axis=0)

    assert 0.0 < crossings(excluded, p=p) <= DELTA


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("graded", [False, True])
def test_running_intervals_cover_a_constant_mean(form, graded):
    rng, runs, missed = np.random.default_rng(8), 150, 0
    for _ in range(runs):
        values = rng.beta(9, 1, 240) if graded else rng.random(240) < 0.9
        running, inside = form(), True
        for count, value in enumerate(values.astype(float).tolist(), start=1):
            running.add(value)
            if count % 30 == 0:
                lower, upper = running.interval(DELTA)
                inside &= lower <= 0.9 <= upper
        missed += not inside
    assert missed <= DELTA * runs


def test_an_interval_for_one_look_fails_that_test():
    def excluded(t, sums, p):
        return np.abs(sums[0] / t - p) > 1.96 * np.sqrt(p * (1 - p) / t)

    assert crossings(excluded) > 3 * DELTA


def test_drift_that_depends_on_the_labels_is_covered():
    runs, rng = 2000, np.random.default_rng(5)
    n = total = expected = np.zeros(runs)
    missed = np.zeros(runs, dtype=bool)
    for t in range(400):
        mu = np.where(total < 0.85 * n, 0.97, 0.7)
        labelled = rng.random(runs) < 0.3
        expected = expected + mu
        n, total = n + labelled, total + labelled * (rng.random(runs) < mu)
        m = expected / (t + 1)
        missed |= betting_wealth(n, total, m) >= THRESHOLD
        missed |= betting_wealth(n, n - total, 1 - m) >= THRESHOLD
    assert missed.mean() <= DELTA


def sparse_runs(make, add, runs=60, length=1200, p=0.9):
    rng = np.random.default_rng(9)
    missed, widths = 0, []
    for _ in range(runs):
        form, inside = make(), True
        for t, (shown, x) in enumerate(rng.random((length, 2)), start=1):
            add(form, float(x < p) if shown < 0.2 else None)
            if t % 100 == 0:
                lower, upper = form.interval(DELTA)
                inside &= lower <= p <= upper
        missed += not inside
        widths.append(upper - lower)
    return missed / runs, np.mean(widths)


@pytest.mark.parametrize("expected", [0.9, 0.5])
def test_doubly_robust_intervals_cover_for_any_estimate(expected):
    missed, width = sparse_runs(lambda: DoublyRobust(0.2), lambda f, s: f.add(expected, s, 0.2))
    assert missed <= DELTA
    assert width < (0.25 if expected == 0.9 else 0.5)


def test_inverse_propensity_intervals_cover():
    missed, width = sparse_runs(InversePropensity, lambda f, s: f.add(s, 0.2))
    assert missed <= DELTA
    assert width < 0.5


def test_only_known_propensities_correct_labels_that_prefer_dissatisfied_users():
    rng = np.random.default_rng(1)
    labelled, weighted = BettingMixture(), InversePropensity()
    for _ in range(4000):
        satisfied = rng.random() < 0.9
        rate = 0.1 if satisfied else 0.5
        score = float(satisfied) if rng.random() < rate else None
        if score is not None:
            labelled.add(score)
        weighted.add(score, rate)
    assert labelled.interval(DELTA).upper < 0.9
    lower, upper = weighted.interval(DELTA)
    assert lower < 0.9 < upper


@pytest.mark.parametrize(
    ("call", "field"),
    [
        (lambda: betting_interval(-1, 0, DELTA), "n"),
        (lambda: betting_interval(5, 6, DELTA), "total"),
        (lambda: betting_interval(5, 5, 0.0), "delta"),
        (lambda: betting_interval(5, 5, 1.0), "delta"),
        (lambda: HedgedCapital(1.5), "delta"),
        (lambda: InversePropensity().add(1.0, 0.0), "rate"),
        (lambda: InversePropensity().add(1.5, 0.5), "value"),
        (lambda: DoublyRobust(0.0), "rate"),
        (lambda: DoublyRobust(0.2).add(0.5, 1.0, 0.1), "rate"),
    ],
)
def test_bad_arguments_are_rejected(call, field):
    with pytest.raises(InvalidInput, match=f"{field} is "):
        call()


@pytest.mark.parametrize("make", [InversePropensity, lambda: DoublyRobust(0.25)])
def test_restored_copies_of_sparse_sequences_continue_equally(make):
    def feed(form, numbers):
        for number in numbers:
            score = float(number % 3 > 0) if number % 4 == 0 else None
            if isinstance(form, DoublyRobust):
                form.add(0.7, score, 0.25)
            else:
                form.add(score, 0.25)
        return form

    whole, half = feed(make(), range(80)), make()
    half.restore(unpack(pack(feed(make(), range(40)).snapshot())))
    assert pack(feed(half, range(40, 80)).snapshot()) == pack(whole.snapshot())
