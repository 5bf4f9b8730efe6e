"""The hindsight oracle: minimum cost under the floor, computed from all labels of the stream."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from floorline.errors import InvalidInput
from floorline.events import Decision
from floorline.optimization.floor_lp import cheapest_assignment
from floorline.policies.base import Choice, Knows, Policy, Request, certain
from floorline.sla import SLA
from floorline.zoo import Zoo


class Hindsight(Policy):
    """Base of policies that know all labels and costs of the stream in advance.

    Parameters
    ----------
    quality, cost
        (T, M) labels and costs in the order of the stream; NaN if a model has no label.

    Attributes
    ----------
    t_
        Number of requests so far.
    """

    knows: ClassVar[Knows] = "labels"

    def __init__(self, *, quality: NDArray[np.float64], cost: NDArray[np.float64]) -> None:
        self.quality = np.asarray(quality, dtype=np.float64)
        self.cost = np.asarray(cost, dtype=np.float64)
        self.t_ = 0

    def on_decision(self, decision: Decision) -> None:
        """Go to the next request."""
        self.t_ += 1


class Oracle(Hindsight):
    """Minimum cost under the floor, with all labels and costs of the stream known in advance.

    Beside "one model per request", the linear program has one constraint. So a vertex splits at
    most one request, and the dual has a single price, which bisection finds exactly: 36,497 × 11
    takes well under a second. A test compares it with HiGHS.

    Parameters
    ----------
    quality, cost
        (T, M) labels and costs in the order of the stream; NaN if a model has no label.

    Attributes
    ----------
    t_
        Number of requests so far.
    """

    name = "oracle"

    def start(self, zoo: Zoo, slas: Mapping[str, SLA], dim: int) -> None:
        """Solve the whole stream for the floor of the SLA.

        Raises
        ------
        InvalidInput
            If there is more than one SLA.
        """
        if len(slas) != 1:
            raise InvalidInput("slas", sorted(slas), "give the oracle a stream under one SLA")
        self._solve(slas)

    def on_slas(self, slas: Mapping[str, SLA]) -> None:
        """Solve the whole stream again for the changed floor."""
        self._solve(slas)

    def _solve(self, slas: Mapping[str, SLA]) -> None:
        sla = next(iter(slas.values()))
        gaps = np.isnan(self.quality) | np.isnan(self.cost)
        self._assignment = cheapest_assignment(
            np.where(gaps, 0.0, self.quality), np.where(gaps, np.inf, self.cost), sla.floor
        )

    def decide(self, request: Request, rng: np.random.Generator) -> Choice:
        """Serve the model that the solution assigns to this request.

        Raises
        ------
        InvalidInput
            If the stream is longer than the labels, or the assigned model may not serve.
        """
        if self.t_ >= len(self._assignment):
            fix = "give the oracle as many labels as requests"
            raise InvalidInput("number of the request", self.t_ + 1, fix)
        model = int(self._assignment[self.t_])
        if request.allowed is not None and not request.allowed[model]:
            fix = "give the oracle NaN for models that may not serve a request"
            raise InvalidInput("request.allowed", request.allowed.tolist(), fix)
        return certain(model, self.quality[self.t_], self.cost[self.t_], rule="hindsight")
