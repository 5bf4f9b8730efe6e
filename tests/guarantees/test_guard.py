import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from floorline.errors import InvalidInput
from floorline.guarantees import betting_interval, guard_margin, guard_surplus

FLOORS = st.floats(0.05, 0.98)


@given(floor=FLOORS, labels=st.integers(0, 5000), share=st.floats(0, 1), ahead=st.integers(1, 5000))
def test_labels_at_floor_plus_margin_prove_the_floor(floor, labels, share, ahead):
    satisfied = round(share * labels)
    margin = guard_margin(floor, labels, satisfied, ahead=ahead)
    assert 0.0 <= margin <= 1.0 - floor
    if margin < 1.0 - floor:
        reached = min(satisfied + ahead * (floor + margin), labels + ahead)
        assert betting_interval(labels + ahead, reached, 0.05).lower >= floor - 1e-9
    if 0.0 < margin < 1.0 - floor:
        short = satisfied + ahead * (floor + margin) - 0.5
        assert betting_interval(labels + ahead, short, 0.05).lower < floor


@given(floor=FLOORS, labels=st.integers(50, 5000))
def test_labels_with_the_guard_surplus_prove_the_floor(floor, labels):
    surplus = guard_surplus(floor, labels)
    assert 0.0 < surplus <= (1.0 - floor) * labels + 1e-9
    if surplus < (1.0 - floor) * labels - 1e-6:
        reached = floor * labels + surplus
        assert betting_interval(labels, reached, 0.05).lower == pytest.approx(floor, abs=1e-6)
        assert betting_interval(labels, reached - 0.5, 0.05).lower < floor


def test_the_margin_shrinks_with_the_number_of_labels():
    margins = [guard_margin(0.8, n, 0.8 * n, ahead=n) for n in (100, 1000, 10_000)]
    assert margins == sorted(margins, reverse=True)
    assert margins[0] > 4 * margins[2]


def test_a_controller_at_floor_plus_margin_is_certified_about_half_of_the_time():
    rng = np.random.default_rng(2)
    target = 0.8 + guard_margin(0.8, ahead=1000)
    proved = [
        betting_interval(1000, rng.binomial(1000, target), 0.05).lower >= 0.8 for _ in range(200)
    ]
    unguarded = [
        betting_interval(1000, rng.binomial(1000, 0.8), 0.05).lower >= 0.8 for _ in range(200)
    ]
    assert np.mean(proved) > 0.4
    assert np.mean(unguarded) < 0.05


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ((1.2,), "floor"),
        ((0.9, -1), "labels"),
        ((0.9, 5, 6), "satisfied"),
        ((0.9, 5, 5, 0), "ahead"),
    ],
)
def test_bad_arguments_are_rejected(arguments, field):
    floor, *rest = arguments
    labels, satisfied, ahead = (*rest, 0, 0, 1)[:3] if len(rest) < 3 else rest
    with pytest.raises(InvalidInput, match=f"{field} is "):
        guard_margin(floor, labels, satisfied, ahead=ahead)
