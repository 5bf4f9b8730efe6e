"""What being late costs under an SLA: the part of its promises in the score of every model."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from floorline.state.fold import Fold
from floorline.state.latency import latency_bucket
from floorline.state.ledger import Ledger

_NO_WEIGHT_SDS, _FULL_WEIGHT_SDS = -1.0, -0.5
"""Surplus of the labels over the floor, in standard deviations of their sum, up to which lateness
has no weight, and from which it has its full weight. Were it 0 as soon as chance holds the labels
below the floor, promises that can be kept beside the floor would wait for nothing: they were kept
in 70 % of the runs on 12 tables and floors of MESS+ then, and in 92 % now (docs/latency.md)."""
_LEAST_VARIANCE = 0.01
"""Least variance of a label, for floors near 0 and 1. A numerical bound."""


def floor_priority(ledger: Ledger) -> float:
    """Weight from 0 to 1 of lateness beside the floor, which has priority.

    It falls to 0 while the labels are below their floor by more than chance, so that satisfaction
    stays there where no mix keeps both. It is 1 without labels, and where they may be complaints
    only.
    """
    labels, requests = ledger.labels_, ledger.requests_
    if not labels or not ledger.label_weight_:
        return 1.0
    if not ledger.positive_labels_ and labels < requests:
        return 1.0
    floor = ledger.floor_sum_ / ledger.label_weight_
    variance = max(floor * (1.0 - floor), _LEAST_VARIANCE)
    surplus = ledger.satisfied_ - ledger.floor_sum_
    sds = surplus / math.sqrt(variance * ledger.label_weight_)
    return min(1.0, max(0.0, (sds - _NO_WEIGHT_SDS) / (_FULL_WEIGHT_SDS - _NO_WEIGHT_SDS))) ** 2


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
    ledger = fold.ledgers_[sla]
    timeliness = ledger.timeliness_
    if not timeliness.promises:
        return None
    weight = floor_priority(ledger)
    zoo, bucket = fold.zoo_, latency_bucket(input_tokens)
    highest = float(zoo.typical_costs.max())
    added: NDArray[np.float64] | None = None
    for promise in timeliness.promises:
        price = weight * timeliness.prices_[promise.name].price(promise, highest)
        if price:
            part = price * fold.latency_.late_shares(promise, bucket, zoo.names)
            added = part if added is None else added + part
    return added
