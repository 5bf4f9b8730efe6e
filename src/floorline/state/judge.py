"""A judge: somebody, often a model, who labels a share of the responses that users do not."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from floorline.errors import check_number
from floorline.events import Decision


class Judge(msgspec.Struct, frozen=True):
    """Labels responses at a stated rate and cost.

    Parameters
    ----------
    score
        Called with the decision and the response; answers 0 to 1.
    rate
        Share of responses it is asked about, drawn independently of everything else, so that its
        labels are as representative as users' are assumed to be.
    cost
        Of one label, in the zoo's unit; charged to the SLA.
    """

    score: Callable[[Decision, str], float]
    rate: float = 0.1
    cost: float = 0.0

    def __post_init__(self) -> None:
        check_number("Judge.rate", self.rate, low=0.0, high=1.0, fix="give a share from 0 to 1")
        check_number("Judge.cost", self.cost, low=0.0, fix="give a cost of 0 or more")
