"""The dual variables of training: one per part of the range of floors."""

from __future__ import annotations

import torch
from torch import Tensor

from floorline.training.settings import TrainingSettings


class Duals:
    """λ ← [λ + rate·(τ − mean p̄)]₊ every few batches, for each of K equal parts of the range.

    p̄ is the share satisfied when μ is the mean of its distribution, which is what will be served.
    """

    def __init__(self, settings: TrainingSettings) -> None:
        self.settings = settings
        self.values = torch.ones(settings.duals)
        self.shortfall = torch.zeros(settings.duals)
        self.count = torch.zeros(settings.duals)

    def at(self, floor: Tensor) -> Tensor:
        """λ (n,) for floors (n,)."""
        return self.values[self._part(floor)]

    def observe(self, floor: Tensor, satisfied: Tensor) -> None:
        """Collect τ − p of one batch."""
        part = self._part(floor)
        self.shortfall.index_add_(0, part, floor + self.settings.margin - satisfied)
        self.count.index_add_(0, part, torch.ones_like(floor))

    def step(self) -> None:
        """Move every λ by what was collected, and collect anew."""
        mean = self.shortfall / self.count.clamp(min=1.0)
        self.values = (self.values + self.settings.dual_rate * mean).clamp(min=0.0)
        self.shortfall.zero_()
        self.count.zero_()

    def state(self) -> dict[str, Tensor]:
        """Copy of everything that changes."""
        names = ("values", "shortfall", "count")
        return {name: getattr(self, name).clone() for name in names}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Take over a state."""
        for name, value in state.items():
            setattr(self, name, value.clone())

    def _part(self, floor: Tensor) -> Tensor:
        low, high = self.settings.targets
        share = (floor - low) / (high - low)
        return (share * self.settings.duals).long().clamp(0, self.settings.duals - 1)
