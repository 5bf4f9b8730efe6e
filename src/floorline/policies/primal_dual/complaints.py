"""Feedback that consists of complaints only: a missing label then counts as satisfied."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from floorline.core.snapshots import Stateful
from floorline.policies.primal_dual.config import PrimalDualConfig
from floorline.policies.primal_dual.quality_posterior import QualityPosterior
from floorline.policies.primal_dual.surplus import SurplusEstimator


class ComplaintMode(Stateful):
    """Detects that only complaints are reported, and reads silence as satisfaction from then on.

    If a share r of the dissatisfied users complains, n complaints stand for n / r dissatisfied
    ones. So every response counts as satisfied when it is served, and one complaint with score s
    replaces that label by 1 − (1 − s)/r. The rate r is assumed (``complaint_rate``): complaints
    alone do not show it.

    Parameters
    ----------
    config
        Constants.

    Attributes
    ----------
    silence_is_satisfied_
        Whether a missing label counts as satisfied.
    complaints_only_
        Number of first labels by their weights, all complaints so far; −1 once that is settled.

    Examples
    --------
    >>> mode = ComplaintMode(PrimalDualConfig(informative_labels=2))
    >>> mode.observe(0.0), mode.observe(0.0), mode.silence_is_satisfied_
    (False, True, True)
    """

    def __init__(self, config: PrimalDualConfig) -> None:
        self.config = config
        self.silence_is_satisfied_ = config.silence == "satisfied"
        self.complaints_only_ = 0.0 if config.silence == "auto" else -1.0

    def observe(self, score: float, weight: float = 1.0) -> bool:
        """Count a first label of a response; whether silence means satisfied from now on."""
        if self.complaints_only_ < 0:
            return False
        self.complaints_only_ = -1.0 if score >= 0.5 else self.complaints_only_ + weight
        if self.complaints_only_ < self.config.informative_labels:
            return False
        self.complaints_only_ = -1.0
        self.silence_is_satisfied_ = True
        return True

    def restart(self, posterior: QualityPosterior, accounts: Iterable[SurplusEstimator]) -> None:
        """Let the posterior count all responses so far: satisfied, less the complaints."""
        accounts = list(accounts)
        served = np.sum([account.served_ for account in accounts], axis=0)
        missed = np.sum([account.labels_ - account.sum_ for account in accounts], axis=0)
        posterior.restart(served, served - missed / self.config.complaint_rate)

    def relabel(
        self,
        posterior: QualityPosterior,
        model: int,
        previous: float | None,
        score: float,
        weight: float = 1.0,
    ) -> None:
        """Put a complaint in the place of the satisfaction that was assumed, or of another one."""
        before = 1.0 if previous is None else self._counted(previous)
        posterior.replace(model, before, self._counted(score), weight)

    def surplus(self, account: SurplusEstimator) -> tuple[float, float]:
        """Surplus of an SLA by complaints alone, and its standard error."""
        rate = self.config.complaint_rate
        complaints = float((account.labels_ - account.sum_).sum())
        served = float(account.served_.sum()) + account.departed_satisfaction_
        # Binomial: which of the dissatisfied users complain is chance.
        error = math.sqrt(max(0.0, complaints) * (1.0 - rate)) / rate
        return served - complaints / rate - account.floor_sum_, error

    def _counted(self, score: float) -> float:
        """Label that a complaint with this score stands for, silent users included."""
        return 1.0 - (1.0 - score) / self.config.complaint_rate
