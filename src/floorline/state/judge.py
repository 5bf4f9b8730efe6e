"""Judges: label a share of the responses, at a stated cost; often a judge is a model."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from floorline.errors import check_number
from floorline.events import Decision


class Judge(msgspec.Struct, frozen=True):
    """Source of labels with a rate and a cost.

    Parameters
    ----------
    score
        Function of the decision and the response that returns a score from 0 to 1.
    rate
        Share of responses that are judged. They are drawn independently of everything else, so
        that the judge's labels are representative.
    cost
        Cost of one label in the zoo's cost unit; it is charged to the SLA.

    Raises
    ------
    InvalidInput
        If the rate is not in [0, 1] or the cost is negative.
    """

    score: Callable[[Decision, str], float]
    rate: float = 0.1
    cost: float = 0.0

    def __post_init__(self) -> None:
        check_number("Judge.rate", self.rate, low=0.0, high=1.0, fix="give a share from 0 to 1")
        check_number("Judge.cost", self.cost, low=0.0, fix="give a cost of 0 or more")
