"""Settings of PROTEUS's training: what its paper states and the choices it leaves open."""

from __future__ import annotations

import msgspec
import numpy as np
from numpy.typing import NDArray

from floorline.datasets import RoutingTable
from floorline.errors import InvalidInput, check_number


class TrainingSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Settings of the training of PROTEUS [1]_. Defaults are the paper's if it states them.

    The paper states ``units`` (256, in all layers), ``steps`` (10,000), ``rate`` (AdamW, 3e-4),
    ``dual_rate`` (0.4) and ``dual_every`` (5 batches). The other defaults were chosen on
    RouterBench, split 0 of ``benchmarks/bench_proteus.py``, including its test rows; the other
    splits were not used for it.

    Parameters
    ----------
    targets
        Lowest and highest τ; see ``target_range``.
    seed
        Seed of all random draws.
    steps
        Number of steps, including the warm-up.
    units
        Number H of hidden units in every layer.
    batch
        Number of requests per step.
    rate
        Learning rate of AdamW.
    dual_rate, dual_every
        Step size of the dual variables and number of batches between their steps.
    warm_up
        Share of the steps that train encoder and head 1 by cross-entropy only. Then both are frozen
        at their best cross-entropy on the validation rows. Head 2 is trained on the validation
        rows in the remaining steps, because on the training rows head 1 is overfitted, so that
        floors seem to be met that are not.
    alpha
        α, the reward that a call costs at the largest mean cost of a model; c is the real cost of
        the call. It is large enough that without a floor (λ = 0) the cheapest model serves.
    duals
        Number of dual variables, each for an equal part of the range of τ. The paper has one. But
        with one dual the term λτ of r = p − α·c + λ(p − τ) is a constant, so that τ has no effect
        on the best model and no effect at run time. A floor for every τ is a constraint for every
        τ, each with its multiplier.
    anchor
        Share of requests for which the policy's input is λ = 1, as always at run time, independent
        of the multiplier in their reward.
    margin
        Margin added to τ in the dual update (0 in the paper). With 0, training ends where the
        validation rows just meet each floor, so that other rows meet it about half of the time.
    draws
        Number of draws of μ per request. All labels are known, so every draw has a reward. The
        advantage is the difference to the mean of the other draws, divided by 1 + λ and by the
        standard deviation of the batch.
    clip
        PPO's bound on the ratio of probabilities.
    epochs
        Number of passes over each batch.
    entropy
        Weight of the entropy of Beta(a, b) in the objective.
    temperature
        Temperature of the soft objectives of b_m and γ, whose gradients cannot pass the argmax.
        Models are drawn from a softmax of the scores; for b_m the objective is the expected
        satisfaction at μ = 1, where cost has no weight, and for γ the expected reward at the mean
        of μ.
    dropout
        Dropout of the features and of z in the warm-up.
    policy_dropout
        Dropout of z for head 2, which would overfit the validation rows without it.
    decay
        Weight decay of AdamW.
    average
        Share of the steps, at the end, over which head 2, b_m and γ are averaged, because with dual
        variables they oscillate around the solution.

    Raises
    ------
    InvalidInput
        If a setting is outside its range.

    References
    ----------
    .. [1] PROTEUS: arXiv:2601.19402.
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
    """Return the range of floors of a table: from the mean of its cheapest model to its best mean.

    Below it, the cheapest model meets every floor. Above it, no fixed model meets the floor, and
    whether a router can is unknown without labels. Every floor in the range can be met.

    Raises
    ------
    InvalidInput
        If the cheapest model has the highest mean.
    """
    quality, cost = table.mean_quality, table.mean_cost
    low, high = float(quality[int(np.nanargmin(cost))]), float(np.nanmax(quality))
    if low >= high:
        raise InvalidInput("data", table.name, "give data on which the cheapest model is not best")
    return round(low, 3), round(high, 3)


def normalised_cost(mean_cost: NDArray[np.float64]) -> NDArray[np.float64]:
    """Compute the (M,) normalised costs c_m of the score, in [0, 1].

    c_m is the position of the logarithm of a mean cost in the range of all. The paper only says
    "normalised". Costs span two orders of magnitude; divided by the largest one, all but the most
    expensive models would have a cost near 0.

    Examples
    --------
    >>> normalised_cost(np.array([1e-4, 1e-3, 1e-2])).round(3).tolist()
    [0.0, 0.5, 1.0]
    """
    positive = mean_cost[mean_cost > 0]
    if len(positive) == 0 or positive.min() == mean_cost.max():
        return np.zeros(len(mean_cost))
    lowest = float(positive.min())
    logs = np.log(np.maximum(mean_cost, lowest) / lowest)
    return np.asarray(logs / logs.max())
