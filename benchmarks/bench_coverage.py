"""Coverage of the confidence sequences: share of runs whose true mean is inside at every time.

Prints the tables of docs/guarantees.md in about half a minute:

    python benchmarks/bench_coverage.py --runs 2000 --length 2000
"""

import argparse
import math
import time
from collections.abc import Iterator

import numpy as np
from scipy.special import rel_entr

from floorline._markdown import markdown_row, markdown_table
from floorline.guarantees.bernstein import bernstein_lower, bernstein_wealth
from floorline.guarantees.betting import betting_lower, betting_wealth

DELTA = 0.05
THRESHOLD = math.log(2 / DELTA)
"""Log-wealth at which one side of a sequence excludes a mean."""


# Streams: (runs,) conditional expectations (mu) and labels (x) at each step.
def constant(p, graded=False):
    def stream(rng, runs, length) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        mu = np.full(runs, p)
        for _ in range(length):
            yield mu, (rng.beta(40 * p, 40 - 40 * p, runs) if graded else rng.random(runs) < p)

    return stream


def drift(rng, runs, length):
    for t in range(length):
        mu = np.full(runs, 0.8 + 0.15 * math.cos(2 * math.pi * t / length))
        yield mu, rng.random(runs) < mu


def steered(rng, runs, length):
    """A controller serves a better model after a shortfall and a worse one after a surplus."""
    total = np.zeros(runs)
    for t in range(length):
        mu = np.where(total < 0.85 * t, 0.97, 0.75)
        x = rng.random(runs) < mu
        total += x
        yield mu, x


# Forms: each keeps sums of all runs; ``excluded`` returns the runs whose true mean is excluded now.
class _Betting:
    def __init__(self, runs):
        self.n, self.total, self.expected = np.zeros(runs), np.zeros(runs), np.zeros(runs)

    def add(self, mu, x, labelled):
        self.n += labelled
        self.total += labelled * x
        # The true mean is that of all responses, including those without a label.
        self.expected += mu

    def excluded(self, t):
        m = self.expected / t
        mean = self.total / np.maximum(self.n, 1)
        # The wealth of a mixture is at most that of the best rate in hindsight, which is quick to
        # compute and reaches the threshold in few runs.
        best = self.n * (rel_entr(mean, m) + rel_entr(1 - mean, 1 - m))
        candidates = np.flatnonzero(best >= THRESHOLD)
        n, total, m = self.n[candidates], self.total[candidates], m[candidates]
        wealth = np.maximum(betting_wealth(n, total, m), betting_wealth(n, n - total, 1 - m))
        return candidates[wealth >= THRESHOLD]

    def width(self, t):
        missed = betting_lower(self.n, self.n - self.total, DELTA / 2)
        return 1 - missed - betting_lower(self.n, self.total, DELTA / 2)


class _Weighted(_Betting):
    """Betting with weights that follow earlier labels, against the weighted mean of labelled ones.

    A label weighs 1, or 0.3 while the labels so far are behind their mean: weights that keep luck.
    """

    def __init__(self, runs):
        super().__init__(runs)
        self.behind = np.zeros(runs, bool)

    def add(self, mu, x, labelled):
        weight = labelled * np.where(self.behind, 0.3, 1.0)
        self.n += weight
        self.total += weight * x
        self.expected += weight * mu
        self.behind = self.total < self.expected

    def excluded(self, t):
        # As in ``_Betting``, where the mean is that of all responses.
        expected, self.expected = self.expected, self.expected * t / np.maximum(self.n, 1e-9)
        found = super().excluded(t)
        self.expected = expected
        return found


class _CentralLimit(_Betting):
    """The interval for a single look, which is not valid at every time."""

    def _radius(self):
        n = np.maximum(self.n, 1)
        mean = self.total / n
        return 1.96 * np.sqrt(np.maximum(mean * (1 - mean), 1 / n) / n)

    def excluded(self, t):
        error = np.abs(self.total / np.maximum(self.n, 1) - self.expected / t)
        return np.flatnonzero(error > self._radius())

    def width(self, t):
        return 2 * self._radius()


