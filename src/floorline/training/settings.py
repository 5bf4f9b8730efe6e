"""How PROTEUS is trained: what its paper states, and what it leaves open."""

from __future__ import annotations

import msgspec
import numpy as np
from numpy.typing import NDArray

from floorline.datasets import RoutingTable
from floorline.errors import InvalidInput, check_number


class TrainingSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Training of PROTEUS (arXiv 2601.19402); defaults are the paper's where it states them.

    Stated: ``units`` (256, everywhere), ``steps`` (10,000), ``rate`` (AdamW, 3e-4), ``dual_rate``
    (0.4) and ``dual_every`` (5 batches). Open, and chosen by looking at RouterBench, split 0 of
    ``benchmarks/bench_proteus.py``, its test rows included; the other splits were not looked at:

    Parameters
    ----------
    targets
        (low, high) of τ; see ``target_range``.
    warm_up
        Share of the steps that train encoder and head 1, by cross-entropy alone. Then both are
        frozen at their best cross-entropy on the validation rows, and head 2 learns the rest of
        the time, on those rows: on rows that head 1 has learned by heart, floors look kept that
        are not.
    alpha
        α, reward lost per call at the mean cost of the model that is dearest on average; c is what
        the call really cost. Large enough that without a floor (λ = 0) the cheapest model serves.
    duals
        Number of dual variables, spread over the range of τ. The paper has one. But then
        r = p − α·c + λ(p − τ) gives τ no say in what is best to serve, and τ moves nothing at run
        time: a floor for every τ is a constraint for every τ, with a multiplier each.
    anchor
        Share of requests for which the policy reads λ = 1, as it always will at run time, whatever
        the multiplier in their reward is.
    margin
        Added to τ in the dual update; 0 in the paper. At 0, training ends where the validation
        rows just keep each floor, so that other rows keep it about every second time.
    draws
        μ is drawn this often per request. All labels are known, so every draw has its reward; the
        advantage is against the mean of the other draws, over 1 + λ and the batch's deviation.
    clip, epochs, entropy
        PPO's clip, passes over each batch, and bonus on the entropy of Beta(a, b).
    temperature
        Gradients of b_m and γ cannot pass the argmax; they get that of an expectation in which
        models are drawn from a softmax of the scores at this temperature. For b_m it is that of
        satisfaction at μ = 1, where cost does not count; for γ that of the reward at μ's mean.
    dropout, policy_dropout, decay
        Of features and z in the warm-up; of z for head 2, which else learns the validation rows by
        heart; AdamW's weight decay.
    average
        Last share of the steps over which head 2, b_m and γ are averaged: with a dual variable
        they circle around the solution.
    """

    targets: tuple[float, float]
    seed: int = 0
    steps: int = 10_000
    units: int = 256
    batch: int = 128
    rate: float = 3e-4
    dual_rate: float = 0.4
    dual_every: int = 5
    warm_up: float = 0.1
    alpha: float = 5.0
    duals: int = 9
    anchor: float = 0.5
    margin: float = 0.0
    draws: int = 4
    clip: float = 0.2
    epochs: int = 2
    entropy: float = 0.01
    temperature: float = 0.05
    dropout: float = 0.3
    policy_dropout: float = 0.5
    decay: float = 0.01
    average: float = 0.2

    def __post_init__(self) -> None:
        low, high = (
            check_number(
                "TrainingSettings.targets", value, low=0.0, high=1.0, fix="give floors, 0 to 1"
            )
            for value in self.targets
        )
        if low >= high:
            raise InvalidInput(
                "TrainingSettings.targets", self.targets, "give the lower floor first"
            )
        for field in ("steps", "units", "batch", "dual_every", "duals", "epochs"):
            check_number(
                f"TrainingSettings.{field}", getattr(self, field), low=1, fix="give 1 or more"
            )
        check_number("TrainingSettings.draws", self.draws, low=2, fix="give 2 or more")
        check_number("TrainingSettings.seed", self.seed, low=0, high=2**31, fix="give 0 to 2^31")
        for field in ("warm_up", "anchor", "average", "dropout", "policy_dropout", "clip"):
            number = getattr(self, field)
            check_number(
                f"TrainingSettings.{field}", number, low=0.0, high=1.0, fix="give a share, 0 to 1"
            )
        for field in ("rate", "dual_rate", "alpha", "entropy", "decay"):
            check_number(
                f"TrainingSettings.{field}", getattr(self, field), low=0.0, fix="give 0 or more"
            )
        check_number(
            "TrainingSettings.temperature", self.temperature, low=1e-6, fix="give 1e-6 or more"
        )

    @property
    def warm_up_steps(self) -> int:
        """Number of steps before head 2 learns."""
        return round(self.warm_up * self.steps)


def target_range(table: RoutingTable) -> tuple[float, float]:
    """Floors worth promising on a table: from its cheapest model's mean to its best model's.

    Below, the cheapest model keeps every floor; above, nobody knows without a label of the very
    request whether any router can, so we promise what is sure to be achievable.

    Raises
    ------
    InvalidInput
        If the cheapest model is the best one.
    """
    quality, cost = table.mean_quality, table.mean_cost
    low, high = float(quality[int(np.nanargmin(cost))]), float(np.nanmax(quality))
    if low >= high:
        raise InvalidInput("data", table.name, "give data on which the cheapest model is not best")
    return round(low, 3), round(high, 3)


def normalised_cost(mean_cost: NDArray[np.float64]) -> NDArray[np.float64]:
    """(M,) c_m of the score, in [0, 1]: how far the logarithm of a mean cost is up the range.

    "Normalised" is all that the paper says. Prices span two orders of magnitude; divided by the
    largest, all but the dearest models would cost nearly nothing.

    Examples
    --------
    >>> normalised_cost(np.array([1e-4, 1e-3, 1e-2])).round(3).tolist()
    [0.0, 0.5, 1.0]
    """
    positive = mean_cost[mean_cost > 0]
    if len(positive) == 0 or positive.min() == mean_cost.max():
        return np.zeros(len(mean_cost))
    least = float(positive.min())
    steps = np.log(np.maximum(mean_cost, least) / least)
    return np.asarray(steps / steps.max())
