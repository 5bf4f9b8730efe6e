"""PROTEUS's network in PyTorch; ``floorline.estimators.network`` is the same in NumPy."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import dropout, linear

from floorline.estimators.network import (
    MAX_CONCENTRATION,
    MAX_EXPONENT,
    MIN_EXPONENT,
    Weights,
)
from floorline.training.settings import TrainingSettings

_FIXED = ("cost", "targets")
"""Fields of ``Weights`` that are not trained."""
ENCODER = ("encoder_weight", "encoder_bias", "quality_weight", "quality_bias")
"""Parameters of the encoder and head 1, which are trained in the warm-up."""
_INITIAL_GATE = 2.0
"""Initial intercept of a gate; with slope 0 every gate starts at sigmoid(2) = 0.88 for every λ."""


class Network(nn.Module):
    """PROTEUS's network for batches; the parameters have the names of ``Weights``.

    Parameters
    ----------
    weights
        Initial values.
    """

    def __init__(self, weights: Weights) -> None:
        super().__init__()
        for name, values in weights._asdict().items():
            tensor = torch.from_numpy(values.copy())
            if name in _FIXED:
                self.register_buffer(name, tensor)
            else:
                self.register_parameter(name, nn.Parameter(tensor))

    @classmethod
    def fresh(cls, settings: TrainingSettings, dim: int, cost: np.ndarray) -> Network:
        """Return a network of small random weights, drawn with torch's generator.

        Parameters
        ----------
        settings
            Settings of the training: ``units`` and ``targets``.
        dim
            Length d of the features.
        cost
            (M,) normalised costs.
        """
        units, models = settings.units, len(cost)

        def layer(outputs: int, inputs: int) -> np.ndarray:
            bound = inputs**-0.5
            drawn = torch.rand(outputs, inputs) * 2.0 - 1.0
            return np.asarray((drawn * bound).numpy())

        def zeros(*shape: int) -> np.ndarray:
            return np.zeros(shape, dtype=np.float32)

        # τ′ and λ′ are 2 inputs beside 256 others. With equal weights they would have little
        # influence, so they start with larger ones.
        first = layer(units, units + 2)
        first[:, units:] *= np.float32(0.5 * (units + 2) ** 0.5)

        gate = np.tile(np.array([0.0, _INITIAL_GATE], dtype=np.float32), (units, 1))
        return cls(
            Weights(
                encoder_weight=layer(units, dim),
                encoder_bias=zeros(units),
                quality_weight=layer(models, units),
                quality_bias=zeros(models),
                first_weight=first,
                first_bias=zeros(units),
                first_gate=gate,
                second_weight=layer(units, units),
                second_bias=zeros(units),
                second_gate=gate.copy(),
                beta_weight=layer(2, units),
                beta_bias=zeros(2),
                boost=zeros(models),
                exponent=zeros(1),
                cost=cost.astype(np.float32),
                targets=np.array(settings.targets, dtype=np.float32),
            )
        )

    def weights(self) -> Weights:
        """Return a copy of the parameters as NumPy arrays."""
        state = self.state_dict()
        return Weights(**{name: state[name].numpy().copy() for name in Weights._fields})

    def encode(self, x: Tensor, drop: float = 0.0) -> Tensor:
        """Return z (n, H) of features (n, d); ``drop`` is the rate of dropout."""
        x = dropout(x, drop, training=drop > 0)
        z = torch.relu(linear(x, self.encoder_weight, self.encoder_bias))
        return dropout(z, drop, training=drop > 0)

    def quality(self, z: Tensor) -> Tensor:
        """Return the (n, M) log-odds of p̂."""
        return linear(z, self.quality_weight, self.quality_bias)

    def beta(self, z: Tensor, floor: Tensor, dual: Tensor) -> tuple[Tensor, Tensor]:
        """Return a and b (n,) of the Beta distribution of μ, for τ and λ (n,)."""
        low, high = self.targets[0], self.targets[1]
        target = ((floor - 0.5 * (low + high)) / (0.5 * (high - low))).clamp(-1.0, 1.0)
        scaled = torch.log1p(dual)[:, None]
        hidden = linear(
            torch.cat([z, target[:, None], scaled], 1), self.first_weight, self.first_bias
        )
        hidden = torch.relu(hidden) * self._gate(self.first_gate, scaled)
        hidden = torch.relu(linear(hidden, self.second_weight, self.second_bias))
        hidden = hidden * self._gate(self.second_gate, scaled)
        raw = linear(hidden, self.beta_weight, self.beta_bias)
        a, b = (1.0 + MAX_CONCENTRATION * torch.sigmoid(raw)).unbind(1)
        return a, b

    def scores(self, p: Tensor, mu: Tensor, boost: Tensor | None = None) -> Tensor:
        """Return the (..., M) scores for p̂ (..., M) and μ (...)."""
        boost = self.boost if boost is None else boost
        width = MAX_EXPONENT - MIN_EXPONENT
        gamma = MIN_EXPONENT + width * torch.sigmoid(self.exponent)
        cheapness = (1.0 - mu)[..., None] ** gamma
        return p + mu[..., None] * boost - cheapness * self.cost

    @staticmethod
    def _gate(gate: Tensor, scaled: Tensor) -> Tensor:
        return torch.sigmoid(scaled * gate[:, 0] + gate[:, 1])