class _Hedged(_Betting):
    def __init__(self, runs):
        super().__init__(runs)
        self.squares, self.above, self.below = np.zeros(runs), np.zeros(runs), np.zeros(runs)

    def add(self, mu, x, labelled):
        t = self.n + 1
        bet = np.sqrt(2 * THRESHOLD / ((0.25 + self.squares) / t * t * np.log1p(t)))
        self.above += np.log1p(np.minimum(bet, 0.5 / mu) * (x - mu))
        self.below += np.log1p(-np.minimum(bet, 0.5 / (1 - mu)) * (x - mu))
        super().add(mu, x, labelled)
        self.squares += (x - (0.5 + self.total) / (t + 1)) ** 2

    def excluded(self, t):
        return np.flatnonzero(np.maximum(self.above, self.below) >= THRESHOLD)

    def width(self, t):
        return np.full(len(self.n), np.nan)


class _Bernstein:
    """Two one-sided bounds over pseudo-outcomes of s and of 1 − s."""

    def __init__(self, runs, scale=1.0):
        self.scale = scale
        self.sums, self.squares = np.zeros((2, runs)), np.zeros((2, runs))
        self.expected = np.zeros(runs)

    def count(self, mu, values, forecasts):
        self.sums += values
        self.squares += (values - forecasts) ** 2
        self.expected += mu

    def add(self, mu, x, labelled):
        forecast = (0.5 + self.sums[0]) / (1 + self._count())
        self.count(mu, np.array([x, 1 - x]), np.array([forecast, 1 - forecast]))

    def _count(self):
        return self.sums[0] + self.sums[1]

    def excluded(self, t):
        deviations = self.sums - np.array([self.expected, t - self.expected])
        candidates = np.flatnonzero((deviations**2 >= 2 * THRESHOLD * self.squares).any(axis=0))
        deviations, squares = deviations[:, candidates], self.squares[:, candidates]
        wealth = bernstein_wealth(deviations, squares, self.scale)
        return candidates[(wealth >= THRESHOLD).any(axis=0)]

    def width(self, t):
        return 1 - np.maximum(
            bernstein_lower(t, self.sums, self.squares, self.scale, DELTA / 2), 0
        ).sum(axis=0)


def inverse_propensity(rate):
    class Form(_Bernstein):
        t = 0

        def add(self, mu, x, labelled):
            forecasts = np.minimum((0.5 + self.sums) / (self.t + 1), 1)
            self.count(mu, labelled / rate * np.array([x, 1 - x]), forecasts)
            self.t += 1

    return Form


def doubly_robust(rate, error):
    class Form(_Bernstein):
        def __init__(self, runs):
            super().__init__(runs, scale=1 / rate)

        def add(self, mu, x, labelled):
            estimate = np.clip(mu + error, 0, 1)
            y = estimate + labelled / rate * (x - estimate)
            self.count(mu, np.array([y, 1 - y]), np.array([estimate, 1 - estimate]))

    return Form


