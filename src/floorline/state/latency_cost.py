"""What being late costs under an SLA: the part of its promises in the score of every model."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from floorline.state.fold import Fold
from floorline.state.latency import length_bucket


def latency_cost(fold: Fold, sla: str, input_tokens: int) -> NDArray[np.float64] | None:
    """(M,) Σ λ·P(late_m | length) over an SLA's promises, in the cost unit; None for nothing.

    Parameters
    ----------
    fold
        State of the router.
    sla
        Name of the SLA.
    input_tokens
        Number of tokens of the prompt.
    """
    timeliness = fold.ledgers_[sla].timeliness_
    if not timeliness.promises:
        return None
    zoo, bucket = fold.zoo_, length_bucket(input_tokens)
    highest = float(zoo.typical_costs.max())
    added: NDArray[np.float64] | None = None
    for promise in timeliness.promises:
        price = timeliness.prices_[promise.name].price(promise, highest)
        if price:
            part = price * fold.latency_.late_shares(promise, bucket, zoo.names)
            added = part if added is None else added + part
    return added
