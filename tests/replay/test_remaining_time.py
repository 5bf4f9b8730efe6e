"""The remaining time that a progress bar shows, against replays whose times are known."""

import heapq

import numpy as np
import pytest

from floorline.replay.remaining_time import RemainingTime, start_order


def played(kinds, times, jobs):
    """Let ``jobs`` processes take replays; yields each end with the time that is really left."""
    remaining = RemainingTime(kinds, jobs, now=0.0)
    waiting = start_order(kinds)[::-1]
    running = [(times[n], n) for n in (waiting.pop() for _ in range(min(jobs, len(waiting))))]
    heapq.heapify(running)
    ends = []
    while running:
        now, number = heapq.heappop(running)
        ends.append((now, number))
        if waiting:
            following = waiting.pop()
            heapq.heappush(running, (now + times[following], following))
    last = ends[-1][0]
    for now, number in ends:
        remaining.finished(number, times[number], now)
        yield remaining.left(now), last - now


POLICIES = {"oracle": 0.2, "random": 1.0, "mess_plus": 30.0, "primal_dual": 6.0}
KINDS = [policy for _ in range(3) for policy in POLICIES for _ in range(5)]


@pytest.mark.parametrize("jobs", [1, 2, 4])
def test_what_is_told_is_true_if_kinds_take_equal_times(jobs):
    told = list(played(KINDS, [POLICIES[kind] for kind in KINDS], jobs))
    for found, truth in told:
        if found.known:
            assert found.seconds == pytest.approx(truth, abs=1e-6)
        else:
            assert found.seconds <= truth + 1e-6
    # It is known once each policy has finished a replay, and those start first.
    assert [found.known for found, _ in told].index(True) < len(POLICIES) + 4 * jobs
    assert told[-1][0].seconds == 0.0


@pytest.mark.parametrize("jobs", [1, 2])
def test_what_is_told_is_nearly_true_if_times_vary(jobs):
    rng = np.random.default_rng(0)
    times = [POLICIES[kind] * rng.uniform(0.8, 1.2) for kind in KINDS]
    errors = [
        abs(found.seconds - truth) / truth
        for found, truth in played(KINDS, times, jobs)
        if found.known and truth > 40.0
    ]
    assert len(errors) > 15
    assert max(errors) < 0.2
    assert np.mean(errors) < 0.06


def test_the_share_of_finished_replays_says_less():
    """What bars often show, the mean time of the finished ones, is wrong by a third."""
    kinds = ["random"] * 20 + ["mess_plus"] * 10
    times = [POLICIES[kind] for kind in kinds]
    told = list(played(kinds, times, jobs=1))
    after = len(kinds) * 2 // 3
    found, truth = told[after - 1]
    started = start_order(kinds)[:after]
    by_share = sum(times[n] for n in started) / after * (len(kinds) - after)
    assert found.seconds == pytest.approx(truth)
    assert abs(by_share - truth) > truth / 3


def test_results_of_an_earlier_run_take_no_time():
    remaining = RemainingTime(["slow"] * 10, jobs=2, now=0.0)
    for number in range(8):
        remaining.finished(number, None, now=0.1)
    assert remaining.left(0.1) is None
    remaining.finished(8, 60.0, now=60.1)
    left = remaining.left(60.1)
    assert left.seconds == pytest.approx(0.0, abs=0.2)


def test_an_overdue_replay_is_not_said_to_end_soon():
    remaining = RemainingTime(["x", "x"], jobs=1, now=0.0)
    remaining.finished(0, 10.0, now=10.0)
    assert str(remaining.left(12.0)) == "about 8 s left"
    assert str(remaining.left(40.0)) == "more than 1 s left"
