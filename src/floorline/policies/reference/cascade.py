"""A cascade like FrugalGPT's: call the next model while a scorer doubts the answer."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from floorline.errors import InvalidInput, check_number
from floorline.optimization.floor_lp import cheapest_mix
from floorline.policies.base import Choice, Request
from floorline.policies.reference.oracle import Hindsight
from floorline.sla import SLA
from floorline.zoo import Zoo

Floats = NDArray[np.float64]
_MAX_LISTS = 5_000
"""Largest number of lists of models that are compared; lists of 3 of 24 models are 2,324."""


class FrugalCascade(Hindsight):
    """FrugalGPT's cascade [1]_ with a scorer of stated accuracy, told the stream in advance.

    A list of models is called one after the other. A scorer g looks at each answer, and the first
    answer that it accepts is served; the last model's is always. All calls are paid. The paper
    trains g on labelled answers; a routing table has no answers, so here g is right with
    probability a about an answer: it accepts with probability a·s + (1 − a)·(1 − s), where s is the
    label. The list is what the paper optimises on a training set,

        min_L E[Σ_{i ≤ z} c_{L_i}]   such that   E[s_{L_z}] ≥ τ,   z = first accepted position,

    over all lists of up to ``length`` models from cheap to dear. Here the training set is the
    stream, and the floor is met by the cheapest mixture of two lists. So this is a reference point
    that is told the labels: what a cascade with such a scorer can reach at best. Learning the
    scorer and the list would cost on top.

    Parameters
    ----------
    quality, cost
        (T, M) labels and costs in the order of the stream; NaN if a model has no label.
    accuracy
        Probability a with which the scorer is right about an answer, from ½ (it knows nothing) to
        1 (it sees the label).
    length
        Largest number of models in a list (3 in the paper).

    Attributes
    ----------
    t_
        Number of requests so far.

    Raises
    ------
    InvalidInput
        If a parameter is outside its range, or the models have too many lists.

    References
    ----------
    .. [1] Chen, Zaharia, Zou: FrugalGPT: How to Use Large Language Models While Reducing Cost and
       Improving Performance. TMLR 2024, arXiv:2305.05176.
    """

    name = "frugal_cascade"

    def __init__(
        self, *, quality: Floats, cost: Floats, accuracy: float = 0.8, length: int = 3
    ) -> None:
        super().__init__(quality=quality, cost=cost)
        fix = "give a probability from 0.5 to 1"
        self.accuracy = check_number(f"{self.name}.accuracy", accuracy, low=0.5, high=1.0, fix=fix)
        fix = "give a number of models of 1 or more"
        self.length = int(check_number(f"{self.name}.length", length, low=1, high=10, fix=fix))

    def start(self, zoo: Zoo, slas: Mapping[str, SLA], dim: int) -> None:
        """Compute what every list of models costs and satisfies."""
        mean = np.nanmean(self.cost, axis=0)
        by_price = np.argsort(mean, kind="stable").tolist()
        self._lists: list[tuple[int, ...]] = []
        for size in range(1, min(self.length, len(by_price)) + 1):
            self._lists += combinations(by_price, size)
            if len(self._lists) > _MAX_LISTS:
                fix = f"give a length with at most {_MAX_LISTS:,} lists of these models"
                raise InvalidInput(f"{self.name}.length", self.length, fix)
        accept = self._accept(self.quality)
        found = [self._expected(models, accept) for models in self._lists]
        self._satisfied, self._price = np.array(found).T
        self._mixes: dict[float, Floats] = {}

    def decide(self, request: Request, rng: np.random.Generator) -> Choice:
        """Draw a list and the scorer's verdicts, and serve the first accepted answer.

        Raises
        ------
        InvalidInput
            If the stream is longer than the labels.
        """
        if self.t_ >= len(self.quality):
            fix = "give the cascade as many labels as requests"
            raise InvalidInput("number of the request", self.t_ + 1, fix)
        quality, cost = self.quality[self.t_], self.cost[self.t_]
        usable = ~np.isnan(quality) & ~np.isnan(cost)
        if request.allowed is not None:
            usable &= request.allowed
        accept = self._accept(np.where(usable, quality, 0.0))
        mix = self._mix(request.floor)
        propensities = np.zeros(len(quality))
        for number in np.flatnonzero(mix).tolist():
            left = mix[number]
            for model, last in self._calls(number, usable):
                share = left if last else left * accept[model]
                propensities[model] += share
                left -= share
        draws = rng.random(1 + self.length)
        number = int(mix.cumsum().searchsorted(draws[0] * mix.sum(), side="right"))
        called: list[int] = []
        for (model, last), draw in zip(self._calls(number, usable), draws[1:], strict=False):
            called.insert(0, model)
            if last or draw < accept[model]:
                break
        known = np.where(np.isnan(quality), 0.0, quality), np.where(np.isnan(cost), 0.0, cost)
        return Choice(called[0], tuple(called), propensities, False, *known, rule="cascade")

    def _calls(self, number: int, usable: NDArray[np.bool_]) -> list[tuple[int, bool]]:
        """Return the models of a list that may serve, each with whether it is the last one."""
        models = [m for m in self._lists[number] if usable[m]]
        if not models:
            # The dearest model that may serve stands for a list that has none.
            dear = np.where(usable, np.nan_to_num(self.cost[self.t_]), -1.0)
            models = [int(dear.argmax())]
        return [(m, m == models[-1]) for m in models]

    def _accept(self, quality: Floats) -> Floats:
        """Return the probability with which the scorer accepts each answer."""
        return self.accuracy * quality + (1.0 - self.accuracy) * (1.0 - quality)

    def _expected(self, models: tuple[int, ...], accept: Floats) -> tuple[float, float]:
        """Return the mean satisfaction and cost of a list over the stream."""
        left = np.ones(len(self.quality))
        satisfied, price = np.zeros_like(left), np.zeros_like(left)
        for model in models:
            # A model without an answer to a request is left out there.
            here = ~np.isnan(self.quality[:, model]) & ~np.isnan(self.cost[:, model])
            chance = np.where(here, 1.0 if model == models[-1] else accept[:, model], 0.0)
            price += np.where(here, left * self.cost[:, model], 0.0)
            satisfied += np.where(here, left * chance * self.quality[:, model], 0.0)
            left = left * (1.0 - chance)
        return float(satisfied.mean()), float(price.mean())

    def _mix(self, floor: float) -> Floats:
        if floor not in self._mixes:
            if len(self._mixes) >= 100:
                self._mixes.clear()
            self._mixes[floor] = cheapest_mix(self._satisfied, self._price, floor, None)
        return self._mixes[floor]
