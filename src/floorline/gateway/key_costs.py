"""What calls cost the budget of an API key, and which models it can still pay for."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from floorline.errors import Bar
from floorline.zoo import Zoo


class KeyCosts(NamedTuple):
    """What a key's budget has left, and ``Router.call_costs``.

    ``bounded`` says whether the request bounds its answer, so that the largest cost is certain.
    """

    left: float
    bounded: bool
    needed: NDArray[np.float64]
    largest: NDArray[np.float64]

    def too_dear(self, zoo: Zoo, barred: Collection[str]) -> dict[str, Bar]:
        """Return what the budget lacks for each model that is not barred by another cause."""
        fitting = self.fitting(zoo, barred)
        return {
            name: Bar(
                "key_budget",
                f"a call needs {self.needed[zoo.index(name)]:.6g} of the API key's budget, and "
                f"{max(0.0, self.left):.6g} is left",
            )
            for name in zoo.names
            if name not in barred and name not in fitting
        }

    def fitting(self, zoo: Zoo, excluded: Collection[str] = ()) -> list[str]:
        """Names of the models whose call the budget holds, of those that are not excluded.

        What is left is never too little for a request that does not bound its answer: if no
        expected cost fits, the cheapest model may serve, and all that is left is reserved.
        """
        # A budget that is spent holds no call, also none that is expected to be free.
        names = [] if self.left <= 0.0 else [name for name in zoo.names if name not in excluded]
        fit = [name for name in names if self.needed[zoo.index(name)] <= self.left]
        if fit or self.bounded or not names:
            return fit
        return [min(names, key=lambda name: float(self.needed[zoo.index(name)]))]

    def reserved(self, model: int) -> float:
        """What to reserve for a call: its largest cost, or all that is left if that is less."""
        return min(float(self.largest[model]), self.left)
