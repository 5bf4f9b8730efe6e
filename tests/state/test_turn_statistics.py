"""How conversations go on, and what providers really read."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from floorline.state.cache_rates import CacheRates
from floorline.state.turn_statistics import TurnStatistics


def conversations(count, turns, gap=20.0, growth=500.0):
    statistics = TurnStatistics()
    for _ in range(count):
        statistics.begin()
        for turn in range(1, turns):
            statistics.follow(turn, gap=gap, growth=growth)
    return statistics


@pytest.mark.parametrize("turns", [1, 2, 4, 8])
def test_the_turns_that_follow_are_learned(turns):
    statistics = conversations(500, turns)
    assert statistics.remaining_[1] == pytest.approx(turns - 1, rel=0.25, abs=0.2)


def test_geometric_conversations_have_as_many_turns_left_at_any_turn():
    statistics, rng = TurnStatistics(), np.random.default_rng(1)
    for turns in rng.geometric(0.1, size=2000).tolist():
        statistics.begin()
        for turn in range(1, turns):
            statistics.follow(turn, gap=5.0, growth=100.0)
    assert statistics.remaining_[[1, 5, 12]].tolist() == pytest.approx([9.0] * 3, rel=0.2)
    # E n² / E n of a geometric number n with the mean 10.
    assert statistics.length_ == pytest.approx(19.0, rel=0.15)


def test_pauses_are_told_apart_by_their_length():
    statistics = conversations(300, 2, gap=100.0)
    short, long = statistics.share_within(np.array([30.0, 300.0])).tolist()
    assert short < 0.1
    assert long > 0.9


@given(st.floats(0.0, 1e7))
def test_one_pause_and_many_have_the_same_share(seconds):
    statistics = conversations(40, 3, gap=70.0)
    (share,) = statistics.share_within(np.array([seconds])).tolist()
    if seconds > 0.5:
        assert statistics.chance_within(seconds) == pytest.approx(share)
    assert 0.0 <= statistics.chance_within(seconds) <= 1.0


def test_odd_values_count_as_bounded_ones():
    statistics = conversations(40, 3, gap=-5.0, growth=-1e9)
    assert np.isfinite(statistics.remaining_).all()
    assert 0.0 <= statistics.growth_ <= 500.0


def test_old_turns_are_forgotten():
    statistics = conversations(6000, 4)
    for _ in range(30_000):
        statistics.begin()
    assert statistics.remaining_[1] < 0.2


def test_one_wrong_report_moves_a_rate_little():
    rates = CacheRates(["m"])
    for _ in range(100):
        rates.learn_read(0, expected=2000.0, read=1950.0)
    before = float(rates.read_[0])
    rates.learn_read(0, expected=2000.0, read=1e12)
    rates.learn_read(0, expected=2000.0, read=-1e12)
    assert abs(float(rates.read_[0]) - before) < 0.02


def test_rates_of_models_that_stay_are_kept():
    rates = CacheRates(["a", "b"])
    rates.learn_written(1, possible=100.0, written=0.0)
    kept = float(rates.written_[1])
    rates.set_models(["b", "c"])
    assert rates.written_.tolist() == [kept, 1.0]
