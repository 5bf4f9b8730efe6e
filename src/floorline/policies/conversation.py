"""What the choice of a model now costs the later turns of its conversation.

docs/sessions.md derives it. Let R be the expected number of turns that follow, s the probability
that one does, L_m the cost of a later turn on model m while its provider has the conversation
cached, and q_m its satisfaction. At a price λ of satisfaction, a later turn on m is worth
ℓ_m = L_m − λ·q_m. If the turns after this one are served by one model, which is chosen at the next
turn and costs A_j more there unless it also serves now, then serving m now leaves

    V_m = min( R·ℓ_m,  min_j ( s·A_j + R·ℓ_j ) )

to be paid. Only differences of V count, so a policy adds V_m − min_j V_j to its estimated costs.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from floorline.estimators.cost import CacheTokens, CostEstimator

Floats = NDArray[np.float64]


_LABEL_CORRELATION = 0.1
"""Correlation of the labels of one conversation. Where the difficulty of conversations varies by 1
in logits, it is .12 at a mean satisfaction of .8."""


def design_effect(turns: float) -> float:
    """How many times the variance of a sum of labels is that of independent ones (Kish 1965).

    The turns of a conversation share its difficulty, and mostly its model.

    Parameters
    ----------
    turns
        Mean number of turns of the conversation that a turn belongs to.

    Examples
    --------
    >>> design_effect(1.0), design_effect(21.0)
    (1.0, 3.0)
    """
    return 1.0 + _LABEL_CORRELATION * (turns - 1.0)


class Turn(NamedTuple):
    """A request as one turn of a conversation.

    Attributes
    ----------
    goes_on, remaining
        Probability s that another turn follows, and the expected number R of those that follow.
    length
        Mean number of turns of the conversation that a turn belongs to.
    later_tokens, later
        Tokens of an average later prompt, and those of them in the caches of a model that serves
        all turns.
    lost
        (M,) tokens of the next prompt that a model's provider reads less from its cache if the
        model does not serve now.
    written
        (M,) share of these tokens that it writes to its cache instead.
    quality
        (M,) mean estimated satisfaction of each model over the latest turns of all conversations.
    """

    goes_on: float
    remaining: float
    length: float
    later_tokens: int
    later: CacheTokens
    lost: Floats
    written: Floats
    quality: Floats


class FutureCosts(NamedTuple):
    """The costs of a turn that do not depend on a price of satisfaction, in the cost unit.

    Attributes
    ----------
    later
        (M,) L: cost of a later turn, on a model that serves all turns.
    lost
        (M,) s·A: what a model costs more at the next turn if it does not serve now.
    remaining
        R.
    quality
        (M,) q: expected satisfaction of a later turn.
    """

    later: Floats
    lost: Floats
    remaining: float
    quality: Floats

    def addend(self, price: float, allowed: NDArray[np.bool_] | None = None) -> Floats:
        """(M,) V_m − min V: what serving each model now costs later.

        Parameters
        ----------
        price
            λ, in cost per unit of satisfaction; infinite if money counts for nothing beside it.
        allowed
            Mask (M,) of the models that may serve; None for all.

        Examples
        --------
        A conversation of ten more turns, at equal worth of both models; the first is cached.

        >>> none = np.zeros(2)
        >>> same = FutureCosts(np.array([0.1, 0.1]), np.array([0.0, 0.5]), 10.0, none)
        >>> same.addend(0.0).tolist()
        [0.0, 0.0]

        The second one is worth more over the turns that follow, so that moving there soon pays.

        >>> better = FutureCosts(np.array([0.5, 0.1]), np.array([0.0, 0.5]), 10.0, none)
        >>> better.addend(0.0).tolist()
        [0.5, 0.0]
        """
        if not np.isfinite(price):
            return np.zeros(len(self.later))
        stay = self.remaining * (self.later - price * self.quality)
        move = self.lost + stay
        if allowed is not None:
            move = np.where(allowed, move, np.inf)
        value = np.minimum(stay, move.min())
        return np.asarray(value - value.min())


def future_costs(estimator: CostEstimator, turn: Turn, quality: Floats) -> FutureCosts:
    """Price a turn by what an estimator has learned; ``quality`` (M,) as in ``FutureCosts``."""
    lost = estimator.cache_change(CacheTokens(-turn.lost, turn.lost * turn.written))
    return FutureCosts(
        estimator.predict_one(turn.later_tokens, turn.later),
        turn.goes_on * np.maximum(lost, 0.0),
        turn.remaining,
        quality,
    )