ROWS = [
    ("central limit theorem", _CentralLimit, "satisfied 90 %", constant(0.9), 1.0),
    ("betting", _Betting, "satisfied 50 %", constant(0.5), 1.0),
    ("betting", _Betting, "satisfied 90 %", constant(0.9), 1.0),
    ("betting", _Betting, "satisfied 99 %", constant(0.99), 1.0),
    ("betting", _Betting, "graded, mean .75", constant(0.75, graded=True), 1.0),
    ("betting", _Betting, "drifting .65 to .95", drift, 1.0),
    ("betting", _Betting, "steered by its labels", steered, 1.0),
    ("betting, φ unknown", _Betting, "satisfied 90 %", constant(0.9), 0.2),
    ("betting, φ unknown", _Betting, "satisfied 90 %", constant(0.9), 0.05),
    ("betting, φ unknown", _Betting, "drifting .65 to .95", drift, 0.2),
    ("betting, φ unknown", _Betting, "steered by its labels", steered, 0.05),
    ("betting, weighted", _Weighted, "satisfied 90 %", constant(0.9), 1.0),
    ("betting, weighted", _Weighted, "drifting .65 to .95", drift, 1.0),
    ("betting, weighted", _Weighted, "steered by its labels", steered, 0.2),
    ("empirical Bernstein", _Bernstein, "satisfied 90 %", constant(0.9), 1.0),
    ("empirical Bernstein", _Bernstein, "graded, mean .75", constant(0.75, graded=True), 1.0),
    ("empirical Bernstein", _Bernstein, "drifting .65 to .95", drift, 1.0),
    ("empirical Bernstein", _Bernstein, "steered by its labels", steered, 1.0),
    ("hedged capital", _Hedged, "satisfied 90 %", constant(0.9), 1.0),
    ("hedged capital", _Hedged, "graded, mean .75", constant(0.75, graded=True), 1.0),
    ("inverse propensity", inverse_propensity(0.2), "satisfied 90 %", constant(0.9), 0.2),
    ("inverse propensity", inverse_propensity(0.05), "satisfied 90 %", constant(0.9), 0.05),
    ("inverse propensity", inverse_propensity(0.2), "drifting .65 to .95", drift, 0.2),
    ("doubly robust, ŝ right", doubly_robust(0.2, 0.0), "satisfied 90 %", constant(0.9), 0.2),
    ("doubly robust, ŝ .2 low", doubly_robust(0.2, -0.2), "satisfied 90 %", constant(0.9), 0.2),
    ("doubly robust, ŝ right", doubly_robust(0.05, 0.0), "satisfied 90 %", constant(0.9), 0.05),
    ("doubly robust, ŝ right", doubly_robust(0.2, 0.0), "drifting .65 to .95", drift, 0.2),
]


def coverage(form, stream, share, runs, length, seed=0):
    """Share of runs that never exclude the true mean; mean widths at a tenth and at the end."""
    rng = np.random.default_rng(seed)
    state = form(runs)
    missed = np.zeros(runs, dtype=bool)
    widths = []
    for t, (mu, x) in enumerate(stream(rng, runs, length), start=1):
        labelled = rng.random(runs) < share
        state.add(mu, x.astype(float), labelled)
        missed[state.excluded(t)] = True
        if t in (length // 10, length):
            widths.append(state.width(t).mean())
    return 1 - missed.mean(), widths


def verdicts(runs, length, floor=0.8):
    """Share of runs with the verdict kept or broken at some time, by mean minus floor."""
    head = "mean satisfaction less floor", "labels", "ever kept", "ever broken", "kept at the end"
    print(f"\n{markdown_table(head, left=())}")
    for gap in (-0.05, -0.02, -0.001, 0.0, 0.02, 0.05):
        rng = np.random.default_rng(1)
        total, kept, broken = np.zeros(runs), np.zeros(runs, bool), np.zeros(runs, bool)
        for n in range(1, length + 1):
            total += rng.random(runs) < floor + gap
            above = betting_wealth(n, total, floor) >= THRESHOLD
            kept |= above
            broken |= betting_wealth(n, n - total, 1 - floor) > THRESHOLD
        shares = [f"{100 * s.mean():.1f} %" for s in (kept, broken, above)]
        print(markdown_row([f"{gap:+.3f}", f"{length:,}", *shares]))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument("--length", type=int, default=2000)
    options = parser.parse_args()
    started = time.perf_counter()
    tenth = options.length // 10
    widths_at = (f"width at {length:,}" for length in (tenth, options.length))
    print(markdown_table(["form", "stream", "φ", "covered", *widths_at], left=(0, 1)))
    for name, form, stream_name, stream, share in ROWS:
        covered, widths = coverage(form, stream, share, options.runs, options.length)
        cells = ["-" if np.isnan(w) else f"{w:.3f}" for w in widths]
        print(
            markdown_row([name, stream_name, f"{share:g}", f"{100 * covered:.1f} %", *cells]),
            flush=True,
        )
    verdicts(options.runs, options.length)
    print(f"\n{options.runs:,} runs each, {time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
