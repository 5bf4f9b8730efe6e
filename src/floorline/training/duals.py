"""The dual variables of PROTEUS's training, one per part of the range of floors."""

from __future__ import annotations

import torch
from torch import Tensor

from floorline.training.settings import TrainingSettings


class Duals:
    """Dual variables: λ ← [λ + rate·(τ − mean p̄)]₊ every few batches.

    There is one λ for each of K equal parts of the range of τ. p̄ is the satisfaction if μ is the
    mean of its distribution, as at run time.

    Parameters
    ----------
    settings
        Settings of the training: ``duals`` (K), ``dual_rate``, ``targets`` and ``margin``.
    """

    def __init__(self, settings: TrainingSettings) -> None:
        self.settings = settings
        self.values = torch.ones(settings.duals)
        self.shortfall = torch.zeros(settings.duals)
        self.count = torch.zeros(settings.duals)

    def at(self, floor: Tensor) -> Tensor:
        """Return λ (n,) of floors (n,)."""
        return self.values[self._part(floor)]

    def observe(self, floor: Tensor, satisfied: Tensor) -> None:
        """Add the shortfalls τ + margin − p̄ of one batch; both arguments are (n,)."""
        part = self._part(floor)
        self.shortfall.index_add_(0, part, floor + self.settings.margin - satisfied)
        self.count.index_add_(0, part, torch.ones_like(floor))

    def step(self) -> None:
        """Update every λ by the mean of its shortfalls, and reset them."""
        mean = self.shortfall / self.count.clamp(min=1.0)
        self.values = (self.values + self.settings.dual_rate * mean).clamp(min=0.0)
        self.shortfall.zero_()
        self.count.zero_()

    def state(self) -> dict[str, Tensor]:
        """Return a copy of the state."""
        names = ("values", "shortfall", "count")
        return {name: getattr(self, name).clone() for name in names}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Replace the state by a copy of another one."""
        for name, value in state.items():
            setattr(self, name, value.clone())

    def _part(self, floor: Tensor) -> Tensor:
        """Return the part (n,) of the range that each floor (n,) belongs to."""
        low, high = self.settings.targets
        share = (floor - low) / (high - low)
        return (share * self.settings.duals).long().clamp(0, self.settings.duals - 1)
