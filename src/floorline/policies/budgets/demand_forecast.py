"""Forecast of the requests that are still to come in a budget period."""

from __future__ import annotations

import math

import numpy as np

from floorline.core.snapshots import Stateful
from floorline.policies.budgets.config import PacingConfig


class DemandForecast(Stateful):
    """Forecast of the requests that are still to come in a period.

    Of a period's requests, a share falls into each part of it, as in earlier periods; and the
    period's level λ against the last one has a Gamma posterior,

        to come = λ · N · (share of the parts that remain),   λ = (k·λ₀ + n) / (k + e),

    with N requests in the last period, n those seen lately, e those that the profile expected
    meanwhile and k prior ones at the level λ₀. Both n and e are forgotten over a share of N, so
    that λ follows within a period; λ₀ is the same ratio for the period so far, without forgetting,
    around 1. From this mean m its standard deviation is subtracted: the variance of the count, of
    λ and of the profile (known from h requests in these parts) is m·(1 + m/(k + e) + m/h) in all.

    Parameters
    ----------
    config
        Constants; ``horizon`` is N of the first period.

    Examples
    --------
    >>> forecast = DemandForecast(PacingConfig(horizon=1000))
    >>> for moment in np.linspace(0.0, 0.25, 500):  # Twice as many as expected come
    ...     forecast.see(float(moment))
    >>> 1000 < forecast.to_come() < 1500
    True
    """

    def __init__(self, config: PacingConfig) -> None:
        self.config = config
        bins, prior = config.forecast_bins, config.forecast_prior_requests
        self.expected_ = float(config.horizon)
        self.mass_ = np.full(bins, prior / bins)
        self.weight_ = prior
        self.counts_ = np.zeros(bins)
        self.reached_ = np.linspace(0.0, 1.0, bins + 1)
        self.phase_ = 0.0
        self.began_ = -1.0
        self._begin()

    def _begin(self) -> None:
        # Requests, and how many the profile expected of them: in this period, and lately.
        self.seen_, self.due_ = 0.0, 0.0
        self.seen_lately_, self.due_lately_ = 0.0, 0.0

    def see(self, phase: float) -> None:
        """Count a request at this share of the period, 0 to 1."""
        if self.began_ < 0.0:
            # A first request in the middle of a period says nothing of what came before it.
            self.began_ = self.phase_ = phase
        phase = max(phase, self.phase_)
        due = self.expected_ * (self._share(phase) - self._share(self.phase_))
        memory = self.config.forecast_forgetting * self.expected_
        kept = math.exp(-due / max(self.config.forecast_prior_requests, memory))
        self.seen_, self.due_ = self.seen_ + 1.0, self.due_ + due
        self.seen_lately_ = kept * self.seen_lately_ + 1.0
        self.due_lately_ = kept * self.due_lately_ + due
        self.phase_ = phase
        self.counts_[min(int(phase * len(self.counts_)), len(self.counts_) - 1)] += 1.0

    def to_come(self) -> float:
        """Requests that are expected in the rest of the period, cautiously few.

        Money that is left over cannot be spent later; what is short, cheaper models make up for.
        """
        return self.to_come_from(self.phase_)

    def to_come_from(self, phase: float) -> float:
        """Requests that are expected from this share of the period (0 to 1) on, cautiously few."""
        rest = max(0.0, 1.0 - self._share(phase))
        prior = self.config.forecast_prior_requests
        known = prior + self.due_lately_
        level = (prior * self._level(self.due_) + self.seen_lately_) / known
        mean = level * self.expected_ * rest
        uncertain = 1.0 / known + 1.0 / max(1.0, self.weight_ * rest)
        sd = math.sqrt(mean * (1.0 + mean * uncertain))
        return max(0.0, mean - sd)

    def turn(self) -> None:
        """Begin the next period; one in which nothing was seen tells nothing of it."""
        if not self.seen_:
            return
        bins = len(self.counts_)
        due = self.expected_ * (1.0 - self._share(self.began_))
        level = self._level(due)
        shape = np.diff(self.reached_)
        missed = np.arange(bins) < int(self.began_ * bins)
        counts = np.where(missed, level * self.expected_ * shape, self.counts_)
        self.expected_ *= level
        self.mass_ = (1.0 - self.config.forecast_forgetting) * self.mass_ + counts
        self.weight_ = float(self.mass_.sum())
        self.reached_ = np.concatenate([[0.0], np.cumsum(self.mass_)]) / self.weight_
        self.counts_ = np.zeros(bins)
        self.phase_ = self.began_ = 0.0
        self._begin()

    def _level(self, due: float) -> float:
        """λ₀ of the period so far, of which the profile expected ``due`` requests."""
        return (self.config.forecast_prior_requests + self.seen_) / (
            self.config.forecast_prior_requests + due
        )

    def _share(self, phase: float) -> float:
        """Share of a period's requests that comes up to a phase of it."""
        bins = len(self.counts_)
        place = min(max(phase, 0.0), 1.0) * bins
        part = min(int(place), bins - 1)
        low, high = float(self.reached_[part]), float(self.reached_[part + 1])
        return low + (place - part) * (high - low)
