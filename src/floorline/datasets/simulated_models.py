"""The models of the simulated zoo: ability, price and speed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from floorline.datasets.simulated_vocabulary import FAMILIES


@dataclass(frozen=True)
class SimulatedModel:
    """A simulated model.

    Parameters
    ----------
    name
        Name; those of ``MODELS`` start with "sim-", which marks them as simulated.
    input_price, output_price
        USD per million tokens.
    skill
        Ability in logits on the average task.
    strengths
        Task family → difference of the ability there from ``skill``, in logits.
    sharpness
        Discrimination of the two-parameter logistic model.
    verbosity
        Length of its answers relative to the task's usual length.
    first_token, tokens_per_second
        Speed: seconds to the first token, then tokens per second.
    """

    name: str
    input_price: float
    output_price: float
    skill: float
    strengths: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    sharpness: float = 1.5
    verbosity: float = 1.0
    first_token: float = 0.3
    tokens_per_second: float = 80.0

    def ability(self) -> NDArray[np.float64]:
        """(F,) ability in logits per task family."""
        return np.array([self.skill + self.strengths.get(f.name, 0.0) for f in FAMILIES])


def _strong(**strengths: float) -> Mapping[str, float]:
    return MappingProxyType(strengths)


_CODE = _strong(
    python=1.5, sql=1.4, extraction=0.7, algebra=0.2, translation=-0.9, chat=-0.6, legal=-0.7,
    medical=-0.7, trivia=-0.5, summarisation=-0.3,
)  # fmt: skip
_REASON = _strong(
    arithmetic=0.9, algebra=1.1, logic=1.2, science=0.7, chat=-0.4, translation=-0.4, trivia=-0.6,
)  # fmt: skip

MODELS = (
    SimulatedModel("sim-nano", 0.05, 0.2, -0.1, _strong(chat=0.4, logic=-0.5, algebra=-0.5),
                   verbosity=0.8, first_token=0.12, tokens_per_second=260),
    SimulatedModel("sim-mini", 0.10, 0.4, 0.3, _strong(summarisation=0.4, algebra=-0.3, sql=-0.2),
                   verbosity=0.9, first_token=0.15, tokens_per_second=210),
    SimulatedModel("sim-small", 0.20, 0.8, 0.65, _strong(translation=0.7, python=-0.4, logic=-0.4),
                   first_token=0.18, tokens_per_second=170),
    SimulatedModel("sim-coder", 0.30, 1.2, 0.6, _CODE,
                   verbosity=1.2, first_token=0.2, tokens_per_second=140),
    SimulatedModel("sim-medium", 0.60, 2.4, 1.15, _strong(medical=0.3, legal=0.3, python=-0.3),
                   first_token=0.25, tokens_per_second=110),
    SimulatedModel("sim-reason", 0.80, 3.2, 1.3, _REASON,
                   verbosity=2.5, first_token=0.9, tokens_per_second=90),
    SimulatedModel("sim-large", 2.00, 8.0, 1.75, _strong(trivia=0.3, legal=0.2, logic=-0.2),
                   verbosity=1.1, first_token=0.45, tokens_per_second=60),
    SimulatedModel("sim-titan", 5.00, 20.0, 2.3,
                   verbosity=1.3, first_token=0.7, tokens_per_second=40),
)  # fmt: skip
"""From the cheapest to the most expensive; list prices span a factor of 100."""


def list_prices() -> dict[str, tuple[float, float]]:
    """Return name → (input, output) price in USD per million tokens.

    Examples
    --------
    >>> list_prices()["sim-nano"]
    (0.05, 0.2)
    """
    return {model.name: (model.input_price, model.output_price) for model in MODELS}
