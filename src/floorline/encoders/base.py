"""What an encoder is: a prompt in, features out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from floorline.core.features import Features, SparseFeatures

__all__ = ["Encoder", "Features", "Prompt", "SparseFeatures"]

Prompt = str | Sequence[Mapping[str, Any]]
"""A text, or OpenAI chat messages (``[{"role": ..., "content": ...}, ...]``)."""


@runtime_checkable
class Encoder(Protocol):
    """Turns prompts into features; deterministic, and told apart by its fingerprint."""

    @property
    def dim(self) -> int:
        """Length of the feature vector."""
        ...

    @property
    def fingerprint(self) -> str:
        """Name and parameters; a snapshot refuses features of another fingerprint."""
        ...

    def encode(self, prompt: Prompt) -> Features:
        """Encode one prompt."""
        ...

    def encode_batch(self, prompts: Sequence[Prompt]) -> NDArray[np.float32]:
        """Encode many prompts as a dense (n, dim) float32 matrix."""
        ...
